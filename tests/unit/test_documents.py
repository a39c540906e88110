"""What the documents list is what the code has: error codes, commands, conditions, faults, log parts, versions."""

from __future__ import annotations

import re
from pathlib import Path

from agent.core.answer import Answer, classify
from agent.core.command import Name
from agent.core.conditions import Part
from agent.state import schema
from drivers.gcode.session import driver_checkpoint
from drivers.simulated import faults

ROOT = Path(__file__).parents[2]


def section(name: str, heading: str) -> str:
    """A section of a document, without those behind it."""
    text = (ROOT / "docs" / name).read_text(encoding="utf-8")
    found = re.search(rf"^## {re.escape(heading)}$(.*?)(?=^## |\Z)", text, re.MULTILINE | re.DOTALL)
    assert found, f"docs/{name} has no «{heading}»"
    return found[1]


def first_cells(table: str) -> list[str]:
    """The first column of a Markdown table, without its head."""
    rows = [line.split("|")[1].strip() for line in table.splitlines() if line.startswith("|")]
    return rows[2:]


def sources(*folders: str) -> str:
    return "\n".join(
        path.read_text(encoding="utf-8") for name in folders for path in sorted((ROOT / name).rglob("*.py"))
    )


def test_every_command_is_in_the_table() -> None:
    named = re.findall(r"`(\w+)`", " ".join(first_cells(section("protocol.md", "Commands"))))
    assert set(named) == set(Name)


def test_the_table_of_answers_is_the_code_s() -> None:
    meaning = {
        "taken": Answer.TAKEN,
        "this report can never be taken": Answer.NEVER,
        "the server does not know the task, or not any more": Answer.NEVER,
        "the token is dead": Answer.TOKEN_DEAD,
        "not now": Answer.LATER,
    }
    rows = [
        line.split("|")[1:3]
        for line in section("protocol.md", "Answers and what they mean to the agent").splitlines()
        if line.startswith("| ")
    ][1:]
    assert len(rows) == len(meaning)
    for codes, words in rows:
        for code in re.findall(r"\d{3}", codes):
            assert classify(int(code)) is meaning[words.strip()], code


def test_every_condition_is_explained() -> None:
    named = [cell.split("`")[1] for cell in first_cells(section("debugging.md", "Conditions"))]
    assert named == list(Part)


def test_every_fault_is_listed() -> None:
    forms = [line.split()[0] for line in faults.listing().splitlines()]
    named = re.findall(r"`([^`]+)`", " ".join(first_cells(section("debugging.md", "Simulated faults"))))
    assert sorted(named) == sorted(forms)


def test_every_part_of_the_log_is_named() -> None:
    parts = set(re.findall(r'get_logger\(part="([\w.]+)"', sources("agent", "drivers")))
    row = next(line for line in section("debugging.md", "The log").splitlines() if line.startswith("| `part`"))
    assert set(re.findall(r"`([\w.]+)`", row)) - {"part"} == parts


def test_every_log_event_that_is_explained_is_logged() -> None:
    table = section("debugging.md", "The log").partition("The events to look for first:")[2]
    named = re.findall(r"`([^`]+)`", " ".join(first_cells(table)))
    logged = set(re.findall(r'log\.\w+\(\s*"([^"]+)"', sources("agent", "drivers")))
    assert named
    assert sorted(set(named) - logged) == []


def test_the_policy_names_the_versions_of_today() -> None:
    text = (ROOT / "docs/versions.md").read_text(encoding="utf-8")
    assert f"`PRAGMA user_version` ({schema.VERSION})" in text
    assert f"`version` in the driver's memory ({driver_checkpoint.VERSION})" in text
