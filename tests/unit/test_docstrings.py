"""Each public module, class and function has a docstring: the words that a stranger searches for. A test's name is a
sentence already."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[2]
Definition = ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef


def public(tree: ast.Module | ast.ClassDef, within: str = "") -> Iterator[tuple[str, Definition]]:
    """Name and definition of what others may use; not what is within a function."""
    for node in tree.body:
        if isinstance(node, Definition) and not node.name.startswith(("_", "test_")):
            name = f"{within}{node.name}"
            yield name, node
            if isinstance(node, ast.ClassDef):
                yield from public(node, f"{name}.")


def is_another_form(node: Definition) -> bool:
    """Whether it is described elsewhere: an overload, a property's setter, a protocol's attribute as a property."""
    names = {ast.unparse(one).rpartition(".")[2] for one in node.decorator_list}
    stub = ast.unparse(node.body[-1]) == "..."
    return bool(names & {"overload", "setter"}) or ("property" in names and stub)


def missing(source: str) -> list[str]:
    tree = ast.parse(source)
    found = [] if ast.get_docstring(tree) else ["the module"]
    return found + [
        name for name, node in public(tree) if not is_another_form(node) and not (ast.get_docstring(node) or "").strip()
    ]


def test_what_is_public_has_a_docstring() -> None:
    found = {
        str(path.relative_to(ROOT)): names
        for top in ("agent", "drivers", "examples")
        for path in sorted((ROOT / top).rglob("*.py"))
        if "tests" not in path.parts and (names := missing(path.read_text(encoding="utf-8")))
    }
    assert found == {}


def test_what_has_none_is_found() -> None:
    source = '"""M."""\nclass A:\n    """A."""\n    def f(self): pass\n    def _g(self): pass\ndef h(): pass\n'
    assert missing(source) == ["A.f", "h"]
    assert missing("x = 1") == ["the module"]
