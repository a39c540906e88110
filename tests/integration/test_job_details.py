"""What a member gets to know of a job beside its progress: warnings, refusals, the black box of a failure."""

from __future__ import annotations

import io
import tarfile
from pathlib import Path

from tests.rigs.agent_rig import agent_rig
from tests.support.prints import gcode_file

BED = "[printer]\nbuild_volume = [220, 220, 250]\n"


def test_warnings_refusals_and_black_boxes_reach_the_member(tmp_path: Path) -> None:
    with agent_rig(tmp_path, more=BED, faults=("kill@400",)) as made:
        refused = made.ended(made.submit(gcode_file(tmp_path, "G28\nG1 X999 F6000\n"))["task_id"])
        assert refused["error_code"] == 422
        assert "line 2 of the file: the move goes to X 999 mm" in refused["error_message"]

        warned = made.submit(gcode_file(tmp_path, "G28\nG20\nG21\nG1 X1 E1 F6000\nG1 X5\n"))["task_id"]
        assert made.ended(warned)["job_status"] == "completed"
        milestone = next(r["body"] for r in made.member.reports(warned) if r["body"].get("job_status") == "received")
        assert "inches (G20) (line 2)" in milestone["data"]["message"]
        assert "before anything heats the nozzle" in milestone["data"]["message"]

        failed = made.ended(made.submit(gcode_file(tmp_path, "G28\n" + "G1 X10 F6000\nG1 X20\n" * 400))["task_id"])
        assert failed["job_status"] == "failed"
        assert "Thermal Runaway" in failed["error_message"]
        body = made.do("logs")
        with tarfile.open(fileobj=io.BytesIO(made.download(body["data"]["url"]))) as archive:
            (name,) = (name for name in archive.getnames() if name.endswith("box-000001.txt"))
            box = archive.extractfile(name).read().decode()  # type: ignore[union-attr]
        assert box.startswith("# printer-agent black box 1\n")
        assert "# reason Thermal Runaway" in box
        assert " > N400 G1 " in box
