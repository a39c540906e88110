"""Checksums of a file, as a command or a server gives them.

    Repr-Digest, Content-Digest     RFC 9530: sha-256=:base64:, …   (of the whole, of this very body)
    Digest                          RFC 3230: SHA-256=base64, …
    Content-MD5                     RFC 1864: base64

A header that cannot be read, or only names algorithms that are not known here, says nothing.
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Mapping

SIZES = {"sha-512": 64, "sha-256": 32, "md5": 16}
"""What can be checked, the strongest first; bytes of a checksum."""

_STRUCTURED = re.compile(r"([A-Za-z0-9*_.-]+)\s*=\s*:([A-Za-z0-9+/=]*):")
_OLD = re.compile(r"([A-Za-z0-9-]+)=([A-Za-z0-9+/]+={0,2})")


def given(headers: Mapping[str, str], *, whole: bool) -> str:
    """The strongest checksum of the whole file that an answer gives, as `sha-256=` and hexadecimal digits; empty where
    there is none. `whole`: the body is the whole file, so that what is said of the body counts too."""
    found: dict[str, str] = {}
    for name, pattern, of_body in (
        ("Repr-Digest", _STRUCTURED, False),
        ("Digest", _OLD, False),
        ("Content-Digest", _STRUCTURED, True),
    ):
        if of_body and not whole:
            continue
        for algorithm, text in pattern.findall(headers.get(name, "")):
            _note(found, algorithm.lower(), text)
    if whole:
        _note(found, "md5", headers.get("Content-MD5", "").strip())
    return next((f"{algorithm}={found[algorithm]}" for algorithm in SIZES if algorithm in found), "")


def _note(found: dict[str, str], algorithm: str, text: str) -> None:
    try:
        value = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        return
    if len(value) == SIZES.get(algorithm):
        found.setdefault(algorithm, value.hex())
