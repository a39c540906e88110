"""Each loop over text from outside takes linear time, whatever the text is: measured with a text four times as long."""

from __future__ import annotations

import msgspec
import pytest

from agent.core import command
from agent.core.answer import http_date, retry_after
from agent.core.printable import printable, printable_json
from agent.errors import AgentError
from agent.faye.messages import ReplySplitter, decode
from agent.files import firmware_manifest
from agent.files.address import check_download_url, redact_url
from agent.files.digest import digest_from_headers
from agent.gcode import Limits, Scanner
from agent.gcode.modal import ModalState
from agent.gcode.sendable import LineBlocks, sendable
from agent.gcode.waiting import heat_wait, message, wants_person
from agent.gcode.words import command_word, parameters, uppercase
from agent.http.addresses import literal_address
from agent.local import local_requests
from drivers.gcode.printing.dialects import identify
from drivers.gcode.protocol.line_splitter import LineSplitter
from drivers.gcode.protocol.replies import parse
from tests.support.growth import superlinear

SIZES = (100, 4_000)
"""Characters of a text."""
PIECES = (
    *(
        "a",
        "A",
        " ",
        "\t",
        "1",
        ".",
        "-",
        "(",
        ")",
        "()",
        "[",
        "]",
        "{",
        "}",
        ",",
        "[]",
        "{},",
        '"',
        '\\"',
        '"",',
        "\\",
    ),
    *("N", "N1 ", "\n", "\r", "\0", ";", ";\n", "; X999 ", "X999 ", "*", "M110 ", "\nM110", "M104 S1 ", "M73 P1\n"),
    *("G1 X1\n", "G91\n", "T1\n", "M106 P1\n", "ok", "ok ", "ok\n", "T:1 ", "T0:1 /2 ", "\xff", "start", "//", "A:"),
    *("%2e", "/", ":"),
)
FRONTS = ("", "G1 ", "ok T:1 ", '[{"command":"x","settings":')


def scan(data: bytes) -> None:
    scanner = Scanner(Limits(volume=(250.0, 210.0, 220.0)))
    try:
        for start in range(0, len(data), 65_536):
            scanner.feed(data[start : start + 65_536])
        scanner.finish()
    except AgentError:
        return


def scan_pieces(data: bytes) -> None:
    scanner = Scanner()
    try:
        for start in range(0, len(data), 16):
            scanner.feed(data[start : start + 16])
        scanner.finish()
    except AgentError:
        return


def words(data: bytes) -> None:
    for line in data.split(b"\n"):
        for each in (command_word, parameters, uppercase, heat_wait, wants_person, message):
            each(line)
    ModalState(data.split(b"\n")).lines()


def lines(data: bytes) -> None:
    sendable(data)
    blocks = LineBlocks()
    for start in range(0, len(data), 16):
        blocks.feed(data[start : start + 16])
    blocks.finish()


def replies(data: bytes) -> None:
    parse(data)
    splitter = LineSplitter()
    for start in range(0, len(data), 16):
        for line in splitter.feed(data[start : start + 16]):
            parse(line)


def faye(data: bytes) -> None:
    splitter = ReplySplitter()
    try:
        decode(data)
        for start in range(0, len(data), 16):
            splitter.feed(data[start : start + 16])
    except ValueError:
        return


def commands(data: bytes) -> None:
    command.parse(data)
    command.parse(data.decode("latin-1"))


def local(data: bytes) -> None:
    try:
        local_requests.parse(msgspec.json.decode(data))
    except (AgentError, msgspec.MsgspecError, UnicodeError, RecursionError):
        return


def manifests(data: bytes) -> None:
    try:
        firmware_manifest.parse(data)
    except AgentError:
        return


def headers(data: bytes) -> None:
    text = data.decode("latin-1")
    names = ("Repr-Digest", "Content-Digest", "Digest", "Content-MD5")
    digest_from_headers(dict.fromkeys(names, text), whole=True)
    http_date(text)
    retry_after(text, 0.0)


def addresses(data: bytes) -> None:
    text = "http://" + data.decode("latin-1")
    redact_url(text)
    literal_address(text[7:])
    try:
        check_download_url(text, allow_http=True)
    except AgentError:
        return


def texts(data: bytes) -> None:
    text = data.decode("latin-1")
    printable(text)
    printable_json(text)
    identify(["FIRMWARE_NAME:" + text], frozenset(), None)


PARSERS = (scan, scan_pieces, words, lines, replies, faye, commands, local, manifests, headers, addresses, texts)


@pytest.mark.parametrize("parser", PARSERS, ids=lambda parser: parser.__name__)
def test_a_parser_takes_linear_time(parser: object) -> None:
    assert callable(parser)
    found = []
    for front in FRONTS:
        for piece in PIECES:

            def make(size: int, front: str = front, piece: str = piece) -> bytes:
                return (front + piece * (size // len(piece)) + "\x01\n").encode("latin-1", "replace")

            if grows := superlinear(make, parser, SIZES):
                found.append(
                    f"{front!r}, then {piece!r} again and again: {grows:.1f} times as long for four times the size"
                )
    assert found == []
