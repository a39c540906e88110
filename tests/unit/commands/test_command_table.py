"""The commands of the command line: each has a function, and a module of its own group."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from agent import commands
from agent.cli import main


@pytest.mark.parametrize("name", commands.FUNCTIONS)
def test_each_command_has_its_function(name: str) -> None:
    assert callable(commands.load(name))


def test_the_command_line_offers_the_commands_of_the_table(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["--help"])
    offered = capsys.readouterr().out.split()
    assert [name for name in commands.FUNCTIONS if name not in offered] == []


@pytest.mark.parametrize(
    "words",
    [[name] for name in commands.FUNCTIONS if name not in ("run", "package")]
    + [["package", action] for action in ("key", "make", "check")],
    ids=" ".join,
)
def test_each_command_has_json_but_the_daemon(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main([*words, "--help"])
    assert "--json" in capsys.readouterr().out


def test_with_json_a_failure_is_an_object_on_stdout_too(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    assert main(["pause", "--json", "--set", f"local.socket={tmp_path}/none.sock"]) == 69
    said = capsys.readouterr()
    error = json.loads(said.out)
    assert error["exit_code"] == 69
    assert said.err == f"printer-agent: {error['error']}\n"


def test_a_good_configuration_and_a_package_are_said_as_json(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    config, package, key = tmp_path / "agent.toml", tmp_path / "fw.hex", tmp_path / "key"
    config.write_text('[cloud]\nserver = "https://print.example.com"\n')
    package.write_text("firmware")
    make = ["package", "make", str(package), "--model", "m", "--version", "1.2", "--key", str(key), "--json"]
    check = ["package", "check", str(package), "--key", f"{key}.pub", "--json"]
    for words in (["check-config", str(config), "--json"], ["package", "key", str(key), "--json"], make, check):
        assert main(words) == 0
    said = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert said[0] == {"config": str(config), "check": "good"}
    assert said[1] == {"private_key": str(key), "public_key": f"{key}.pub"}
    assert [one["version"] for one in said[2:]] == ["1.2", "1.2"]


def test_a_command_to_the_running_agent_imports_no_http_library() -> None:
    code = "import sys; from agent.commands import load; load('pause'); print('requests' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout.strip() == "False"
