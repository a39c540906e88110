"""Running cases: one stage for a group, one print for a case, an attack on a thread, control meanwhile, the figures."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import msgspec

from agent.errors import AgentError
from benchmarks.hostile.case import Case, Control, Figures
from benchmarks.hostile.prints import long_print, short_print
from benchmarks.hostile.stage import Behind, Prepare, Stage, answers, stage

WARM_UP = 30.0  # seconds at most until an attack says that it is under way
ATTACK_MAY_TAKE = 150.0  # seconds


class Group(msgspec.Struct, frozen=True):
    """Cases that share one agent. `missing` says why they cannot run on this machine; empty when they can."""

    name: str
    cases: tuple[Case, ...]
    prepare: Prepare | None = None
    behind: Behind | None = None
    missing: Callable[[], str] | None = None


class Selection(msgspec.Struct, frozen=True):
    """Which cases run: those of these groups and names (none: all)."""

    names: frozenset[str] = frozenset()

    def of(self, group: Group) -> list[Case]:
        """The group's cases that are chosen."""
        return [one for one in group.cases if not self.names or {group.name, one.name} & self.names]


class Summary(msgspec.Struct):
    """All figures, by case, and what was broken."""

    figures: dict[str, Figures] = msgspec.field(default_factory=dict)
    broken: dict[str, str] = msgspec.field(default_factory=dict)
    left_out: list[str] = msgspec.field(default_factory=list)
    seconds: float = 0.0

    def text(self, load: float) -> str:
        """The worst of all."""
        found = list(self.figures.values())
        cancels = [one.cancel_s for one in found if one.cancel_s is not None]
        pauses = [one.pause_s for one in found if one.pause_s is not None]
        worst = [
            f"{len(found)} cases, {len(self.broken)} broken, {len(self.left_out)} left out",
            f"peak {max((one.peak_mb for one in found), default=0):.1f} MB",
            f"cancel {max(cancels, default=0):.2f} s at most of {len(cancels)}",
            f"pause {max(pauses, default=0):.2f} s at most of {len(pauses)}",
            f"state {max((one.state_mb for one in found), default=0):.1f} MB",
            f"log {max((one.log_mb_a_minute for one in found), default=0):.2f} MB/min",
            f"{sum(one.lines for one in found)} lines compared",
            f"{self.seconds:.0f} s, load {load:.1f}",
        ]
        lines = [f"broken: {name}: {why}" for name, why in self.broken.items()]
        return "\n".join([*lines, *(f"left out: {why}" for why in self.left_out), ", ".join(worst)])


def run_groups(groups: Sequence[Group], selection: Selection, folder: Path, say: Callable[[str], None]) -> Summary:
    """Run what is selected; never raises for a broken case."""
    summary = Summary()
    began = time.monotonic()
    for group in groups:
        cases = selection.of(group)
        missing = group.missing() if cases and group.missing is not None else ""
        if missing:
            summary.left_out.append(f"{group.name}: {missing}")
        elif cases:
            _Runner(group, folder / group.name, summary, say).run(cases)
    summary.seconds = time.monotonic() - began
    return summary


class _Runner:
    """Runs the cases of one group; a stage that a case has broken gets a successor."""

    def __init__(self, group: Group, folder: Path, summary: Summary, say: Callable[[str], None]) -> None:
        self._group, self._folder = group, folder
        self._summary, self._say = summary, say
        self._stages = 0

    def run(self, cases: list[Case]) -> None:
        """All of them, in order."""
        waiting = list(cases)
        while waiting:
            self._stages += 1
            try:
                with stage(
                    self._folder / str(self._stages), prepare=self._group.prepare, behind=self._group.behind
                ) as made:
                    while waiting and self._case(made, waiting.pop(0)):
                        pass
            except (AgentError, OSError, AssertionError) as error:
                if not waiting:
                    return
                self._fail(waiting.pop(0), f"not measured: {error}")

    def _case(self, made: Stage, case: Case) -> bool:
        """One case; whether the stage serves another."""
        began = time.monotonic()
        figures = Figures()
        try:
            measure(made, case, figures)
        except (AgentError, OSError, AssertionError, LookupError, ValueError) as error:
            figures.seconds = time.monotonic() - began
            self._fail(case, f"{type(error).__name__}: {error}", figures)
            return False
        figures.seconds = time.monotonic() - began
        self._summary.figures[case.name] = figures
        if broken := figures.broken():
            self._fail(case, "; ".join(broken), figures)
        else:
            self._say(f"{case.name}: {figures.text()}")
        try:
            made.settle()
        except (AgentError, OSError, AssertionError):
            return False  # a server that said «go away» is obeyed for a while
        return answers(made)

    def _fail(self, case: Case, why: str, figures: Figures | None = None) -> None:
        self._summary.broken[case.name] = why.splitlines()[0][:300]
        if figures is not None:
            self._summary.figures[case.name] = figures
        self._say(f"{case.name}: BROKEN: {why[:600]}{f' ({figures.text()})' if figures is not None else ''}")


def measure(made: Stage, case: Case, figures: Figures) -> None:
    """One print under one attack. Raises AssertionError for a lost line or an expectation that does not hold."""
    made.memory.reset_peak()
    log_at, began = len(made.rig.log()), time.monotonic()
    made.told.clear()
    lines = short_print() if case.control is Control.WHOLE else long_print()
    if case.control is not Control.OWN:
        made.print(lines)
    with _attack(made, case):
        if case.control is not Control.OWN:
            _control(made, case, figures)
            figures.lines = made.compare(lines, whole=case.control is Control.WHOLE)
    for look in made.told:
        look()
    if "cancel_s" in made.config:  # of a case that cancelled by itself
        figures.cancel_s = made.config.pop("cancel_s")
    minutes = max((time.monotonic() - began) / 60, 1.0)
    figures.peak_mb = made.memory.peak()
    figures.state_mb = made.state_mb()
    figures.log_mb_a_minute = (len(made.rig.log()) - log_at) / (1 << 20) / minutes


def _control(made: Stage, case: Case, figures: Figures) -> None:
    """What the person does meanwhile."""
    if case.control is Control.PAUSE:
        figures.pause_s = made.act("pause")
        made.status_is("paused", within=20.0)
        made.command("resume")
        made.status_is("printing", within=20.0)
    if case.control is Control.WHOLE:
        state, message = made.local_end()
        assert state == "completed", f"the print ended: {state} {message}"
        return
    figures.cancel_s = made.act("cancel", locally=case.control is Control.CANCEL_LOCALLY)
    state, message = made.local_end()
    assert state == "completed", f"the print ended: {state} {message}"


@contextmanager
def _attack(made: Stage, case: Case) -> Iterator[None]:
    """The attack on its thread; it has an end when the body has."""
    made.under_way.clear()
    made.ends.clear()
    errors: list[BaseException] = []

    def attack() -> None:
        try:
            case.attack(made)
        except BaseException as error:  # noqa: BLE001 raised below
            errors.append(error)
        finally:
            made.under_way.set()

    thread = threading.Thread(target=attack, name="attacker", daemon=True)
    thread.start()
    try:
        if case.control is Control.OWN:
            thread.join(ATTACK_MAY_TAKE)
        else:
            made.under_way.wait(ATTACK_MAY_TAKE if case.long else WARM_UP)
        if errors:
            raise errors[0]
        yield
    finally:
        made.ends.set()
        made.front.relent()
        made.cable.relent()
        thread.join(ATTACK_MAY_TAKE)
    if errors:
        raise errors[0]
    assert not thread.is_alive(), "the attack did not end"
