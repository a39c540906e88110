"""Manifest of a firmware package, and what makes an upgrade refused: the wrong model, an older version.

    NAME                 the package: any file, which the install command gets
    NAME.manifest        a JSON object: format, model, version, size, sha256
    NAME.manifest.sig    the Ed25519 signature over the manifest's bytes

The signature holds for the package because the manifest has its size and SHA-256. So a package of any size is checked
as a stream, and one that is refused for its model or version is not even fetched.
"""

from __future__ import annotations

import re

import msgspec

from agent.core.printable import printable
from agent.errors import DataError

FORMAT = "printer-agent firmware package 1"
"""What the manifest says it is: a signature over something else is never taken for one over a manifest."""

MANIFEST_SUFFIX = ".manifest"
SIGNATURE_SUFFIX = ".manifest.sig"
MAX_MANIFEST = 4096
"""Bytes of a manifest, and of its signature."""

MAX_PACKAGE = 512 << 20
"""Bytes of a package."""

MAX_MODEL = 100  # characters
_VERSION = re.compile(r"[0-9]{1,9}(\.[0-9]{1,9}){0,7}")
_SHA256 = re.compile(r"[0-9a-f]{64}")


class Manifest(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What is signed. `model` is compared with the owner's, `version` with the one that was installed last; `size` is
    in bytes, `sha256` in lower-case hexadecimal digits."""

    format: str = FORMAT
    model: str
    version: str
    size: int
    sha256: str


def encode(manifest: Manifest) -> bytes:
    """The manifest as the JSON that is signed, in one line. Raises DataError for values that `parse` would refuse."""
    _check(manifest)
    return msgspec.json.encode(manifest) + b"\n"


def parse(data: bytes) -> Manifest:
    """Parse and check a manifest. Raises DataError."""
    if len(data) > MAX_MANIFEST:
        raise DataError(f"the manifest has {len(data)} bytes; {MAX_MANIFEST} is the limit")
    try:
        manifest = msgspec.json.decode(data, type=Manifest)
    except (msgspec.MsgspecError, UnicodeError, RecursionError) as error:
        raise DataError(f"the manifest cannot be read: {printable(str(error))[:200] or 'nested too deeply'}") from None
    _check(manifest)
    return manifest


def version_key(version: str) -> tuple[int, ...]:
    """A version as numbers that can be compared; zeros at its end do not count (2.1 is 2.1.0). Raises DataError."""
    if not _VERSION.fullmatch(version):
        raise DataError(f"version {version[:40]!r}: expected numbers with dots between them, such as 2.1.3")
    numbers = [int(number) for number in version.split(".")]
    while len(numbers) > 1 and numbers[-1] == 0:
        numbers.pop()
    return tuple(numbers)


def check_model(manifest: Manifest, model: str) -> None:
    """Check that the package is for this model; upper and lower case are the same. Raises DataError."""
    if manifest.model.casefold() != model.casefold():
        raise DataError(f"the package is for the model {manifest.model!r}, and this printer is {model!r}")


def check_version(manifest: Manifest, installed: str) -> None:
    """Check that the package is not older than what was installed last; `installed` is empty for nothing. The same
    version may be installed again. Raises DataError."""
    if installed and version_key(manifest.version) < version_key(installed):
        raise DataError(
            f"the package has version {manifest.version}, and {installed} was installed"
            " ([firmware_upgrade] allow_downgrade lets the owner go back)"
        )


def _check(manifest: Manifest) -> None:
    """Check what types alone cannot express. Raises DataError."""
    if manifest.format != FORMAT:
        raise DataError(f"the manifest's format is {manifest.format[:60]!r}; expected {FORMAT!r}")
    if not 0 < len(manifest.model) <= MAX_MODEL or not manifest.model.isprintable():
        raise DataError(f"the manifest's model: expected 1 to {MAX_MODEL} printable characters")
    version_key(manifest.version)
    if not 0 < manifest.size <= MAX_PACKAGE:
        raise DataError(f"the package has {str(manifest.size)[:20]} bytes; expected 1 to {MAX_PACKAGE}")
    if not _SHA256.fullmatch(manifest.sha256):
        raise DataError("the manifest's sha256: expected 64 hexadecimal digits")
