"""Dependencies go one way (ARCHITECTURE.md): core imports nothing of ours, drivers know nothing of the cloud."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
OURS = ("agent", "drivers")

# What a module whose name starts with the key may import of ours. The longest key that fits decides.
MAY = {
    "agent.core": ("agent.core",),
    "agent.errors": (),
    "agent.faye": ("agent.faye",),
    "agent.gcode": ("agent.gcode", "agent.core", "agent.errors"),
    "agent.incoming": ("agent.errors", "agent.partial"),
    "agent.sandbox": ("agent.sandbox", "agent.core", "agent.errors"),
    "agent.config": ("agent.config_tables", "agent.errors"),
    "agent.config_tables": (),
    "agent.schema": ("agent.errors",),
    "agent.cli": ("agent.errors", "agent.commands", "agent.__version__"),
    "agent.app": OURS,
    "agent.commands": OURS,
    "drivers": ("drivers", "agent.core.ports", "agent.errors"),
    # Adapters: the core and each other, but no driver and nothing of the sandbox.
    "agent": ("agent",),
}
NOT_FROM_ADAPTERS = ("agent.sandbox", "agent.dryrun", "agent.app", "agent.commands", "agent.cli", "drivers")
MAY_USE_SANDBOX = ("agent.sandbox", "agent.dryrun", "agent.app", "agent.commands", "agent.cli", "drivers")
CORE_THIRD_PARTY = {"msgspec"}
PURE_STDLIB_ONLY = ("threading", "socket", "time", "sqlite3", "subprocess", "pathlib", "os", "requests", "select")


def modules() -> Iterator[tuple[str, Path]]:
    for package in OURS:
        for path in sorted((ROOT / package).rglob("*.py")):
            parts = path.relative_to(ROOT).with_suffix("").parts
            yield ".".join(parts[:-1] if parts[-1] == "__init__" else parts), path


def imports(name: str, path: Path) -> Iterator[str]:
    """Absolute names of what the module imports, also inside functions; type-checking imports count too."""
    is_package = path.name == "__init__.py"
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                parts = name.split(".") if is_package else name.split(".")[:-1]
                kept = parts[: len(parts) - node.level + 1]
                base = ".".join([*kept, *([base] if base else [])])
            yield from (f"{base}.{alias.name}" for alias in node.names)


def within(name: str, package: str) -> bool:
    return name == package or name.startswith(package + ".")


@pytest.mark.parametrize(("name", "path"), list(modules()), ids=lambda value: value if isinstance(value, str) else "")
def test_a_module_imports_only_what_its_layer_may(name: str, path: Path) -> None:
    layer = max((key for key in MAY if within(name, key)), key=len)
    for imported in imports(name, path):
        if not any(within(imported, package) for package in OURS):
            continue
        assert any(within(imported, package) for package in MAY[layer]), f"{name} imports {imported}"
        if not any(within(name, package) for package in MAY_USE_SANDBOX):
            assert not any(within(imported, package) for package in NOT_FROM_ADAPTERS), f"{name} imports {imported}"


@pytest.mark.parametrize(("name", "path"), [pair for pair in modules() if within(pair[0], "agent.core")])
def test_the_core_has_no_clock_thread_socket_or_file(name: str, path: Path) -> None:
    for imported in imports(name, path):
        assert not any(within(imported, package) for package in PURE_STDLIB_ONLY), f"{name} imports {imported}"


def test_every_layer_exists() -> None:
    names = {name for name, _ in modules()}
    assert all(any(within(name, key) for name in names) for key in MAY)
