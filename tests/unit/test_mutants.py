"""The mistakes that `make mutants` makes, where it makes them, and what it takes for noticed."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks.mutants import plan
from benchmarks.mutants.mutations import mutants

SOURCE = '''
"""A module."""
from __future__ import annotations
LIMIT: Final = 3
Both = A | B

class Place(IntEnum):
    HERE = 1

class Counter:
    def __init__(self, count: int = 0) -> None:
        self.count = count

    def add(self, more: int | None) -> bool:
        """Add."""
        if more is None or more < 0 and self.open:
            return False
        self.count += more
        log.info("added", more=more + 1)
        try:
            self.write(f"{more + 1}")
        except OSError as error:
            raise DataError(f"not {more + 1}") from error
        while True:
            return max(more, 1) > 2
'''


def test_each_mistake_is_one_small_change_of_what_runs() -> None:
    made = {one.key for one in mutants("m.py", SOURCE)}
    test = "if more is None or (more < 0 and self.open): => if"
    handler = "except OSError as error:"
    assert made == {
        f"m.py:{key}"
        for key in (
            "module: LIMIT: Final = 3 => LIMIT: Final = 4",
            "Counter.__init__: def __init__(self, count: int=0) -> None: => def __init__(self, count: int=1) -> None:",
            f"Counter.add: {test} not (more is None or (more < 0 and self.open)):",
            f"Counter.add: {test} more is None and (more < 0 and self.open):",
            f"Counter.add: {test} more < 0 and self.open:",
            f"Counter.add: {test} more is None:",
            f"Counter.add: {test} more is not None or (more < 0 and self.open):",
            f"Counter.add: {test} more is None or (more < 0 or self.open):",
            f"Counter.add: {test} more is None or self.open:",
            f"Counter.add: {test} more is None or more < 0:",
            f"Counter.add: {test} more is None or (more <= 0 and self.open):",
            f"Counter.add: {test} more is None or (more < 1 and self.open):",
            "Counter.add: return False => pass",
            "Counter.add: return False => return True",
            "Counter.add: self.count += more => pass",
            "Counter.add: self.count += more => self.count -= more",
            "Counter.add: self.write(f'{more + 1}') => pass",
            f"Counter.add: {handler} raise DataError(f'not {{more + 1}}') from error => {handler} raise",
            "Counter.add: raise DataError(f'not {more + 1}') from error => pass",
            "Counter.add: while True: => while False:",
            "Counter.add: return max(more, 1) > 2 => pass",
            "Counter.add: return max(more, 1) > 2 => return max(more, 1) >= 2",
            "Counter.add: return max(more, 1) > 2 => return min(more, 1) > 2",
            "Counter.add: return max(more, 1) > 2 => return max(more, 2) > 2",
            "Counter.add: return max(more, 1) > 2 => return max(more, 1) > 3",
        )
    }


def test_a_mutant_differs_from_its_module_in_the_one_place_that_its_name_tells() -> None:
    before = ast.unparse(ast.parse(SOURCE))
    after = [ast.unparse(one.tree()) for one in mutants("m.py", SOURCE)]
    assert before not in after
    assert len(set(after)) == len(after)


def test_every_module_of_the_plan_is_there_with_its_tests_and_every_survivor_has_a_reason() -> None:
    modules = {module.path: module for module in plan.modules()}
    assert len(modules) > 40
    assert sum(len(plan.sample(module)) for module in modules.values()) >= 300
    for survivor in plan.survivors().values():
        assert survivor.mutant.partition(":")[0] in modules, survivor.mutant


TRIAL = """
import ast, sys
from pathlib import Path
from benchmarks.mutants.plan import ROOT, Module
from benchmarks.mutants.trial import Trials
folder, change, limit = Path(sys.argv[1]), sys.argv[2], float(sys.argv[3])
module = Module("agent/errors.py", (str(folder / "test_promise.py"),))
source = (ROOT / module.path).read_text()
tree = ast.parse(source.replace("self.code = code", change)) if change else None
print(Trials(folder / "work").run(module, tree, limit).status)
assert (ROOT / module.path).read_text() == source
"""


@pytest.mark.parametrize(
    ("test", "change", "status"),
    [
        ("assert RefusedError(404, '').code == 404", "", "survived"),
        ("assert RefusedError(404, '').code == 404", "self.code = code + 0", "survived"),
        ("assert RefusedError(404, '').code == 404", "self.code = code + 1", "killed"),
        ("while True: pass", "self.code = code", "timeout"),
        ("assert False", "", "error"),
    ],
)
def test_a_trial_imports_the_module_with_the_mistake_in_it_and_says_what_the_tests_made_of_it(
    tmp_path: Path, test: str, change: str, status: str
) -> None:
    lines = f"from agent.errors import RefusedError\ndef test_it():\n    {test}\n"
    (tmp_path / "test_promise.py").write_text(lines)
    limit = "2" if status == "timeout" else "60"
    done = subprocess.run(
        [sys.executable, "-c", TRIAL, tmp_path, change, limit],
        cwd=plan.ROOT,
        capture_output=True,
        text=True,
        timeout=100,
        check=True,
    )
    assert done.stdout.strip() == status
