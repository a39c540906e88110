"""Every fact of docs/serial.md is proven by a test of the host's side that names it.

A test names a fact in its docstring: `docs/serial.md §9a`, each number with its own sign, or `Dialects, auto-report`
for a
row of the table. Ranges (§1–16) name nothing, and neither do the virtual printer's own tests: they prove what the
others are tested against.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

TESTS = Path(__file__).parents[1]
OF_THE_SIMULATOR = ("unit/simulated/", "integration/test_simulator_pty.py")

FACTS = {
    "1": "credits: one for each ok, none for one too many",
    "2": "M400 proves that something has moved",
    "3": "what an ok brings along",
    "4": "an ok at the end of something else, lost, garbled",
    "5": "M29 and wait",
    "5a": "what Marlin does not answer or know",
    "6": "a window within the firmware's buffers",
    "6a": "three lines, so that a stop is read; bytes too",
    "7": "number, checksum, the first M110",
    "8": "requests in all forms, with or without ok",
    "9": "what is asked for is sent, once",
    "9a": "a number too high tells the place",
    "9b": "several in flight, one spoilt",
    "10": "ten times the same, older than the history, the rate",
    "11": "too long, comments",
    "12": "a file is bytes",
    "13": "M110 where none was meant",
    "14": "two clocks",
    "15": "how long a command may take",
    "16": "an ok that does not come",
    "17": "busy and reports, asked for or polled",
    "17a": "settings that do not flush",
    "17b": "the chip's latency",
    "18": "opening, the hello",
    "19": "who is it",
    "20": "start in the middle",
    "21": "garbage before start",
    "22": "temperatures in all forms",
    "22a": "the firmware's own thermal protection",
    "23": "the emergency stop",
    "23a": "after a kill",
    "24": "heat waits are the host's",
    "25": "what is fatal",
    "25a": "M600, M0 as the printer tells of them",
    "25b": "questions at the printer, answered from afar",
    "25c": "notifications",
    "25d": "a cancel does not wait for the moves",
    "26": "M0 and M1 stay here",
    "27": "pause and resume",
    "28": "cancel",
    "28a": "heaters off, on each dialect",
    "29": "the cable is pulled",
    "30": "//action",
    "31": "heaters do not stay on",
    "32": "a question has one answer",
    "32a": "prompts of Marlin, M876",
    "32b": "a wait of which nothing is told",
    "32c": "buttons of Klipper's macros",
    "32d": "message boxes, M292",
    "32e": "a suspended print, M601",
    "32f": "requests to the host",
    "33": "settings: what a firmware has it tells",
    "33a": "M220 and M221 without a number",
    "33b": "RepRapFirmware tells a value to its own command",
    "33c": "Klipper's limits have names",
    "k1": "Klipper: a refused line ends what runs",
    "k2": "Klipper: not ready, a wrong configuration",
    "k3": "Klipper: shutdown, restart, a lost board",
    "k4": "Klipper: an unknown command",
}
ROWS = (
    "resend form",
    "ok after resend",
    "wait when idle",
    "auto-report",
    "busy keepalive",
    "emergency",
    "checksum outside jobs",
)
_NUMBER = re.compile(r"§(k?\d+[a-z]?)(?!\d|[a-z]|–)")


def named() -> Iterator[tuple[str, str, str]]:
    """File, test and docstring of each test whose docstring speaks of docs/serial.md."""
    for path in sorted(TESTS.rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.FunctionDef) and node.name.startswith("test_"):
                text = ast.get_docstring(node) or ""
                if "docs/serial.md" in text:
                    yield str(path.relative_to(TESTS)), node.name, text


PROOFS = list(named())


def of_the_host() -> list[tuple[str, str]]:
    return [(name, text) for path, name, text in PROOFS if not path.startswith(OF_THE_SIMULATOR)]


@pytest.mark.parametrize("fact", FACTS)
def test_every_fact_is_named_by_a_test(fact: str) -> None:
    tests = [name for name, text in of_the_host() if fact in _NUMBER.findall(text)]
    assert tests, f"§{fact} ({FACTS[fact]}): no test names it"


@pytest.mark.parametrize("row", ROWS)
def test_every_row_of_the_dialects_is_named_by_a_test(row: str) -> None:
    assert [name for name, text in of_the_host() if f"Dialects, {row}" in text]


def test_no_test_names_a_fact_that_there_is_not() -> None:
    known = set(FACTS)
    wrong = [(path, name) for path, name, text in PROOFS if set(_NUMBER.findall(text)) - known]
    assert wrong == []


def test_each_number_has_its_own_sign() -> None:
    """Else it would name nothing."""
    careless = [(path, name) for path, name, text in PROOFS if re.search(r"§\d+[a-z]?, \d", text)]
    assert careless == []
