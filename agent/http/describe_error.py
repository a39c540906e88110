"""What went wrong with a request, in a few words that hold no secret."""

from __future__ import annotations

import errno
from collections.abc import Iterator

CAUSES = 20  # chained errors that are looked through


class SlowTransferError(OSError):
    """The other side sends less than the floor of the rate."""

    def __init__(self, bytes_per_s: float) -> None:
        super().__init__(errno.ETIME, f"slower than {bytes_per_s:g} bytes a second")


def describe(error: BaseException) -> str:
    """Describe why a request failed, in a few words: no memory addresses, no URL with its query."""
    *_, cause = _chain(error)
    if isinstance(cause, OSError) and cause.strerror:
        return cause.strerror
    if isinstance(cause, TimeoutError):
        return "timed out"
    return type(cause).__name__


def is_too_slow(error: BaseException) -> bool:
    """Whether a request failed because of the floor of the rate."""
    return any(isinstance(cause, SlowTransferError) for cause in _chain(error))


def _chain(error: BaseException) -> Iterator[BaseException]:
    cause: BaseException | None = error
    for _ in range(CAUSES):
        if cause is None:
            return
        yield cause
        cause = cause.__cause__ or cause.__context__ or _nested_error(cause)


def _nested_error(error: BaseException) -> BaseException | None:
    """The error inside another: urllib3 keeps it in `reason`, requests keeps urllib3's error in `args`."""
    for candidate in (getattr(error, "reason", None), *error.args):
        if isinstance(candidate, BaseException):
            return candidate
    return None
