"""settings, request_settings and the settings of jobs through the real Faye server (docs/protocol.md «Settings»)."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from agent.sandbox.publisher import ExternalPublisher
from tests.integration.faye_support import RealFayeServer
from tests.rigs.agent_rig import AgentRig, agent_rig, killable_agent_rig
from tests.support.ports import free_port
from tests.support.prints import check_record, gcode_file

SHORT = "G28\nG1 X10 F6000\n"
LONG = "G28\nG1 Z5 F600\n" + "".join(f"G1 X{10 + i % 50} Y{20 + i % 30} F1200\n" for i in range(2000))
ALLOWED = '[job]\nallow = ["eeprom", "guards"]\n'


@dataclass
class Channel:
    """An agent whose commands come over the real Faye server."""

    rig: AgentRig
    server: RealFayeServer
    publisher: ExternalPublisher

    def publish(self, message: dict[str, object]) -> None:
        """Publish a command by hand."""
        self.publisher.publish(f"/printers/{self.rig.printer_id}/command", message)

    def read(self) -> dict[str, Any]:
        """What the printer tells of its settings now."""
        body = self.rig.do("request_settings")
        assert body["data"]["state"] == "completed", body
        assert body["data"]["message"].startswith("read from the printer"), body
        return dict(body["data"]["settings"])


@pytest.fixture(scope="module")
def channel(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Channel]:
    """One agent for all: each test leaves the printer idle."""
    with opened(tmp_path_factory.mktemp("settings")) as made:
        yield made


@pytest.fixture(scope="module")
def races(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Channel]:
    """Another one: an agent takes 60 commands at once (docs/bounds.md)."""
    with opened(tmp_path_factory.mktemp("races")) as made:
        yield made


@contextmanager
def opened(folder: Path) -> Iterator[Channel]:
    """An agent behind a real Faye server."""
    port = free_port()
    with ExitStack() as stack:
        servers: list[RealFayeServer] = []

        def front(url: str) -> str:
            servers.append(stack.enter_context(RealFayeServer(timeout=5.0, proxy=url, port=port)))
            return f"http://127.0.0.1:{port}"

        broker = ("--publish-to", f"http://127.0.0.1:{port}/faye")
        rig = stack.enter_context(agent_rig(folder, front=front, sandbox=broker, speed="200", more=ALLOWED))
        publisher = ExternalPublisher(servers[0].url)
        stack.callback(publisher.close)
        yield Channel(rig, servers[0], publisher)


SET: list[dict[str, Any]] = [
    {"speed_percent": 120},
    {"Settings": {"flow_percent": 95, "JobName": "tune"}},
    {"Settings": {"print_acceleration": 1250}, "travel_acceleration": 1750.5},
    {"max_feedrate_x": 250, "max_feedrate_e": 45.5},
    {"max_acceleration_y": 2500, "steps_per_mm_e": 93.4},
    {"junction_deviation": 0.03, "linear_advance": 0.06},
    {"nozzle_pid_p": 21.5, "bed_pid_i": 2},
    {"probe_offset_z": -1.35, "retract_length": 2.5, "retract_speed": 30},
    {"bed_mesh": True},
    {"bed_mesh": False, "save": True},
]


def test_settings_are_set_read_back_and_kept(channel: Channel) -> None:
    wanted: dict[str, Any] = {}
    for settings in SET:
        task_id = channel.rig.command("settings", settings=settings)
        body = channel.rig.ended(task_id)
        assert body["data"]["state"] == "completed", body
        flat = {**settings, **settings.get("Settings", {})}
        own = {name: value for name, value in flat.items() if name not in ("Settings", "JobName", "save")}
        wanted |= own
        assert {name: body["data"]["settings"][name] for name in own} == own
        assert body["data"]["message"] == ("set and saved in the printer" if "save" in settings else "set")
        check_record([report["body"] for report in channel.rig.member.reports(task_id)])
    now = channel.read()
    assert {name: now[name] for name in wanted} == wanted


REFUSED: list[tuple[dict[str, Any], str]] = [
    ({"colour": "blue", "speed_percent": 90}, "no such setting: colour"),
    ({"speed_percent": 9000}, "speed_percent: expected 10 to 500"),
    ({"print_acceleration": "1000\nM112"}, "print_acceleration: expected 10 to 50000"),
    ({"bed_mesh": 1}, "bed_mesh: expected true or false"),
    ({"max_velocity": 100}, "firmware has not: max_velocity"),
    ({"save": "yes"}, "save: expected true or false"),
    ({"JobName": "cube"}, "none were given"),
]


def test_what_cannot_be_is_refused_by_name_and_nothing_is_set(channel: Channel) -> None:
    before = channel.read()
    for settings, says in REFUSED:
        body = channel.rig.do("settings", settings=settings)
        assert (body["data"]["state"], body["error_code"]) == ("failed", 422)
        assert says in body["error_message"]
    assert channel.read() == before


def test_a_value_that_the_firmware_does_not_take_fails_the_command_and_is_not_kept(channel: Channel) -> None:
    """This Marlin has a junction deviation, and no jerk."""
    body = channel.rig.do("settings", settings={"jerk_x": 8, "print_acceleration": 1111})
    assert (body["data"]["state"], body["error_code"]) == ("failed", 500)
    assert body["error_message"] == (
        "settings: not taken by the printer: jerk_x: the printer tells no such setting; set: print_acceleration"
    )
    now = channel.read()
    assert now["print_acceleration"] == 1111
    assert "jerk_x" not in now


def test_a_command_that_comes_twice_is_done_once(channel: Channel) -> None:
    rig = channel.rig
    first = rig.command("settings", settings={"print_acceleration": 1001})
    assert rig.ended(first)["data"]["state"] == "completed"
    asked = rig.command("request_settings")
    answer = rig.ended(asked)
    assert rig.do("settings", settings={"print_acceleration": 1002})["data"]["state"] == "completed"
    for command, task_id in (("settings", first), ("request_settings", asked)):
        channel.publish({"command": command, "task_id": task_id, "settings": {"print_acceleration": 1001}})
    assert channel.read()["print_acceleration"] == 1002
    assert rig.ended(asked)["data"]["settings"] == answer["data"]["settings"]


def test_a_babystep_is_done_at_once_and_not_kept(channel: Channel) -> None:
    body = channel.rig.do("settings", settings={"babystep_z": -0.05})
    assert body["data"]["message"] == "set; not told by the printer, so not read back: babystep_z"
    assert "babystep_z" not in body["data"]["settings"]


@pytest.mark.parametrize(
    ("command", "other"),
    [
        ("settings", "home"),
        ("settings", "settings"),
        ("settings", "cool"),
        ("request_settings", "home"),
        ("request_settings", "settings"),
        ("request_settings", "request_settings"),
    ],
)
def test_a_race_with_another_command_is_the_end_of_neither(races: Channel, command: str, other: str) -> None:
    rig = races.rig
    first = rig.command(command, settings={"flow_percent": 97})
    second = rig.command(other, settings={"speed_percent": 103})
    for task_id in (first, second):
        assert rig.ended(task_id)["data"]["state"] == "completed"
    rig.until("ready again", lambda: rig.state() == "ready")


def test_while_it_prints_settings_are_kept_and_set_before_the_next_print(channel: Channel, tmp_path: Path) -> None:
    rig = channel.rig
    assert rig.do("settings", settings={"print_acceleration": 1300})["data"]["state"] == "completed"
    job = rig.submit(gcode_file(tmp_path, LONG))
    rig.job_is(job["job_id"], "printing")
    body = rig.do("settings", settings={"print_acceleration": 1400})
    assert body["data"]["message"] == "kept; set before the next print: the printer is printing now"
    asked = rig.do("request_settings")
    assert asked["data"]["message"] == "as kept here; the printer, which is printing, was not asked"
    assert asked["data"]["settings"]["print_acceleration"] == 1400
    refused = rig.do("settings", settings={"babystep_z": 0.05})
    assert (refused["error_code"], refused["error_message"]) == (
        409,
        "settings: babystep_z: only while the printer is idle; the printer is printing now",
    )
    rig.do("cancel", job_id=job["job_id"])
    rig.until("ready again", lambda: rig.state() == "ready")
    assert channel.read()["print_acceleration"] == 1300
    assert rig.ended(rig.submit(gcode_file(tmp_path, SHORT))["task_id"])["job_status"] == "completed"
    assert channel.read()["print_acceleration"] == 1400


def test_the_settings_of_a_job_end_with_it(channel: Channel, tmp_path: Path) -> None:
    rig = channel.rig
    rig.do("settings", settings={"speed_percent": 100, "flow_percent": 100})
    before = channel.read()
    file = gcode_file(tmp_path, SHORT)
    own = {"speed_percent": 150, "max_feedrate_z": 9, "retract_lift": 0.4}
    assert rig.ended(rig.submit(file, **own)["task_id"])["job_status"] == "completed"
    assert channel.read() == {**before, **own}
    body = rig.ended(rig.submit(file)["task_id"])
    assert body["job_status"] == "completed"
    assert channel.read() == before


def test_a_file_that_sets_the_speed_does_not_set_it_for_the_next_one(channel: Channel, tmp_path: Path) -> None:
    """docs/serial.md §33a."""
    rig = channel.rig
    rig.do("settings", settings={"speed_percent": 100, "flow_percent": 100})
    rig.ended(rig.submit(gcode_file(tmp_path, SHORT + "M220 S150\nM221 S80\n"))["task_id"])
    assert channel.read()["speed_percent"] == 150
    rig.ended(rig.submit(gcode_file(tmp_path, SHORT, "next.gcode"))["task_id"])
    now = channel.read()
    assert (now["speed_percent"], now["flow_percent"]) == (100, 100)


@pytest.mark.parametrize(
    ("own", "says"),
    [
        ({"colour": "blue", "Settings": {"speed_percent": 110}}, "settings without a meaning here: colour"),
        ({"JobName": "cube", "max_velocity": 100}, "settings that this printer's firmware has not: max_velocity"),
        ({"jerk_x": 8}, "not set, as the printer does not tell what to put back after the job: jerk_x"),
        ({"babystep_z": 0.1, "save": True}, "not for a job, only for the settings command: babystep_z, save"),
    ],
)
def test_what_a_job_asks_for_in_vain_is_said_in_its_report(
    channel: Channel, tmp_path: Path, own: dict[str, Any], says: str
) -> None:
    body = channel.rig.ended(channel.rig.submit(gcode_file(tmp_path, SHORT), **own)["task_id"])
    assert body["job_status"] == "completed", body
    assert says in body["data"]["message"]


def test_a_job_with_settings_out_of_range_is_refused(channel: Channel, tmp_path: Path) -> None:
    body = channel.rig.ended(channel.rig.submit(gcode_file(tmp_path, SHORT), print_acceleration=1e9)["task_id"])
    assert (body["error_code"], body["job_status"]) == (422, "failed")
    assert "print_acceleration: expected 10 to 50000" in body["error_message"]


def test_after_an_outage_of_the_channel_the_settings_are_still_there(channel: Channel) -> None:
    rig = channel.rig
    assert rig.do("settings", settings={"travel_acceleration": 1900})["data"]["state"] == "completed"
    channel.server.kill()
    channel.server.start()
    rig.until("it listens again", lambda: rig.status()["listening"])
    assert channel.read()["travel_acceleration"] == 1900
    body = rig.do("settings", settings={"travel_acceleration": 2000})
    assert body["data"]["settings"]["travel_acceleration"] == 2000


@pytest.mark.parametrize(
    ("dialect", "own", "untold"),
    [
        ("klipper", {"print_acceleration": 1200, "linear_advance": 0.05, "bed_mesh": True}, "bed_mesh"),
        ("repetier", {"speed_percent": 120, "steps_per_mm_e": 95.5}, "steps_per_mm_e"),
        ("reprap", {"max_feedrate_x": 150, "retract_lift": 0.3, "retract_speed": 30}, "retract_speed"),
    ],
)
def test_each_firmware_gets_its_own_lines(tmp_path: Path, dialect: str, own: dict[str, Any], untold: str) -> None:
    with agent_rig(tmp_path, dialect=dialect) as rig:
        body = rig.do("settings", settings=own)
        assert body["data"]["message"] == f"set; not told by the printer, so not read back: {untold}", body
        found = rig.do("request_settings")["data"]["settings"]
        assert {name: found[name] for name in own} == own


def test_a_printer_that_is_away_and_an_agent_that_is_killed_lose_no_setting(tmp_path: Path) -> None:
    with killable_agent_rig(tmp_path, speed="20") as rig:
        rig.unplug()
        rig.until("it is away", lambda: rig.state() == "error")
        body = rig.do("settings", settings={"print_acceleration": 1700})
        assert body["data"]["message"] == "kept; set before the next print: the printer is offline now"
        assert rig.do("request_settings")["data"]["settings"] == {"print_acceleration": 1700}
        rig.plug_in()
        rig.until("ready again", lambda: rig.state() == "ready")
        job = rig.submit(gcode_file(tmp_path, LONG), max_feedrate_z=9)
        rig.until("it prints", lambda: rig.status()["data"].get("line", 0) > 10)
        rig.kill()
        rig.start()
        rig.until("it listens", lambda: rig.status()["listening"])
        rig.until("it prints on", lambda: rig.status()["data"]["state"] == "printing")
        assert rig.do("cancel", job_id=job["job_id"])["data"]["state"] == "completed"
        rig.until("ready again", lambda: rig.state() == "ready")
        before = len(rig.executed())
        assert rig.ended(rig.submit(gcode_file(tmp_path, SHORT))["task_id"])["job_status"] == "completed"
        codes = [code for _, code in rig.executed()]
        assert codes.index("M203 Z9") < before
        assert codes.index("M203 Z5") > before
        assert "M204 P1700" in codes[before:]
