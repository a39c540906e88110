"""Each regular expression of production takes linear time: measured with a text, and one four times as long."""

from __future__ import annotations

import ast
import importlib
import re
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from agent.gcode.program_check import _outside
from drivers.gcode.printing.dialects import DIALECTS
from tests.support.growth import superlinear

ROOT = Path(__file__).parents[2]
METHODS = ("match", "search", "fullmatch", "finditer", "findall", "sub", "split")
SIZES = (60, 10_000)
"""Characters of a text."""
PIECES = (
    *(
        "a",
        "A",
        " ",
        "\t",
        "1",
        "0",
        ".",
        "-",
        "+",
        "(",
        ")",
        "[",
        "]",
        "{",
        "}",
        "N",
        "E",
        "X",
        "\n",
        "\r",
        ";",
        ":",
        "=",
        '"',
        "\\",
    ),
    *(
        "_",
        "/",
        "*",
        "?",
        "#",
        "@",
        "`",
        "\xff",
        "\xff ",
        "é",
        "a ",
        "1 ",
        "1.",
        "a=",
        "a =",
        "=:",
        "ok",
        "ok ",
        " N1",
        " P1",
        "M110 ",
    ),
    *(
        "M110N",
        "G0 ",
        "G1 E",
        "\nG1 ",
        "\n;",
        ";LAYER:",
        "\nN1 ",
        "P1 ",
        "1d",
        "1h ",
        "T:",
        "T0:1",
        "B:1 /",
        "Cap:",
        "rs ",
        "start",
    ),
    *("Bearer ", "File ", "X:1", "Last Line:", "bytes 1-", "..", "%2", "//", "a-", '\\"', "[]", '{"a":', "N1 P1 B1"),
)
FRONTS = {"agent.gcode": ("", "G1 ", "\nM110 "), "drivers": ("", "ok T:1"), "agent": ("", "a=", '"')}
"""What a text begins with, by the room of the expression."""
INLINE = {
    "agent/core/command.py": 1,
    "agent/gcode/program_check.py": 1,
    "drivers/gcode/printing/dialects.py": 2,
}
"""Expressions that are put together while the program runs: their number in each file. `made` has them."""


def _exhaust(finditer: Callable[[Any], Iterator[object]], data: object) -> None:
    for _ in finditer(data):
        pass


class Pattern:
    """A compiled expression and how it is used."""

    def __init__(self, name: str, compiled: re.Pattern[Any], methods: set[str]) -> None:
        self.name = name
        self.compiled = compiled
        self.methods = methods or set(METHODS[:4])

    def used(self) -> Callable[[Any], object]:
        """All that production does with it."""
        calls: list[Callable[[Any], object]] = []
        for method in sorted(self.methods):
            bound = getattr(self.compiled, method)
            if method == "finditer":
                calls.append(partial(_exhaust, bound))
            elif method == "sub":
                calls.append(partial(bound, b"" if isinstance(self.compiled.pattern, bytes) else ""))
            else:
                calls.append(bound)
        return lambda data: [call(data) for call in calls]


def production() -> list[Path]:
    return [path for folder in ("agent", "drivers") for path in sorted((ROOT / folder).rglob("*.py"))]


def calls_of_re(tree: ast.Module) -> Iterator[tuple[ast.Call, str]]:
    for node in ast.walk(tree):
        if not (isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute)):
            continue
        of = node.func.value
        if isinstance(of, ast.Name) and of.id == "re" and node.func.attr in (*METHODS, "compile"):
            yield node, node.func.attr


def uses(tree: ast.Module) -> dict[str, set[str]]:
    """The methods that are used of each name in a module; a pattern under another name has all."""
    found: dict[str, set[str]] = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and node.attr in METHODS and isinstance(node.value, ast.Name):
            found.setdefault(node.value.id, set()).add(node.attr)
    return found


def patterns() -> list[Pattern]:
    """Each compiled expression that a module has, and each that is written where it is used."""
    found = []
    for path in production():
        text = path.read_text()
        if not re.search(r"^import re$", text, re.MULTILINE):
            continue
        tree = ast.parse(text)
        name = ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")
        methods = uses(tree)
        for variable, value in vars(importlib.import_module(name)).items():
            if isinstance(value, re.Pattern):
                found.append(Pattern(f"{name}.{variable}", value, methods.get(variable, set())))
        for call, method in calls_of_re(tree):
            first = call.args[0]
            if method != "compile" and isinstance(first, ast.Constant):
                found.append(Pattern(f"{name}:{call.lineno}", re.compile(first.value), {method}))
    return found


def made() -> Iterator[Pattern]:
    """Those that are put together while the program runs."""
    yield Pattern("agent.gcode volume", _outside((250.0, 210.0, 220.0)), {"finditer"})
    for dialect in DIALECTS:
        for text in (dialect.mark, dialect.deadman):
            if text:
                yield Pattern(f"drivers {dialect.name}: {text}", re.compile(text), {"match"})


ALL = [*patterns(), *made()]


@pytest.mark.parametrize("pattern", ALL, ids=lambda pattern: pattern.name)
def test_an_expression_takes_linear_time(pattern: Pattern) -> None:
    binary = isinstance(pattern.compiled.pattern, bytes)
    use = pattern.used()
    text = pattern.compiled.pattern.decode("latin-1") if binary else pattern.compiled.pattern
    own = sorted(set(re.findall(r"[A-Za-z]{2,}:?", text)))[:6]
    for front in next(fronts for room, fronts in FRONTS.items() if pattern.name.startswith(room)):
        for piece in (*PIECES, *own):

            def make(size: int, front: str = front, piece: str = piece) -> str | bytes:
                text = front + piece * (size // len(piece)) + "\x00"
                return text.encode("latin-1") if binary else text

            grows = superlinear(make, use, SIZES)
            assert not grows, f"{front!r}, then {piece!r} again and again: {grows:.1f} times for four times the size"


def test_no_expression_is_missed() -> None:
    """One that is no constant of its module, and put together where it is used, is none of the above."""
    found: dict[str, int] = {}
    for path in production():
        tree = ast.parse(path.read_text())
        constants = {id(node.value) for node in tree.body if isinstance(node, ast.Assign)}
        for call, method in calls_of_re(tree):
            made = id(call) not in constants if method == "compile" else not isinstance(call.args[0], ast.Constant)
            if made:
                name = str(path.relative_to(ROOT))
                found[name] = found.get(name, 0) + 1
    assert found == INLINE
    assert len(ALL) > 60


@pytest.mark.parametrize("pattern", ALL, ids=lambda pattern: pattern.name)
def test_no_expression_has_a_possessive_group(pattern: Pattern) -> None:
    """Python 3.11.2, which Debian 12 has, matches too little with one that holds something to try again
    (python/cpython issue 106052, mended in 3.11.5); of a single character or a class it is as it should be."""
    text = pattern.compiled.pattern
    text = text.decode("latin-1") if isinstance(text, bytes) else text
    assert not re.search(r"\)[*+?]\+|\(\?>", text)
