"""The table of everything that is fuzzed: parser, generator, oracle."""

from __future__ import annotations

import random
from contextlib import nullcontext

from benchmarks.fuzz import (
    commands,
    configurations,
    faye_exchanges,
    faye_replies,
    gcode_files,
    http_answers,
    local_requests,
    manifests,
    printer_lines,
    websocket_frames,
)
from benchmarks.fuzz.target import Target, Trial


def _exchanges() -> nullcontext[Trial]:
    fuzzer: list[faye_exchanges.Fuzzer] = []

    def trial(choose: random.Random) -> None:
        if not fuzzer:
            fuzzer.append(faye_exchanges.Fuzzer(choose))
        fuzzer[0].exchange()

    return nullcontext(trial)


TARGETS: dict[str, Target] = {
    target.name: target
    for target in (
        Target("faye_exchanges", 1_000_000, _exchanges),
        Target("faye_replies", 1_000_000, lambda: nullcontext(faye_replies.trial)),
        Target("printer_replies", 500_000, lambda: nullcontext(printer_lines.parse_trial)),
        Target("printer_session", 200_000, lambda: nullcontext(printer_lines.make_trial().trial)),
        commands.TARGET,
        gcode_files.TARGET,
        local_requests.TARGET,
        manifests.TARGET,
        configurations.TARGET,
        http_answers.TARGET,
        websocket_frames.TARGET,
    )
}
