"""The command line as a person meets it: exit codes of sysexits, one clear message, never a traceback."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from agent.errors import UnavailableError
from agent.local.local_requests import StatusRequest
from agent.local.socket_client import ask
from tests.rigs.agent_rig import agent_rig

USAGE, DATA, UNAVAILABLE, CONFIG = 64, 65, 69, 78


@pytest.fixture
def environ(tmp_path: Path) -> dict[str, str]:
    """A person without any configuration."""
    kept = {key: value for key, value in os.environ.items() if not key.startswith(("PRINTER_AGENT_", "XDG_"))}
    return {**kept, "HOME": str(tmp_path), "XDG_RUNTIME_DIR": str(tmp_path / "run")}


def cli(environ: dict[str, str], *words: str) -> subprocess.CompletedProcess[str]:
    argv = [sys.executable, "-m", "agent.cli", *words]
    return subprocess.run(argv, capture_output=True, text=True, timeout=30, check=False, env=environ)


def file(folder: Path, text: str) -> str:
    path = folder / "agent.toml"
    path.write_text(text)
    return str(path)


@pytest.mark.parametrize(
    ("words", "code", "says"),
    [
        ([], USAGE, "COMMAND"),
        (["fly"], USAGE, "fly"),
        (["dry-run", "--speed", "0"], USAGE, "--speed"),
        (["dry-run", "--speed", "fast"], USAGE, "'fast'"),
        (["printers", "--limit", "-7"], USAGE, "--limit"),
        (["run"], CONFIG, "[cloud] server"),
        (["run", "--config", "/nowhere/agent.toml"], CONFIG, "/nowhere/agent.toml: no such file"),
        (["run", "--set", "cloud.sever=x"], CONFIG, "cloud.sever"),
        (["run", "--set", "cloud.server=http://example.com"], CONFIG, "https"),
        (["run", "--set", "cloud.server=https://h", "--set", "printer.driver=magic"], CONFIG, "gcode, simulated"),
        (["status"], UNAVAILABLE, "no agent answers"),
        (["pause"], UNAVAILABLE, "no agent answers"),
        (["print", "/nowhere/part.gcode"], DATA, "/nowhere/part.gcode"),
        (["printers", "--set", "cloud.server=https://h"], CONFIG, "PRINTER_AGENT_MEMBER_TOKEN"),
        (["sandbox", "--listen", "nonsense"], CONFIG, "nonsense"),
        (["simulate", "--dialect", "klingon"], DATA, "klingon"),
        (["simulate", "--fault", "gremlins"], DATA, "gremlins"),
        (["simulate", "--link", "/proc/version"], DATA, "/proc/version"),
    ],
)
def test_a_mistake_is_one_message_and_the_right_exit_code(
    environ: dict[str, str], words: list[str], code: int, says: str
) -> None:
    done = cli(environ, *words)
    assert done.returncode == code, done.stderr
    assert says in done.stderr
    assert "Traceback" not in done.stderr
    assert not done.stdout


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("[cloud]\nserver = 7\n", "[cloud] server: expected str"),
        ("[clout]\n", "[clout]: unknown section"),
        ('[serial]\nspeed = "x"\n', "[serial] speed: unknown key"),
        ("[job]\nmax_temperature = { nozzle = 1.0 }\n", "[job] max_temperature.nozzle: unknown key"),
        ("[reports\n", "not TOML"),
        ("[reports]\nheartbeat_s = 900\n", "[reports] heartbeat_s"),
    ],
)
def test_a_bad_configuration_names_the_file_the_key_and_what_was_expected(
    environ: dict[str, str], tmp_path: Path, text: str, says: str
) -> None:
    path = file(tmp_path, text)
    for words in (["run", "--config", path], ["check-config", path]):
        done = cli(environ, *words)
        assert done.returncode == CONFIG
        assert f"{path}: " in done.stderr
        assert says in done.stderr
        assert "Traceback" not in done.stderr


def test_a_good_configuration_is_said_to_be_good(environ: dict[str, str], tmp_path: Path) -> None:
    path = file(tmp_path, '[cloud]\nserver = "https://print.example.com"\n')
    assert cli(environ, "check-config", path).stdout == f"{path}: good\n"


def test_a_server_that_is_not_there_is_said_in_a_few_words(environ: dict[str, str]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        busy = cli(environ, "sandbox", "--listen", f"127.0.0.1:{port}", "--state", environ["HOME"] + "/cloud")
    assert busy.returncode == UNAVAILABLE
    assert str(port) in busy.stderr
    environ["PRINTER_AGENT_MEMBER_TOKEN"] = "secret-of-a-member"
    gone = cli(environ, "printers", "--set", f"cloud.server=http://127.0.0.1:{port}")
    assert gone.returncode == UNAVAILABLE
    assert "Connection refused" in gone.stderr
    assert "Traceback" not in busy.stderr + gone.stderr
    assert "secret-of-a-member" not in gone.stderr


def test_the_agent_waits_for_a_port_and_a_server_that_are_not_there(environ: dict[str, str], tmp_path: Path) -> None:
    path = file(
        tmp_path,
        '[cloud]\nserver = "http://127.0.0.1:9"\n[serial]\nport = "/dev/no-such-printer"\n'
        f'[state]\ndir = "{tmp_path}/state"\n[local]\nsocket = "{tmp_path}/agent.sock"\n',
    )
    argv = [sys.executable, "-m", "agent.cli", "run", "--config", path]
    with subprocess.Popen(argv, stderr=subprocess.PIPE, text=True, env=environ) as process:
        assert process.stderr is not None
        started = json.loads(process.stderr.readline())
        assert started["event"] == "agent started"
        status = ask(tmp_path / "agent.sock", StatusRequest())["status"]
        assert status["printer_status"] == "error"
        refused = cli(environ, "print", str(Path(__file__)), "--config", path)
        assert refused.returncode == DATA  # this is no G-code, and the agent says so without a cloud or a printer
        process.send_signal(signal.SIGTERM)
        rest = process.stderr.read()
        assert process.wait(15) == 0
    assert "Traceback" not in rest
    with pytest.raises(UnavailableError, match="no agent answers"):
        ask(tmp_path / "agent.sock", StatusRequest())


def test_printers_lists_what_the_member_has_registered(environ: dict[str, str], tmp_path: Path) -> None:
    with agent_rig(tmp_path) as made:
        environ["PRINTER_AGENT_MEMBER_TOKEN"] = made.member_token
        where = ("--set", f"cloud.server={made.url}")
        shown = cli(environ, "printers", *where)
        assert shown.returncode == 0, shown.stderr
        assert shown.stdout.splitlines()[0].split()[:2] == ["ID", "NAME"]
        assert shown.stdout.splitlines()[1].startswith(f"{made.printer_id}   rig")
        page = json.loads(cli(environ, "printers", "--limit", "1", "--offset", "0", "--json", *where).stdout)
        assert (page["count"], page["limit"], page["_link"]) == (1, 1, "/print/printers?limit=1&offset=0")
        assert page["printers"][0]["printer_name"] == "rig"
        every = cli(environ, "printers", "--all", "--json", *where).stdout.splitlines()
        assert [json.loads(line)["printers"][0]["printer_id"] for line in every] == [made.printer_id]
        environ["PRINTER_AGENT_MEMBER_TOKEN"] = "wrong"
        refused = cli(environ, "printers", *where)
        assert refused.returncode == UNAVAILABLE
        assert "401" in refused.stderr
