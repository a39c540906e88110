"""kill -9 of the agent's driver at random instants of a print, while the virtual printer lives on. What must hold: each
line of the file is executed once and in order, whoever sent it.

    python -m benchmarks.driver_kills [KILLS] [SEED] [SCENARIO]…
"""

from __future__ import annotations

import argparse
import random
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import structlog

from agent.core.driver import Scripts
from benchmarks.driver_kills_world import Agent, Scenario, World, world

HEAD = (b"G28", b"M190 S40", b"M109 S60", b"G90", b"M82")
SCENARIOS = (
    Scenario("one at a time"),
    Scenario("one at a time, reopened, half lines", kept=False, half=True),
    Scenario("a window", window=3, half=True),
    Scenario("a window, reopened", window=3, kept=False),
    Scenario("pauses", words=("pause", "resume"), head=HEAD[:1]),
    Scenario("pauses in a window with scripts", window=3, words=("pause", "resume"),
             scripts=Scripts(pause=("M117 away", "G91", "G1 Z5", "G90"), resume=("M117 back",))),
    Scenario("heating", head=HEAD, speed=60.0, lines=1000, half=True),
    Scenario("a bad cable", faults=("corrupt=0.002", "corrupt-back=0.002"), lines=600, half=True),
    Scenario("a bad cable, a window", faults=("corrupt=0.002", "corrupt-back=0.002"), lines=600, window=3, kept=False),
    Scenario("a terrible cable", faults=("corrupt=0.01", "corrupt-back=0.01"), lines=100, may_fail=True),
    Scenario("cancels", words=("cancel",), head=HEAD[:1]),
    Scenario("polls", dialect="marlin1", half=True),
    Scenario("prusa", dialect="prusa", window=3),
    Scenario("repetier", dialect="repetier", half=True),
    Scenario("smoothie", dialect="smoothie", half=True),
    Scenario("reprap", dialect="reprap", half=True, window=2),
)  # fmt: skip


def tear(folder: Path, scenario: Scenario, kills: int, dice: random.Random) -> dict[str, int]:
    """One print that is torn `kills` times at most, then left to its end. Raises AssertionError when a line was lost,
    executed twice, or out of its turn."""
    found = {"kills": 0, "half-way": 0, "left": 0, "before": 0, "cancelled": 0, "failed": 0}
    with world(folder, scenario, dice) as made:
        begin = True
        cancelling = False
        while True:
            agent = made.agent(begin=begin)
            last = found["kills"] >= kills
            if not last:
                ended = _live(agent, made, dice)
                cancelling = cancelling or (agent.seen["state"] == "cancelling")
            else:
                ended = _finish(agent, scenario)
            seen = agent.seen
            if ended and not _never_began(made, seen):
                outcome = seen["last"]["outcome"]
                agent.kill()
                made.check()
                if "cancel" in scenario.words:
                    assert outcome == "cancelled", seen
                    found["cancelled"] += 1
                    assert b"M104 S0" in made.executed
                elif scenario.may_fail and outcome == "failed":
                    found["failed"] += 1
                else:
                    assert outcome == "completed", seen
                    assert len(made.moved()) == scenario.lines, seen
                return found
            leave = not ended and dice.random() < 0.15
            (agent.leave if leave else agent.kill)()
            found["left" if leave else "kills"] += 1
            made.check()
            begin = not (folder / "memory").exists()
            if ended:
                begin = True
                found["before"] += 1
                (folder / "memory").unlink()
            found["half-way"] += 0 < len(made.moved()) < scenario.lines
            made.spoil()


def _never_began(made: World, seen: dict[str, Any]) -> bool:
    """A kill between the M110 and the first line looks like a reset: the print fails, and nothing of it was done."""
    return seen["last"]["outcome"] == "failed" and "restarted" in seen["last"]["error"] and not made.moved()


def _live(agent: Agent, made: World, dice: random.Random) -> bool:
    """Let an agent live for a while, with a request or two; whether its print has ended."""
    words = made.scenario.words
    if dice.random() < 0.15:
        return agent.until(lambda t: t["last"], dice.uniform(0.1, 0.5))  # killed while it begins
    agent.until(lambda t: t["last"] or t["state"] in ("printing", "paused", "pausing", "cancelling"))
    if not made.moved() and dice.random() < 0.8:
        agent.until(lambda t: t["last"] or t["line"] > len(made.scenario.head) or t["state"] != "printing", 5.0)
    if agent.seen["state"] == "paused" and dice.random() < 0.8:
        agent.say("resume")
    elif words and dice.random() < 0.6:
        agent.say(words[0])
        if words[0] == "pause" and dice.random() < 0.5:
            agent.until(lambda t: t["last"] or t["state"] == "paused", 1.0)
            agent.say("resume")
    return agent.until(lambda t: t["last"], dice.choice((0.0, 0.003, 0.02, dice.uniform(0.0, 0.2))))


def _finish(agent: Agent, scenario: Scenario) -> bool:
    """Wait for the print's end."""
    while not agent.seen["last"]:
        if "cancel" in scenario.words and agent.seen["state"] == "printing":
            agent.say("cancel")
        elif agent.seen["state"] == "paused":
            agent.say("resume")
        assert agent.until(_another(agent.seen["state"])), agent.seen
    return True


def _another(state: str) -> Callable[[dict[str, Any]], bool]:
    return lambda seen: bool(seen["last"]) or seen["state"] != state


def torn(folder: Path, kills: int, seed: int, names: Sequence[str] = (), say: Callable[[str], None] = print) -> int:
    """`kills` in all, over all scenarios or those named; how many there were."""
    dice = random.Random(seed)
    chosen = [s for s in SCENARIOS if not names or s.name in names]
    done = turn = 0
    while done < kills:
        scenario = chosen[turn % len(chosen)]
        place = folder / str(turn)
        place.mkdir()
        began = time.monotonic()
        found = tear(place, scenario, min(kills - done, 5 if kills < 100 else 12), dice)
        say(f"{scenario.name}: {found} in {time.monotonic() - began:.1f} s")
        done += max(1, found["kills"])
        turn += 1
    return done


def main() -> int:
    """Run the kills; 1 when a promise was broken."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("kills", nargs="?", type=int, default=200)
    parser.add_argument("seed", nargs="?", type=int, default=1)
    parser.add_argument("names", nargs="*")
    arguments = parser.parse_args()
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(50))
    with tempfile.TemporaryDirectory(prefix="handover-") as folder:
        try:
            torn(Path(folder), arguments.kills, arguments.seed, arguments.names)
        except AssertionError as error:
            sys.stdout.write(f"BROKEN: {error}\n")
            return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
