"""`printer-agent register`: the code, as text, JSON and a QR code, until somebody has added the printer."""

from __future__ import annotations

import json
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from agent.cli import INTERRUPTED, main
from agent.commands import qr_code, registration_code
from agent.commands.qr_code import qr_lines
from agent.commands.registration_code import scan_text
from agent.server.current_identity import OTHER_BOARD
from agent.state.store import Identity
from tests.rigs.local_rig import SERVER, TOKEN, SocketRig

CODE = {"printer_id": 7, "registered": False, "code": "AB12", "url": "https://portal.example.com/add?lang=de"}


@pytest.fixture
def rig(tmp_path: Path) -> Iterator[SocketRig]:
    made = SocketRig(tmp_path)
    yield made
    made.end()


@pytest.fixture(autouse=True)
def short_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(registration_code, "POLL", 0.01)


def know(rig: SocketRig, *, registered: bool = False, replaces: str = "") -> None:
    rig.store.identities.save(
        Identity(SERVER, 7, TOKEN, registered, "AB12", "https://portal.example.com/", {}, replaces)
    )


def run(rig: SocketRig, *words: str) -> int:
    return main(["register", "--set", f"local.socket={rig.path}", *words])


def test_without_a_terminal_it_shows_the_code_and_ends(rig: SocketRig, capsys: pytest.CaptureFixture[str]) -> None:
    know(rig, replaces=f"printer 3: {OTHER_BOARD}")
    assert run(rig) == 0
    assert capsys.readouterr().out.splitlines() == [
        "cloud     printer 7; add it with the code AB12 at https://portal.example.com/",
        f"cloud     a new printer in place of printer 3: {OTHER_BOARD}",
    ]


def test_before_the_server_has_answered_it_says_so(rig: SocketRig, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(rig) == 0
    assert capsys.readouterr().out == "cloud     not registered: the server has not answered yet\n"


def test_it_waits_until_the_printer_is_added(rig: SocketRig, capsys: pytest.CaptureFixture[str]) -> None:
    know(rig)
    timer = threading.Timer(0.3, know, (rig,), {"registered": True})
    timer.start()
    assert run(rig, "--wait", "20", "--json") == 0
    timer.join()
    shown: list[dict[str, Any]] = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert shown == [
        {"printer_id": 7, "registered": False, "code": "AB12", "url": "https://portal.example.com/", "replaces": ""},
        {"printer_id": 7, "registered": True},
    ]


def test_a_wait_that_is_over_is_no_success(rig: SocketRig, capsys: pytest.CaptureFixture[str]) -> None:
    know(rig)
    assert run(rig, "--wait", "1") == 69
    said = capsys.readouterr()
    assert "AB12" in said.out
    assert said.err == "printer-agent: nobody has added the printer within 1 s; the code stays good\n"


def test_ctrl_c_ends_the_wait(rig: SocketRig, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupt(_: float) -> None:
        raise KeyboardInterrupt

    know(rig)
    monkeypatch.setattr(time, "sleep", interrupt)
    assert run(rig, "--wait", "20") == INTERRUPTED


def test_on_a_terminal_there_is_a_qr_code_and_it_waits(
    rig: SocketRig, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    know(rig)
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    monkeypatch.setattr(registration_code, "TERMINAL_WAIT", 0.05)
    assert run(rig) == 69
    said = capsys.readouterr().out
    assert "▀" in said
    assert "Ctrl-C" in said
    monkeypatch.setattr(qr_code, "find_spec", lambda _: None)
    assert run(rig) == 69
    said = capsys.readouterr().out
    assert "▀" not in said, "plain without the library"
    assert "AB12" in said


@pytest.mark.parametrize(
    ("change", "text"),
    [
        ({}, "https://portal.example.com/add?lang=de&registration_code=AB12"),
        ({"url": ""}, "AB12"),
        ({"url": None}, "AB12"),
        ({"url": "javascript:alert(1)"}, "AB12"),
        ({"url": "https://[portal"}, "AB12"),
        ({"url": "https://portal/\x1b"}, "AB12"),
        ({"code": ""}, ""),
        ({"registered": True}, ""),
    ],
)
def test_the_qr_code_leads_to_the_portal_with_the_code(change: dict[str, Any], text: str) -> None:
    assert scan_text({**CODE, **change}) == text


def test_a_qr_code_is_square_and_fits_or_is_left_out() -> None:
    lines = qr_lines("https://portal.example.com/?registration_code=AB12", columns=80)
    modules = {len(line.partition("m")[2].removesuffix("\x1b[0m")) for line in lines}
    assert modules == {37}, "version 4 and two modules of light at each side"
    assert len(lines) == 19, "two modules a line"
    assert qr_lines("https://portal.example.com/?registration_code=AB12", columns=36) == []
    assert qr_lines("x" * 501, columns=800) == qr_lines("", columns=80) == []
