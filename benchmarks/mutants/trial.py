"""One trial: the tests of a module in a forked process in which the module is imported with a mistake in it.

The files stay as they are: the mistake is made where the module is imported. The parent has imported all that is not
ours, so that a trial costs the tests and little else.
"""

from __future__ import annotations

import ast
import contextlib
import importlib
import importlib.abc
import importlib.machinery
import math
import os
import resource
import select
import shutil
import signal
import sys
import tempfile
import time
import traceback
import types
from collections.abc import Sequence
from pathlib import Path
from typing import NoReturn

import msgspec

from benchmarks.mutants.plan import ROOT, Module

OURS = {"agent", "drivers", "tests", "conftest", "benchmarks", "examples", "printer_agent_example_driver"}

WAITING = 4.0
"""A trial may take so many times its limit of CPU time, on a machine with other work or in a test that waits."""
MEMORY = Path("/dev/shm")
"""Where the databases of the tests wait for no disk."""


class Outcome(msgspec.Struct, frozen=True):
    """`killed` (by the test `by`), `survived`, `timeout`, or `error` when pytest could not even collect."""

    status: str
    seconds: float
    by: str = ""
    cpu_s: float = 0.0


class Trials:
    """Runs trials, one at a time. Each has a folder of its own under `work`."""

    def __init__(self, work: Path) -> None:
        self._work = work
        self.output = ""  # the last trial's, for who asks why
        self._work.mkdir(parents=True, exist_ok=True)

    def preload(self, module: Module, within: float) -> Outcome:
        """Import here what the tests of a module import, except what is ours; how they went."""
        listing = self._work / "imported"
        outcome = self.run(module, None, 300, within=within, listing=listing)
        if not listing.exists():
            return outcome
        for name in listing.read_text().split():
            if name.split(".")[0] not in OURS:
                with contextlib.suppress(ImportError):
                    importlib.import_module(name)
        listing.unlink()
        return outcome

    def run(
        self,
        module: Module,
        tree: ast.Module | None,
        limit_s: float,
        *,
        within: float = math.inf,
        tests: Sequence[str] = (),
        listing: Path | None = None,
    ) -> Outcome:
        """Run the tests (the module's unless given) up to the first failure; without a `tree` the module as it is.

        `limit_s` are seconds of CPU time; the clock may go on for WAITING times as long, and `within` at most."""
        folder = Path(tempfile.mkdtemp(prefix="m-", dir=MEMORY if MEMORY.is_dir() else None))
        report = folder / "report"
        began = time.monotonic()
        pid = os.fork()
        if pid == 0:
            _child(module, tree, list(tests or module.tests), folder, listing, limit_s)
        try:
            code, cpu_s = _wait(pid, began + min(limit_s * WAITING, within))
            seconds = round(time.monotonic() - began, 2)
            by = report.read_text() if report.exists() else ""
            self.output = (folder / "output").read_text(errors="replace")[-4000:]
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(pid, signal.SIGKILL)
            shutil.rmtree(folder, ignore_errors=True)
        if code is None:
            return Outcome("timeout", seconds, cpu_s=cpu_s)
        if code == 0:
            return Outcome("survived", seconds, cpu_s=cpu_s)
        # A mistake that breaks the import is a failure of collection, which is noticed, too.
        return Outcome("killed" if tree is not None else "error", seconds, by or f"exit {code}", cpu_s)


def _wait(pid: int, deadline: float) -> tuple[int | None, float]:
    """The exit code, None when the time was up; and the seconds of CPU that it took."""
    handle = os.pidfd_open(pid)
    try:
        ready, _, _ = select.select([handle], [], [], max(0.0, deadline - time.monotonic()))
        if not ready:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(pid, signal.SIGKILL)
                os.kill(pid, signal.SIGKILL)
        _, status, usage = os.wait4(pid, 0)
    finally:
        os.close(handle)
    code = os.waitstatus_to_exitcode(status)
    out_of_time = not ready or code in (-signal.SIGXCPU, -signal.SIGKILL)
    return None if out_of_time else code, usage.ru_utime + usage.ru_stime


def _child(
    module: Module, tree: ast.Module | None, tests: list[str], folder: Path, listing: Path | None, cpu_s: float
) -> NoReturn:
    code = 70
    try:
        os.setpgid(0, 0)
        resource.setrlimit(resource.RLIMIT_CPU, (math.ceil(cpu_s), math.ceil(cpu_s) + 1))
        output = os.open(folder / "output", os.O_WRONLY | os.O_CREAT)
        os.dup2(output, 1)
        os.dup2(output, 2)
        os.chdir(ROOT)
        os.environ["HYPOTHESIS_STORAGE_DIRECTORY"] = str(folder / "hypothesis")
        if tree is not None:
            sys.meta_path.insert(0, _Finder(module, tree))
        code = _pytest(module, tests, folder)
        if listing is not None:
            listing.write_text("\n".join(sys.modules))
    except BaseException:  # noqa: BLE001 - the parent reads it in the output
        traceback.print_exc()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


def _pytest(module: Module, tests: list[str], folder: Path) -> int:
    import hypothesis
    import pytest

    class Report:
        """Writes down the first test that fails."""

        def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
            if report.failed and not (folder / "report").exists():
                (folder / "report").write_text(report.nodeid)

    # The same examples each time, and no search for a smaller one.
    phases = (hypothesis.Phase.explicit, hypothesis.Phase.generate)
    hypothesis.settings.register_profile("mutants", derandomize=True, phases=phases, database=None)
    hypothesis.settings.load_profile("mutants")
    arguments = ["-q", "-x", "-p", "no:cacheprovider", "-p", "no:xdist", f"--basetemp={folder / 'tmp'}"]
    arguments += ["-W", "ignore::pytest.PytestAssertRewriteWarning"]  # of what the parent has imported
    if module.select:
        arguments += ["-k", module.select]
    return int(pytest.main([*arguments, *tests], plugins=[Report()]))


class _Finder(importlib.abc.MetaPathFinder):
    """Finds the one module, with the mistake in it."""

    def __init__(self, module: Module, tree: ast.Module) -> None:
        self._module, self._tree = module, tree

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: types.ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        """The specification of the module, None for all others."""
        if fullname != self._module.name:
            return None
        file = str(ROOT / self._module.path)
        return importlib.machinery.ModuleSpec(fullname, _Loader(fullname, file, self._tree), origin=file)


class _Loader(importlib.machinery.SourceFileLoader):
    def __init__(self, fullname: str, path: str, tree: ast.Module) -> None:
        super().__init__(fullname, path)
        self._mutated = tree

    def get_code(self, fullname: str) -> types.CodeType:
        """The mutated module's, never a cached one."""
        return compile(self._mutated, self.path, "exec", dont_inherit=True)
