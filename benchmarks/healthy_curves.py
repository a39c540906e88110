"""Healthy temperature curves: what printers do all day and no monitor may take for a fault."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace

from benchmarks.thermal_model import SIZES, Event, Printer, Reports, Run, Size, aim, blow, chill, idle

Maker = Callable[[Size], Run]

PLA, PETG, ABS = (210.0, 60.0), (240.0, 80.0), (250.0, 100.0)
_WARM = {"small": 450.0, "standard": 600.0, "large": 1800.0}


def healthy() -> Iterator[tuple[str, Callable[[], Run]]]:
    """All of them, by name; each call makes the run anew."""
    for size in SIZES:
        for name, make in _MAKERS.items():
            yield f"{size.name}, healthy: {name}", _bound(make, size)


def _bound(make: Maker, size: Size) -> Callable[[], Run]:
    return lambda: make(size)


def _material(size: Size, material: tuple[float, float]) -> tuple[float, float]:
    tool, bed = material
    return tool, min(bed, 90.0) if size.name == "small" else bed


def _print(
    material: tuple[float, float],
    reports: Reports = Reports(),  # noqa: B008 it is frozen
    *,
    ambient: float = 21.0,
    extra: Callable[[float], list[Event]] | None = None,
) -> Maker:
    """A print as slicers begin and end it: bed first, then the tool, fan after the first layer, heaters off."""

    def make(size: Size) -> Run:
        tool, bed = _material(size, material)
        warm = _WARM[size.name]
        end = warm + 900.0
        events: list[Event] = [
            (5.0, aim("bed", bed)),
            (5.0, aim("tool0", 150.0)),
            (warm * 0.8, aim("tool0", tool + 5.0)),
            (warm + 150.0, aim("tool0", tool)),
            (warm + 150.0, aim("bed", bed - 5.0)),
            *((warm + 160.0 + 40.0 * n, blow("tool0", 1.0 + 0.12 * (n % 3))) for n in range(12)),
            (end, aim("tool0", 0.0)),
            (end, aim("bed", 0.0)),
            *(extra(warm) if extra else []),
        ]
        return Run(Printer(size, ambient=ambient), end + 600.0, events, reports, seed=int(warm))

    return make


def _badly_tuned(size: Size) -> Run:
    """The first heat-up with a controller that shoots over by 10 °C and more."""
    tuned = replace(size, tool=replace(size.tool, slow=0.6), bed=replace(size.bed, sensor_s=12.0))
    return _print(PLA)(tuned)


def _weak(size: Size) -> Run:
    """A bed and a tool that can hardly reach their targets, with a fan on the nozzle."""
    tool = replace(size.tool, watts=size.tool.loss * 1.35 * (235 - 21))
    bed = replace(size.bed, watts=size.bed.loss * (95 - 21))
    run = _print((225.0, 80.0))(replace(size, tool=tool, bed=bed))
    run.events = [event for event in run.events if event[0] < 3000]
    return run


def _preheat(size: Size) -> Run:
    """Somebody preheats at the display, and lets it stand."""
    return Run(Printer(size), _WARM[size.name] + 1200.0, [(30.0, aim("tool0", 180.0)), (30.0, aim("bed", 60.0))])


def _cold_pull(size: Size) -> Run:
    """Hot, down to 90 °C, up again, off."""
    steps = (250.0, 90.0, 180.0, 0.0, 60.0, 0.0)
    return Run(Printer(size), 1800.0, [(300.0 * n, aim("tool0", target)) for n, target in enumerate(steps)])


def _tools(size: Size) -> Run:
    """Two tools that take turns, the idle one at standby."""
    events: list[Event] = [(0.0, aim("bed", 60.0)), (0.0, aim("tool0", 215.0)), (0.0, aim("tool1", 150.0))]
    for n in range(12):
        at = 300.0 + 100.0 * n
        events += [(at, aim(f"tool{n % 2}", 150.0)), (at, aim(f"tool{(n + 1) % 2}", 215.0))]
    return Run(Printer(size, tools=2), 1800.0, events, Reports(every=2.0))


def _shared_block(size: Size) -> Run:
    """Two tools in one block: the one that is off is as warm as the other."""
    printer = Printer(size, tools=2)
    printer.shared_block = 0.15
    return Run(printer, 1500.0, [(10.0, aim("tool0", 200.0)), (900.0, aim("tool0", 0.0))])


def _hot_bed(size: Size) -> Run:
    """A bed at 100 °C, and the nozzle off just above it, in a box."""
    printer = Printer(size)
    printer.enclosed = 0.06
    _tool, bed = _material(size, ABS)
    return Run(printer, _WARM[size.name] + 1500.0, [(10.0, aim("bed", bed))])


def _chamber(size: Size, *, heats: bool, door: bool = False) -> Run:
    """A chamber that the bed warms, with a heater or without, and a target that it may never reach."""
    printer = Printer(size, chamber_heats=heats)
    _tool, bed = _material(size, ABS)
    warm = _WARM[size.name]
    events: list[Event] = [(5.0, aim("bed", bed)), (warm, aim("tool0", 250.0))]
    if size.chamber is not None and (heats or door):
        events.append((5.0, aim("chamber", 45.0)))
    if door:
        for name in printer.heaters:
            wide = {"chamber": 5.0, "bed": 1.2}.get(name, 1.05)
            events += [(warm + 900.0, blow(name, wide)), (warm + 1300.0, blow(name, 1.0))]
    events += [(warm + 2000.0, aim(name, 0.0)) for name in printer.heaters]
    return Run(printer, warm + 2600.0, events)


def _filament_change(size: Size) -> Run:
    """M600: the firmware lets the nozzle cool after a while, and still tells its target (docs/serial.md §22a)."""
    return _print(
        PETG, extra=lambda warm: [(warm + 700.0, idle("tool0", off=True)), (warm + 860.0, idle("tool0", off=False))]
    )(size)


def _cold_plate(size: Size) -> Run:
    """A cold steel sheet is laid on a hot bed."""
    return _print(PETG, extra=lambda warm: [(warm + 300.0, chill("bed", 25.0)), (warm + 330.0, blow("bed", 1.3))])(size)


def _busy(size: Size) -> Run:
    """The firmware levels its bed for minutes, changes the target meanwhile, and reports nothing."""
    warm = _WARM[size.name]
    reports = Reports(silences=((warm * 0.3, warm * 0.55), (warm + 300.0, warm + 640.0)))
    return _print(
        PLA, reports, extra=lambda warm: [(warm + 310.0, aim("tool0", 160.0)), (warm + 620.0, aim("tool0", 215.0))]
    )(size)


def _old_waits(size: Size) -> Run:
    """An old Marlin: while it waits for the tool it reports the tool alone, without its target."""
    warm = _WARM[size.name]
    return _print(PLA, Reports(only=((warm * 0.8 - 1, warm * 0.8 + 150.0, "tool0"),)))(size)


def _restarted(size: Size) -> Run:
    """The agent comes in the middle of heating: its first reading is a warm one."""
    run = _print(ABS)(size)
    run.reports = Reports(silences=((0.0, _WARM[size.name] * 0.4),))
    return run


def _unplugged_tool(size: Size) -> Run:
    """A second tool that is configured and not there: its sensor reads -14 °C all the time, or 2000 °C."""
    printer = Printer(size, tools=3)
    run = Run(printer, 900.0, [(5.0, aim("bed", 60.0)), (5.0, aim("tool0", 200.0))])
    for name, value in (("tool1", -14.0), ("tool2", 2000.0)):
        heating = printer.heaters[name]
        heating.ambient = heating.temperature = heating.behind = heating.sensor = value
    return run


def _creeping_target(size: Size) -> Run:
    """A firmware that moves the target with the speed of the print."""
    events: list[Event] = [(0.0, aim("tool0", 200.0))]
    events += [(200.0 + 7.0 * n, aim("tool0", 200.0 + n % 9)) for n in range(120)]
    return Run(Printer(size), 1200.0, events)


def _warm_room(size: Size) -> Run:
    """Nothing is on, and the sun comes."""
    events: list[Event] = []

    def warmer(printer: Printer) -> None:
        for heating in printer.heaters.values():
            heating.ambient += 0.25

    events += [(60.0 * n, warmer) for n in range(60)]
    return Run(Printer(size, ambient=18.0), 4000.0, events, Reports(every=5.0))


_MAKERS: dict[str, Maker] = {
    "PLA": _print(PLA),
    "PETG, each 5 s": _print(PETG, Reports(every=5.0, jitter=0.1)),
    "ABS, each 0.5 s": _print(ABS, Reports(every=0.5)),
    "ABS, whole degrees": _print(ABS, Reports(digits=0, noise=0.4)),
    "PLA, in a cold garage": _print(PLA, ambient=2.0),
    "PETG, a noisy sensor": _print(PETG, Reports(every=1.0, noise=1.2)),
    "PLA, a noisy cable": _print(PLA, Reports(every=2.0, garbled=0.05)),
    "ABS, a noisy cable, each 0.5 s": _print(ABS, Reports(every=0.5, garbled=0.03)),
    "PLA, no power told": _print(PLA, Reports(tells_power=False)),
    "badly tuned": _badly_tuned,
    "weak heaters": _weak,
    "preheat": _preheat,
    "cold pull": _cold_pull,
    "two tools": _tools,
    "two tools in one block": _shared_block,
    "nozzle over a hot bed": _hot_bed,
    "chamber warmed by the bed": lambda size: _chamber(size, heats=False),
    "chamber with a heater": lambda size: _chamber(size, heats=True),
    "chamber with a target and no heater": lambda size: _chamber(size, heats=False, door=True),
    "chamber, the door open": lambda size: _chamber(size, heats=True, door=True),
    "filament change": _filament_change,
    "cold plate": _cold_plate,
    "no reports while it is busy": _busy,
    "reports of one heater while it waits": _old_waits,
    "the agent restarts": _restarted,
    "tools that are not there": _unplugged_tool,
    "a target that creeps": _creeping_target,
    "a room that gets warm": _warm_room,
}
