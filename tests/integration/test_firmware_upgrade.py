"""firmware_upgrade through the real Faye server: a member, the agent, and a real avrdude that writes the simulated
board, whose bootloader it speaks to."""

from __future__ import annotations

import itertools
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.integration.faye_support.server import RealFayeServer
from tests.rigs.agent_rig import AgentRig, KillableAgentRig, agent_rig, killable_agent_rig
from tests.support.file_server import reply
from tests.support.flashing import Flashing
from tests.support.ports import free_port
from tests.support.prints import check_record, gcode_file

LONG = "G28\n" + "".join(f"G1 X{10 + i % 50} Y{20 + i % 30} F1200\n" for i in range(2000))
FACTORY = "Marlin 2.1.2 (Dec  1 2022 00:00:00)"


class Workbench:
    """Everything up. Each upgrade has a version higher than the one before it."""

    def __init__(self, rig: AgentRig, flashing: Flashing, server: RealFayeServer) -> None:
        self.rig = rig
        self.flashing = flashing
        self.server = server
        self._versions = (f"3.{number}" for number in itertools.count())
        self.version = ""

    def begin(self) -> str:
        """An upgrade to the next version, sent; its task_id."""
        self.version = next(self._versions)
        return self.rig.command("firmware_upgrade", package_url=self.flashing.build(self.version))

    def installing(self) -> str:
        """An upgrade whose command waits; its task_id."""
        begun = self.flashing.begun
        self.flashing.install(waits=True)
        task_id = self.begin()
        self.rig.until("the command runs", lambda: self.flashing.begun > begun)
        return task_id

    def completed(self, task_id: str) -> dict[str, Any]:
        """Its end, which says that the version is installed, and what the printer says of itself. `data.firmware`."""
        body = self.rig.ended(task_id)
        assert (body["data"]["state"], body["data"].get("message")) == (
            "completed",
            f"version {self.version} installed",
        ), body
        check_record(self.rig.reports(task_id))
        firmware = dict(body["data"]["firmware"])
        assert firmware["new_firmware"] == f"Marlin {self.version}"
        self.rig.until("it is ready", lambda: self.rig.state() == "ready" and self.rig.status()["listening"])
        return firmware


@pytest.fixture(scope="module")
def bench(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Workbench]:
    folder = tmp_path_factory.mktemp("upgrade")
    flashing = Flashing(folder / "flashing")
    server = RealFayeServer(timeout=5, port=free_port())

    def front(url: str) -> str:
        server.proxy = url
        server.start()
        return f"http://127.0.0.1:{server.port}"

    more = flashing.config
    try:
        with agent_rig(
            folder, speed="20", front=front, sandbox=("--publish-to", server.url), more=more, bootloader=True
        ) as rig:
            yield Workbench(rig, flashing, server)
    finally:
        flashing.server.close()
        server.stop()


def test_the_printer_is_written_and_identified_again(bench: Workbench) -> None:
    """Success: the port is let go of, avrdude's progress is told, and the printer says another name."""
    bench.flashing.install()
    old = bench.rig.status()["firmware"]
    task_id = bench.begin()
    firmware = bench.completed(task_id)
    assert (firmware["new_version"], firmware["installed"], firmware["old_firmware"]) == (bench.version, True, old)
    said = {str(body["data"].get("message")) for body in bench.rig.reports(task_id)}
    assert any(text.startswith(("writing ", "verifying ")) for text in said), said
    assert bench.rig.do("home")["data"]["state"] == "completed"


def test_while_it_is_written_the_printer_is_in_maintenance_and_nothing_else_begins(
    bench: Workbench, tmp_path: Path
) -> None:
    """Race: a print, a script, a reset, a cancel, another upgrade, and a halt of the person at the printer."""
    task_id = bench.installing()
    bench.rig.until("maintenance", lambda: bench.rig.state() == "maintenance")
    others = [bench.rig.submit(gcode_file(tmp_path, LONG))["task_id"]]
    others += [bench.rig.command(name) for name in ("home", "reset", "cancel")]
    others.append(bench.rig.command("firmware_upgrade", package_url=bench.flashing.build("99")))
    for other in others:
        body = bench.rig.ended(other)
        assert body["error_code"] == 409, body
        assert "firmware" in body["error_message"], body
    assert bench.rig.reports(task_id)[-1]["progress"] < 1
    bench.flashing.go()
    bench.completed(task_id)


def test_an_upgrade_is_refused_while_a_print_runs(bench: Workbench, tmp_path: Path) -> None:
    """Race, the other way round."""
    bench.flashing.install()
    job = bench.rig.submit(gcode_file(tmp_path, LONG))
    bench.rig.job_is(job["job_id"], "printing")
    body = bench.rig.ended(bench.begin())
    assert (body["error_code"], "busy with print_data" in body["error_message"]) == (409, True), body
    bench.rig.do("cancel", job_id=job["job_id"])
    assert bench.rig.ended(job["task_id"])["job_status"] == "canceled"
    bench.rig.until("it is ready", lambda: bench.rig.state() == "ready")


def test_what_another_key_has_signed_is_refused_and_the_printer_is_left_alone(bench: Workbench) -> None:
    """Refusal."""
    begun = bench.flashing.begun
    body = bench.rig.do("firmware_upgrade", package_url=bench.flashing.build("98", key=bench.flashing.strange_key()))
    assert (body["error_code"], "not by the configured key" in body["error_message"]) == (422, True), body
    assert bench.flashing.begun == begun
    bench.rig.until("it is ready", lambda: bench.rig.state() == "ready")


def test_an_avrdude_that_fails_is_told_in_its_own_words_and_the_old_firmware_goes_on(bench: Workbench) -> None:
    """Failure: the wrong chip."""
    bench.flashing.install('exec avrdude "$@" -p m328p')
    old = bench.rig.status()["firmware"]
    body = bench.rig.ended(bench.begin())
    assert body["error_code"] == 500, body
    assert "exit code 1" in body["error_message"]
    firmware = body["data"]["firmware"]
    assert (firmware["installed"], firmware["old_firmware"], firmware["new_firmware"]) == (False, old, old)
    bench.flashing.install()
    bench.completed(bench.rig.command("firmware_upgrade", package_url=bench.flashing.build(bench.version)))


def test_the_same_command_again_is_not_carried_out_again(bench: Workbench) -> None:
    """Duplicate: while it runs, and after its end."""
    begun = bench.flashing.begun
    task_id = bench.installing()
    channel = f"/printers/{bench.rig.printer_id}/command"
    message = {
        "command": "firmware_upgrade",
        "task_id": task_id,
        "package_url": bench.flashing.build(bench.version),
    }
    for _ in range(3):
        bench.server.publish(channel, message)
    bench.flashing.go()
    bench.completed(task_id)
    bench.server.publish(channel, message)
    assert bench.rig.do("home")["data"]["state"] == "completed", "what came after it has been dealt with"
    assert bench.flashing.begun == begun + 1
    check_record(bench.rig.reports(task_id))


def test_a_server_of_packages_that_is_down_for_a_moment_is_asked_again(bench: Workbench) -> None:
    """Outage: of the server that has the package."""
    bench.flashing.install()
    server = bench.flashing.server
    first = len(server.paths)
    server.answers[:] = [*[bench.flashing.answer] * first, reply(503), bench.flashing.answer]
    bench.completed(bench.begin())
    asked = server.paths[first:]
    assert asked[0] == asked[1], "the manifest, again"


def test_a_cloud_that_is_gone_meanwhile_hears_of_the_end_later(bench: Workbench) -> None:
    """Outage: of the cloud, while the firmware is written."""
    task_id = bench.installing()
    bench.server.kill()
    bench.rig.until("the agent has noticed", lambda: not bench.rig.status()["listening"])
    bench.flashing.go()
    bench.rig.until("it is written", lambda: f"Marlin {bench.version}" == bench.rig.status()["firmware"])
    bench.server.start()
    bench.completed(task_id)


def test_a_cancel_ends_it_while_the_package_comes(bench: Workbench) -> None:
    """Cancel: before anything is written it is canceled; see above for a later one."""
    bench.flashing.install()
    begun = bench.flashing.begun
    bench.flashing.server.answers[:] = [reply(503)]
    try:
        task_id = bench.begin()
        bench.rig.until("it fetches", lambda: bench.rig.state() == "maintenance")
        cancel = bench.rig.do("cancel")
        assert cancel["data"]["state"] == "completed", cancel
        body = bench.rig.ended(task_id)
    finally:
        bench.flashing.server.answers[:] = [bench.flashing.answer]
    assert (body["error_code"], "canceled" in body["error_message"]) == (409, True), body
    assert bench.flashing.begun == begun


@contextmanager
def killable(folder: Path) -> Iterator[tuple[KillableAgentRig, Flashing]]:
    flashing = Flashing(folder / "flashing")
    try:
        with killable_agent_rig(
            folder, speed="20", more=f"{flashing.config}answer_within_s = 6\n", bootloader=True
        ) as rig:
            yield rig, flashing
    finally:
        flashing.go()
        flashing.server.close()


@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGUSR2])
def test_a_stop_and_a_restart_wait_until_it_is_written(tmp_path: Path, how: signal.Signals) -> None:
    """Stop."""
    with killable(tmp_path) as (rig, flashing):
        flashing.install(waits=True)
        task_id = rig.command("firmware_upgrade", package_url=flashing.build("2.1.3"))
        rig.until("the command runs", lambda: flashing.begun)
        rig.send(how)
        rig.until("it stops", lambda: "agent stopping" in rig.log() or "agent handing over" in rig.log())
        time.sleep(2.0)  # more than a hand-over may take otherwise
        rig.watch()
        flashing.go()
        assert rig.wait() == 0
        body = rig.ended(task_id) if rig.reports(task_id)[-1]["progress"] == 1 else None
        rig.start()
        body = body or rig.ended(task_id)
        assert body["data"]["firmware"]["installed"] is True, body
        assert "version 2.1.3 installed" in body["error_message"]
        rig.until("the next agent finds it", lambda: rig.status()["firmware"] == "Marlin 2.1.3")


def test_a_kill_in_the_middle_fails_it_with_what_is_known_and_it_can_be_written_again(tmp_path: Path) -> None:
    """A power cut: half a firmware is on the board, which answers to nothing but its bootloader."""
    with killable(tmp_path) as (rig, flashing):
        flashing.install(flashing.half())
        task_id = rig.command("firmware_upgrade", package_url=flashing.build("2.1.3"))
        rig.until("half of it is written", lambda: flashing.broken)
        rig.kill()
        flashing.go()
        rig.start()
        body = rig.ended(task_id, within=60.0)
        assert body["error_code"] == 500
        assert "the agent ended while version 2.1.3 was being installed" in body["error_message"]
        assert "the printer does not answer" in body["error_message"]
        assert body["data"]["firmware"]["old_firmware"] == FACTORY
        flashing.install()
        body = rig.do("firmware_upgrade", package_url=flashing.build("2.1.3"))
        assert body["data"]["state"] == "completed", body
        assert body["data"]["firmware"]["new_firmware"] == "Marlin 2.1.3"
