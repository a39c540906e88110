"""What this printer's `ok`s are like, as seen so far: with temperatures, after a request, to be trusted. Pure."""

from __future__ import annotations

from math import inf

MISSED = 3
"""So many requests in a row without the `ok` that followed others: it does not come any more."""


class OkTraits:
    """`carries_temps`: `ok T:…` answers M105. `in_doubt`: an `ok` was lost, doubled or late since the last M105 that
    proved all before it. `listen_at`: when an `ok` too many is listened for. `follows_resend`: one has followed a
    request; `missing_after_resend` counts requests in a row without."""

    __slots__ = ("carries_temps", "follows_resend", "in_doubt", "listen_at", "missing_after_resend")

    def __init__(self) -> None:
        self.carries_temps = False
        self.in_doubt = False
        self.listen_at = inf
        self.follows_resend = False
        self.missing_after_resend = 0

    def seen_after_resend(self) -> None:
        """The `ok` of a request came."""
        self.follows_resend = True
        self.missing_after_resend = 0

    def missed_after_resend(self) -> bool:
        """The `ok` of a request did not come in time; whether it may still come, as others did."""
        if not self.follows_resend or self.missing_after_resend >= MISSED:
            return False
        self.missing_after_resend += 1
        return True

    def temps_in(self, text: str) -> bool:
        """Whether an `ok` with `text` answers an M105; its letters may be garbled."""
        return "T:" in text or "T0:" in text or (self.carries_temps and "/" in text)
