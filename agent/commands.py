"""What each command of the command line does. Each function takes the parsed arguments and returns the exit code."""

from __future__ import annotations

import argparse
import math
import os
import signal
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from agent.errors import EX_OK, UnavailableError

if TYPE_CHECKING:
    from agent.local.requests import LocalCommand
    from agent.service.config import Config

DEFAULT_CONFIG = Path("/etc/printer-agent/config.toml")


def run(arguments: argparse.Namespace) -> int:
    """The daemon."""
    import faulthandler

    from agent.app import App
    from agent.service import restart_pause
    from agent.service.health import Health
    from agent.service.logs import Ring, configure
    from agent.service.paths import runtime_dir
    from agent.service.system_clock import SystemClock

    faulthandler.enable()  # systemd's watchdog ends us with SIGABRT: where each thread stood goes to the journal
    config = _checked(arguments)
    ring = Ring()
    configure(config.logs.level, config.logs.format, ring)
    clock, folder = SystemClock(), runtime_dir(os.environ)
    health = Health(clock)
    if folder is not None:
        restart_pause.wait_before_start(folder, clock, health)
    app = App(config, os.environ, ring, health, reread=lambda: _checked(arguments))
    app.handle_signals()
    if arguments.until_eof:
        _at_eof(app.stop)
    code = app.run()
    if code == EX_OK and folder is not None:
        restart_pause.clear_starts(folder)
    return code


def dry_run(arguments: argparse.Namespace) -> int:
    """Sandbox, simulator and daemon, and one print through all of them."""
    _need_extra()
    from agent.dryrun import Wanted
    from agent.dryrun import run as run_it

    signal.signal(signal.SIGTERM, signal.default_int_handler)  # as Ctrl-C: the parts are ended in order
    wanted = Wanted(
        file=arguments.file,
        speed=arguments.speed,
        faults=tuple(arguments.faults),
        json=arguments.json,
        keep=arguments.keep,
    )
    return run_it(wanted)


def simulate(arguments: argparse.Namespace) -> int:
    """A virtual printer alone."""
    from agent.service.logs import configure
    from drivers.simulated.serve import serve

    configure("info", "auto")
    stop = _stop_event(until_eof=arguments.until_eof)
    speed = math.inf if arguments.speed is None else arguments.speed
    return serve(
        link=arguments.link,
        dialect=arguments.dialect,
        speed=speed,
        faults=arguments.faults,
        emit=_emit,
        stop=stop,
        record=arguments.record,
    )


def replay(arguments: argparse.Namespace) -> int:
    """A black box against the virtual printer."""
    from drivers.simulated.replay import lines, replay

    def show(event: dict[str, Any]) -> None:
        print("\n".join(lines(event)))

    return replay(arguments.file, _emit if arguments.json else show)


def sandbox(arguments: argparse.Namespace) -> int:
    """The local cloud alone."""
    _need_extra()
    from agent.sandbox.serve import serve
    from agent.service.config import Config
    from agent.service.logs import configure
    from agent.service.paths import state_dir

    configure("info", "auto")
    state = arguments.state or state_dir(Config(), {**os.environ, "STATE_DIRECTORY": ""}) / "sandbox"
    stop = _stop_event(until_eof=arguments.until_eof)
    return serve(listen=arguments.listen, state=state, emit=_emit, stop=stop, publish_to=arguments.publish_to)


def status(arguments: argparse.Namespace) -> int:
    """What the running agent is doing."""
    from agent.local.requests import StatusRequest
    from agent.local.socket_client import ask
    from agent.local.status_text import status_lines

    answer = ask(_socket(arguments), StatusRequest())["status"]
    if arguments.json:
        _emit(answer)
    else:
        print("\n".join(status_lines(answer)))
    return EX_OK


def print_file(arguments: argparse.Namespace) -> int:
    """Print a file; done when the print has begun."""
    from agent.local.socket_client import print_file as send

    print(f"printing: {send(_socket(arguments), arguments.file)}")
    return EX_OK


def pause(arguments: argparse.Namespace) -> int:
    """Pause the print."""
    return _step(arguments, "pause")


def resume(arguments: argparse.Namespace) -> int:
    """Go on with the print."""
    return _step(arguments, "resume")


def cancel(arguments: argparse.Namespace) -> int:
    """End the print."""
    return _step(arguments, "cancel")


def halt(arguments: argparse.Namespace) -> int:
    """Emergency stop."""
    from agent.local.requests import HaltRequest
    from agent.local.socket_client import ask

    ask(_socket(arguments), HaltRequest())
    print("halted: motors and heaters are off; `printer-agent reset` brings the printer back")
    return EX_OK


def reset(arguments: argparse.Namespace) -> int:
    """Reboot the controller."""
    return _step(arguments, "reset")


def register(arguments: argparse.Namespace) -> int:
    """The code that a member types into the web portal."""
    from agent.local.requests import RegisterRequest
    from agent.local.socket_client import ask
    from agent.local.status_text import registration_lines

    found = ask(_socket(arguments), RegisterRequest())["registration"]
    if arguments.json:
        _emit(found)
    else:
        print("\n".join(registration_lines(found)))
    return EX_OK


def outbox(arguments: argparse.Namespace) -> int:
    """Reports that wait, and those that the server refused; send these once more, or throw them away."""
    from agent.local.requests import OutboxRequest
    from agent.local.socket_client import ask

    for word, said in (("retry", "queued once more"), ("drop", "thrown away")):
        which = getattr(arguments, word)
        if which is not None:
            done = ask(_socket(arguments), OutboxRequest(**{word: which}))["done"]
            if arguments.json:
                _emit({word: which, "done": done})
            else:
                print(f"{done} {said}")
            return EX_OK
    rows = ask(_socket(arguments), OutboxRequest())["outbox"]
    for row in rows:
        if arguments.json:
            _emit(row)
        elif row["waiting"]:
            print(f"waits    {row['task_id']}  {row['kind']}")
        else:
            print(f"refused  {row['task_id']}  {row['kind']}  {row['status']} {row['answer']}  (id {row['id']})")
    if not rows and not arguments.json:
        print("nothing waits")
    return EX_OK


def printers(arguments: argparse.Namespace) -> int:
    """`GET printers`, as a member."""
    from agent.server import member

    config = _config(arguments)
    bearer = member.token(config, os.environ)
    pages = member.pages(config, bearer, limit=arguments.limit, offset=arguments.offset, every=arguments.every)
    if arguments.json:
        for page in pages:
            _emit(page)
    else:
        print(member.table([printer for page in pages for printer in page["printers"]]))
    return EX_OK


def check_config(arguments: argparse.Namespace) -> int:
    """Read and check a configuration, the driver's name and the server included."""
    _checked(arguments)
    print(f"{arguments.config or 'configuration'}: good")
    return EX_OK


BY_NAME: dict[str, Callable[[argparse.Namespace], int]] = {
    "run": run,
    "dry-run": dry_run,
    "simulate": simulate,
    "replay": replay,
    "sandbox": sandbox,
    "status": status,
    "print": print_file,
    "pause": pause,
    "resume": resume,
    "cancel": cancel,
    "halt": halt,
    "reset": reset,
    "register": register,
    "outbox": outbox,
    "printers": printers,
    "check-config": check_config,
}


def _config(arguments: argparse.Namespace) -> Config:
    from agent.service.config import load

    path = arguments.config or (DEFAULT_CONFIG if DEFAULT_CONFIG.exists() else None)
    return load(path, os.environ, arguments.overrides)


def _checked(arguments: argparse.Namespace) -> Config:
    """The configuration, of which the daemon needs a server and a driver that is there."""
    import drivers
    from agent.service.config import need_server

    config = _config(arguments)
    need_server(config)
    drivers.load(config.printer.driver)
    return config


def _socket(arguments: argparse.Namespace) -> Path:
    from agent.service.paths import socket_path

    return socket_path(_config(arguments), os.environ)


def _step(arguments: argparse.Namespace, name: LocalCommand) -> int:
    from agent.local.socket_client import run_command

    run_command(_socket(arguments), name)
    print(f"{name}: done")
    return EX_OK


def _emit(event: dict[str, Any]) -> None:
    """One JSON object a line, at once."""
    sys.stdout.write(msgspec.json.encode(event).decode() + "\n")
    sys.stdout.flush()


def _need_extra() -> None:
    """The libraries of the local cloud are not part of the board's installation."""
    from importlib.util import find_spec

    missing = [name for name in ("bottle", "waitress", "rich") if find_spec(name) is None]
    if missing:
        raise UnavailableError(f"{', '.join(missing)}: not installed; pip install 'printer-agent[sandbox]'")


def _stop_event(*, until_eof: bool) -> threading.Event:
    """Set by SIGTERM, SIGINT or, when asked for, the end of standard input."""
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    if until_eof:
        _at_eof(stop.set)
    return stop


def _at_eof(stop: Callable[[], None]) -> None:
    """Call `stop` when whoever started us closes our standard input, by ending in whatever way."""

    def watch() -> None:
        while os.read(0, 4096):
            pass
        stop()

    threading.Thread(target=watch, name="until-eof", daemon=True).start()
