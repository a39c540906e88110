"""Timing of the driver: every timeout and interval in seconds, in one place; a test makes them short."""

from __future__ import annotations

import msgspec

from agent.core.driver import TAKE_OVER_S


class Timing(msgspec.Struct, frozen=True):
    """Timeouts and intervals; the defaults are for real boards. `patience` multiplies what a command may take
    (`protocol.patience`)."""

    patience: float = 1.0
    busy: float = 15.0  # after a `busy:` line, which comes every 2 s
    probe: float = 10.0  # of silence beyond the patience for a line, until it has failed
    garbled: float = 0.1  # after a line that may have been an `ok` before it was garbled
    listen: float = 2.0  # between moments in which an `ok` too many is listened for, once there was one
    resend_ok: float = 0.5  # for the `ok` that some firmwares send after a resend request (docs/serial.md §8)
    straggle: float = 0.02  # after that, for stragglers (docs/serial.md §9b)
    take_over: float = TAKE_OVER_S  # of silence from a printer whose print is to be taken over
    calm: float = 0.1  # without anything heard, before such a printer is asked where it is
    beat: float = 3.0  # between two signs of life of the thread
    wait: float = 1.0  # a line in flight this long when the printer says `wait` was lost
    boot: float = 1.0  # of silence after opening a port with a reset line, before the hello
    hello: float = 2.0  # for an answer to each hello
    hello_tries: int = 4
    answer: float = 5.0  # for M115 and the settings after it
    refused: float = 1.0  # after a question of the hello that was refused, before the next one
    poll: float = 2.0  # between M105 without auto-report
    idle_poll: float = 10.0  # with auto-report, when idle or waiting for heat: is it still there?
    press: float = 2.0  # between two presses of a button from afar, as long as the printer asks its person
    presses: int = 6  # at most: they all fit the firmware's receive buffer, where they wait for their turn
    heat_unknown: float = 10.0  # without a reading of the heater: let the firmware wait itself
    heat_limit: float = 1800.0
    reset: float = 3.0  # for a board to begin anew after a reset, before its port is opened anew
    retry: float = 0.5  # first pause before the port is looked for again; doubles
    retry_most: float = 5.0
