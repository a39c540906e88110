"""Log events: one plain literal for each call site, and the task's id wherever a task is at hand.

An event's text is what an engineer searches the source for, so it stands once. A task's id is what he searches the
journal for, so it is a key of every event that is logged where there is one: where the function has a parameter or a
name `task_id`, reads an attribute `….task_id`, has a parameter whose class has a field `task_id` (also within another
field), or belongs to an object that was constructed with one. What may be None does not count as at hand. Keys may
also be bound (`log.bind(task_id=…).info(…)`) or come from a function that returns them (`**task_keys(task)`, or a
callable that is kept under its name: `**self._log_keys(task_id)`). The serial driver's events have them from no other
place, so that they have the job's id as well.
"""

from __future__ import annotations

import ast
import re
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple, TypeGuard

ROOT = Path(__file__).parents[2]
LOGGERS = ("log", "_log")
METHODS = ("debug", "info", "warning", "error", "exception", "critical")
WORD = "(?:[a-z][a-z0-9-]*|[A-Z]{2,})"  # lower case, or an acronym
PLAIN = re.compile(rf"{WORD}(?: {WORD}){{1,7}}")
ID = "task_id"
ONE_NAME = {"reason": "error", "again_in_s": "wait_s", "key": ID}  # what a key is not called → what it is called

Class = tuple[str, str]  # module, name


class Call(NamedTuple):
    """One call of a logger; `where` is path:line, `event` None where it is no literal."""

    where: str
    event: str | None
    keys: frozenset[str]
    has_task: bool
    names_task_alone: bool  # by a key of its own, so that its job's id is not beside it


class Module:
    """A file's syntax tree, and what the names in it stand for."""

    def __init__(self, path: Path) -> None:
        parts = path.relative_to(ROOT).with_suffix("").parts
        self.name = ".".join(parts[:-1] if parts[-1] == "__init__" else parts)
        self.where = str(path.relative_to(ROOT))
        self.tree = ast.parse(path.read_text(encoding="utf-8"))
        self.known: dict[str, Class] = {}
        for node in ast.walk(self.tree):
            if isinstance(node, ast.ImportFrom) and node.module and not node.level:
                self.known |= {alias.asname or alias.name: (node.module, alias.name) for alias in node.names}
            elif isinstance(node, ast.ClassDef):
                self.known[node.name] = (self.name, node.name)

    def classes(self, annotation: ast.AST | None) -> set[Class]:
        """The classes that an annotation names; none for one that may be None."""
        nodes = list(ast.walk(annotation)) if annotation is not None else []
        if any(isinstance(one, ast.Constant) and one.value is None for one in nodes):
            return set()
        found = {one.id for one in nodes if isinstance(one, ast.Name)}
        return {self.known[name] for name in found if name in self.known}


MODULES = [Module(path) for package in ("agent", "drivers") for path in sorted((ROOT / package).rglob("*.py"))]


def classes_with_a_task() -> set[Class]:
    """The classes with a field `task_id`, or with a field of such a class."""
    found: set[Class] = set()
    fields: dict[Class, set[Class]] = defaultdict(set)
    for module in MODULES:
        for owner in ast.walk(module.tree):
            for node in owner.body if isinstance(owner, ast.ClassDef) else ():
                if isinstance(owner, ast.ClassDef) and isinstance(node, ast.AnnAssign):
                    fields[module.name, owner.name] |= module.classes(node.annotation)
                    if isinstance(node.target, ast.Name) and node.target.id == ID:
                        found.add((module.name, owner.name))
    while more := {one for one, has in fields.items() if has & found} - found:
        found |= more
    return found


TASKS = classes_with_a_task()


def gives_the_id(function: ast.FunctionDef) -> bool:
    """Whether a function returns a dictionary with a key `task_id`, whichever way it returns."""
    returned = [node.value for node in ast.walk(function) if isinstance(node, ast.Return)]
    return bool(returned) and all(
        isinstance(value, ast.Dict) and any(isinstance(key, ast.Constant) and key.value == ID for key in value.keys)
        for value in returned
    )


KEYS_OF_A_TASK = {
    node.name
    for module in MODULES
    for node in ast.walk(module.tree)
    if isinstance(node, ast.FunctionDef) and gives_the_id(node)
}


def with_a_task(module: Module, function: ast.FunctionDef) -> set[str]:
    """The parameters that are, or hold, a task's id."""
    every = [*function.args.posonlyargs, *function.args.args, *function.args.kwonlyargs]
    return {one.arg for one in every if one.arg == ID or module.classes(one.annotation) & TASKS}


def is_made_with_a_task(module: Module, owner: ast.ClassDef) -> bool:
    """Whether each object of the class keeps a parameter of its constructor that has a task."""
    for function in owner.body:
        if isinstance(function, ast.FunctionDef) and function.name == "__init__":
            kept = [node.value for node in ast.walk(function) if isinstance(node, ast.Assign)]
            return any(isinstance(value, ast.Name) and value.id in with_a_task(module, function) for value in kept)
    return False


def has_task(module: Module, function: ast.FunctionDef) -> bool:
    """Whether a task is at hand anywhere in the function."""
    return bool(with_a_task(module, function)) or any(
        (isinstance(node, ast.Name) and node.id == ID) or (isinstance(node, ast.Attribute) and node.attr == ID)
        for node in ast.walk(function)
    )


def is_log_call(node: ast.AST) -> TypeGuard[ast.Call]:
    if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Attribute) or node.func.attr not in METHODS:
        return False
    logger = bound(node)[0]
    name = logger.id if isinstance(logger, ast.Name) else logger.attr if isinstance(logger, ast.Attribute) else ""
    return name in LOGGERS


def bound(call: ast.Call) -> tuple[ast.expr, list[ast.keyword]]:
    """The logger of a call `logger.info(…)` or `logger.bind(…).info(…)`, and the keys that it is bound to."""
    assert isinstance(call.func, ast.Attribute)
    logger = call.func.value
    if isinstance(logger, ast.Call) and isinstance(logger.func, ast.Attribute) and logger.func.attr == "bind":
        return logger.func.value, logger.keywords
    return logger, []


def calls(module: Module) -> Iterator[Call]:
    def visit(node: ast.AST, *, at_hand: bool, of_class: bool) -> Iterator[Call]:
        for child in ast.iter_child_nodes(node):
            inner, owned = at_hand, of_class
            if isinstance(child, ast.ClassDef):
                owned = is_made_with_a_task(module, child)
            elif isinstance(child, ast.FunctionDef):  # one within another sees all that the outer one has
                inner = at_hand or of_class or has_task(module, child)
            if is_log_call(child):
                event = child.args[0] if child.args else None
                text = event.value if isinstance(event, ast.Constant) and isinstance(event.value, str) else None
                keys = frozenset(map(key_of, (*child.keywords, *bound(child)[1])))
                alone = any(keyword.arg == ID for keyword in child.keywords)
                yield Call(f"{module.where}:{child.lineno}", text, keys, at_hand, alone)
            yield from visit(child, at_hand=inner, of_class=owned)

    yield from visit(module.tree, at_hand=False, of_class=False)


def key_of(keyword: ast.keyword) -> str:
    """The key of one argument; of `**f(…)` it is `task_id` where f gives that."""
    if keyword.arg is None and isinstance(keyword.value, ast.Call):
        function = keyword.value.func
        name = function.id if isinstance(function, ast.Name) else getattr(function, "attr", "")
        return ID if name.lstrip("_") in KEYS_OF_A_TASK else ""
    return keyword.arg or ""


CALLS = [call for module in MODULES for call in calls(module)]


def places(found: list[Call]) -> list[str]:
    return [f"{call.where}: {call.event}" for call in found]


def test_the_search_finds_the_calls_and_the_classes() -> None:
    assert len(CALLS) > 60
    assert {("agent.core.command", "Command"), ("agent.core.job", "JobView")} <= TASKS
    assert {call.event for call in CALLS if call.has_task} >= {"task accepted", "report refused by the server"}
    assert {"task_keys", "log_keys"} <= KEYS_OF_A_TASK
    assert not next(call for call in CALLS if call.event == "condition raised").has_task


def test_an_event_is_a_literal_of_plain_lower_case_words() -> None:
    assert places([call for call in CALLS if call.event is None or not PLAIN.fullmatch(call.event)]) == []


def test_an_event_stands_at_one_place_only() -> None:
    by_event: dict[str | None, list[str]] = defaultdict(list)
    for call in CALLS:
        by_event[call.event].append(call.where)
    assert {event: where for event, where in by_event.items() if len(where) > 1} == {}


def test_an_event_has_the_tasks_id_where_a_task_is_at_hand() -> None:
    assert places([call for call in CALLS if call.has_task and ID not in call.keys]) == []


def test_a_key_has_one_name() -> None:
    assert places([call for call in CALLS if call.keys & ONE_NAME.keys()]) == []


def test_the_driver_names_the_job_wherever_it_names_the_task() -> None:
    in_driver = [call for call in CALLS if call.where.startswith("drivers/gcode/")]
    assert places([call for call in in_driver if call.names_task_alone]) == []
