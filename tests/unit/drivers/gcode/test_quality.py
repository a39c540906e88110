"""The quality of the link, as telemetry tells it."""

from __future__ import annotations

from structlog.testing import capture_logs

from drivers.gcode.protocol.quality import SAMPLES, Quality
from drivers.gcode.slot import Slot
from tests.rigs.session_rig import SessionRig


def test_percentiles_are_those_of_the_last_lines() -> None:
    quality = Quality()
    assert quality.percentiles() == (None, None)
    for count in range(SAMPLES * 2):
        quality.latencies[count % SAMPLES] = 0.5 if count < SAMPLES else 0.001 * (count % 100)
    p50, p99 = quality.percentiles()
    assert p50 is not None
    assert p99 is not None
    assert 45.0 <= p50 <= 55.0
    assert 97.0 <= p99 <= 99.0


def test_a_print_measures_the_time_to_each_acknowledgement() -> None:
    rig = SessionRig().idle().print([b"G1 X1", b"G1 X2", b"G1 X3"])
    for _ in range(3):
        rig.now += 0.004
        rig.hear("ok")
    link = rig.seen.link
    assert link.latency_p50_ms is not None
    assert 0.0 <= link.latency_p50_ms <= 60.0
    assert 4.0 in [round(value * 1000, 3) for value in rig.session.operation.counters.quality.latencies]


def test_starvation_counts_the_steps_to_an_empty_planner_during_a_print() -> None:
    """docs/serial.md §6: `ok N<line> P<planner free> B<buffer free>`."""
    quality = Quality()
    for text in ("N1 P15 B3", "N2 P14 B3", "N3 P2 B3", "N4 P15 B3", "N5 P15 B3", "N6 P9 B2", "N7 P15 B3"):
        quality.planner(text, printing=True)
    assert quality.starved == 2
    quality.planner("N8 P3 B3", printing=False)
    quality.planner("N9 P15 B3", printing=False)
    assert quality.starved == 2, "an end of all moves outside of a print is none"


def test_without_advanced_ok_starvation_is_not_known() -> None:
    quality = Quality()
    quality.planner("T:20.0 /0.0 B:20.0 /0.0", printing=True)
    assert quality.starved is None


def test_the_share_of_lines_sent_again_is_told() -> None:
    """docs/serial.md §10: log the resend rate."""
    rig = SessionRig().idle().print([b"G1 X1", b"G1 X2", b"G1 X3"])
    rig.take()
    rig.hear("Resend: 1", "ok")
    rig.later(0.03)
    assert rig.seen.link.resends == 0, "the line after an M110, which may have been carried out twice"
    rig.hear("ok")
    rig.hear("Error:checksum mismatch, Last Line: 1", "Resend: 2", "ok")
    rig.later(0.03)
    link = rig.seen.link
    assert link.resends == 1
    assert link.resend_rate == 1 / link.lines


def test_a_slow_chip_is_part_of_the_links_quality() -> None:
    """docs/serial.md §17b: report the latency timer in the link quality."""
    slot = Slot()
    slot.port_opened("/dev/ttyUSB0", 16)
    assert slot.read().link.latency_timer_ms == 16
    assert slot.read().port == "/dev/ttyUSB0"


def test_more_than_a_tenth_sent_again_is_warned_of_once() -> None:
    """docs/serial.md §10: log the resend rate; warn above 10 %."""
    rig = SessionRig().idle().print([b"G1 X%d" % n for n in range(1, 60)])
    with capture_logs() as logs:
        for number in range(1, 40):
            rig.take()
            rig.hear(f"Resend: {number}", "ok")
            rig.later(0.03)
            rig.hear("ok")
    warned = [entry for entry in logs if entry["log_level"] == "warning"]
    assert len(warned) == 1
    assert warned[0]["event"] == "resend rate high"
    assert warned[0]["task_id"] == "p"


def test_a_slow_chip_is_warned_of_once_for_each_port() -> None:
    """docs/serial.md §17b: one line at a time is slow then, at any rate."""
    slot = Slot()
    with capture_logs() as logs:
        for timer in (None, 1, 16, 16):
            slot.port_opened("/dev/ttyUSB0", timer)
    assert [(entry["log_level"], entry.get("ms")) for entry in logs] == [("warning", 16)]
