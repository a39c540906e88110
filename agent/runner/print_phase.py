"""Phases of a print job: what its activity waits for."""

from __future__ import annotations

from enum import Enum


class PrintPhase(Enum):
    """What the activity waits for."""

    FETCHING = "fetching"  # the file
    AWAITING_BED = "awaiting bed"  # somebody's word that the bed is clear
    STARTING = "starting"  # the printer to be idle, the disk to take the checkpoint
    CANCELLING = "cancelling"  # the next step: nothing has begun to print
    RECOVERING = "recovering"  # the driver's word on what became of the print
    FOLLOWING = "following"  # the print's end
    ENDED = "ended"  # nothing


TO_BEGIN = {
    PrintPhase.FETCHING: "its file",
    PrintPhase.AWAITING_BED: "the bed to be confirmed clear",
    PrintPhase.STARTING: "the printer",
}
"""The phases of a print that has yet to begin → what it waits for, in words for a person."""

BEFORE_PRINTING = (*TO_BEGIN, PrintPhase.CANCELLING)
