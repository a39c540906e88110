"""Virtual printers and the local cloud: `dry-run`, `simulate`, `replay`, `sandbox`.

What only one of them needs is imported in it: the local cloud is an extra, which a board does not have.
"""

from __future__ import annotations

import argparse
import math
import os
import signal
from importlib.util import find_spec
from typing import Any

from agent.commands.console import emit, stop_event
from agent.errors import UnavailableError
from agent.service.config import Config
from agent.service.logs import configure
from agent.service.paths import state_dir


def dry_run(arguments: argparse.Namespace) -> int:
    """Run sandbox, simulator and daemon, and one print through all of them."""
    _require_sandbox_extra()
    from agent.dryrun import DryRunOptions
    from agent.dryrun import run as run_print

    signal.signal(signal.SIGTERM, signal.default_int_handler)  # as Ctrl-C: the processes are ended in order
    options = DryRunOptions(
        file=arguments.file,
        speed=arguments.speed,
        dialect=arguments.dialect,
        faults=tuple(arguments.faults),
        json=arguments.json,
        keep=arguments.keep,
    )
    return run_print(options)


def simulate(arguments: argparse.Namespace) -> int:
    """Run a virtual printer alone."""
    from drivers.simulated.serve import serve

    configure("info", "auto")
    stop = stop_event(until_eof=arguments.until_eof)
    speed = math.inf if arguments.speed is None else arguments.speed
    return serve(
        link=arguments.link,
        dialect=arguments.dialect,
        speed=speed,
        faults=arguments.faults,
        emit=emit,
        stop=stop,
        record=arguments.record,
        bootloader=arguments.bootloader,
        probe_points=arguments.probe,
    )


def replay(arguments: argparse.Namespace) -> int:
    """Replay a black box against the virtual printer."""
    from drivers.simulated.replay import lines, replay

    def show(event: dict[str, Any]) -> None:
        print("\n".join(lines(event)))

    return replay(arguments.file, emit if arguments.json else show)


def sandbox(arguments: argparse.Namespace) -> int:
    """Run the local cloud alone."""
    _require_sandbox_extra()
    from agent.sandbox.rate_limit import parse_rate_limit
    from agent.sandbox.serve import serve

    configure("info", "auto")
    state = arguments.state or state_dir(Config(), {**os.environ, "STATE_DIRECTORY": ""}) / "sandbox"
    stop = stop_event(until_eof=arguments.until_eof)
    limit = parse_rate_limit(arguments.rate_limit) if arguments.rate_limit else None
    return serve(
        listen=arguments.listen,
        state=state,
        emit=emit,
        stop=stop,
        publish_to=arguments.publish_to,
        members=arguments.members,
        rate_limit=limit,
    )


def _require_sandbox_extra() -> None:
    """Raise UnavailableError when the libraries of the local cloud, an extra, are not installed."""
    missing = [name for name in ("bottle", "waitress", "rich") if find_spec(name) is None]
    if missing:
        raise UnavailableError(f"{', '.join(missing)}: not installed; pip install 'printer-agent[sandbox]'")
