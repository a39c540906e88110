"""The error codes of reports: the code uses those of docs/protocol.md «Error codes», each where that table says, and no
other."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

ROOT = Path(__file__).parents[2]
ROOMS = ("agent/core", "agent/files", "agent/runner", "agent/server", "agent/state")
POSITION = {"RefusedError": 0, "_fail": 0, "fail": 1, "_end_refused": 1, "report.failed": 1}
"""What is called with an error code → which argument it is; `fail` of an activity's context has the task before it."""
BY_NAME = ("Rejection",)  # called with code=…, whose default counts too


class Use(NamedTuple):
    """One place that gives a code; `code` is None where it is handed on (`refusal.code`, a parameter `code`)."""

    where: str
    code: int | None
    text: str

    @property
    def is_plain(self) -> bool:
        """Whether the code is a literal, or one that another place gave."""
        return self.code is not None or bool(re.fullmatch(r"(\w+\.)*code", self.text))


def called(call: ast.Call) -> str:
    name = ast.unparse(call.func)
    return name if name in POSITION else name.rpartition(".")[2]


def given(call: ast.Call) -> ast.expr | None:
    """The argument that is an error code; None for a call that has none, such as a `_fail` with a text alone."""
    by_name = next((keyword.value for keyword in call.keywords if keyword.arg == "code"), None)
    at = POSITION.get(called(call))
    if by_name is not None or at is None or len(call.args) <= at:
        return by_name if called(call) in (*POSITION, *BY_NAME) else None
    found = call.args[at]
    words = isinstance(found, ast.JoinedStr) or (isinstance(found, ast.Constant) and isinstance(found.value, str))
    return None if words or (called(call) == "_fail" and len(call.args) == 1) else found


def uses_in(source: str, where: str) -> Iterator[Use]:
    """The uses in one module."""
    for node in ast.walk(ast.parse(source)):
        value: ast.expr | None = None
        if isinstance(node, ast.Call):
            value = given(node)
        elif isinstance(node, ast.AnnAssign | ast.Assign) and where.startswith(
            "agent/core"
        ):  # a field's default, the heartbeat's own
            names = [node.target] if isinstance(node, ast.AnnAssign) else node.targets
            if any(getattr(name, "id", "") == "code" for name in names):
                value = node.value
        for part in (value.body, value.orelse) if isinstance(value, ast.IfExp) else (value,):
            if isinstance(part, ast.Constant) and isinstance(part.value, int):
                yield Use(where, part.value, str(part.value))
            elif part is not None and not (isinstance(part, ast.Name) and part.id == "UNSET"):
                yield Use(where, None, ast.unparse(part))


def uses() -> list[Use]:
    return [
        use
        for room in ROOMS
        for path in sorted((ROOT / room).rglob("*.py"))
        for use in uses_in(path.read_text(encoding="utf-8"), str(path.relative_to(ROOT)))
    ]


def table() -> dict[int, str]:
    """Code → where, of the document's table."""
    text = (ROOT / "docs/protocol.md").read_text(encoding="utf-8")
    section = text.partition("\n## Error codes\n")[2].partition("\n## ")[0]
    rows = [line.strip("|").split(" | ") for line in section.splitlines() if re.match(r"\| \d", line)]
    return {int(row[0]): row[-1] for row in rows}


def is_named(where: str, cell: str) -> bool:
    """Whether a row names the module, or its folder."""
    return any(where == name or where.startswith(name) for name in re.findall(r"`([\w/.]+)`", cell))


def test_the_code_uses_the_codes_of_the_table_and_no_other() -> None:
    wrong = [f"{use.where}: {use.text}" for use in uses() if use.code is not None and use.code not in table()]
    assert not wrong, "not in docs/protocol.md «Error codes»"


def test_each_code_of_the_table_is_used_where_it_says() -> None:
    found = uses()
    places = {code: {use.where for use in found if use.code == code} for code in table()}
    assert all(places.values()), places
    unnamed = [
        f"{code}: {where}" for code, each in places.items() for where in each if not is_named(where, table()[code])
    ]
    assert not unnamed, "docs/protocol.md «Error codes» does not name these"
    empty = [
        f"{code}: {name}"
        for code, cell in table().items()
        for name in re.findall(r"`([\w/.]+)`", cell)
        if not any(where.startswith(name) for where in places[code])
    ]
    assert not empty, "docs/protocol.md «Error codes» names these, and they do not use it"


def test_a_code_is_a_plain_number_where_it_is_given() -> None:
    assert [use for use in uses() if not use.is_plain] == []


def test_the_search_finds_the_uses() -> None:
    found = uses()
    assert len(found) > 60
    assert {"agent/core/command.py", "agent/server/inbox.py", "agent/state/bed_table.py"} <= {
        use.where for use in found
    }


@pytest.mark.parametrize(
    ("source", "code"),
    [
        ("raise RefusedError(418, 'tea')", 418),
        ("self._context.fail(task, 418, text)", 418),
        ("context.fail(self.task, 500 + 1, text)", None),
        ("self._fail(418, text)", 418),
        ("Rejection(reason, code=418)", 418),
        ("report.failed(command, 418, text)", 418),
        ("code: int = 418", 418),
        ("code = 418 if late else UNSET", 418),
    ],
)
def test_a_code_that_is_not_in_the_table_is_found(source: str, code: int | None) -> None:
    (use,) = uses_in(source, "agent/core/a.py")
    assert use.code == code
    assert use.is_plain == (code is not None)


@pytest.mark.parametrize("source", ["self._fail('the job ended')", "self._fail(str(error))", "fail(reason)", "f(418)"])
def test_a_call_without_a_code_is_none(source: str) -> None:
    assert list(uses_in(source, "agent/core/a.py")) == []
