"""Reading a digest header takes linear time: the server may put 64 KiB into it."""

from __future__ import annotations

import base64
import hashlib
import time

import pytest

from agent.files.digest import digest_from_headers

SUM = hashlib.sha256(b"x").digest()
TEXT = base64.b64encode(SUM).decode()


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("Repr-Digest", f"sha-256=:{TEXT}:"),
        ("Repr-Digest", f"md5=:AAAA:, sha-256 = :{TEXT}:;q=1"),
        ("Digest", f"SHA-256={TEXT}"),
        ("Digest", f"md5=AAAA,sha-256={TEXT}"),
    ],
)
def test_a_digest_is_found_in_either_form(name: str, value: str) -> None:
    assert digest_from_headers({name: value}, whole=True) == f"sha-256={SUM.hex()}"


def seconds(name: str, text: str) -> float:
    started = time.process_time()
    digest_from_headers({name: text}, whole=True)
    return time.process_time() - started


@pytest.mark.parametrize("name", ["Repr-Digest", "Digest"])
@pytest.mark.parametrize("piece", ["a", "a ", " ", "a=", "=:", "a=:", "a=:A", "-", "a=A"])
def test_a_header_of_any_kind_is_read_in_linear_time(name: str, piece: str) -> None:
    """32 KiB of letters took 16 s, four times as long as half of it."""
    assert seconds(name, piece * (65_536 // len(piece))) < 0.2
