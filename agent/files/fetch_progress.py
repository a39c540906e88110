"""How far the fetch of a file is: a latest-value slot that the fetching thread writes and any other reads."""

from __future__ import annotations

from agent.core.printable import printable

MB = 1_000_000
REASON = 200  # characters of why an attempt failed


class FetchProgress:
    """Progress of one fetch, over all its attempts, in words for a person."""

    def __init__(self) -> None:
        self._wait = ""  # what is waited for between two attempts
        self._size = 0
        self._total: int | None = None

    def received(self, size: int, total: int | None) -> None:
        """The first `size` bytes are here, of `total` (None: not known). Called for each block."""
        self._size, self._total, self._wait = size, total, ""

    def attempt_failed(self, reason: str, attempt: int, wait_s: float) -> None:
        """An attempt failed; the next, the n-th, begins in `wait_s` seconds."""
        self._wait = f"try {attempt} in {wait_s:.0f} s: {printable(reason[:REASON])}"

    @property
    def text(self) -> str:
        """E.g. «downloading 37 %, 4 of 11 MB», or «try 3 in 8 s: the server answered 503 Service Unavailable»; empty
        before the first byte."""
        if self._wait:
            return self._wait
        size, total = self._size, self._total
        if not total:
            return f"downloading, {_amount(size)} {_unit(size)}" if size else ""
        unit = _unit(total)
        scale = MB if unit == "MB" else 1000
        return f"downloading {min(100 * size // total, 100)} %, {_in(size, scale)} of {_in(total, scale)} {unit}"


def _unit(size: int) -> str:
    return "MB" if size >= MB else "kB"


def _amount(size: int) -> str:
    return _in(size, MB if size >= MB else 1000)


def _in(size: int, scale: int) -> str:
    return str(round(size / scale))
