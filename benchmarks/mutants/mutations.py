"""The small mistakes that `make mutants` makes in a module's source: one changed place in its syntax tree each. Pure.

Not changed: imports, annotations, decorators, docstrings and other strings, the numbers of an Enum, what only goes into
the log, and the texts of exceptions.
"""

from __future__ import annotations

import ast
import copy
import hashlib
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass

_COMPARE: dict[type[ast.cmpop], type[ast.cmpop]] = {
    ast.Lt: ast.LtE,
    ast.LtE: ast.Lt,
    ast.Gt: ast.GtE,
    ast.GtE: ast.Gt,
    ast.Eq: ast.NotEq,
    ast.NotEq: ast.Eq,
    ast.Is: ast.IsNot,
    ast.IsNot: ast.Is,
    ast.In: ast.NotIn,
    ast.NotIn: ast.In,
}
_BINARY: dict[type[ast.operator], type[ast.operator]] = {
    ast.Add: ast.Sub,
    ast.Sub: ast.Add,
    ast.Mult: ast.Div,
    ast.Div: ast.Mult,
    ast.FloorDiv: ast.Mult,
    ast.Mod: ast.Mult,
    ast.BitAnd: ast.BitOr,
    ast.BitOr: ast.BitAnd,
    ast.LShift: ast.RShift,
    ast.RShift: ast.LShift,
}
_CALLS = {"min": "max", "max": "min", "any": "all", "all": "any"}
_LOG = {"debug", "info", "warning", "error", "exception", "critical", "bind"}
_CONDITIONS = (ast.If, ast.While, ast.IfExp)


Change = Callable[[ast.AST], ast.AST]


@dataclass(frozen=True, slots=True)
class Mutant:
    """One mistake: `key` names it without a line number, so that it stays the same while other functions change."""

    module: str
    key: str
    line: int
    source: str
    index: int

    @property
    def path_and_line(self) -> str:
        """As an editor reads it."""
        return f"{self.module}:{self.line}"

    def order(self, seed: int) -> str:
        """The mutant's place in the seeded sample of its module."""
        return hashlib.sha256(f"{seed}:{self.key}".encode()).hexdigest()

    def tree(self) -> ast.Module:
        """The module's syntax tree with the mistake in it."""
        tree = ast.parse(self.source)
        place = _places(tree)[self.index]
        changed = place.change(place.node)
        if changed is not place.node:
            _Replace(place.node, changed).visit(tree)
        return ast.fix_missing_locations(tree)


@dataclass(frozen=True, slots=True)
class _Place:
    """A node that can be changed, the statement that it is in, the function, and the change, which edits in place."""

    node: ast.AST
    statement: ast.stmt | ast.ExceptHandler | None
    scope: str
    change: Change


class _Places(ast.NodeVisitor):
    """Collects what can be changed."""

    def __init__(self) -> None:
        self.found: list[_Place] = []
        self._scope: list[str] = []
        self._statement: ast.stmt | ast.ExceptHandler | None = None
        self._nested = 0

    def _add(self, node: ast.AST, change: Change) -> None:
        self.found.append(_Place(node, self._statement, ".".join(self._scope) or "module", change))

    # ------------------------------------------------------------------------------------------------ statements
    def visit(self, node: ast.AST) -> None:
        if isinstance(node, ast.stmt):
            outer, self._statement = self._statement, node
            if not _is_noise(node):
                self._statement_changes(node)
                super().visit(node)
            self._statement = outer
        else:
            super().visit(node)

    def _statement_changes(self, node: ast.stmt) -> None:
        removable = (
            (isinstance(node, ast.Expr) and isinstance(node.value, ast.Call | ast.Await))
            or isinstance(node, ast.AugAssign | ast.Raise | ast.Delete | ast.Continue | ast.Break)
            or (isinstance(node, ast.Return) and self._nested > 0)
            or (isinstance(node, ast.Assign) and any(_is_state(target) for target in node.targets))
        )
        obvious = self._scope[-1:] == ["__init__"] and isinstance(node, ast.Assign)  # each use would raise
        if removable and self._scope and not obvious:
            self._add(node, lambda old: ast.copy_location(ast.Pass(), old))

    def _function(self, node: ast.FunctionDef | ast.AsyncFunctionDef) -> None:
        self._scope.append(node.name)
        outer, self._nested = self._nested, 0
        for default in (*node.args.defaults, *node.args.kw_defaults):
            if default is not None:
                self.visit(default)
        for statement in node.body:
            self.visit(statement)
        self._nested = outer
        self._scope.pop()

    visit_FunctionDef = _function  # noqa: N815
    visit_AsyncFunctionDef = _function  # noqa: N815

    def visit_ClassDef(self, node: ast.ClassDef) -> None:
        if any("Enum" in ast.unparse(base) for base in node.bases):
            return
        self._scope.append(node.name)
        for statement in node.body:
            self.visit(statement)
        self._scope.pop()

    def visit_AnnAssign(self, node: ast.AnnAssign) -> None:
        if node.value is not None:
            self.visit(node.value)

    def visit_If(self, node: ast.If) -> None:
        if isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING":
            return
        self._condition(node)

    def _condition(self, node: ast.If | ast.While | ast.IfExp) -> None:
        plain = isinstance(node.test, ast.Compare) and len(node.test.ops) == 1
        if not plain and not (isinstance(node, ast.While) and isinstance(node.test, ast.Constant)):
            self._add(node, _negate)
        self._nested += 1
        self.generic_visit(node)
        self._nested -= 1

    visit_While = _condition  # noqa: N815
    visit_IfExp = _condition  # noqa: N815

    def _block(self, node: ast.AST) -> None:
        self._nested += 1
        self.generic_visit(node)
        self._nested -= 1

    visit_For = _block  # noqa: N815
    visit_Try = _block  # noqa: N815

    def visit_ExceptHandler(self, node: ast.ExceptHandler) -> None:
        self._statement = node
        if not (len(node.body) == 1 and isinstance(node.body[0], ast.Raise) and node.body[0].exc is None):
            self._add(node, _reraise)
        self.generic_visit(node)

    def visit_Raise(self, node: ast.Raise) -> None:
        """Its text is not looked at."""

    # ----------------------------------------------------------------------------------------------- expressions
    def visit_Compare(self, node: ast.Compare) -> None:
        for index, op in enumerate(node.ops):
            self._add(node, _set_op(index, _COMPARE[type(op)]))
        self.generic_visit(node)

    def visit_BoolOp(self, node: ast.BoolOp) -> None:
        self._add(node, _swap_bool)
        for index in range(len(node.values)):
            self._add(node, _drop(index))
        self.generic_visit(node)

    def visit_UnaryOp(self, node: ast.UnaryOp) -> None:
        if isinstance(node.op, ast.Not | ast.USub):
            self._add(node, lambda old: old.operand if isinstance(old, ast.UnaryOp) else old)
        self.generic_visit(node)

    def visit_BinOp(self, node: ast.BinOp) -> None:
        of_types = isinstance(node.op, ast.BitOr) and not self._scope
        if type(node.op) in _BINARY and not (of_types or _is_text(node.left) or _is_text(node.right)):
            self._add(node, _set_binary)
        self.generic_visit(node)

    def visit_AugAssign(self, node: ast.AugAssign) -> None:
        if type(node.op) in _BINARY and not _is_text(node.value):
            self._add(node, _set_binary)
        self.generic_visit(node)

    def visit_Constant(self, node: ast.Constant) -> None:
        if isinstance(node.value, bool):
            self._add(node, lambda old: ast.copy_location(ast.Constant(value=not getattr(old, "value", False)), old))
        elif isinstance(node.value, int | float):
            self._add(node, lambda old: ast.copy_location(ast.Constant(value=getattr(old, "value", 0) + 1), old))

    def visit_Call(self, node: ast.Call) -> None:
        if isinstance(node.func, ast.Name) and node.func.id in _CALLS:
            self._add(node, _swap_call)
        self.generic_visit(node)

    def visit_JoinedStr(self, node: ast.JoinedStr) -> None:
        """Text."""


def mutants(module: str, source: str) -> list[Mutant]:
    """All the mutants of a module, in the order of its source; `module` is its path, as in the keys."""
    count: Counter[str] = Counter()
    seen: set[tuple[int, str]] = set()
    made: list[Mutant] = []
    for index, place in enumerate(_places(ast.parse(source))):
        before, after = _before_and_after(place)
        line = getattr(place.node, "lineno", 0)
        key = f"{module}:{place.scope}: {before} => {after}"
        if before == after or (line, key) in seen:
            continue
        seen.add((line, key))
        count[key] += 1
        made.append(Mutant(module, key if count[key] == 1 else f"{key} #{count[key]}", line, source, index))
    return made


def _places(tree: ast.Module) -> list[_Place]:
    visitor = _Places()
    visitor.visit(tree)
    return visitor.found


def _before_and_after(place: _Place) -> tuple[str, str]:
    """The first line of the changed statement as it is, and as it would be."""
    memo: dict[int, object] = {}
    statement = copy.deepcopy(place.statement, memo)
    twin = memo[id(place.node)]
    assert isinstance(twin, ast.AST)
    changed = place.change(twin)
    if twin is statement:
        return _head(place.statement), _head(changed)
    if changed is not twin and isinstance(statement, ast.AST):
        _Replace(twin, changed).visit(statement)
    return _head(place.statement), _head(statement)


class _Replace(ast.NodeTransformer):
    def __init__(self, old: ast.AST, new: ast.AST) -> None:
        self._old, self._new = old, new

    def visit(self, node: ast.AST) -> ast.AST:
        return self._new if node is self._old else self.generic_visit(node)


def _head(statement: object) -> str:
    """A statement in one line; of a compound one only its head, of a handler all."""
    if isinstance(statement, ast.ExceptHandler):
        return " ".join(ast.unparse(statement).split())
    if not isinstance(statement, ast.AST):
        return ""
    if isinstance(statement, ast.FunctionDef | ast.ClassDef):
        statement = copy.copy(statement)
        statement.body, statement.decorator_list = [ast.Pass()], []
    elif isinstance(statement, ast.If | ast.While | ast.For | ast.With | ast.Try):
        statement = copy.copy(statement)
        statement.body = [ast.Pass()]
        for part in ("orelse", "handlers", "finalbody"):
            if getattr(statement, part, None):
                setattr(statement, part, [])
    if isinstance(statement, ast.Try):
        return "try"
    return " ".join(ast.unparse(statement).removesuffix("pass").split()) or "pass"


def _is_noise(node: ast.stmt) -> bool:
    """Whether a statement is an import, a docstring, or a call of the log."""
    if isinstance(node, ast.Import | ast.ImportFrom):
        return True
    if isinstance(node, ast.Assign):
        return any(isinstance(name, ast.Name) and name.id in {"__all__", "__slots__"} for name in node.targets)
    if not isinstance(node, ast.Expr):
        return False
    if isinstance(node.value, ast.Constant):
        return True
    call = node.value
    return (
        isinstance(call, ast.Call)
        and isinstance(call.func, ast.Attribute)
        and call.func.attr in _LOG
        and "log" in ast.unparse(call.func.value).lower()
    )


def _is_state(target: ast.expr) -> bool:
    """Whether an assignment's target is an attribute or an item, alone or among others."""
    parts = target.elts if isinstance(target, ast.Tuple) else [target]
    return any(isinstance(part, ast.Attribute | ast.Subscript) for part in parts)


def _is_text(node: ast.AST) -> bool:
    """Whether an operand is text or bytes, which know `+` alone."""
    return any(
        isinstance(part, ast.JoinedStr) or (isinstance(part, ast.Constant) and isinstance(part.value, str | bytes))
        for part in _operands(node)
    )


def _operands(node: ast.AST) -> Iterator[ast.AST]:
    yield node
    if isinstance(node, ast.BinOp):
        yield from _operands(node.left)
        yield from _operands(node.right)


def _negate(node: ast.AST) -> ast.AST:
    assert isinstance(node, _CONDITIONS)
    test = node.test
    inner = test.operand if isinstance(test, ast.UnaryOp) and isinstance(test.op, ast.Not) else None
    node.test = inner if inner is not None else ast.UnaryOp(op=ast.Not(), operand=test)
    return node


def _reraise(node: ast.AST) -> ast.AST:
    assert isinstance(node, ast.ExceptHandler)
    node.body = [ast.Raise()]
    return node


def _set_op(index: int, op: type[ast.cmpop]) -> Change:
    def change(node: ast.AST) -> ast.AST:
        assert isinstance(node, ast.Compare)
        node.ops[index] = op()
        return node

    return change


def _set_binary(node: ast.AST) -> ast.AST:
    assert isinstance(node, ast.BinOp | ast.AugAssign)
    node.op = _BINARY[type(node.op)]()
    return node


def _swap_bool(node: ast.AST) -> ast.AST:
    assert isinstance(node, ast.BoolOp)
    node.op = ast.Or() if isinstance(node.op, ast.And) else ast.And()
    return node


def _swap_call(node: ast.AST) -> ast.AST:
    assert isinstance(node, ast.Call)
    assert isinstance(node.func, ast.Name)
    node.func.id = _CALLS[node.func.id]
    return node


def _drop(index: int) -> Change:
    def change(node: ast.AST) -> ast.AST:
        assert isinstance(node, ast.BoolOp)
        del node.values[index]
        return node.values[0] if len(node.values) == 1 else node

    return change
