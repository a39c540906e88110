"""Where what tests share may be: in tests/rigs/ and tests/support/, never in a module of tests."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[2]
RIGS = ("agent", "cloud", "driver", "heat", "local", "page", "runner", "server", "session")


def imports(path: Path) -> Iterator[str]:
    """The modules that a file imports, wherever in it; of `from a import b` also `a.b`, which may be one."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}:{node.lineno}: a relative import"
            yield node.module or ""
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def sources(*folders: str) -> list[Path]:
    return [path for folder in folders for path in sorted((ROOT / folder).rglob("*.py"))]


def test_no_module_imports_from_a_module_of_tests() -> None:
    modules = {".".join(path.relative_to(ROOT).with_suffix("").parts) for path in sources("tests")}
    tests = {name for name in modules if name.rpartition(".")[2].startswith("test_")}
    found = [
        f"{path.relative_to(ROOT)}: {name}"
        for path in sources("tests", "benchmarks")
        for name in imports(path)
        if name in tests
    ]
    assert found == []


def test_rigs_and_support_are_used_by_tests_and_use_none() -> None:
    found = [
        f"{path.relative_to(ROOT)}: {name}"
        for path in sources("tests/rigs", "tests/support")
        for name in imports(path)
        if name.startswith(("tests.unit", "tests.integration"))
    ]
    assert found == []


def test_each_rig_says_what_is_real_in_it() -> None:
    paths = sources("tests/rigs")
    assert [path.stem for path in paths] == [f"{name}_rig" for name in RIGS]
    for path in paths:
        words = ast.get_docstring(ast.parse(path.read_text())) or ""
        assert "\nReal: " in words, path.name
