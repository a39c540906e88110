"""What `make mutants` reads: the modules with the tests that have to notice, and the survivors with their reasons."""

from __future__ import annotations

import hashlib
import tomllib
from pathlib import Path

import msgspec

from benchmarks.mutants.mutations import Mutant, mutants

ROOT = Path(__file__).parents[2]
HERE = Path(__file__).parent
SEED = 17
LEAST, MOST, EVERY = 6, 8, 6
"""A module's sample: one mutant of EVERY, but at least LEAST and at most MOST."""


class Module(msgspec.Struct, frozen=True):
    """A module to make mistakes in, and the files of tests that have to notice, in the order in which they run."""

    path: str
    tests: tuple[str, ...]
    select: str = ""

    @property
    def name(self) -> str:
        """As it is imported."""
        return self.path.removesuffix(".py").replace("/", ".")


class Survivor(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A mutant that no test notices: it changes nothing that can be seen, or noticing costs more than it is worth."""

    mutant: str
    kind: str
    reason: str


class _Group(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    modules: list[str]
    tests: list[str]
    select: str = ""


def modules() -> list[Module]:
    """The modules of modules.toml, each once. Raises ValueError where a pattern fits no file."""
    text = (HERE / "modules.toml").read_text()
    groups = msgspec.convert(tomllib.loads(text)["group"], list[_Group])
    found: dict[str, Module] = {}
    for group in groups:
        tests = tuple(dict.fromkeys(path for pattern in group.tests for path in _files(pattern)))
        if not tests:
            raise ValueError(f"modules.toml: no tests for {group.modules}")
        for pattern in group.modules:
            paths = _files(pattern)
            if not paths:
                raise ValueError(f"modules.toml: no file {pattern}")
            for path in paths:
                found.setdefault(path, Module(path, tests, group.select))
    return list(found.values())


def sample(module: Module, *, every: bool = False) -> list[Mutant]:
    """The seeded sample of a module's mutants, in the order of the source."""
    found = mutants(module.path, (ROOT / module.path).read_text())
    size = len(found) if every else max(LEAST, min(MOST, len(found) // EVERY))
    return sorted(sorted(found, key=lambda one: one.order(SEED))[:size], key=lambda one: (one.line, one.key))


def survivors() -> dict[str, Survivor]:
    """The list of known survivors, by mutant. Raises msgspec.ValidationError and ValueError."""
    path = HERE / "survivors.toml"
    listed = msgspec.convert(tomllib.loads(path.read_text()).get("survivor", []), list[Survivor])
    for one in listed:
        if one.kind not in {"equivalent", "cost"} or not one.reason:
            raise ValueError(f"survivors.toml: kind is equivalent or cost, with a reason: {one.mutant}")
    return {one.mutant: one for one in listed}


def digest(*paths: str) -> str:
    """Of the contents of files."""
    total = hashlib.sha256()
    for path in paths:
        total.update(hashlib.sha256((ROOT / path).read_bytes()).digest())
    return total.hexdigest()


def _files(pattern: str) -> list[str]:
    return [str(path.relative_to(ROOT)) for path in sorted(ROOT.glob(pattern)) if path.stem != "__init__"]
