"""The example driver in examples/, as its author would test, install and use it, and its text in docs/drivers.md."""

from __future__ import annotations

import ast
import os
import re
import shutil
import subprocess
import sys
import textwrap
import tomllib
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from agent.dryrun.processes import ChildProcesses
from agent.sandbox.member_client import SandboxMember
from agent.testing import TcpBridge, moves
from drivers.simulated import Options, ResetOnOpen, VirtualPrinter
from tests.rigs.agent_rig import AgentRig

ROOT = Path(__file__).parents[2]
EXAMPLE = ROOT / "examples/printer_agent_example_driver"
DOCUMENT = ROOT / "docs/drivers.md"
INTERFACE = {"agent.core.clock", "agent.core.driver", "agent.errors", "drivers.settings"}
"""What a driver may import of ours."""
FOR_TESTS = {"agent.testing", "agent.testing.driver_contract", "drivers", "drivers.simulated"}


def run(folder: Path, *command: str, path: tuple[Path, ...] = ()) -> subprocess.CompletedProcess[str]:
    """A command in a folder outside of the repository, as if nothing of it were known but what is installed."""
    kept = {key: value for key, value in os.environ.items() if not key.startswith(("PYTEST", "PYTHON"))}
    return subprocess.run(
        [sys.executable, *command],
        cwd=folder,
        env=kept | {"PYTHONPATH": os.pathsep.join([str(ROOT), *map(str, path)])},
        capture_output=True,
        text=True,
        timeout=110,
        check=False,
    )


def copied(folder: Path) -> Path:
    return shutil.copytree(EXAMPLE, folder / "example", ignore=shutil.ignore_patterns("__pycache__", ".*"))


def test_its_own_tests_with_the_shipped_contract_pass_outside_of_the_repository(tmp_path: Path) -> None:
    done = run(copied(tmp_path), "-m", "pytest", "-q", "-p", "no:cacheprovider")
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-1000:]
    contract = (ROOT / "agent/testing/driver_contract.py").read_text().count("    def test_")
    passed, skipped = (int(n) for n in re.findall(r"(\d+) (?:passed|skipped)", done.stdout))
    assert passed + skipped > contract > 15
    said = (
        "no new scripts while it runs, no progress of scripts, cooling by a script, the port is kept, nothing is asked"
    )
    assert skipped == 7, said


@pytest.fixture
def installed(tmp_path: Path) -> tuple[Path, Path]:
    """The package's folder, and one with the metadata that a build backend makes of its pyproject.toml."""
    example = copied(tmp_path)
    project = tomllib.loads((example / "pyproject.toml").read_text())["project"]
    about = tmp_path / "site" / f"{project['name'].replace('-', '_')}-{project['version']}.dist-info"
    about.mkdir(parents=True)
    (about / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {project['name']}\nVersion: {project['version']}\n")
    groups = [
        f"[{group}]\n" + "".join(f"{name} = {value}\n" for name, value in entries.items())
        for group, entries in project["entry-points"].items()
    ]
    (about / "entry_points.txt").write_text("\n".join(groups))
    return example / "src", about.parent


def test_it_is_found_by_its_entry_point_and_made_from_the_driver_table(
    tmp_path: Path, installed: tuple[Path, Path]
) -> None:
    script = """
        import drivers
        from agent.testing import SystemClock
        from drivers.settings import DriverSettings

        driver = drivers.create("tcp", DriverSettings(own={"host": "127.0.0.1", "tcp_port": 9}), clock=SystemClock())
        print(type(driver).__module__, driver.telemetry().state)
        driver.close()
        try:
            drivers.create("tcp", DriverSettings(own={"port": 9}), clock=SystemClock())
        except Exception as error:
            print(error)
    """
    done = run(tmp_path, "-c", textwrap.dedent(script), path=installed)
    assert done.stdout.splitlines() == [
        "printer_agent_example_driver.driver offline",
        "driver.port: unknown key; expected host, tcp_port, connect_timeout_s, answer_timeout_s, poll_s, reset_command",
    ], done.stderr


def test_without_its_metadata_it_is_not_found(tmp_path: Path, installed: tuple[Path, Path]) -> None:
    done = run(tmp_path, "-c", "import drivers; drivers.load('tcp')", path=installed[:1])
    assert "no driver is called 'tcp'; known are gcode, simulated" in done.stderr


def test_a_job_of_the_portal_is_printed_through_it_by_the_whole_agent(
    tmp_path: Path, installed: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(ROOT), *map(str, installed)]))
    executed: list[bytes] = []
    options = Options(reset_on_open=ResetOnOpen.ALWAYS)
    with ExitStack() as stack:
        printer = stack.enter_context(VirtualPrinter(options, on_line=executed.append))
        bridge = TcpBridge(lambda: printer.path)
        stack.callback(bridge.stop)
        bridge.start()
        processes = stack.enter_context(ChildProcesses(tmp_path))
        processes.start("cloud", ["sandbox", "--listen", "127.0.0.1:0", "--state", str(tmp_path / "cloud")])
        cloud = processes.ready({"cloud"})["cloud"]
        url, token = str(cloud["url"]), str(cloud["member_token"])
        (tmp_path / "agent.toml").write_text(
            f'[cloud]\nserver = "{url}"\n[printer]\ndriver = "tcp"\n'
            f'[driver]\nhost = "127.0.0.1"\ntcp_port = {bridge.tcp_port}\n'
            f'[state]\ndir = "{tmp_path / "state"}"\n[local]\nsocket = "{tmp_path / "agent.sock"}"\n'
        )
        processes.start("agent", ["run", "--config", str(tmp_path / "agent.toml")])
        member = stack.enter_context(SandboxMember(url, token))
        agent = AgentRig(processes, member, url=url, member_token=token, folder=tmp_path)
        agent.register()
        file = tmp_path / "part.gcode"
        file.write_bytes(b"\n".join([b"; made by hand", *moves(200)]) + b"\n")
        agent.submit(file)
        assert agent.ended()["job_status"] == "completed"
    assert [line for line in executed if line.startswith(b"G1 X1")] == moves(200)


def imported(file: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and not node.level and node.module:
            yield node.module


@pytest.mark.parametrize("file", sorted(EXAMPLE.rglob("*.py")), ids=lambda file: file.name)
def test_it_uses_nothing_of_ours_but_the_interface_and_what_is_for_tests(file: Path) -> None:
    ours = {name for name in imported(file) if name.split(".")[0] in ("agent", "drivers", "tests", "benchmarks")}
    assert ours <= (INTERFACE if "src" in file.parts else INTERFACE | FOR_TESTS)


def blocks() -> list[tuple[str, str, str]]:
    """(language, file, text) of each fenced block of the document; `file` is its title."""
    found = re.findall(r'^```(\w*)(?: title="([^"]*)")?\n(.*?)^```$', DOCUMENT.read_text(), re.MULTILINE | re.DOTALL)
    return [(language, file, text) for language, file, text in found]


def lines_of(file: str) -> str:
    return (EXAMPLE / file).read_text()


def test_the_document_quotes_python_from_the_example_only_and_quotes_each_file_that_matters() -> None:
    assert [text for language, file, text in blocks() if language == "python" and not file] == []
    quoted = {Path(file).name for _, file, _ in blocks() if file}
    assert quoted >= {"pyproject.toml", "settings.py", "driver.py", "slot.py", "worker.py", "test_driver.py"}


@pytest.mark.parametrize(("file", "text"), [(file, text) for _, file, text in blocks() if file])
def test_a_quoted_block_is_the_examples_text(file: str, text: str) -> None:
    source = "\n" + lines_of(file)
    for part in text.split("\n…\n"):  # a line with an ellipsis alone stands for what was left out
        assert f"\n{part.strip(chr(10))}\n" in source, f"{file} does not have:\n{part}"
