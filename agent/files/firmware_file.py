"""Firmware package on the disk: its manifest made and signed, or verified, and its content checked as a stream."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path

from agent.core.clock import Clock
from agent.errors import CancelledError, DataError
from agent.files.firmware_manifest import MANIFEST_SUFFIX, MAX_MANIFEST, SIGNATURE_SUFFIX, Manifest, encode, parse
from agent.files.spool import never
from agent.service.signature import sign, verify

BLOCK = 1 << 20  # bytes of a package in memory


def manifest_path(package: Path) -> Path:
    """Where the manifest of a package is: beside it."""
    return package.with_name(package.name + MANIFEST_SUFFIX)


def signature_path(package: Path) -> Path:
    """Where the manifest's signature is."""
    return package.with_name(package.name + SIGNATURE_SUFFIX)


def make_manifest(package: Path, *, model: str, version: str, private_key: Path) -> Manifest:
    """Write the manifest of a package and its signature beside it. Raises DataError, ConfigError."""
    size, sha256 = _measure(package, never)
    manifest = Manifest(model=model, version=version, size=size, sha256=sha256)
    try:
        manifest_path(package).write_bytes(encode(manifest))
    except OSError as error:
        raise DataError(f"{manifest_path(package)}: {error.strerror}") from None
    sign(manifest_path(package), signature_path(package), private_key)
    return manifest


def read_manifest(package: Path, public_key: Path, *, clock: Clock, cancelled: Callable[[], bool] = never) -> Manifest:
    """The manifest beside a package, after its signature was verified. Raises DataError, ConfigError, UnavailableError,
    CancelledError."""
    manifest, signature = manifest_path(package), signature_path(package)
    try:
        with manifest.open("rb") as file:
            data = file.read(MAX_MANIFEST + 1)
        signature.stat()
    except OSError as error:
        raise DataError(f"{error.filename}: {error.strerror}") from None
    if len(data) > MAX_MANIFEST:
        raise DataError(f"{manifest.name}: more than {MAX_MANIFEST} bytes")
    verify(manifest, signature, public_key, clock=clock, cancelled=cancelled)
    return parse(data)


def check_content(package: Path, manifest: Manifest, cancelled: Callable[[], bool] = never) -> None:
    """Check the package's size and SHA-256, one block at a time. Raises DataError, CancelledError."""
    if _measure(package, cancelled) != (manifest.size, manifest.sha256):
        raise DataError("the package is not the one that the manifest was signed for: its size or SHA-256 is another")


def _measure(package: Path, cancelled: Callable[[], bool]) -> tuple[int, str]:
    """Size in bytes and SHA-256 of a file."""
    digest, size = hashlib.sha256(), 0
    try:
        with package.open("rb") as file:
            while block := file.read(BLOCK):
                if cancelled():
                    raise CancelledError("cancelled while the package was checked")
                digest.update(block)
                size += len(block)
    except OSError as error:
        raise DataError(f"{package}: {error.strerror}") from None
    return size, digest.hexdigest()
