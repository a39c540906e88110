"""Dependencies between the rooms go one way, and no modules import each other in a circle."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
OURS = ("agent", "drivers")
FACE = ("drivers.gcode.requests", "drivers.gcode.slot", "drivers.gcode.timing", "drivers.settings")
PLAIN = ("agent.core", "agent.errors", "agent.__version__")

# What a room may import of ours, beside itself. The longest key that fits a module decides; a new room needs a row.
ROOMS: dict[str, tuple[str, ...]] = {
    "agent": (),
    "agent.errors": (),
    "agent.core": (),
    "agent.gcode": PLAIN,
    "agent.faye": (),
    "agent.state": PLAIN,
    "agent.service": PLAIN,
    "agent.http": (*PLAIN, "agent.service.config"),
    "agent.server": (*PLAIN, "agent.faye", "agent.http", "agent.service", "agent.state"),
    "agent.files": (*PLAIN, "agent.gcode", "agent.http", "agent.server", "agent.service", "agent.state"),
    "agent.runner": (
        *PLAIN,
        "agent.files",
        "agent.gcode",
        "agent.http",
        "agent.server",
        "agent.service",
        "agent.state",
    ),
    "agent.local": (*PLAIN, "agent.files", "agent.server", "agent.service", "agent.state"),
    "agent.sandbox": PLAIN,
    "agent.dryrun": (*PLAIN, "agent.gcode", "agent.local", "agent.sandbox"),
    "agent.testing": (*PLAIN, "agent.service.system_clock"),
    "agent.app": OURS,
    "agent.commands": OURS,
    "agent.wiring": OURS,
    "agent.cli": ("agent.core.printable", "agent.errors", "agent.commands", "agent.__version__"),
    "drivers": (*PLAIN, "drivers.settings"),
    "drivers.settings": PLAIN,
    "drivers.gcode": (*PLAIN, "agent.gcode", "drivers"),
    "drivers.gcode.protocol": (*PLAIN, "agent.gcode", *FACE),
    "drivers.gcode.printing": (*PLAIN, "agent.gcode", "drivers.gcode.protocol", *FACE),
    "drivers.gcode.session": (
        *PLAIN,
        "agent.gcode",
        "drivers.gcode.printing",
        "drivers.gcode.protocol",
        *FACE,
    ),
    "drivers.gcode.link": (
        *PLAIN,
        "agent.gcode",
        "drivers.gcode.printing",
        "drivers.gcode.protocol",
        "drivers.gcode.session",
        *FACE,
    ),
    "drivers.simulated": PLAIN,  # what tests judge by shares no code with what they test, but where it runs that:
    "drivers.simulated.driver": (*PLAIN, "drivers.gcode", "drivers.settings", "drivers.simulated"),
    "drivers.simulated.replay": (*PLAIN, "agent.gcode", "drivers.gcode", "drivers.simulated"),
}
PURE = ("agent.core", "agent.gcode", "drivers.gcode.protocol", "drivers.gcode.printing")
IMPURE_STDLIB = ("threading", "socket", "time", "sqlite3", "subprocess", "pathlib", "os", "requests", "select")
STORE = frozenset(
    {
        "agent.state.store.Store",
        "agent.state.checkpoint.Checkpoints",
        "agent.state.database.Database",
        "agent.state.outbox.Outbox",
        "agent.state.settings_table.SettingsTable",
        "agent.state.task_table.TaskTable",
    }
)
DOORS = {
    "agent.runner.runner_store": frozenset({"agent.state.store.Store"}),
    "agent.runner.report_writer": frozenset({"agent.state.task_table.TaskTable"}),  # made by the door
}
READS_FILES = ("agent.gcode.source",)  # the n-th line of a file on disk


def modules() -> dict[str, Path]:
    found = {}
    for package in OURS:
        for path in sorted((ROOT / package).rglob("*.py")):
            parts = path.relative_to(ROOT).with_suffix("").parts
            found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return found


MODULES = modules()


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


def module_of(imported: str) -> str:
    return max((name for name in MODULES if within(imported, name)), key=len)


def arrows() -> dict[str, set[str]]:
    """Module → the modules that it imports; a package's `__init__` counts as a module of its own."""
    return {
        name: {module_of(each) for each in imports(name, path) if any(within(each, ours) for ours in OURS)} - {name}
        for name, path in MODULES.items()
    }


def circles(graph: dict[str, set[str]]) -> list[frozenset[str]]:
    """The strongly connected groups of more than one module (Tarjan)."""
    index: dict[str, int] = {}
    low: dict[str, int] = {}
    stack: list[str] = []
    found: list[frozenset[str]] = []

    def visit(name: str) -> None:
        index[name] = low[name] = len(index)
        stack.append(name)
        for other in sorted(graph[name]):
            if other not in index:
                visit(other)
                low[name] = min(low[name], low[other])
            elif other in stack:
                low[name] = min(low[name], index[other])
        if low[name] == index[name]:
            group = frozenset(stack[stack.index(name) :])
            del stack[stack.index(name) :]
            if len(group) > 1:
                found.append(group)

    for name in sorted(graph):
        if name not in index:
            visit(name)
    return found


@pytest.mark.parametrize("name", MODULES)
def test_a_module_imports_only_what_its_room_may(name: str) -> None:
    room = max((key for key in ROOMS if within(name, key)), key=len)
    may = (*ROOMS[room], *((room,) if room not in OURS else ()))
    for imported in imports(name, MODULES[name]):
        if any(within(imported, package) for package in OURS):
            assert any(within(imported, package) for package in may), f"{name} imports {imported}"


@pytest.mark.parametrize("name", [name for name in MODULES if within(name, "agent.runner")])
def test_the_runner_has_one_door_to_the_store(name: str) -> None:
    doors = {imported for imported in imports(name, MODULES[name]) if imported in STORE}
    assert doors <= DOORS.get(name, frozenset()), (
        f"{name} imports {sorted(doors)}; agent.runner.runner_store is the door"
    )


def test_no_modules_import_each_other_in_a_circle() -> None:
    assert [sorted(each) for each in circles(arrows())] == []


def test_a_circle_would_be_found() -> None:
    assert circles({"a": {"b"}, "b": {"c"}, "c": {"a"}, "d": {"a"}}) == [frozenset("abc")]


@pytest.mark.parametrize("name", [name for name in MODULES if any(within(name, pure) for pure in PURE)])
def test_a_pure_room_has_no_clock_thread_socket_or_file(name: str) -> None:
    if name not in READS_FILES:
        for imported in imports(name, MODULES[name]):
            assert not any(within(imported, package) for package in IMPURE_STDLIB), f"{name} imports {imported}"


HTTP_LIBRARIES = ("requests", "urllib3")
MAKES_SESSIONS = ("agent.http", "agent.faye", "agent.sandbox", "agent.dryrun")  # the last two are for loopback


@pytest.mark.parametrize("name", [name for name in MODULES if not any(within(name, room) for room in MAKES_SESSIONS)])
def test_http_sessions_are_made_in_one_place(name: str) -> None:
    makers = {"get", "post", "put", "request", "Session", "sessions", "adapters", "PoolManager", "HTTPSConnection"}
    for node in ast.walk(ast.parse(MODULES[name].read_text(encoding="utf-8"))):
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id in HTTP_LIBRARIES:
            assert node.attr not in makers, f"{name} uses {node.value.id}.{node.attr}"
    for imported in imports(name, MODULES[name]):
        assert not within(imported, "urllib.request"), f"{name} imports {imported}"
        if imported.partition(".")[0] in HTTP_LIBRARIES:
            assert imported.rpartition(".")[2] not in makers, f"{name} imports {imported}"


def test_every_room_has_a_row_and_every_row_a_room() -> None:
    rooms = {".".join(path.relative_to(ROOT).parts[:-1]) for path in MODULES.values()}
    assert rooms - set(ROOMS) == set()
    assert [row for row in ROOMS if row not in MODULES] == []


def test_only_the_composition_root_and_the_command_line_lie_beside_the_rooms() -> None:
    beside = {path.stem for path in (ROOT / "agent").glob("*.py")}
    assert beside == {"__init__", "app", "cli", "errors"}
    assert {path.stem for path in (ROOT / "drivers/gcode").glob("*.py")} == {
        "__init__",
        "driver",
        "requests",
        "slot",
        "timing",
    }
