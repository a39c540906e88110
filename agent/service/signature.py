"""Ed25519 signatures with OpenSSL's command line: verify, sign, make a pair of keys."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable
from pathlib import Path

from agent.core.clock import Clock
from agent.errors import CancelledError, ConfigError, DataError, UnavailableError
from agent.service import child_process
from agent.service.child_process import ChildEnd, ignore

OPENSSL = "/usr/bin/openssl"
TIMEOUT = 30.0  # seconds for one call; what is verified has a few hundred bytes
_PUBLIC = b"-----BEGIN PUBLIC KEY-----"


def verify(message: Path, signature: Path, public_key: Path, *, clock: Clock, cancelled: Callable[[], bool]) -> None:
    """Check the signature over a small file, which OpenSSL reads as a whole. Raises DataError when it is another key's,
    ConfigError when the key or OpenSSL cannot be used, UnavailableError when it takes too long, CancelledError."""
    _check_public_key(public_key)
    argv = [OPENSSL, "pkeyutl", "-verify", "-rawin", "-pubin", "-inkey", str(public_key)]
    argv += ["-in", str(message), "-sigfile", str(signature)]
    try:
        done = child_process.run(argv, clock=clock, timeout_s=TIMEOUT, cancelled=cancelled, environ={}, watch=ignore)
    except UnavailableError as error:
        raise ConfigError(f"the signature cannot be verified: {error}") from None
    if done.end is ChildEnd.CANCELLED:
        raise CancelledError("cancelled while the signature was verified")
    if done.end is ChildEnd.TIMED_OUT:
        raise UnavailableError("verifying the signature took too long")
    if done.code != 0:
        raise DataError("the signature is not by the configured key")


def sign(message: Path, signature: Path, private_key: Path) -> None:
    """Write the signature over a small file. A key with a passphrase is asked for at the terminal. Raises DataError."""
    argv = ["pkeyutl", "-sign", "-rawin", "-inkey", str(private_key), "-in", str(message), "-out", str(signature)]
    _openssl(argv, f"{private_key}: cannot sign with this key")


def make_keys(private_key: Path, public_key: Path) -> None:
    """Make a pair of Ed25519 keys in PEM, the private one for its owner alone. Raises DataError for a file that is
    there already."""
    for path in (private_key, public_key):
        if path.exists():
            raise DataError(f"{path}: is there already")
    private = _openssl(["genpkey", "-algorithm", "ed25519"], "no key could be made")
    _write_new(private_key, private, 0o600)
    public = _openssl(["pkey", "-in", str(private_key), "-pubout"], f"{private_key}: not a private key")
    _write_new(public_key, public, 0o644)


def _check_public_key(path: Path) -> None:
    """Raise ConfigError unless the file is a public key: a wrong path must not look like a wrong signature."""
    try:
        with path.open("rb") as file:
            good = _PUBLIC in file.read(65536)
    except OSError as error:
        raise ConfigError(f"[firmware_upgrade] public_key: {path}: {error.strerror}") from None
    if not good:
        raise ConfigError(f"[firmware_upgrade] public_key: {path}: not a public key in PEM")


def _openssl(arguments: list[str], failure: str) -> bytes:
    """Run OpenSSL for a person at a terminal; its output. Raises DataError, which begins with
    `failure`, ConfigError."""
    try:
        done = subprocess.run([OPENSSL, *arguments], capture_output=True, check=False)  # noqa: S603 no shell, our own arguments
    except OSError as error:
        raise ConfigError(f"{OPENSSL}: {error.strerror}") from None
    if done.returncode != 0:
        words = done.stderr.decode("utf-8", "replace").strip().splitlines()
        raise DataError(f"{failure}: {words[-1][:200] if words else done.returncode}")
    return done.stdout


def _write_new(path: Path, content: bytes, mode: int) -> None:
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
    except OSError as error:
        raise DataError(f"{path}: {error.strerror}") from None
    with os.fdopen(descriptor, "wb") as file:
        file.write(content)
