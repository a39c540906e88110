"""Measure what the check of files lets through: odd forms on each firmware, and random mutations of heating lines.

One line: forms × firmwares, how many of them pass and how many are refused, mutations tried, and how many of those that
passed would have heated over the limits or executed a refused command, by models of the firmwares' parsers: none may.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterable
from itertools import islice

from agent.gcode.command_policy import DIALECTS
from tests.support.gcode_forms import FORMS, harm, line_of, mutations, verdict

MUTATIONS = 20_000


def main(arguments: list[str] | None = None) -> int:
    """Print the line of figures; returns 1 where anything harmful passed."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--mutations", type=int, default=MUTATIONS, metavar="N")
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args([] if arguments is None else arguments)
    forms = [line_of(row.split("\t")[0]) for row in FORMS.read_text(encoding="ascii").splitlines()[1:]]
    passed, harmful = _count(forms)
    tried, bad = _count(islice(mutations(options.seed), options.mutations))
    refused = len(forms) * len(DIALECTS) - passed
    sys.stdout.write(
        f"forms: {len(forms)} x {len(DIALECTS)} firmwares, {passed} pass, {refused} refused, {harmful} harmful pass; "
        f"{options.mutations} mutations, {tried} pass on a firmware, {bad} harmful pass\n"
    )
    return 1 if harmful or bad else 0


def _count(lines: Iterable[bytes]) -> tuple[int, int]:
    passed = harmful = 0
    for line in lines:
        refused = verdict(line)
        for dialect in DIALECTS:
            if dialect not in refused:
                passed += 1
                harmful += bool(harm(line, dialect))
    return passed, harmful


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
