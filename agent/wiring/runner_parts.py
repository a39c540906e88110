"""Parts that carry out commands: the runner, and what the driver may ask of its host."""

from __future__ import annotations

from functools import partial

from agent.core.conditions import Part
from agent.core.driver import Host, PortKeeper
from agent.files.kept_files import KeptFiles
from agent.runner import Runner
from agent.runner.activity import Context
from agent.runner.heat_control import HeatControl
from agent.runner.runner_store import RunnerStore
from agent.service.log_sources import LogSources
from agent.service.logs import Ring
from agent.wiring.base_parts import Base


def build_runner(base: Base, port: PortKeeper, ring: Ring) -> Runner:
    """Wire the runner and what the driver may ask of its host."""
    store = RunnerStore(base.store)
    context = Context(
        config=base.config,
        http=base.http,
        store=store,
        driver=base.driver,
        clock=base.clock,
        jobs=base.jobs,
        kept=KeptFiles(base.kept, base.store.elapsed),
        logs=LogSources(recent=ring.text, runs=base.runs, black_boxes=base.black_boxes),
        wake_reporter=base.wake_reporter.set,
        heat=HeatControl(
            driver=base.driver, store=store, clock=base.clock, say=partial(base.conditions.set, Part.HEAT)
        ),
        inhibitor=base.inhibitor,
        host=Host(
            wake=base.wake_runner.set,
            beat=base.health.pulse("link", waiting=True).beat,
            remember=base.store.checkpoints.remember,
            port=port,
            log_keys=base.snapshot.log_keys,
        ),
        printer_status=base.snapshot.printer_status,
    )
    return Runner(
        context=context,
        snapshot=base.snapshot,
        wake=base.wake_runner,
        pulse=base.health.pulse("runner"),
        hand_over=base.lifecycle.is_handing_over,
    )
