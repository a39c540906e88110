"""A print outlives its agent under systemd: killed, restarted, ended by the watchdog. The next one goes on with it."""

from __future__ import annotations

import re
from pathlib import Path

from agent import __version__
from agent.service.health import FRESH, TICK
from tests.integration.systemd.conftest import GCODE
from tests.integration.systemd.service import UNIT, Service
from tests.support.prints import check_record

GAP = 3.0  # seconds without an agent, its start included


def goes_on_to_its_end(agent: Service) -> None:
    """The job of `begin` completes, as one print with one end; the printer was not reset meanwhile."""
    agent.job_is(agent.job_id, "completed")
    check_record([report["body"] for report in agent.member.reports(agent.task_id)])
    assert "restarted" not in agent.log()


def test_a_print_goes_on_after_kill_9(printing: Service) -> None:
    printing.killed("1")
    assert printing.took("ActiveExit") < GAP
    goes_on_to_its_end(printing)


def test_a_print_goes_on_after_an_upgrade(agent: Service, tmp_path: Path) -> None:
    """As systemd/README.md has it: the new environment takes the old one's place, then a restart."""
    agent.start()
    agent.begin(tmp_path, GCODE * 3)
    look = ("printer-agent --version", f"systemctl show -P StatusText {UNIT}")
    agent.until("systemd has been told", lambda: "layer" in agent.show("StatusText"))
    transcript = agent.shown(*look)
    agent.upgrade("0.1.1")
    transcript += agent.shown("systemctl restart printer-agent")
    assert agent.took("ActiveExit") < GAP
    agent.until("it goes on", lambda: agent.line() > 0 and "printing" in agent.show("StatusText"))
    transcript += agent.shown(*look)
    goes_on_to_its_end(agent)
    transcript += agent.shown(f"journalctl -u {UNIT} -o cat -n 40")
    print(transcript)  # noqa: T201 for the README: pytest -s
    assert re.findall(r"^printer-agent (0[.\d]+)", transcript, re.MULTILINE) == [__version__, "0.1.1"]
    shares = [int(share) for share in re.findall(r"^printing .*: (\d+)%", transcript, re.MULTILINE)]
    assert 0 < shares[0] <= shares[1], transcript
    part = (
        r'"part":"agent",.*"event":"(agent (?:handing over|stopped|started))"'
        r'|"part":"gcode",.*"event":"(position confirmed)"'
    )
    events = ["".join(found) for found in re.findall(part, agent.log())]
    assert events[-4:] == ["agent handing over", "agent stopped", "agent started", "position confirmed"], agent.log()


def test_a_print_goes_on_after_the_watchdog(agent: Service, tmp_path: Path) -> None:
    agent.install_plug_in()
    agent.configure(driver="hanging")
    agent.start()
    agent.begin(tmp_path, GCODE * 8)
    trap = agent.folder / "printer.hang"
    trap.write_text("runner")
    agent.system.until("it is ended", lambda: agent.show("NRestarts") == "1", within=FRESH + TICK + GAP)
    trap.unlink()
    before = agent.until("it prints again", agent.line)
    agent.until("it goes on", lambda: agent.line() > before + 20)
    assert agent.do("cancel")["data"]["state"] == "completed"
    agent.job_is(agent.job_id, "canceled")
    assert agent.show("ActiveState") == "active"


def test_a_print_is_ended_by_a_stop_all_the_same(printing: Service) -> None:
    assert printing.line() > 0
    printing.system.systemctl("stop", UNIT)
    assert set(printing.targets()) == {0.0}
