"""Digests of a file (checksums) from the headers of an HTTP answer.

    Repr-Digest, Content-Digest     RFC 9530: sha-256=:base64:, …   (of the whole, of this very body)
    Digest                          RFC 3230: SHA-256=base64, …
    Content-MD5                     RFC 1864: base64

A header that cannot be parsed, or only names algorithms that are not known here, is ignored.
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Mapping

SIZES = {"sha-512": 64, "sha-256": 32, "md5": 16}
"""Algorithms that can be checked, the strongest first, with the bytes of their digests."""

# Possessive, and only from the beginning of a word: a header of 64 KiB takes linear time, whatever is in it.
_RFC9530 = re.compile(r"(?<![A-Za-z0-9*_.-])([A-Za-z0-9*_.-]++)\s*+=\s*+:([A-Za-z0-9+/=]*+):")
_RFC3230 = re.compile(r"(?<![A-Za-z0-9-])([A-Za-z0-9-]++)=([A-Za-z0-9+/]++={0,2})")


def digest_from_headers(headers: Mapping[str, str], *, whole: bool) -> str:
    """The strongest digest of the whole file in an answer's headers, as `sha-256=` and hexadecimal digits; empty where
    there is none. `whole`: the body is the whole file, so that a digest of the body counts too."""
    digests: dict[str, str] = {}
    for name, pattern, of_body in (
        ("Repr-Digest", _RFC9530, False),
        ("Digest", _RFC3230, False),
        ("Content-Digest", _RFC9530, True),
    ):
        if of_body and not whole:
            continue
        for algorithm, text in pattern.findall(headers.get(name, "")):
            _add_digest(digests, algorithm.lower(), text)
    if whole:
        _add_digest(digests, "md5", headers.get("Content-MD5", "").strip())
    return next((f"{algorithm}={digests[algorithm]}" for algorithm in SIZES if algorithm in digests), "")


def _add_digest(digests: dict[str, str], algorithm: str, text: str) -> None:
    try:
        value = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        return
    if len(value) == SIZES.get(algorithm):
        digests.setdefault(algorithm, value.hex())
