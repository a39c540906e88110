"""ARCHITECTURE.md is true to the code: each function and file that it names exists, and it names each room."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
TEXT = (ROOT / "ARCHITECTURE.md").read_text(encoding="utf-8")
NAMED = re.compile(r"`((?:agent|drivers|tests|benchmarks)/[\w/]+\.py):([\w.]+)`")
"""A function as the walks write it: `agent/runner/loop.py:Runner.step`."""
FILES = re.compile(r"`((?:agent|drivers|tests|benchmarks|systemd|docs|examples)/[\w/.@-]*)[`:]")
WALKS = (
    "where is a resend decided",
    "which thread writes the port",
    "add a dialect",
    "add a command",
    "follow task 123",
)


def definitions(path: Path) -> set[str]:
    """The names that a module defines at its top level, and of its classes the members, with annotated attributes."""
    names = set()
    for node in ast.parse(path.read_text(encoding="utf-8")).body:
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            names.add(node.name)
        if isinstance(node, ast.ClassDef):
            for member in node.body:
                if isinstance(member, ast.FunctionDef):
                    names.add(f"{node.name}.{member.name}")
                elif isinstance(member, ast.AnnAssign) and isinstance(member.target, ast.Name):
                    names.add(f"{node.name}.{member.target.id}")
                elif isinstance(member, ast.Assign):
                    names.update(f"{node.name}.{each.id}" for each in member.targets if isinstance(each, ast.Name))
        if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
            names.add(node.target.id)
        if isinstance(node, ast.Assign):
            names.update(each.id for each in node.targets if isinstance(each, ast.Name))
    return names


@pytest.mark.parametrize(("file", "name"), sorted(set(NAMED.findall(TEXT))))
def test_each_function_that_a_walk_names_exists(file: str, name: str) -> None:
    assert (ROOT / file).is_file(), file
    assert name in definitions(ROOT / file), f"{file} has no {name}"


@pytest.mark.parametrize("file", sorted(set(FILES.findall(TEXT))))
def test_each_file_and_folder_that_is_named_exists(file: str) -> None:
    assert (ROOT / file).exists()


@pytest.mark.parametrize("walk", WALKS)
def test_each_walk_is_a_path_of_at_least_three_functions(walk: str) -> None:
    _, found, rest = TEXT.lower().partition(f"### {walk}")
    assert found, walk
    section = rest.partition("\n#")[0]
    assert len(NAMED.findall(section)) >= 3


def test_each_room_has_its_row() -> None:
    rooms = {str(path.parent.relative_to(ROOT)) for top in ("agent", "drivers") for path in (ROOT / top).rglob("*.py")}
    assert sorted(room for room in rooms if f"`{room}/`" not in TEXT) == []
