"""Split the bytes of a G-code file into its sendable lines: line ends, comments, line numbers. Pure.

A line ends with LF, CRLF or a lone CR; the last one may lack its end. A comment is `;` to the end of the line or
`( … )`, whichever opens first; a `(` that is never closed ends with its line. NUL counts as a blank, a UTF-8 byte order
mark at the start of the file is skipped, and other bytes are left as they are (docs/serial.md §11 and §12).

What is left of a line is sendable unless it is empty. Two things are taken out because the sender numbers lines
itself: a line's own number and checksum (`N12 G1 X1*99`), and `M110 N…`, which would renumber the job under way
(docs/serial.md §13).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

LINE_LIMIT = 4096
"""Bytes of one line's code, and of its comment, that are kept; what is beyond is dropped unseen, so that memory does
not grow with a file that has no line ends. Far more than any firmware takes: such a line is refused by the scan."""

BOM = b"\xef\xbb\xbf"

_COMMENT = re.compile(rb";[^\n]*|\([^)\n]*\)?")
_SEMICOLON = re.compile(rb";[^\n]*")  # the same where there is no "(": one literal to search for is far faster
_NUMBER = re.compile(rb"[Nn]\d+")
_RENUMBER = re.compile(rb"[Mm]\s*0*110(?!\d)[^Nn]*[Nn]")
_NUL_IS_BLANK = bytes.maketrans(b"\0", b" ")


def sendable(text: bytes) -> list[bytes]:
    """The sendable lines of `text`, which holds whole lines that end with LF (as `LineBlocks` gives them)."""
    if b"(" in text:
        text = _COMMENT.sub(b"", text)
    elif b";" in text:
        text = _SEMICOLON.sub(b"", text)
    lines = [code for line in text.split(b"\n") if (code := line.strip())]
    if lines and len(text) > LINE_LIMIT and max(map(len, lines)) > LINE_LIMIT:
        lines = [line[:LINE_LIMIT].rstrip() for line in lines]
    if b"N" in text or b"n" in text:
        lines = [code for line in lines if (code := _unnumbered(line))]
    return lines


def _unnumbered(line: bytes) -> bytes:
    """`line` without its own number and checksum; empty where all it does is to renumber."""
    if number := _NUMBER.match(line):
        code, star, checksum = line[number.end() :].rpartition(b"*")
        line = code.strip() if star and checksum.strip().isdigit() else line[number.end() :].strip()
    return b"" if _RENUMBER.match(line) else line


class LineBlocks:
    """Cuts a stream of blocks, wherever they were cut, into texts of whole lines that end with LF.

    `offset` is the place in the file, in bytes, up to which lines have been given out: always the start of a line.
    """

    def __init__(self) -> None:
        self.offset = 0
        self._begun = False
        self._rest = b""  # the start of a line whose end has not come yet, shortened where it is very long
        self._rest_bytes = 0  # how many bytes of the file `_rest` stands for

    def feed(self, block: bytes) -> bytes:
        """The whole lines that `block` completes; empty when it completes none."""
        data = self._rest + block
        if not self._begun:
            if len(data) < len(BOM) and BOM.startswith(data):
                self._rest, self._rest_bytes = data, len(data)
                return b""
            self._begun = True
            if data.startswith(BOM):
                data = data[len(BOM) :]
                self.offset += len(BOM)
                self._rest_bytes -= len(BOM)
        # A CR at the very end waits: the LF that belongs to it may come with the next block.
        cut = max(data.rfind(b"\n"), data.rfind(b"\r", 0, max(len(data) - 1, 0))) + 1
        self._rest = data[cut:]
        self._rest_bytes += len(block)
        if cut:
            self.offset += self._rest_bytes - len(self._rest)
            self._rest_bytes = len(self._rest)
        if len(self._rest) > 2 * LINE_LIMIT:
            self._rest = _shortened(self._rest)
        return _normal(data[:cut])

    def finish(self) -> bytes:
        """The last line, where the file does not end with a line end; empty otherwise."""
        rest, self._rest = self._rest, b""
        self.offset += self._rest_bytes
        self._rest_bytes = 0
        if not rest:
            return b""
        return _normal(rest if rest.endswith((b"\r", b"\n")) else rest + b"\n")


def _normal(text: bytes) -> bytes:
    """`text` with LF as the only line end, and blanks for NULs."""
    if b"\r" in text:
        text = text.replace(b"\r\n", b"\n").replace(b"\r", b"\n")
    return text.translate(_NUL_IS_BLANK) if b"\0" in text else text


def _shortened(start: bytes) -> bytes:
    """The start of an endless line in at most about two LINE_LIMITs, so that it still means the same."""
    end = b"\r" if start.endswith(b"\r") else b""
    start = start.removesuffix(b"\r").translate(_NUL_IS_BLANK)
    code, comment, at = b"", b"", 0
    for match in _COMMENT.finditer(start):
        code += start[at : match.start()]
        at = match.end()
        if at == len(start) and (match[0].startswith(b";") or not match[0].endswith(b")")):  # still open
            comment = match[0][:LINE_LIMIT]
    code += start[at:]
    return code.lstrip()[:LINE_LIMIT] + comment + end


def sendable_lists(blocks: Iterable[bytes]) -> Iterator[list[bytes]]:
    """The sendable lines of a file that comes as `blocks`, in lists of about one block each."""
    whole = LineBlocks()
    for block in blocks:
        if text := whole.feed(block):
            yield sendable(text)
    if text := whole.finish():
        yield sendable(text)
