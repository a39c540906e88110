"""`--json` of the commands to the running agent: objects, a line each, and nothing else on stdout."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from agent.cli import main
from tests.rigs.local_rig import GCODE, SocketRig


@pytest.fixture
def rig(tmp_path: Path) -> Iterator[SocketRig]:
    with capture_logs():  # the agent's own, which runs in this process
        made = SocketRig(tmp_path)
        yield made
        made.end()


@pytest.mark.parametrize(
    "words",
    [
        *(["pause"], ["resume"], ["cancel"], ["home"], ["park"], ["calibrate"], ["dismiss"], ["reset"], ["cool"]),
        *(["ready"], ["halt"], ["respond", "0"]),
    ],
    ids=" ".join,
)
def test_what_was_done_is_an_object(rig: SocketRig, words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main([*words, "--json", "--set", f"local.socket={rig.path}"]) == 0
    (line,) = capsys.readouterr().out.splitlines()
    assert json.loads(line)[words[0]] == "done"


def test_a_print_says_its_job(rig: SocketRig, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "a.gcode").write_bytes(GCODE)
    assert main(["print", str(tmp_path / "a.gcode"), "--json", "--set", f"local.socket={rig.path}"]) == 0
    (line,) = capsys.readouterr().out.splitlines()
    said = json.loads(line)
    assert (said["print"], said["waits_for_bed"]) == ("printing", False)
    assert said["job_id"].startswith("local_")


def test_a_refusal_is_an_object_and_no_bad_data(rig: SocketRig, capsys: pytest.CaptureFixture[str]) -> None:
    rig.fails = "home: a job is running"
    assert main(["home", "--json", "--set", f"local.socket={rig.path}"]) == 69
    (line,) = capsys.readouterr().out.splitlines()
    assert json.loads(line) == {"error": "home: a job is running", "exit_code": 69}
