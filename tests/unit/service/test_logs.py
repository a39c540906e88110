"""Logs: JSON or text on stderr, the last lines in memory, and never a token."""

from __future__ import annotations

import json
import secrets
from collections.abc import Iterator
from typing import Any

import pytest
import structlog
from hypothesis import given
from hypothesis import strategies as st

from agent.service.logs import (
    EVENTS,
    RING_LINES,
    TASK_EVENTS,
    VALUE_TEXT,
    WINDOW,
    Ring,
    configure,
    redact,
    report_suppressed,
    set_level,
)
from agent.testing import FakeClock

tokens = st.binary(min_size=32, max_size=32).map(
    lambda raw: __import__("base64").urlsafe_b64encode(raw).rstrip(b"=").decode()
)


@pytest.fixture(autouse=True)
def _reset() -> Iterator[None]:
    yield
    structlog.reset_defaults()


def log_with(layout: str, level: str = "info") -> tuple[Any, Ring]:
    ring = Ring()
    configure(level, layout, ring)
    return structlog.get_logger("test"), ring


@given(
    tokens,
    st.sampled_from(["{}", "token {}", "{}.", '{{"a": "{}"}}', "?t={}&x", "a%3D{}", "b'\\n{}'", "x\n{}\n", "_{}"]),
)
def test_no_token_gets_through(token: str, text: str) -> None:
    assert len(token) == 43
    found = redact(text.format(token))
    assert token not in found
    assert "[token]" in found


@pytest.mark.parametrize("layout", ["json", "console"])
def test_no_token_gets_through_by_any_way(layout: str, capsys: pytest.CaptureFixture[str]) -> None:
    token = secrets.token_urlsafe(32)
    short = "not-so-long"
    log, ring = log_with(layout)
    log.info(f"message {token}")
    log.info("value", found=token, inside={"a": [token]}, raw=token.encode(), error=ValueError(token))
    log.info("under a key", token=short, auth_token=short, Authorization=short)
    log.info("key", **{token: 1})
    log.info("header", line=f"Authorization: Bearer {short}")
    try:
        raise ValueError(f"in {token}") from KeyError(token)
    except ValueError:
        log.exception("traceback")
    shown = capsys.readouterr().err
    for text in (shown, ring.text().decode()):
        assert token not in text
        assert short not in text
        assert "Traceback" in text
        assert "ValueError" in text
        assert "[token]" in text


def test_what_is_no_token_stays_readable() -> None:
    for text in (
        "local-7b0b6a0e-4f6c-4a55-9d5b-6a8f5a1f0001",
        "a" * 64,
        "/var/lib/printer-agent/jobs/x.gcode",
        "ä" * 50,
    ):
        assert redact(text) == text


def test_json_is_one_object_a_line(capsys: pytest.CaptureFixture[str]) -> None:
    log, ring = log_with("json")
    log.warning("what", number=1, nothing=None, yes=True, path=object, text="ä\n\ud800")
    (line,) = capsys.readouterr().err.splitlines()
    found = json.loads(line)
    assert (found["event"], found["level"], found["number"]) == ("what", "warning", 1)
    assert (found["nothing"], found["yes"], found["text"]) == (None, True, "ä\n?")
    assert found["timestamp"].endswith("Z")
    assert ring.text().decode() == line + "\n"


def test_a_file_is_json_unless_told_otherwise(capsys: pytest.CaptureFixture[str]) -> None:
    log, _ = log_with("auto")
    log.info("x")
    assert json.loads(capsys.readouterr().err)["event"] == "x"


def test_the_level_decides_what_is_said_and_kept(capsys: pytest.CaptureFixture[str]) -> None:
    log, ring = log_with("json", "warning")
    log.info("no")
    log.warning("yes")
    assert [json.loads(line)["event"] for line in capsys.readouterr().err.splitlines()] == ["yes"]
    assert ring.text().count(b"\n") == 1


def test_the_last_2000_lines_are_kept(capsys: pytest.CaptureFixture[str]) -> None:
    log, ring = log_with("json")
    for number in range(RING_LINES + 5):
        log.info(f"x{number % 50}", number=number)
    lines = [json.loads(line)["number"] for line in ring.text().splitlines()]
    assert lines == list(range(5, RING_LINES + 5))
    assert RING_LINES == 2000


def test_another_level_holds_for_loggers_that_are_there_already() -> None:
    log, ring = log_with("json", "warning")
    log.info("unheard")
    set_level("info")
    structlog.get_logger(part="y").info("heard")
    log.info("heard too")
    set_level("error")
    structlog.get_logger(part="y").warning("unheard")
    assert [json.loads(line)["event"] for line in ring.text().splitlines()] == ["heard", "heard too"]


def events(ring: Ring) -> list[dict[str, Any]]:
    return [json.loads(line) for line in ring.text().splitlines()]


def limited(capsys: pytest.CaptureFixture[str]) -> tuple[Any, Ring, FakeClock]:
    ring, clock = Ring(), FakeClock()
    configure("info", "json", ring, clock=clock.monotonic)
    return structlog.get_logger("test"), ring, clock


def test_an_event_without_end_is_counted_and_not_written(capsys: pytest.CaptureFixture[str]) -> None:
    """A printer that sends `//action:` without end made 65 MB of log in 8 s."""
    log, ring, clock = limited(capsys)
    for number in range(100_000):
        log.info("host action ignored", action=f"x{number}")
    log.info("something else")
    assert len(capsys.readouterr().err) < 20_000
    assert len(events(ring)) == EVENTS + 1
    clock.advance(WINDOW)
    report_suppressed()
    last = events(ring)[-1]
    assert (last["event"], last["suppressed"], last["count"]) == (
        "events suppressed",
        "host action ignored",
        100_000 - EVENTS,
    )
    log.info("host action ignored", action="again")
    assert events(ring)[-1]["action"] == "again"


def test_warnings_of_tasks_are_not_lost_in_a_flood(capsys: pytest.CaptureFixture[str]) -> None:
    log, ring, _ = limited(capsys)
    for number in range(EVENTS * 5):
        log.warning("task failed", task_id=f"t{number}")
    log.warning("task failed")
    assert len(events(ring)) == EVENTS * 5 + 1
    assert TASK_EVENTS == 1000


def test_a_value_of_any_length_makes_a_short_line(capsys: pytest.CaptureFixture[str]) -> None:
    log, ring, _ = limited(capsys)
    log.info("answer", text="x y" * 1_000_000)
    assert len(events(ring)[0]["text"]) < VALUE_TEXT + 50


@pytest.mark.parametrize("layout", ["json", "console"])
def test_a_log_has_no_character_that_a_terminal_obeys(layout: str, capsys: pytest.CaptureFixture[str]) -> None:
    nasty = "\x1b]0;owned\x07\x9b2J\u202egnp\nfake line\r"
    log, _ = log_with(layout)
    log.info("value", text=nasty, inside={nasty: [nasty]}, error=ValueError(nasty))
    try:
        raise ValueError(nasty)
    except ValueError:
        log.exception("traceback")
    shown = capsys.readouterr().err
    assert all(one.isprintable() or one == "\n" for one in shown)
    assert not any(line.startswith("fake line") for line in shown.splitlines()[:1])
    assert "gnp" in shown
