"""Every call of the member's side as docs/protocol.md has it for curl, run by curl against the local cloud."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.rigs.cloud_rig import RunningCloud

TEXT = (Path(__file__).parents[2] / "docs/protocol.md").read_text(encoding="utf-8")
SECTION = TEXT.partition("### Each call with curl\n")[2].partition("\n## ")[0]
CALL = re.compile(r"^\$ (curl .+)$")
IDS = {"printer_id": "PRINTER", "task_id": "TASK", "job_id": "JOB"}
FRESH = ("task_id", "job_id")  # of the answer: another one each time

Shown = tuple[str, dict[str, Any]]


def documented() -> list[Shown]:
    """Each line of curl, with the answer below it."""
    calls: list[Shown] = []
    for block in re.findall(r"```console\n(.*?)```", SECTION, re.DOTALL):
        for line in block.splitlines():
            if found := CALL.match(line):
                calls.append((found[1], {}))
            else:
                calls[-1][1].update(json.loads(line))
    return calls


def curl(line: str, environ: dict[str, str]) -> tuple[int, dict[str, Any]]:
    """Run a line; the status and the answer."""
    words = line.replace("curl ", "curl --silent --show-error --max-time 10 -w '\\n%{http_code}' ", 1)
    done = subprocess.run(["sh", "-c", words], capture_output=True, text=True, timeout=30, check=False, env=environ)
    assert done.returncode == 0, (line, done.stderr)
    body, _, status = done.stdout.rpartition("\n")
    return int(status), json.loads(body) if body else {}


@pytest.mark.skipif(shutil.which("curl") is None, reason="needs curl")
def test_each_documented_call_is_answered_as_it_says(tmp_path: Path) -> None:
    with RunningCloud(tmp_path, members=2) as cloud:
        printer = cloud.printer(registered=False)
        first, second = cloud.members
        environ = {
            "PATH": os.environ["PATH"],
            "BASE": cloud.api,
            "MEMBER": f"Authorization: Bearer {first['member_token']}",
            "SECOND": f"Authorization: Bearer {second['member_token']}",
            "SECOND_ID": second["member_id"],
            "JSON": "Content-Type: application/json",
            "CODE": printer.code,
        }
        for line, shown in documented():
            if "$CODE_AGAIN" in line:
                again = printer.post("printers/registration_code", {"firmware": "1.2"}).json()
                environ["CODE_AGAIN"] = again["registration_code"]
            status, answer = curl(line, environ)
            assert status == shown.get("error", {}).get("code", 200 if shown else 204), (line, answer)
            assert {key: answer[key] for key in shown if key not in FRESH} == {
                key: value for key, value in shown.items() if key not in FRESH
            }, line
            environ |= {name: str(answer[key]) for key, name in IDS.items() if answer.get(key)}


def test_each_call_of_the_members_side_has_its_line() -> None:
    side = TEXT.partition("## The member's side")[2].partition("###")[0]
    listed = re.findall(r"^- `(GET|POST) ([^`?]+)", side, re.MULTILINE)
    assert len(listed) == 7
    lines = [line for line, _ in documented()]
    for method, path in listed:
        pattern = re.sub(r":\w+", r"\\$[A-Z]+", path.strip())
        asked = [line for line in lines if re.search(rf'\$BASE/{pattern}["? ]', line + " ")]
        assert any((f"-X {method}" in line) or (method == "GET" and "-X" not in line) for line in asked), path
