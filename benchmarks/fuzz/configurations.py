"""Configuration files (agent/service/config.py): ConfigError alone, with a printable text that names the file."""

from __future__ import annotations

import random
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from agent.errors import ConfigError
from agent.service.config import load
from benchmarks.fuzz.mutator import Mutator
from benchmarks.fuzz.target import Target, Trial, parser, require_text

ROOT = Path(__file__).resolve().parents[2]
TOKENS = (
    *(
        b"[cloud]\n",
        b"[job]\n",
        b"[x]\n",
        b"[[job]]\n",
        b"server = 'http://a'\n",
        b'server = "https://[::"\n',
        b"a.b.c = 1\n",
        b"= \n",
    ),
    *(
        b"[" * 3_000,
        b"x = " + b"[" * 3_000,
        b"x = 1\nx = 2\n",
        b"max_file_mb = inf\n",
        b"1979-05-27T07:32:00Z",
        b'"""',
        b"'''",
        b"{",
        b"}",
    ),
    *(
        b'allow_addresses = ["::/999"]\n',
        b'ca_file = "\\u0000"\n',
        b"\\uD800",
        b"build_volume = [1]\n",
        b'idle = ["?"]\n',
        b"-",
        b".",
    ),
)
ERROR_LIMIT = 2_000


def _examples() -> tuple[bytes, ...]:
    text = (ROOT / "config.example.toml").read_bytes()
    plain = b"\n".join(line.removeprefix(b"# ") for line in text.splitlines())
    small = b'[cloud]\nserver = "https://print.example.com"\nfaye_transport = "websocket"\n[job]\nmax_file_mb = 20\n'
    return (text[:6_000], plain[:6_000], small, small + b'[printer]\nname = "p"\nbuild_volume = [250, 210, 220]\n')


def _require_error(text: str, path: Path, *, from_file: bool) -> None:
    assert text.startswith(("--set", str(path), "configuration", "["))
    if from_file:  # the command line is the caller's own
        require_text(text.replace("\n", " ").replace("\t", " "), ERROR_LIMIT)


@contextmanager
def _prepare() -> Iterator[Trial]:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "config.toml"

        def check(data: bytes, choose: random.Random) -> None:
            path.write_bytes(data)
            override = data[:200].decode("utf-8", "replace")
            for overrides in ((), (override,), (f"job.max_file_mb={override}",)):
                try:
                    load(path if not overrides else None, {}, overrides)
                except ConfigError as error:
                    _require_error(str(error), path, from_file=not overrides)

        yield parser(Mutator(_examples(), TOKENS), check)


TARGET = Target("configurations", 20_000, _prepare)
