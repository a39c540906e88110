"""The commands of the command line: each has a function, and a module of its own group."""

from __future__ import annotations

import subprocess
import sys

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


def test_a_command_to_the_running_agent_imports_no_http_library() -> None:
    code = "import sys; from agent.commands import load; load('pause'); print('requests' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout.strip() == "False"
