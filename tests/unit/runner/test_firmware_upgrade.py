"""The command firmware_upgrade: a runner, a real HTTP server with packages, real signatures, real install commands."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any

import pytest

from agent.core.command import Name
from agent.core.driver import PrinterState
from agent.core.task import TaskState
from agent.errors import NotReadyError, RefusedError
from agent.files import fetch
from agent.files.firmware_file import make_manifest, manifest_path, signature_path
from agent.runner.firmware_upgrade import FirmwareUpgrade
from agent.runner.install_command import arguments
from agent.service.signature import make_keys
from agent.state.store import Store
from agent.testing import FakeClock
from tests.rigs.runner_rig import RunnerRig
from tests.support.file_server import FileServer, reply
from tests.support.store import open_store

MODEL = "Mk-3"
PATIENCE = 20.0


class Workshop:
    """Where packages are built, signed and served, and a printer that may install them. The install command appends the
    version to `installed`, after what `hook` (shell) does."""

    def __init__(self, folder: Path, store: Store) -> None:
        self.folder = folder
        self.store = store
        self.key = folder / "key"
        make_keys(self.key, folder / "key.pub")
        self.installed = folder / "installed"
        self.installed.touch()
        self.files: dict[str, bytes] = {}
        self.server = FileServer()
        self.server.answers.append(self._answer)
        self._tasks = 0
        self.rig = self.restart()

    def _answer(self, request: BaseHTTPRequestHandler) -> None:
        path = request.path.partition("?")[0].lstrip("/")
        reply(200 if path in self.files else 404, self.files.get(path, b""))(request)

    def restart(self, *settings: str, hook: str = "true", store: Store | None = None) -> RunnerRig:
        """A new agent."""
        self.store = store or self.store
        script = f"{hook}; echo $PRINTER_AGENT_VERSION >>{self.installed}"
        self.rig = RunnerRig(
            self.folder,
            self.store,
            f"firmware_upgrade.command=['/bin/sh', '-c', {_quoted(script)}, 'install']",
            f"firmware_upgrade.public_key={self.folder / 'key.pub'}",
            f"firmware_upgrade.model={MODEL}",
            *settings,
        )
        return self.rig

    def build(self, version: str, *, model: str = MODEL, key: Path | None = None, body: bytes = b"firmware") -> str:
        """Make, sign and serve a package. Its name."""
        package = self.folder / f"fw-{version}"
        package.write_bytes(body + version.encode())
        make_manifest(package, model=model, version=version, private_key=key or self.key)
        for path in (package, manifest_path(package), signature_path(package)):
            self.files[path.name] = path.read_bytes()
        return package.name

    def begin(self, name: str, **more: Any) -> str:
        """The command, begun. Its task_id."""
        self._tasks += 1
        url = f"{self.server.url}/{name}?token=secret"
        task_id = self.rig.task(Name.FIRMWARE_UPGRADE, f"t-{self._tasks}", url=url, **more)
        self.rig.runner.step()
        return task_id

    def ended(self, task_id: str) -> dict[str, Any]:
        """Its terminal report, when the work has ended."""
        self.until(task_id, lambda: not self.running(task_id))
        assert not list(self.rig.jobs.iterdir())
        return self.rig.end(task_id)

    def running(self, task_id: str) -> bool:
        """Whether the task has no end."""
        return self.rig.state(task_id) is TaskState.RUNNING

    def exclusive(self) -> FirmwareUpgrade:
        """The running upgrade."""
        upgrade = self.rig.runner._running.exclusive()
        assert isinstance(upgrade, FirmwareUpgrade)
        return upgrade

    def until(self, task_id: str, true: Callable[[], bool]) -> None:
        """Step whenever the runner is woken, until it is so."""
        end = time.monotonic() + PATIENCE
        while not true():
            assert time.monotonic() < end, self.rig.said(task_id)
            self.rig.woken.wait(0.02)
            self.rig.woken.clear()
            self.rig.runner.step()

    def upgrade(self, name: str, **more: Any) -> dict[str, Any]:
        """The command, from begin to end."""
        return self.ended(self.begin(name, **more))

    def versions(self) -> list[str]:
        """What was installed, in order."""
        return self.installed.read_text().split()


def _quoted(script: str) -> str:
    return "'''" + script + "'''"


@pytest.fixture
def workshop(tmp_path: Path, store: Store) -> Iterator[Workshop]:
    made = Workshop(tmp_path, store)
    yield made
    made.server.close()


def refused(end: dict[str, Any], code: int, says: str) -> None:
    assert end["error_code"] == code, end
    assert says in end["error_message"]
    assert end["error_message"].isprintable()
    assert "secret" not in end["error_message"]


def test_a_signed_package_is_installed_and_the_report_says_its_version(workshop: Workshop) -> None:
    end = workshop.upgrade(workshop.build("2.1.3"))
    assert (end["data"]["state"], end["data"]["message"]) == ("completed", "version 2.1.3 installed")
    assert workshop.versions() == ["2.1.3"]
    assert workshop.store.firmware.installed(MODEL) == "2.1.3"


def test_an_older_package_is_refused_after_a_newer_one_again_and_again_and_after_a_restart(
    workshop: Workshop, tmp_path: Path
) -> None:
    old, new = workshop.build("1.9"), workshop.build("1.10")
    workshop.upgrade(new)
    for _ in range(3):
        refused(workshop.upgrade(old), 422, "the package has version 1.9, and 1.10 was installed")
    workshop.store.close()
    again = open_store(tmp_path / "agent.db", FakeClock())
    workshop.restart(store=again)
    asked = len(workshop.server.paths)
    refused(workshop.upgrade(old), 422, "allow_downgrade")
    paths = [path.partition("?")[0] for path in workshop.server.paths[asked:]]
    assert paths == ["/fw-1.9.manifest", "/fw-1.9.manifest.sig"], "the package itself is not fetched"
    assert workshop.versions() == ["1.10"]
    again.close()


def test_the_owner_may_go_back_and_then_the_older_one_counts(workshop: Workshop) -> None:
    for version in ("1", "2", "3"):
        workshop.build(version)
    workshop.upgrade("fw-3")
    workshop.restart("firmware_upgrade.allow_downgrade=true")
    assert workshop.upgrade("fw-1")["data"]["state"] == "completed"
    workshop.restart()
    assert workshop.upgrade("fw-2")["data"]["state"] == "completed"
    assert workshop.versions() == ["3", "1", "2"]


def test_the_same_version_may_be_installed_again(workshop: Workshop) -> None:
    workshop.build("2.0")
    workshop.build("2")
    assert [workshop.upgrade(name)["data"]["state"] for name in ("fw-2.0", "fw-2", "fw-2.0")] == ["completed"] * 3


def test_a_package_for_another_model_is_refused_before_it_is_fetched(workshop: Workshop) -> None:
    refused(
        workshop.upgrade(workshop.build("1", model="Mk-4")), 422, "for the model 'Mk-4', and this printer is 'Mk-3'"
    )
    assert not [path for path in workshop.server.paths if path.startswith("/fw-1?")]
    assert workshop.versions() == []


def test_the_model_is_the_type_at_the_cloud_unless_it_is_set(workshop: Workshop) -> None:
    workshop.restart("firmware_upgrade.model=auto", "printer.type_id=7FAF097F-DB2E-45DC-9395-A30210E789AA")
    package = workshop.build("1", model="7faf097f-db2e-45dc-9395-a30210e789aa")
    assert workshop.upgrade(package)["data"]["state"] == "completed"
    refused(workshop.upgrade(workshop.build("2")), 422, "for the model 'Mk-3'")


def test_a_manifest_that_another_key_has_signed_is_refused(workshop: Workshop, tmp_path: Path) -> None:
    make_keys(tmp_path / "other", tmp_path / "other.pub")
    refused(workshop.upgrade(workshop.build("1", key=tmp_path / "other")), 422, "not by the configured key")


def test_a_manifest_that_was_changed_is_refused(workshop: Workshop) -> None:
    name = workshop.build("1.2")
    manifest = workshop.files[f"{name}.manifest"]
    workshop.files[f"{name}.manifest"] = manifest.replace(b'"version":"1.2"', b'"version":"9.2"')
    refused(workshop.upgrade(name), 422, "not by the configured key")


@pytest.mark.parametrize("change", [lambda body: body[::-1], lambda body: body[:-1], lambda body: body + b"!"])
def test_a_package_that_is_not_the_signed_one_is_refused(workshop: Workshop, change: Any) -> None:
    name = workshop.build("1")
    workshop.files[name] = change(workshop.files[name])
    end = workshop.upgrade(name)
    refused(end, 422, "")
    assert workshop.versions() == []
    assert workshop.store.firmware.installed(MODEL) == ""


def test_a_package_that_is_signed_without_a_manifest_is_refused_and_the_report_says_how_it_is_made(
    workshop: Workshop,
) -> None:
    name = workshop.build("1")
    workshop.files[f"{name}.sig"] = workshop.files.pop(f"{name}.manifest.sig")
    refused(workshop.upgrade(name), 422, "a signature over the package alone is not enough")
    workshop.files.pop(f"{name}.manifest")
    refused(workshop.upgrade(name), 422, "`printer-agent package make`")


@pytest.mark.parametrize("suffix", [".manifest", ".manifest.sig"])
def test_an_endless_manifest_is_refused(workshop: Workshop, suffix: str) -> None:
    name = workshop.build("1")
    workshop.files[name + suffix] = b"x" * 100_000
    refused(workshop.upgrade(name), 422, "no signed manifest")


def test_a_checksum_in_the_command_must_fit_too(workshop: Workshop) -> None:
    refused(workshop.upgrade(workshop.build("1"), digest=f"sha-256={'0' * 64}"), 422, "")


def test_a_server_that_does_not_serve_is_502(workshop: Workshop, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fetch, "delay", lambda _: 0.0)  # the waits between the attempts
    workshop.server.answers[:] = [reply(503)]
    refused(workshop.upgrade("fw-1"), 502, "503")


def test_a_key_that_is_no_key_is_said_and_is_not_the_sender_s_fault(workshop: Workshop, tmp_path: Path) -> None:
    name = workshop.build("1")
    (tmp_path / "empty").write_text("\n")  # what systemd makes of a credential that is not there
    for key, says in (("empty", "not a public key"), ("nowhere", "No such file")):
        workshop.restart(f"firmware_upgrade.public_key={tmp_path / key}")
        refused(workshop.upgrade(name), 500, says)


def test_a_command_that_fails_is_500_with_its_last_words_and_the_version_is_not_recorded(workshop: Workshop) -> None:
    old, new = workshop.build("1"), workshop.build("2")
    workshop.restart(hook="echo step one; printf 'no \\033[1mdevice\\n' >&2; exit 9")
    refused(workshop.upgrade(new), 500, "/bin/sh: exit code 9: step one / no \\x1b[1mdevice")
    workshop.restart()
    assert workshop.upgrade(old)["data"]["state"] == "completed"


def test_a_command_that_is_not_there_is_500_and_the_version_is_not_recorded(workshop: Workshop) -> None:
    workshop.restart("firmware_upgrade.command=['/nowhere/install']")
    refused(workshop.upgrade(workshop.build("2")), 500, "/nowhere/install: No such file")
    assert workshop.store.firmware.installed(MODEL) == ""


def test_the_command_gets_the_package_and_what_it_is_about(workshop: Workshop, tmp_path: Path) -> None:
    workshop.upgrade(workshop.build("1"))
    seen = tmp_path / "seen"
    name = workshop.build("2")
    workshop.restart(
        f"firmware_upgrade.command=['/bin/sh', '-c', '''env | grep PRINTER_ | sort >{seen}; cat $1 >>{seen}''', 'sh']"
    )
    task_id = workshop.begin(name)
    workshop.ended(task_id)
    assert seen.read_text().splitlines() == [
        "PRINTER_AGENT_INSTALLED=1",
        f"PRINTER_AGENT_MODEL={MODEL}",
        f"PRINTER_AGENT_PACKAGE={workshop.rig.jobs / f'{task_id}.package'}",
        "PRINTER_AGENT_PORT=",
        "PRINTER_AGENT_VERSION=2",
        "firmware2",
    ]


class TestWhileTheCommandRuns:
    """An install command that says that it has begun, and then hangs with a child until `go` is there."""

    @pytest.fixture
    def witness(self, tmp_path: Path) -> Iterator[int]:
        os.mkfifo(tmp_path / "witness")
        reader = os.open(tmp_path / "witness", os.O_RDONLY | os.O_NONBLOCK)
        yield reader
        os.close(reader)

    @pytest.fixture
    def hanging(self, workshop: Workshop, witness: int, tmp_path: Path) -> Iterator[str]:
        """The task_id."""
        waits = f"while [ ! -e {tmp_path}/go ]; do sleep 0.05; done"
        hook = f"exec 3>{tmp_path}/witness; echo 'writing 40 %'; echo here >&3; sleep 1000 & {waits}"
        workshop.restart(hook=hook)
        task_id = workshop.begin(workshop.build("2"))
        workshop.until(task_id, lambda: _read(witness) == b"here\n")
        yield task_id
        (tmp_path / "go").touch()

    def all_ended(self, witness: int) -> bool:
        os.set_blocking(witness, True)
        reader = threading.Thread(target=os.read, args=(witness, 100), daemon=True)
        reader.start()
        reader.join(PATIENCE)
        return not reader.is_alive()

    def test_the_limit_kills_it_with_its_children(self, workshop: Workshop, hanging: str, witness: int) -> None:
        workshop.rig.clock.advance(600)
        end = workshop.ended(hanging)
        refused(end, 500, "killed, not done in 600 s: writing 40 %")
        assert end["data"]["firmware"]["installed"] is None
        assert self.all_ended(witness)

    @pytest.mark.parametrize("hand_over", [False, True])
    def test_the_agent_s_stop_waits_for_its_end(
        self, workshop: Workshop, hanging: str, tmp_path: Path, hand_over: bool
    ) -> None:
        rig = workshop.rig
        rig.inhibitor.close()
        stop = threading.Thread(target=rig.stop, kwargs={"hand_over": hand_over})
        stop.start()
        assert rig.inhibitor.wait(0.3) == "the firmware is being installed"
        assert workshop.running(hanging)
        (tmp_path / "go").touch()
        stop.join(PATIENCE)
        assert rig.inhibitor.wait(0) == ""
        end = rig.end(hanging)
        refused(end, 500, "version 2 installed; the agent was stopped before the printer was identified again")
        assert end["data"]["firmware"]["installed"] is True
        assert workshop.versions() == ["2"]

    def test_a_stop_waits_no_longer_than_the_command_s_limit(
        self, workshop: Workshop, hanging: str, witness: int
    ) -> None:
        stop = threading.Thread(target=workshop.rig.stop)
        stop.start()
        workshop.rig.clock.advance(700)
        stop.join(PATIENCE)
        refused(workshop.rig.end(hanging), 500, "killed, not done in 600 s")
        assert self.all_ended(witness)

    def test_no_command_begins_when_a_stop_has(self, workshop: Workshop) -> None:
        workshop.restart()
        workshop.rig.inhibitor.close()
        task_id = workshop.begin(workshop.build("2"))
        steps = iter(range(10))
        workshop.until(task_id, lambda: bool(workshop.rig.woken.wait(0.1)) or next(steps, None) is None)
        workshop.rig.stop()
        refused(workshop.rig.end(task_id), 500, "the agent was stopped")
        assert workshop.versions() == []

    def test_nothing_interrupts_it(self, workshop: Workshop, hanging: str, tmp_path: Path) -> None:
        for name in (Name.RESET, Name.HOME, Name.PRINT_DATA):
            other = workshop.rig.task(name, url="https://files.example.com/a.gcode", job_id="j")
            workshop.rig.runner.step()
            end = workshop.rig.end(other)
            assert end["error_code"] == 409, end
            assert "firmware" in end["error_message"], end
        assert workshop.running(hanging)
        assert workshop.rig.board.read().body().printer_status == "maintenance"
        assert workshop.rig.board.read().body().data.ui_sub_state == "the firmware is being installed"
        (tmp_path / "go").touch()
        assert workshop.ended(hanging)["data"]["state"] == "completed"

    def test_its_progress_is_reported(self, workshop: Workshop, hanging: str) -> None:
        def told() -> bool:
            workshop.rig.clock.advance(3)
            return any(
                report.get("data", {}).get("message") == "installing 40 %" for report in workshop.rig.said(hanging)
            )

        workshop.until(hanging, told)
        last = workshop.rig.said(hanging)[-1]
        assert last["progress"] == pytest.approx(0.1 + 0.85 * 0.4)

    def test_one_that_did_not_come_to_its_end_counts_as_installed(self, workshop: Workshop, hanging: str) -> None:
        """Nobody knows how far it came."""
        workshop.rig.clock.advance(600)
        workshop.ended(hanging)
        workshop.restart()
        refused(workshop.upgrade(workshop.build("1")), 422, "2 was installed")
        assert workshop.upgrade("fw-2")["data"]["state"] == "completed"

    def test_the_next_agent_says_what_is_known_when_this_one_is_killed_meanwhile(
        self, workshop: Workshop, hanging: str
    ) -> None:
        assert workshop.store.firmware.installed(MODEL) == "2"
        killed = workshop.rig
        workshop.restart()
        workshop.until(hanging, lambda: not workshop.running(hanging))
        end = workshop.rig.end(hanging)
        refused(end, 500, "the agent ended while version 2 was being installed: nobody knows how far it came")
        assert end["data"]["firmware"] == {
            "old_version": "",
            "new_version": "2",
            "installed": None,
            "old_firmware": "",
            "new_firmware": "",
        }
        assert killed.inhibitor.wait(0), "the agent that was killed has not ended"


def test_an_installation_that_had_ended_before_the_agent_did_is_completed_by_the_next_one(workshop: Workshop) -> None:
    rig = workshop.rig
    task_id = workshop.begin(workshop.build("2"))
    rig.printer.now(state=PrinterState.OFFLINE, reason="no answer")
    workshop.until(task_id, lambda: workshop.versions() == ["2"] and not rig.inhibitor.wait(0))
    assert workshop.running(task_id)
    workshop.restart()
    workshop.until(task_id, lambda: not workshop.running(task_id))
    assert workshop.rig.end(task_id)["data"]["message"] == "version 2 installed"


def test_a_printer_that_does_not_answer_afterwards_fails_it(workshop: Workshop) -> None:
    task_id = workshop.begin(workshop.build("2"))
    workshop.rig.printer.now(state=PrinterState.OFFLINE, reason="no answer")
    workshop.until(task_id, lambda: workshop.versions() == ["2"] and not workshop.rig.inhibitor.wait(0))
    workshop.rig.clock.advance(90)
    refused(workshop.ended(task_id), 500, "version 2 installed; the printer does not answer: no answer")


def test_a_cancel_ends_it_while_the_package_comes(workshop: Workshop) -> None:
    release = threading.Event()

    def late(request: BaseHTTPRequestHandler) -> None:
        release.wait(PATIENCE)
        reply(404)(request)

    workshop.server.answers[:] = [late]
    task_id = workshop.begin("fw-1")
    upgrade = workshop.exclusive()
    assert not upgrade.installing
    upgrade.cancel()
    release.set()
    refused(workshop.ended(task_id), 409, "firmware_upgrade: canceled")
    assert upgrade.canceled


def test_a_cancel_is_refused_while_it_is_installed(workshop: Workshop, tmp_path: Path) -> None:
    workshop.restart(hook=f"while [ ! -e {tmp_path}/go ]; do sleep 0.05; done")
    task_id = workshop.begin(workshop.build("1"))
    workshop.until(task_id, lambda: workshop.exclusive().installing)
    with pytest.raises(RefusedError, match="cancel: the firmware is being installed"):
        workshop.exclusive().cancel()
    (tmp_path / "go").touch()
    assert workshop.ended(task_id)["data"]["state"] == "completed"


def test_a_command_that_needs_the_port_is_refused_where_the_driver_keeps_it(workshop: Workshop) -> None:
    workshop.restart("firmware_upgrade.command=['avrdude', '-P', '{port}']")
    task_id = workshop.begin(workshop.build("1"))
    refused(workshop.rig.end(task_id), 501, "cannot let go of its port")


def lend(workshop: Workshop, *, port: str | None) -> list[str]:
    """Give the driver a port that it lends as `port`; None: it never does. What it is asked."""
    asked: list[str] = []
    printer: Any = workshop.rig.printer

    def release_port() -> None:
        asked.append("release")
        if port is None:
            raise NotReadyError("cannot let go of the port: the printer is busy")
        printer.now(state=PrinterState.OFFLINE, released=port)

    def take_port() -> None:
        asked.append("take")
        printer.now(state=PrinterState.IDLE, released=None)

    printer.release_port, printer.take_port = release_port, take_port
    return asked


def test_a_port_that_does_not_become_free_fails_it(workshop: Workshop) -> None:
    asked = lend(workshop, port=None)
    task_id = workshop.begin(workshop.build("1"))
    workshop.until(task_id, lambda: len(asked) > 2)
    workshop.rig.clock.advance(15)
    refused(workshop.ended(task_id), 500, "the port is not free")
    assert workshop.versions() == []


def test_a_command_that_needs_the_port_is_not_run_where_it_is_not_known(workshop: Workshop) -> None:
    workshop.restart("firmware_upgrade.command=['/bin/sh', '-c', 'exit 3', '{port}']")
    asked = lend(workshop, port="")
    refused(workshop.upgrade(workshop.build("1")), 500, "not known which port is the printer's")
    assert asked == ["release", "take"]
    assert workshop.store.firmware.installed(MODEL) == ""


def test_the_port_is_given_back_after_a_command_that_failed(workshop: Workshop) -> None:
    workshop.restart(hook="exit 3")
    asked = lend(workshop, port="/dev/x")
    refused(workshop.upgrade(workshop.build("1")), 500, "exit code 3")
    assert asked == ["release", "take"]
    assert workshop.rig.printer.slot.released is None


@pytest.mark.parametrize(
    ("command", "words"),
    [
        (["install"], ["install", "/p"]),
        (["avrdude", "-P{port}", "-U", "flash:w:{package}:r"], ["avrdude", "-P/dev/x", "-U", "flash:w:/p:r"]),
        (["sh", "-c", "echo $1 {other}", "sh", "{port}"], ["sh", "-c", "echo $1 {other}", "sh", "/dev/x", "/p"]),
    ],
)
def test_placeholders_stand_for_the_port_and_the_package(command: list[str], words: list[str]) -> None:
    assert arguments(command, port="/dev/x", package="/p") == words


def _read(descriptor: int) -> bytes:
    try:
        return os.read(descriptor, 100)
    except BlockingIOError:
        return b""
