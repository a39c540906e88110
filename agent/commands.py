"""Commands of the command line: one function each, which takes the parsed arguments and returns the exit code."""

from __future__ import annotations

import argparse
import math
import os
import signal
import socket
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from agent.core.printable import printable, printable_json
from agent.errors import EX_OK, UnavailableError

if TYPE_CHECKING:
    from agent.local.local_requests import LocalCommand
    from agent.service.config import Config

DEFAULT_CONFIG = Path("/etc/printer-agent/config.toml")


def run(arguments: argparse.Namespace) -> int:
    """Run the daemon."""
    import faulthandler

    from agent.app import App
    from agent.service import restart_pause
    from agent.service.health import Health
    from agent.service.logs import Ring, configure
    from agent.service.notify_socket import NotifySocket
    from agent.service.paths import runtime_dir
    from agent.service.system_clock import SystemClock

    faulthandler.enable()  # systemd's watchdog ends us with SIGABRT: where each thread stood goes to the journal
    config = _checked_config(arguments)
    ring = Ring()
    configure(config.logs.level, config.logs.format, ring)
    clock, folder = SystemClock(), runtime_dir(os.environ)
    health = Health(clock, NotifySocket.from_environ(os.environ))
    if folder is not None:
        restart_pause.wait_before_start(folder, clock, health)
    app = App(
        config=config,
        environ=os.environ,
        clock=clock,
        ring=ring,
        health=health,
        reread=lambda: _checked_config(arguments),
    )
    app.handle_signals()
    if arguments.until_eof:
        _at_eof(app.stop)
    code = app.run()
    if code == EX_OK and folder is not None:
        restart_pause.clear_starts(folder)
    return code


def dry_run(arguments: argparse.Namespace) -> int:
    """Run sandbox, simulator and daemon, and one print through all of them."""
    _require_sandbox_extra()
    from agent.dryrun import DryRunOptions
    from agent.dryrun import run as run_print

    signal.signal(signal.SIGTERM, signal.default_int_handler)  # as Ctrl-C: the processes are ended in order
    options = DryRunOptions(
        file=arguments.file,
        speed=arguments.speed,
        faults=tuple(arguments.faults),
        json=arguments.json,
        keep=arguments.keep,
    )
    return run_print(options)


def simulate(arguments: argparse.Namespace) -> int:
    """Run a virtual printer alone."""
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
    """Replay a black box against the virtual printer."""
    from drivers.simulated.replay import lines, replay

    def show(event: dict[str, Any]) -> None:
        print("\n".join(lines(event)))

    return replay(arguments.file, _emit if arguments.json else show)


def sandbox(arguments: argparse.Namespace) -> int:
    """Run the local cloud alone."""
    _require_sandbox_extra()
    from agent.sandbox.serve import serve
    from agent.service.config import Config
    from agent.service.logs import configure
    from agent.service.paths import state_dir

    configure("info", "auto")
    state = arguments.state or state_dir(Config(), {**os.environ, "STATE_DIRECTORY": ""}) / "sandbox"
    stop = _stop_event(until_eof=arguments.until_eof)
    return serve(listen=arguments.listen, state=state, emit=_emit, stop=stop, publish_to=arguments.publish_to)


def status(arguments: argparse.Namespace) -> int:
    """Show what the running agent is doing."""
    from agent.local.local_requests import StatusRequest
    from agent.local.socket_client import ask
    from agent.local.status_text import status_lines

    answer = ask(_socket(arguments), StatusRequest())["status"]
    if arguments.json:
        _emit(answer)
    else:
        print("\n".join(status_lines(answer)))
    return EX_OK


def print_file(arguments: argparse.Namespace) -> int:
    """Print a file; returns when the print has begun."""
    from agent.local.socket_client import print_file as send

    print(printable(f"printing: {send(_socket(arguments), arguments.file)}"))
    return EX_OK


def pause(arguments: argparse.Namespace) -> int:
    """Pause the print."""
    return _send_command(arguments, "pause")


def resume(arguments: argparse.Namespace) -> int:
    """Resume the print."""
    return _send_command(arguments, "resume")


def cancel(arguments: argparse.Namespace) -> int:
    """Cancel the print."""
    return _send_command(arguments, "cancel")


def halt(arguments: argparse.Namespace) -> int:
    """Stop motors and heaters at once (emergency stop)."""
    from agent.local.local_requests import HaltRequest
    from agent.local.socket_client import ask

    ask(_socket(arguments), HaltRequest())
    print("halted: motors and heaters are off; `printer-agent reset` brings the printer back")
    return EX_OK


def reset(arguments: argparse.Namespace) -> int:
    """Reboot the printer's controller."""
    return _send_command(arguments, "reset")


def cool(arguments: argparse.Namespace) -> int:
    """Switch the heaters off while nothing runs."""
    from agent.local.local_requests import StatusRequest
    from agent.local.socket_client import ask, run_command

    run_command(_socket(arguments), "cool")
    heaters = ask(_socket(arguments), StatusRequest())["status"].get("data", {}).get("temperatures", {})
    if arguments.json:
        _emit({"cool": "done", "temperatures": heaters})
    else:
        still = ", ".join(f"{name} {heater['actual']:.0f} °C" for name, heater in heaters.items())
        print(printable(f"cool: the heaters are off{f' ({still} now)' if still else ''}"))
    return EX_OK


def register(arguments: argparse.Namespace) -> int:
    """Show the registration code that a member types into the web portal."""
    from agent.local.local_requests import RegisterRequest
    from agent.local.socket_client import ask
    from agent.local.status_text import registration_lines

    answer = ask(_socket(arguments), RegisterRequest())["registration"]
    if arguments.json:
        _emit(answer)
    else:
        print("\n".join(registration_lines(answer)))
    return EX_OK


def outbox(arguments: argparse.Namespace) -> int:
    """List the reports that wait and those that the server refused; retry or drop the refused ones."""
    from agent.local.local_requests import OutboxRequest
    from agent.local.socket_client import ask

    for action, text in (("retry", "queued once more"), ("drop", "thrown away")):
        which = getattr(arguments, action)
        if which is not None:
            done = ask(_socket(arguments), OutboxRequest(**{action: which}))["done"]
            if arguments.json:
                _emit({action: which, "done": done})
            else:
                print(f"{done} {text}")
            return EX_OK
    rows = ask(_socket(arguments), OutboxRequest())["outbox"]
    for row in rows:
        if arguments.json:
            _emit(row)
        elif row["waiting"]:
            print(printable(f"waits    {row['task_id']}  {row['kind']}"))
        else:
            refused = f"refused  {row['task_id']}  {row['kind']}  {row['status']} {row['answer']}  (id {row['id']})"
            print(printable(refused))
    if not rows and not arguments.json:
        print("nothing waits")
    return EX_OK


def printers(arguments: argparse.Namespace) -> int:
    """List a member's printers (`GET printers`)."""
    from agent.http.http_client import HttpClient
    from agent.server import member

    config = _config(arguments)
    bearer = member.token(config, os.environ)
    http = HttpClient(config.cloud, monotonic=time.monotonic, lookup=socket.getaddrinfo)
    pages = member.pages(config, bearer, http, limit=arguments.limit, offset=arguments.offset, every=arguments.every)
    if arguments.json:
        for page in pages:
            _emit(page)
    else:
        print(member.table([printer for page in pages for printer in page["printers"]]))
    return EX_OK


def check_config(arguments: argparse.Namespace) -> int:
    """Check a configuration, the driver, its own settings and the server included."""
    _checked_config(arguments)
    print(f"{arguments.config or 'configuration'}: good")
    return EX_OK


def package(arguments: argparse.Namespace) -> int:
    """Make keys for firmware packages, sign a package, or check one."""
    return {"key": _package_key, "make": _package_make, "check": _package_check}[arguments.action](arguments)


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
    "cool": cool,
    "register": register,
    "outbox": outbox,
    "printers": printers,
    "package": package,
    "check-config": check_config,
}


def _package_key(arguments: argparse.Namespace) -> int:
    from agent.service.signature import make_keys

    public = arguments.file.with_name(arguments.file.name + ".pub")
    make_keys(arguments.file, public)
    print(f"{arguments.file}: the private key; keep it where packages are signed\n{public}: the public key")
    return EX_OK


def _package_make(arguments: argparse.Namespace) -> int:
    from agent.files.firmware_file import make_manifest, manifest_path, signature_path

    made = make_manifest(arguments.file, model=arguments.model, version=arguments.version, private_key=arguments.key)
    print(f"{arguments.file}: version {made.version} for {made.model}, {made.size} bytes, SHA-256 {made.sha256}")
    print(f"serve beside it: {manifest_path(arguments.file).name}, {signature_path(arguments.file).name}")
    return EX_OK


def _package_check(arguments: argparse.Namespace) -> int:
    from agent.files.firmware_file import check_content, read_manifest
    from agent.files.firmware_manifest import check_model, check_version
    from agent.service.system_clock import SystemClock

    manifest = read_manifest(arguments.file, arguments.key, clock=SystemClock())
    if arguments.model is not None:
        check_model(manifest, arguments.model)
    check_version(manifest, arguments.installed)
    check_content(arguments.file, manifest)
    print(f"{arguments.file}: good: version {manifest.version} for {manifest.model}, {manifest.size} bytes")
    return EX_OK


def _config(arguments: argparse.Namespace) -> Config:
    from agent.service.config import load

    path = arguments.config or (DEFAULT_CONFIG if DEFAULT_CONFIG.exists() else None)
    return load(path, os.environ, arguments.overrides)


def _checked_config(arguments: argparse.Namespace) -> Config:
    """Load the configuration and check what the daemon needs of it: a server, and a driver with its own settings."""
    import drivers
    from agent.service.config import need_server

    config = _config(arguments)
    need_server(config)
    drivers.own_settings(drivers.load(config.printer.driver), config.driver)
    return config


def _socket(arguments: argparse.Namespace) -> Path:
    from agent.service.paths import socket_path

    return socket_path(_config(arguments), os.environ)


def _send_command(arguments: argparse.Namespace, name: LocalCommand) -> int:
    from agent.local.socket_client import run_command

    run_command(_socket(arguments), name)
    print(f"{name}: done")
    return EX_OK


def _emit(event: dict[str, Any]) -> None:
    """Print an event as one line of JSON, and flush."""
    sys.stdout.write(printable_json(msgspec.json.encode(event).decode()) + "\n")
    sys.stdout.flush()


def _require_sandbox_extra() -> None:
    """Raise UnavailableError when the libraries of the local cloud, an extra, are not installed."""
    from importlib.util import find_spec

    missing = [name for name in ("bottle", "waitress", "rich") if find_spec(name) is None]
    if missing:
        raise UnavailableError(f"{', '.join(missing)}: not installed; pip install 'printer-agent[sandbox]'")


def _stop_event(*, until_eof: bool) -> threading.Event:
    """Make an event that SIGTERM, SIGINT or, with `until_eof`, the end of standard input sets."""
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    if until_eof:
        _at_eof(stop.set)
    return stop


def _at_eof(stop: Callable[[], None]) -> None:
    """Call `stop` when the parent process closes our standard input, which its end does as well."""

    def watch() -> None:
        while os.read(0, 4096):
            pass
        stop()

    threading.Thread(target=watch, name="until-eof", daemon=True).start()
