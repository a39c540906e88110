"""Command line of `printer-agent`: parses the arguments, returns an exit code (sysexits.h). What a command needs is
imported when it runs, so that `--version` and a usage error are quick on a small board.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NoReturn

from agent import __version__
from agent.core.printable import printable
from agent.errors import EX_OK, EX_UNAVAILABLE, EX_USAGE, AgentError

INTERRUPTED = 130  # 128 + SIGINT, as shells report it

Add = Callable[[str, str], argparse.ArgumentParser]  # (name, purpose): a command of its own


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        """Exit with 64 (EX_USAGE) instead of argparse's 2."""
        self.print_usage(sys.stderr)
        self.exit(EX_USAGE, f"{self.prog}: {message}\n")


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; returns its exit code. An AgentError is printed to stderr as one line, without a traceback, and
    with `--json` to stdout as an object too."""
    arguments = _parser().parse_args(argv)
    try:
        return int(arguments.run(arguments))
    except AgentError as error:
        if getattr(arguments, "json", False):
            print(json.dumps({"error": str(error), "exit_code": error.exit_code}))  # noqa: T201 asked for
        print(f"printer-agent: {printable(str(error))}", file=sys.stderr)  # noqa: T201 this is what stderr is for
        return error.exit_code
    except KeyboardInterrupt:
        return INTERRUPTED
    except BrokenPipeError:  # the reader of our output has gone, as in `… | head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return EX_OK


def _parser() -> _Parser:
    parser = _Parser(prog="printer-agent", description="The daemon on a 3D printer's board.", allow_abbrev=False)
    parser.add_argument("--version", action="version", version=f"printer-agent {__version__}")
    commands = parser.add_subparsers(title="commands", required=True, metavar="COMMAND")

    def add(name: str, purpose: str) -> argparse.ArgumentParser:
        command = commands.add_parser(name, help=purpose, description=purpose, allow_abbrev=False)
        if name not in ("run", "package"):  # the daemon writes a log, and each action of `package` has its own
            _json(command)
        command.set_defaults(run=lambda arguments: _dispatch(name, arguments))
        return command

    _configured(add("run", "the daemon")).add_argument("--until-eof", action="store_true", help=argparse.SUPPRESS)
    _add_simulation(add)
    _add_printer(add)
    _add_cloud(add)
    package = add("package", "firmware packages: make keys, sign a package, check one")
    _package(package.add_subparsers(title="actions", required=True, dest="action", metavar="ACTION"))
    check = _configured(add("check-config", "read and check a configuration"), option=False)
    check.add_argument("config", nargs="?", type=Path, metavar="FILE")
    return parser


def _add_simulation(add: Add) -> None:
    """What runs on this machine without a printer or a cloud."""
    dry = add("dry-run", "the daemon with a simulated printer and a local cloud, on this machine")
    dry.add_argument("file", nargs="?", type=Path, metavar="FILE", help="G-code to print (default: the bundled demo)")
    _simulation(dry, speed="auto")
    dry.add_argument("--keep", action="store_true", help="keep the folder with the state of all parts, and say where")

    simulate = add("simulate", "a virtual printer on a pseudo-terminal")
    simulate.add_argument("--link", type=Path, metavar="PATH", help="a symlink to make to the pseudo-terminal")
    _simulation(simulate, speed="1")
    simulate.add_argument(
        "--probe", type=_natural, default=0, metavar="POINTS", help="it has a bed probe, for a mesh of so many points"
    )
    simulate.add_argument("--record", type=Path, metavar="PATH", help="a file for each command that is executed")
    simulate.add_argument(
        "--bootloader", action="store_true", help="an AVR board with a bootloader: avrdude can write its flash"
    )
    simulate.add_argument("--until-eof", action="store_true", help=argparse.SUPPRESS)

    replay = add("replay", "a black box against the virtual printer: where did the real one do something else?")
    replay.add_argument("file", type=Path, metavar="FILE")

    sandbox = add("sandbox", "the local cloud alone")
    sandbox.add_argument("--listen", default="127.0.0.1:8080", metavar="HOST:PORT", help="default: %(default)s")
    sandbox.add_argument("--state", type=Path, metavar="DIR", help="default: a folder beside the agent's state")
    sandbox.add_argument("--members", type=_members, default=1, metavar="N", help="members, 1 to 9 (default: 1)")
    sandbox.add_argument(
        "--rate-limit", default="", metavar="CALLS[/S]", help="answer 429 beyond so many calls of a token in S seconds"
    )
    sandbox.add_argument("--publish-to", default="", metavar="URL", help="publish on this Faye server instead")
    sandbox.add_argument("--until-eof", action="store_true", help=argparse.SUPPRESS)


def _add_printer(add: Add) -> None:
    """What a person at the printer asks of the running agent."""
    _configured(add("status", "what the running agent is doing"))
    printing = _configured(add("print", "print a file on the running agent's printer"))
    printing.add_argument("file", type=Path, metavar="FILE")
    for name, purpose in (
        ("pause", "pause the print"),
        ("resume", "resume the print"),
        ("cancel", "end the print; while nothing runs, heaters off"),
        ("home", "home the idle printer"),
        ("park", "park the idle printer's head"),
        ("calibrate", "calibrate the idle printer, for example measure its bed"),
        ("dismiss", "leave the screen of a job that has ended; the bed is clear"),
        ("ready", "the bed is clear: the part of the last print is off it, and the next may begin"),
    ):
        _configured(add(name, purpose))
    _response(_configured(add("respond", "answer what the printer asks: status shows it with its choices")))
    _configured(add("halt", "emergency stop: motors and heaters off at once; then `reset`"))
    _configured(add("reset", "reboot the printer's controller, after an emergency stop or a halt of its own"))
    _configured(add("cool", "heaters off, while nothing runs"))


def _add_cloud(add: Add) -> None:
    """What concerns the cloud: this printer's registration and reports, a member's printers."""
    registration = _configured(add("register", "the code that adds this printer to the web portal, until it is added"))
    registration.add_argument(
        "--wait",
        type=_natural,
        metavar="S",
        help="how long to wait for it, in seconds; 0 only shows the code (default: 900 on a terminal, else 0)",
    )
    outbox = _configured(add("outbox", "reports that wait, and those that the server refused"))
    which = outbox.add_mutually_exclusive_group()
    which.add_argument("--retry", type=_id_or_all, metavar="ID|all", help="send a refused report once more")
    which.add_argument("--drop", type=_id_or_all, metavar="ID|all", help="throw a refused report away")

    printers = _configured(add("printers", "the printers that a member has registered (GET printers)"))
    printers.add_argument(
        "--limit", type=_limit, default=10, metavar="N", help="a page's size; -1 is all (default: 10)"
    )
    printers.add_argument("--offset", type=_natural, default=0, metavar="N", help="where to begin (default: 0)")
    printers.add_argument("--all", action="store_true", dest="every", help="follow the pages to the end")


def _package(actions: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    purposes = {
        "key": "make a pair of Ed25519 keys: FILE, to sign with, and FILE.pub, for [firmware_upgrade] public_key",
        "make": "write FILE.manifest and its signature, which are served beside FILE",
        "check": "check FILE, FILE.manifest and its signature as the agent does",
    }
    parsers = {
        name: actions.add_parser(name, help=purpose, description=purpose, allow_abbrev=False)
        for name, purpose in purposes.items()
    }
    for parser in parsers.values():
        parser.add_argument("file", type=Path, metavar="FILE")
        _json(parser)
    parsers["make"].add_argument("--model", required=True, metavar="MODEL", help="the one printers it is for have")
    parsers["make"].add_argument("--version", required=True, metavar="VERSION", help="numbers and dots, e.g. 2.1.3")
    parsers["make"].add_argument("--key", required=True, type=Path, metavar="KEY", help="the private key")
    parsers["check"].add_argument("--model", metavar="MODEL", help="refuse a package for another one")
    parsers["check"].add_argument("--installed", default="", metavar="VERSION", help="refuse an older package")
    parsers["check"].add_argument("--key", required=True, type=Path, metavar="KEY", help="the public key")


def _configured(parser: argparse.ArgumentParser, *, option: bool = True) -> argparse.ArgumentParser:
    if option:
        parser.add_argument(
            "--config", type=Path, metavar="FILE", help="default: /etc/printer-agent/config.toml if it is there"
        )
    parser.add_argument(
        "--set",
        action="append",
        default=[],
        dest="overrides",
        metavar="SECTION.KEY=VALUE",
        help="over the file and the environment",
    )
    return parser


def _response(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("choice", metavar="CHOICE", help="the number of a choice, or its text")
    parser.add_argument("--prompt", type=_natural, metavar="ID", help="only if this is still what it asks")


def _json(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--json", action="store_true", help="one JSON object a line, and nothing else on stdout")


def _simulation(parser: argparse.ArgumentParser, *, speed: str) -> None:
    parser.add_argument(
        "--speed", type=_speed, default=speed, metavar="N|max", help=f"times real time (default: {speed})"
    )
    parser.add_argument(
        "--dialect",
        default="marlin",
        metavar="NAME",
        help="the virtual printer's firmware (default: %(default)s; a name that does not exist lists them)",
    )
    parser.add_argument(
        "--fault",
        action="append",
        default=[],
        dest="faults",
        metavar="SPEC",
        help="a fault (see: help)",
    )


def _speed(text: str) -> float | None:
    """Parse a speed, times real time; `max` (infinity) never waits; `auto` (None) lets the dry run choose."""
    if text in ("max", "auto"):
        return math.inf if text == "max" else None
    try:
        speed = float(text)
    except ValueError:
        speed = math.nan
    if not 0 < speed < math.inf:
        raise argparse.ArgumentTypeError(f"{text!r}: expected a number above 0, or max")
    return speed


def _id_or_all(text: str) -> int | str:
    return "all" if text == "all" else _natural(text)


def _natural(text: str) -> int:
    if not text.isascii() or not text.isdigit():
        raise argparse.ArgumentTypeError(f"{text!r}: expected a number, 0 or more")
    return int(text)


def _members(text: str) -> int:
    number = _natural(text)
    if not 1 <= number <= 9:
        raise argparse.ArgumentTypeError(f"{text}: expected 1 to 9")
    return number


def _limit(text: str) -> int:
    limit = -1 if text == "-1" else _natural(text)
    if limit == 0:
        raise argparse.ArgumentTypeError("0: expected 1 or more, or -1 for all")
    return limit


def _dispatch(name: str, arguments: argparse.Namespace) -> int:
    if sys.platform == "win32":
        print("printer-agent: needs a POSIX system", file=sys.stderr)  # noqa: T201 as in main
        return EX_UNAVAILABLE
    from agent import commands  # noqa: PLC0415 late: see the module's docstring

    return commands.load(name)(arguments)


if __name__ == "__main__":
    sys.exit(main())
