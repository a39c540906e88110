"""Temperature curves for the heat monitor: healthy ones that must raise no alarm, and failures at each phase, each of
which must raise the right one within the time that its rule promises.

    python -m benchmarks.room_curves            one line of figures; exit code 1 with the curves that are wrong
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

from benchmarks.healthy_curves import healthy
from benchmarks.thermal_model import SIZES, Fault, Printer, Reports, Run, Size, aim, fail
from drivers.gcode.printing.heat_monitor import HeatMonitor
from drivers.gcode.printing.heat_rules import RULE_OF, AlarmKind
from drivers.gcode.printing.heater_watch import Alarm
from drivers.gcode.protocol.replies import readings_in
from drivers.settings import WatchSettings

_K = AlarmKind


@dataclass(frozen=True, slots=True)
class Curve:
    """A run with what it must come to: no alarm, or one of `kinds` of `heater` not before `fault_at` and in time."""

    name: str
    run: Callable[[], Run]
    heater: str = ""
    kinds: tuple[AlarmKind, ...] = ()
    fault_at: float = 0.0


@dataclass(frozen=True, slots=True)
class Verdict:
    """What came of a curve; `wrong` is empty when it is as it must be. `took` is in seconds from the fault."""

    curve: Curve
    alarm: Alarm | None
    took: float = 0.0
    share: float = 0.0  # of the promised time
    wrong: str = ""


def main(settings: WatchSettings | None = None) -> int:
    """Run all curves, print the figures; 0 if none is wrong."""
    verdicts = [judge(curve, settings or WatchSettings()) for curve in curves()]
    wrong = [verdict for verdict in verdicts if verdict.wrong]
    for verdict in wrong:
        sys.stderr.write(f"{verdict.curve.name}: {verdict.wrong}\n")
    sound = [verdict for verdict in verdicts if not verdict.curve.kinds]
    failing = [verdict for verdict in verdicts if verdict.curve.kinds]
    sys.stdout.write(
        f"curves: {len(verdicts)} ({len(sound)} healthy, {len(failing)} failing), {len(wrong)} wrong; "
        f"the latest alarm after {max(verdict.share for verdict in failing):.0%} of the time that is promised\n"
    )
    return 1 if wrong else 0


def curves() -> Iterator[Curve]:
    """All curves."""
    for name, run in healthy():
        yield Curve(name, run)
    for size in SIZES:
        yield from _failing(size)


def judge(curve: Curve, settings: WatchSettings) -> Verdict:
    """Run one curve up to its first alarm."""
    run = curve.run()
    monitor = HeatMonitor(settings)
    for at, text in run.lines():
        partly = any(begin <= at < end for begin, end, _name in run.reports.only)
        alarm = monitor.report(at, readings_in(text), complete=not partly) or monitor.tick(at, busy=partly)
        if alarm is not None:
            return _verdict(curve, alarm, at)
    if not curve.kinds:
        return Verdict(curve, None)
    return Verdict(curve, None, wrong=f"no alarm in {run.seconds - curve.fault_at:.0f} s after the fault")


def _verdict(curve: Curve, alarm: Alarm, at: float) -> Verdict:
    if not curve.kinds:
        return Verdict(curve, alarm, wrong=f"false alarm at {at:.0f} s: {alarm.text}")
    took = at - curve.fault_at
    promised = RULE_OF[alarm.kind].promised_s(alarm.heater)
    wrong = ""
    if took < 0:
        wrong = f"false alarm {-took:.0f} s before the fault: {alarm.text}"
    elif alarm.heater != curve.heater or alarm.kind not in curve.kinds:
        wrong = f"another alarm, {alarm.kind}: {alarm.text}; expected {', '.join(curve.kinds)} of {curve.heater}"
    elif took > promised:
        wrong = f"{alarm.kind} after {took:.0f} s, promised are {promised} s"
    return Verdict(curve, alarm, took, took / promised, wrong)


_BROKEN: dict[str, tuple[tuple[Fault, float, tuple[AlarmKind, ...]], ...]] = {
    "heating": (
        (Fault.DEAD, 0.0, (_K.NO_RISE,)),
        (Fault.DEAD, 0.1, (_K.NO_RISE,)),
        (Fault.FALLEN, 5.0, (_K.NO_RISE, _K.JUMP)),
        (Fault.FALLEN, 30.0, (_K.NO_RISE, _K.JUMP)),
        (Fault.STUCK, 0.0, (_K.ABOVE_TARGET, _K.OVER_LIMIT)),
        (Fault.READS, -14.0, (_K.JUMP, _K.NO_RISE)),
        (Fault.READS, 0.0, (_K.JUMP, _K.NO_RISE)),
        (Fault.READS, 999.0, (_K.JUMP, _K.OVER_LIMIT)),
        (Fault.LOOSE, 0.6, (_K.JUMP,)),
        (Fault.NAN, 0.0, (_K.SILENT,)),
        (Fault.MISSING, 0.0, (_K.SILENT,)),
    ),
    "holding": (
        (Fault.DEAD, 0.0, (_K.FALLING,)),
        (Fault.DEAD, 0.2, (_K.FALLING,)),
        (Fault.FALLEN, 2.0, (_K.JUMP, _K.FALLING)),
        (Fault.FALLEN, 10.0, (_K.JUMP, _K.FALLING)),
        (Fault.FALLEN, 60.0, (_K.FALLING,)),
        (Fault.STUCK, 0.0, (_K.ABOVE_TARGET, _K.OVER_LIMIT)),
        (Fault.READS, -14.0, (_K.JUMP,)),
        (Fault.READS, 0.0, (_K.JUMP,)),
        (Fault.READS, 999.0, (_K.JUMP, _K.OVER_LIMIT)),
        (Fault.OFFSET, -70.0, (_K.JUMP, _K.FALLING)),
        (Fault.OFFSET, 60.0, (_K.JUMP, _K.ABOVE_TARGET)),
        (Fault.LOOSE, 0.5, (_K.JUMP,)),
        (Fault.NAN, 0.0, (_K.SILENT,)),
        (Fault.MISSING, 0.0, (_K.SILENT,)),
    ),
    "cooling": (
        (Fault.STUCK, 0.0, (_K.ABOVE_TARGET, _K.OVER_LIMIT)),
        (Fault.READS, -14.0, (_K.JUMP,)),
        (Fault.READS, 999.0, (_K.JUMP, _K.OVER_LIMIT)),
        (Fault.NAN, 0.0, (_K.SILENT,)),
        (Fault.MISSING, 0.0, (_K.SILENT,)),
    ),
    "off": (
        (Fault.STUCK, 0.0, (_K.RISING_OFF, _K.OVER_LIMIT)),
        (Fault.READS, 450.0, (_K.RISING_OFF, _K.OVER_LIMIT)),
    ),
    "off, hot": ((Fault.STUCK, 0.0, (_K.RISING_OFF, _K.OVER_LIMIT)),),
}


def _failing(size: Size) -> Iterator[Curve]:
    """Each failure at each phase of tool and bed; the report's interval and its form change from one to the next."""
    number = 0
    for heater in ("tool0", "bed"):
        for phase, faults in _BROKEN.items():
            for fault, amount, kinds in faults:
                for reports in (_FORMS[number % len(_FORMS)], _FORMS[(number + 3) % len(_FORMS)]):
                    number += 1
                    yield _broken(size, heater, phase, fault, amount, kinds, replace(reports), number)
    if size.chamber is not None:
        for fault, phase, kind in (
            (Fault.DEAD, "heating", _K.NO_RISE),
            (Fault.READS, "holding", _K.JUMP),
            (Fault.MISSING, "holding", _K.SILENT),
        ):
            yield _broken(
                size, "chamber", phase, fault, -14.0 if fault is Fault.READS else 0.0, (kind,), Reports(), number
            )


_FORMS = (
    Reports(every=2.0),
    Reports(every=5.0, jitter=0.1),
    Reports(every=0.5, noise=0.5),
    Reports(every=1.0, digits=1, tells_power=False),
    Reports(every=2.0, digits=0, noise=0.3),
    Reports(every=4.0, garbled=0.02),
)


def _broken(
    size: Size,
    heater: str,
    phase: str,
    fault: Fault,
    amount: float,
    kinds: tuple[AlarmKind, ...],
    reports: Reports,
    seed: int,
) -> Curve:
    tool, bed = 210.0, 60.0 if size.name == "small" else 90.0
    chamber = 45.0
    warm = {"small": 400.0, "standard": 500.0, "large": 1500.0}[size.name]
    lower = {"tool0": 150.0, "bed": 40.0}.get(heater, chamber)
    heats_s = {"tool0": 40.0, "bed": warm / 6, "chamber": 300.0}[heater]
    fault_at = {"heating": heats_s, "off": 60.0}.get(phase, warm if heater != "chamber" else 6000.0)
    events = [(0.0, aim("tool0", tool)), (0.0, aim("bed", bed)), (0.0, aim("chamber", chamber))]
    if size.chamber is None:
        events.pop()
    if heater == "chamber" and fault is Fault.DEAD:
        del events[1]  # nothing else warms it
    if phase == "off":
        events = []
    elif phase == "off, hot":
        events.append((fault_at - 20.0, aim(heater, 0.0)))
        if heater == "bed":
            events.append((0.0, aim("tool0", 0.0)))
        else:
            events.append((0.0, aim("bed", 0.0)))
    elif phase == "cooling":
        events.append((fault_at - 6.0, aim(heater, lower)))
    events.append((fault_at, fail(heater, fault, amount)))

    def run() -> Run:
        printer = Printer(size, chamber_heats=True)
        return Run(printer, fault_at + 2500.0, events, reports, seed)

    return Curve(
        f"{size.name}, {heater}, {phase}: {fault} {amount:g}, each {reports.every} s", run, heater, kinds, fault_at
    )


if __name__ == "__main__":
    sys.exit(main())
