"""kill -9 in the middle of a print, again and again: what the printer executed is the file, each line once, in order,
and the cloud heard of one print. `python -m benchmarks.outlives [--quick] [PART]…`"""

from __future__ import annotations

import argparse
import os
import random
import sys
import tempfile
import time
from bisect import bisect_right
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import structlog

from agent.errors import AgentError
from tests.rigs.agent_rig import KillableAgentRig, killable_agent_rig
from tests.support.prints import assert_whole, gcode, of_the_file, write_gcode

SEED = 20160301
MOVES_A_KILL = 32  # in the file; in each life fewer of them are printed, so that the file lasts
LONGEST_LIFE = 0.5  # seconds from the first line of a life to its end
GAP = 3.0  # seconds that the printer may go without a line over a restart
PATIENCE = 4.0  # seconds more on a noisy line: where a line's end is damaged the driver asks again only after that
NOT_YET = 0.3  # seconds after its start in which no agent can have sent a line


class Part(msgspec.Struct, frozen=True):
    """How a print is killed: lines in flight, whether half a line is on the wire at the kill, and what goes wrong."""

    window: int
    half: bool = False
    faults: tuple[str, ...] = ()


NOISE = ("corrupt=0.0004",)  # of the bytes, so that one line of a hundred arrives damaged
PARTS = {
    "one-at-a-time": Part(1),
    "window": Part(4),
    "half-lines": Part(1, half=True),
    "half-lines-window": Part(4, half=True),
    "noise": Part(1, faults=NOISE),
    "noise-window": Part(4, faults=NOISE),
}


def outlives(folder: Path, part: Part, kills: int, seed: int, say: Callable[[str], None]) -> dict[str, Any]:
    """`kills` kills of one print. Raises AssertionError for a broken promise."""
    began = time.monotonic()
    rng = random.Random(seed)
    lines = gcode(kills * MOVES_A_KILL)
    started: list[float] = []
    with killable_agent_rig(folder, window=part.window, faults=part.faults) as made:
        made.submit(write_gcode(folder / "job.gcode", lines))
        for number in range(kills):
            _wait_for_lines(made, lines)
            time.sleep(rng.uniform(0.0, LONGEST_LIFE))
            made.kill()
            if part.half:
                made.half_a_line(_half(rng, len(of_the_file(made.executed(), lines))))
            started.append(time.monotonic())
            made.start()
            if number % 50 == 49:
                say(f"  {number + 1} kills, {time.monotonic() - began:.0f} s")
        end = made.ended(within=60.0 + len(lines) / 10)
        assert end["job_status"] == "completed", end
        assert_whole(made.executed(), lines)
        _one_of_each(made)
        gaps = _gaps([at for at, _ in of_the_file(made.executed(), lines)], started)
    return {
        "kills": kills,
        "lines": len(lines),
        "gap_p50_s": round(gaps[len(gaps) // 2], 2),
        "gap_max_s": round(gaps[-1], 2),
        "seconds": round(time.monotonic() - began),
        "load": round(os.getloadavg()[0], 1),  # of the machine: an agent's start is half a second of its time
    }


def _wait_for_lines(made: KillableAgentRig, lines: list[str]) -> None:
    """Wait until this life has printed some lines."""
    before = len(of_the_file(made.executed(), lines))
    made.until("the print goes on", lambda: len(of_the_file(made.executed(), lines)) > before + 1)


def _half(rng: random.Random, line: int) -> bytes:
    """The beginning of a line as the file's next ones are: with its number, without its end."""
    whole = b"N%d G1 X33.33 Y44.44 E55.555 F6000*99" % (line + rng.randrange(8))
    return whole[: rng.randrange(1, len(whole))]


def _gaps(at: list[float], started: list[float]) -> list[float]:
    """For each restart the seconds without a line of the file, sorted: up to the first line that the new agent can have
    sent, from the one before it, which the firmware may have had in its buffers."""
    found = []
    for start in started:
        first = bisect_right(at, start + NOT_YET)
        found.append(at[first] - at[first - 1])
    return sorted(found)


def _one_of_each(made: KillableAgentRig) -> None:
    """Check the reports: one receipt, one end, and no step back in between."""
    bodies = made.reports()
    values = [body["progress"] for body in bodies]
    assert values == sorted(values), "the progress went back"
    assert [body["data"]["state"] for body in bodies].count("received") == 1 + _milestones(bodies), "a second receipt"
    assert values.count(1) == 1, "a second end"
    placed = [body["data"]["line"] for body in bodies if "line" in body["data"]]
    assert placed == sorted(placed), "the line went back"


def _milestones(bodies: list[dict[str, Any]]) -> int:
    """Count the milestones (the file is here), which are told apart by the job's state."""
    found = sum(body.get("job_status") == "received" for body in bodies)
    assert found == 1, f"{found} times «the file is here»"
    return int(found)


def _say(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


def main() -> int:
    """Run the parts; 1 when a promise was broken."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="15 kills each")
    parser.add_argument("--kills", type=int, default=200, help="of each part (default: %(default)s)")
    parser.add_argument("parts", nargs="*", metavar="PART", help=f"of {', '.join(PARTS)} (default: all)")
    arguments = parser.parse_args()
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(50))
    if unknown := set(arguments.parts) - set(PARTS):
        parser.error(f"no such part: {', '.join(sorted(unknown))}")
    failed = False
    for name in arguments.parts or PARTS:
        with tempfile.TemporaryDirectory(prefix="outlives-") as folder:
            try:
                found = outlives(Path(folder), PARTS[name], 15 if arguments.quick else arguments.kills, SEED, _say)
                limit = GAP + (PATIENCE if PARTS[name].faults else 0.0)
                assert found["gap_max_s"] <= limit, f"{found['gap_max_s']} s without a line: {found}"
            except AssertionError as error:
                failed = True
                _say(f"{name}: BROKEN: {error}")
                continue
            except (AgentError, OSError) as error:
                failed = True
                _say(f"{name}: not measured: {error}")
                continue
        _say(f"{name}: {', '.join(f'{key} {value}' for key, value in found.items())}")
    return int(failed)


if __name__ == "__main__":
    sys.exit(main())
