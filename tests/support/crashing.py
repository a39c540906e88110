"""`printer-agent run` with a defect: the thread `catch-up` ends with one as soon as the file named first is there.
`python -m tests.support.crashing FILE run …`"""

from __future__ import annotations

import sys
import threading
from pathlib import Path

from agent import cli
from agent.server.catch_up import CatchUp


def main(trigger: Path, argv: list[str]) -> int:
    """As `printer-agent`."""

    def run(_self: CatchUp, stop: threading.Event) -> None:
        while not stop.wait(0.05):
            if trigger.exists():
                raise RuntimeError("a defect, on purpose")

    CatchUp.run = run  # type: ignore[method-assign,assignment]
    return cli.main(argv)


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]), sys.argv[2:]))
