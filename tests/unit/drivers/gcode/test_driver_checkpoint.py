"""The driver's checkpoint: what is stored by one agent is read by the next one, of another version too."""

from __future__ import annotations

import pytest
from structlog.testing import capture_logs

from agent.errors import DataError, UnavailableError
from drivers.gcode.printing.dialects import Firmware
from drivers.gcode.printing.head_position import HeadPosition
from drivers.gcode.printing.pause_state import ParkedState, PauseState
from drivers.gcode.session.driver_checkpoint import CheckpointWriter, DriverCheckpoint, Stage, decode
from drivers.gcode.session.port_identity import PortIdentity
from tests.rigs.session_rig import log_keys

WRITTEN_BY_0_1_0 = (
    b'{"found":{"path":"/dev/serial/by-id/usb-1","by_id":"usb-1","usb":"0403:6001:A1"},"baud":115200,'
    b'"dialect":"marlin","firmware":"Marlin 2.1.2","machine":"Test","capabilities":["AUTOREPORT_TEMP"],"speaks":true,'
    b'"homed":true,"stage":"parking","pause":{"saved":{"position":{"x":1.0,"y":2.0,"z":3.0,"e":4.5},'
    b'"targets":{"tool0":210.0},"away":true,"retracted":2.0},"ours":true,"in_file":true,"reason":"why"},"error":"e",'
    b'"version":1}'
)
PORT = PortIdentity("/dev/serial/by-id/usb-1", "usb-1", "0403:6001:A1")
PAUSE = PauseState(
    ParkedState(HeadPosition(1.0, 2.0, 3.0, 4.5), {"tool0": 210.0}, away=True, retracted=2.0),
    ours=True,
    in_file=True,
    reason="why",
)


def test_a_checkpoint_stored_by_an_older_agent_can_be_read() -> None:
    assert decode(WRITTEN_BY_0_1_0) == DriverCheckpoint(
        port=PORT,
        baud=115200,
        dialect="marlin",
        firmware="Marlin 2.1.2",
        machine="Test",
        capabilities=("AUTOREPORT_TEMP",),
        ok_carries_temps=True,
        homed=True,
        stage=Stage.PARKING,
        pause=PAUSE,
        error="e",
    )


def test_a_checkpoint_is_written_byte_for_byte_as_an_older_agent_reads_it() -> None:
    written: list[tuple[str, bytes]] = []
    writer = CheckpointWriter(lambda task_id, checkpoint: written.append((task_id, checkpoint)), PORT, 115200, log_keys)
    firmware = Firmware(
        "Marlin 2.1.2", "Test", decode(WRITTEN_BY_0_1_0).identity().dialect, frozenset(("AUTOREPORT_TEMP",))
    )
    writer.begin("t", firmware, ok_carries_temps=True, homed=True)
    writer.change(Stage.PARKING, pause=PAUSE, error="e")
    assert [task_id for task_id, _ in written] == ["t", "t"]
    assert written[-1][1] == WRITTEN_BY_0_1_0


@pytest.mark.parametrize(
    ("stored", "why"),
    [
        (b"", "ended before the print had begun"),
        (b"\xff", "cannot be read"),
        (WRITTEN_BY_0_1_0.replace(b'"speaks"', b'"talks"'), "cannot be read"),
        (WRITTEN_BY_0_1_0.replace(b'"version":1', b'"version":2'), "version 2; expected 1"),
    ],
)
def test_a_checkpoint_that_cannot_be_read_says_why(stored: bytes, why: str) -> None:
    with pytest.raises(DataError, match=why):
        decode(stored)


def test_a_checkpoint_that_cannot_be_stored_does_not_end_the_print() -> None:
    """It is said once, and what comes later is stored when the disk takes it again."""
    full = True
    stored: list[Stage] = []

    def remember(_task_id: str, checkpoint: bytes) -> None:
        if full:
            raise UnavailableError("the disk is full")
        stored.append(decode(checkpoint).stage)

    writer = CheckpointWriter(remember, PORT, 115200, log_keys)
    with capture_logs() as logs:
        writer.begin("t", Firmware(), ok_carries_temps=False, homed=False)
        writer.change(Stage.PAUSING)
        full = False
        writer.change(Stage.PARKING)
    assert logs == [
        {
            "event": "driver checkpoint not stored",
            "log_level": "warning",
            "part": "gcode",
            "task_id": "t",
            "job_id": "job-t",
            "error": "the disk is full",
        }
    ]
    assert stored == [Stage.PARKING]
