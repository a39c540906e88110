"""An agent is killed while a script heats, or before what a file left on was switched off: the next one does that."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.rigs.agent_rig import KillableAgentRig, killable_agent_rig

HEATING = '["M140 S60", "M104 S210", "G4 P20000"]'
MORE = (
    f'[job]\ncool_after_s = 3600\nbed = "free"\n[scripts]\ncalibrate = {HEATING}\nhome = {HEATING}\npark = {HEATING}\n'
)
LEFT_ON = "M140 S60\nM104 S210\nG28\nG1 X10 F6000\n"


@pytest.fixture(scope="module")
def rig(tmp_path_factory: pytest.TempPathFactory) -> Iterator[KillableAgentRig]:
    """One printer and one agent after the other for all the ways to be killed."""
    with killable_agent_rig(tmp_path_factory.mktemp("rig"), more=MORE) as made:
        yield made


def since(rig: KillableAgentRig, place: int) -> list[str]:
    return [code for _, code in rig.executed()[place:]]


def are_off(rig: KillableAgentRig, place: int) -> bool:
    """Whether nozzle and bed were switched on after `place`, and off after that."""
    codes = since(rig, place)
    last = {word: code for code in codes for word in ("M104", "M140") if code.startswith(word)}
    return "M104 S210" in codes and last == {"M104": "M104 S0", "M140": "M140 S0"}


@pytest.mark.parametrize(
    ("command", "how"),
    [
        ("calibrate", signal.SIGKILL),
        ("home", signal.SIGKILL),
        ("park", signal.SIGKILL),
        ("calibrate", signal.SIGTERM),
        ("calibrate", signal.SIGUSR2),
    ],
)
def test_heaters_of_a_script_that_was_cut_off_go_off(rig: KillableAgentRig, command: str, how: signal.Signals) -> None:
    rig.until("it listens", lambda: rig.status()["listening"])
    place = len(rig.executed())
    task_id = rig.command(command)
    rig.until("it heats", lambda: "M104 S210" in since(rig, place))
    rig.kill(how)
    rig.start()
    rig.until("the heaters are off", lambda: are_off(rig, place))
    assert rig.ended(task_id)["data"]["state"] == "failed"
    rig.until("nothing is said of heat", lambda: "heat" not in rig.status()["conditions"])


def test_what_a_file_left_on_is_switched_off_by_the_next_agent(rig: KillableAgentRig, tmp_path: Path) -> None:
    rig.until("it listens", lambda: rig.status()["listening"])
    place = len(rig.executed())
    file = tmp_path / "left-on.gcode"
    file.write_text(LEFT_ON)
    rig.submit(file)
    assert rig.ended()["job_status"] == "completed"
    said = rig.until("it is said", lambda: rig.status()["conditions"].get("heat"))
    assert said == "hot, nobody needs it: tool0 210 °C, bed 60 °C; switched off 3600 s after the end of what ran"
    rig.until("the cloud knows", lambda: str(rig.status()["data"].get("message", "")).startswith("heat: hot, nobody"))
    assert not are_off(rig, place)
    rig.kill()
    rig.start()
    rig.until("the heaters are off", lambda: are_off(rig, place))
