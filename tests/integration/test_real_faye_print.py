"""The same print with the real Faye server (npm `faye`) in place of the sandbox's broker."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path

from tests.integration.faye_support import RealFayeServer
from tests.rigs.agent_rig import agent_rig
from tests.support.ports import free_port
from tests.support.prints import check_record

DEMO = Path(__file__).parents[2] / "agent" / "sandbox" / "data" / "demo.gcode"


def test_a_print_comes_over_the_real_faye_server_to_its_end(tmp_path: Path) -> None:
    port = free_port()
    with ExitStack() as stack:

        def front(url: str) -> str:
            server = RealFayeServer(timeout=5.0, proxy=url, port=port)
            servers.append(stack.enter_context(server))
            return f"http://127.0.0.1:{port}"

        servers: list[RealFayeServer] = []
        broker = ("--publish-to", f"http://127.0.0.1:{port}/faye")
        made = stack.enter_context(agent_rig(tmp_path, front=front, sandbox=broker))
        channel = f"/printers/{made.printer_id}/command"
        assert servers[0].wait_for("subscribe", channel=channel)
        job = made.submit(DEMO)
        body = made.ended(job["task_id"])
        assert body["job_status"] == "completed", body
        assert (body["data"]["line"], body["data"]["layer"]) == (7103, 29)
        check_record([report["body"] for report in made.member.reports(job["task_id"])])
        assert made.do("home")["data"]["state"] == "completed"  # only the channel brings this one
        assert '"jobs":1' not in made.log()  # not found by catching up: the channel delivered it
