"""The Faye client against the real server (npm faye), beside Faye's own client.

    python -m benchmarks.faye_bench [--quick]

Prints a Markdown table and then one JSON line. Takes less than six minutes, --quick less than one. Exit code 1 when a
goal is missed.
"""

from __future__ import annotations

import argparse
import json
import random
import sys
import time
from typing import Any

from agent.errors import EX_UNAVAILABLE
from benchmarks import faye_delivery, faye_recovery
from benchmarks.prerequisites import missing_faye
from tests.unit.faye.patience import ADVISE, REFUSE, RESET, idle, tries

Row = tuple[str, str, str, bool | None]  # what, figure, goal, met (None: no goal)

AFTER_RESTART = {"ours long-polling": 2.0, "ours websocket": 2.0}
"""Seconds, median."""
AFTER_FORGOTTEN = {"ours long-polling": 1.0, "ours websocket": 1.0}
"""Seconds, median. A server that forgets a websocket's client closes the socket and says nothing: only the next connect
learns the reason."""


def delivery(found: dict[str, dict[str, float]]) -> list[Row]:
    """Rows on the delivery of messages: latency, loss, CPU time."""
    rows: list[Row] = []
    for transport in ("long-polling", "websocket"):
        ours, node = found[f"ours {transport}"], found[f"node {transport}"]
        ratio = ours["median_ms"] / node["median_ms"]
        figure = f"{ours['median_ms']:.2f} ms, node {node['median_ms']:.2f} ms: {ratio:.2f}×"
        rows.append((f"{transport}: publish → handler at 100/s, median", figure, "≤ 1.5×", ratio <= 1.5))
        rows.append((f"{transport}: the same, p99", f"{ours['p99_ms']:.1f} ms, node {node['p99_ms']:.1f} ms", "", None))
        figure = f"{ours['burst_last_ms']:.0f} ms, node {node['burst_last_ms']:.0f} ms"
        rows.append((f"{transport}: burst of 1,000, the last one", figure, "", None))
        rows.append((f"{transport}: lost", f"{ours['lost']:.0f}, node {node['lost']:.0f}", "0", not ours["lost"]))
        cpu = ours["cpu_s_per_1000"]
        figure = f"{cpu:.2f} s, node {node['cpu_s_per_1000']:.2f} s"
        rows.append((f"{transport}: CPU per 1,000 messages at 100/s", figure, "≤ 1.5 s", cpu <= 1.5))
    return rows


def recovery(what: str, found: dict[str, list[float]], goals: dict[str, float]) -> list[Row]:
    """Rows on the recovery from a restart or a forgotten session."""
    rows: list[Row] = []
    for who, values in found.items():
        goal = goals.get(who)
        figures = faye_recovery.summary(values)
        figure = f"median {figures['median_s']:.2f} s, longest {figures['max_s']:.2f} s, {figures['runs']:.0f} runs"
        met = None if goal is None else figures["median_s"] <= goal
        rows.append((f"{what}: {who}", figure, "" if goal is None else f"≤ {goal:.0f} s", met))
    return rows


def half_open(found: dict[str, faye_recovery.Figures], timeout: float, *, survives: bool) -> list[Row]:
    """Rows on the recovery from half-open connections."""
    rows: list[Row] = []
    for who, figures in found.items():
        counted = survives and "long-polling" in who
        goal = f"≤ {timeout + 15:.0f} s" + (", ≤ 1 lost" if counted else "")
        met = figures["s"] <= timeout + 15 and (not counted or figures["lost"] <= 1)
        figure = f"{figures['s']:.1f} s, lost {figures['lost']:.0f}" + ("" if survives else " (the session died)")
        rows.append((f"half-open, advice.timeout {timeout:g} s: {who}", figure, goal, met))
    return rows


def patience() -> tuple[list[Row], dict[str, Any]]:
    """Rows on retries in a day and on memory, on a simulated clock."""
    ways = (REFUSE, RESET, ADVISE)
    most = max(tries(60.0, random.Random(seed).random, how) for how in ways for seed in range(300))
    least = max(tries(60.0, lambda: 0.0, how) for how in ways)
    rows: list[Row] = [
        ("60 s of refused handshakes, 900 simulated", f"at most {max(most, least)} tries", "≤ 12", most <= 12 >= least)
    ]
    found: dict[str, Any] = {"refused_most": max(most, least)}
    for transport in ("long-polling", "websocket"):
        requests, sizes = idle(3600.0, 25.0, transport)
        grown = max(sizes[-10:]) - max(sizes[5:15])
        met = requests <= 2 * 144 and grown <= 64
        figure = f"{requests} requests in 144 timeouts, {grown:+d} bytes"
        rows.append((f"an idle hour, simulated, {transport}", figure, "≤ 288, no growth", met))
        found[f"idle_{transport}"] = {"requests": requests, "grown_bytes": grown}
    return rows, found


def main(*, quick: bool) -> int:
    """Run the benchmark and print its table; the exit code."""
    if reason := missing_faye():
        sys.stdout.write(f"not measured: {reason}\n")
        return EX_UNAVAILABLE
    began = time.monotonic()
    rows, found = patience()
    found["delivery"] = faye_delivery.measure(300 if quick else 1000, 1 if quick else 3)
    rows += delivery(found["delivery"])
    found["restart"] = faye_recovery.restarts(2 if quick else 7)
    rows += recovery("subscribed again after kill -9 and restart", found["restart"], AFTER_RESTART)
    found["forgotten"] = faye_recovery.forgotten(1 if quick else 5)
    rows += recovery("subscribed again after the server forgot the session", found["forgotten"], AFTER_FORGOTTEN)
    timeout = 1.0 if quick else 14.0
    found["half_open"] = faye_recovery.half_open(timeout)
    rows += half_open(found["half_open"], timeout, survives=not quick)
    if not quick:
        found["refused_real"] = faye_recovery.refused(60.0)
        rows.append(
            ("60 s of refused handshakes, real", f"{found['refused_real']} tries", "≤ 12", found["refused_real"] <= 12)
        )
    found["memory_mb"] = faye_delivery.memory()
    more = found["memory_mb"]["ours"] - found["memory_mb"]["bare"]
    rows.append(
        ("resident memory over Python + requests", f"{more:.1f} MB ({found['memory_mb']['ours']:.1f} MB)", "", None)
    )
    found["seconds"] = round(time.monotonic() - began, 1)
    mark = {True: "yes", False: "**no**", None: ""}
    lines = ["| what | measured | goal | met |", "|---|---|---|---|"]
    lines += [f"| {what} | {figure} | {goal} | {mark[met]} |" for what, figure, goal, met in rows]
    sys.stdout.write("\n".join([*lines, "", json.dumps(found), ""]))
    return int(any(met is False for *_, met in rows))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="less than a minute")
    sys.exit(main(quick=parser.parse_args().quick))
