"""Manifests of firmware packages (agent/files/firmware_manifest.py): DataError, or what can be written again."""

from __future__ import annotations

import random

from agent.errors import DataError
from agent.files import firmware_manifest
from agent.files.firmware_manifest import MAX_PACKAGE, check_model, check_version, version_key
from benchmarks.fuzz.mutator import JSON, Mutator
from benchmarks.fuzz.target import pure, require_text

EXAMPLES = (
    b'{"format":"printer-agent firmware package 1","model":"Mk-3","version":"2.1.3","size":8000,"sha256":"'
    + b"0a" * 32
    + b'"}\n',
    b'{"sha256":"'
    + b"f" * 64
    + b'","size":1,"version":"0","model":"\xc3\xa9","format":"printer-agent firmware package 1"}',
)
TOKENS = (
    *JSON,
    b'"format":',
    b'"model":',
    b'"version":',
    b'"2.1."',
    b'"1.2.3.4.5.6.7.8.9"',
    b'"size":-1',
    b'"x":1,',
    b"\xd9\xa3",
)
ERROR_LIMIT = 600


def _check(data: bytes, _choose: random.Random) -> None:
    try:
        manifest = firmware_manifest.parse(data)
        assert 0 < manifest.size <= MAX_PACKAGE
        assert version_key(manifest.version) >= (0,)
        require_text(manifest.model, 100)
        assert firmware_manifest.parse(firmware_manifest.encode(manifest)) == manifest
        check_version(manifest, "1.0")
        check_model(manifest, "Mk-3")
    except DataError as error:
        require_text(str(error), ERROR_LIMIT)


TARGET = pure("manifests", 100_000, Mutator(EXAMPLES, TOKENS), _check)
