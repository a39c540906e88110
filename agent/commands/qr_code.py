"""QR code for a terminal, by the library of the extra `qr` (segno); none where it is not installed."""

from __future__ import annotations

from importlib.util import find_spec

QUIET = 2  # modules of light around it: scanners on screens need no more
TEXT_LIMIT = 500  # characters: beyond that it is too large for a terminal
_BLOCKS = {(False, False): " ", (True, False): "▀", (False, True): "▄", (True, True): "█"}  # (upper, lower) is dark
_BLACK_ON_WHITE, _PLAIN = "\x1b[38;5;16;48;5;231m", "\x1b[0m"


def qr_lines(text: str, *, columns: int) -> list[str]:
    """A QR code of `text` as lines for a terminal of so many columns, two modules a line, black on white whatever the
    terminal's colours are. Empty without the library, without a text, and for a code that is wider."""
    if not text or len(text) > TEXT_LIMIT or find_spec("segno") is None:
        return []
    import segno  # noqa: PLC0415 an extra

    rows = [[bool(module) for module in row] for row in segno.make_qr(text, error="m").matrix_iter(border=QUIET)]
    if len(rows[0]) > columns:
        return []
    rows += [[False] * len(rows[0])] * (len(rows) % 2)
    lines = ["".join(_BLOCKS[pair] for pair in zip(*rows[i : i + 2], strict=True)) for i in range(0, len(rows), 2)]
    return [f"{_BLACK_ON_WHITE}{line}{_PLAIN}" for line in lines]
