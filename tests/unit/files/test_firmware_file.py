"""Firmware packages on the disk, made and checked by `printer-agent package`; OpenSSL verifies the same by itself."""

from __future__ import annotations

import subprocess
import tracemalloc
from contextlib import nullcontext, suppress
from pathlib import Path

import msgspec
import pytest

from agent.cli import main
from agent.errors import EX_CONFIG, EX_DATAERR, EX_OK, EX_USAGE
from agent.files.firmware_file import check_content, make_manifest, manifest_path, signature_path


@pytest.fixture
def key(tmp_path: Path) -> Path:
    """A private key, with the public one beside it."""
    assert main(["package", "key", str(tmp_path / "key")]) == EX_OK
    return tmp_path / "key"


@pytest.fixture
def package(tmp_path: Path, key: Path) -> Path:
    """A signed one."""
    path = tmp_path / "fw.bin"
    path.write_bytes(b"firmware" * 1000)
    assert main(["package", "make", str(path), "--model", "Mk-3", "--version", "2.1", "--key", str(key)]) == EX_OK
    return path


def check(package: Path, key: Path, *more: str) -> int:
    return main(["package", "check", str(package), "--key", f"{key}.pub", *more])


def test_keys_are_made_once_and_the_private_one_is_for_its_owner_alone(
    key: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert key.stat().st_mode & 0o777 == 0o600
    assert "BEGIN PRIVATE KEY" in key.read_text()
    assert "BEGIN PUBLIC KEY" in key.with_name("key.pub").read_text()
    before = key.read_bytes()
    assert main(["package", "key", str(key)]) == EX_DATAERR
    assert "is there already" in capsys.readouterr().err
    assert key.read_bytes() == before


def test_a_package_that_was_made_is_good_for_the_agent_and_for_openssl(
    package: Path, key: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    capsys.readouterr()
    assert check(package, key, "--model", "mk-3", "--installed", "2.1") == EX_OK
    assert capsys.readouterr().out == f"{package}: good: version 2.1 for Mk-3, 8000 bytes\n"
    argv = ["openssl", "pkeyutl", "-verify", "-rawin", "-pubin", "-inkey", f"{key}.pub"]
    argv += ["-in", str(manifest_path(package)), "-sigfile", str(signature_path(package))]
    assert subprocess.run(argv, capture_output=True, check=False).returncode == 0
    assert msgspec.json.decode(manifest_path(package).read_bytes())["version"] == "2.1"


@pytest.mark.parametrize(
    ("more", "says"),
    [
        (("--model", "Mk-4"), "for the model 'Mk-3', and this printer is 'Mk-4'"),
        (("--installed", "2.1.1"), "version 2.1, and 2.1.1 was installed"),
        (("--installed", "newest"), "expected numbers with dots"),
    ],
)
def test_a_package_that_the_agent_would_refuse_is_refused(
    package: Path, key: Path, more: tuple[str, ...], says: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert check(package, key, *more) == EX_DATAERR
    assert says in capsys.readouterr().err


@pytest.mark.parametrize("what", ["fw.bin", "fw.bin.manifest", "fw.bin.manifest.sig"])
def test_a_byte_more_anywhere_is_found(package: Path, key: Path, what: str) -> None:
    with package.with_name(what).open("ab") as file:
        file.write(b"!")
    assert check(package, key) == EX_DATAERR


@pytest.mark.parametrize("what", ["fw.bin", "fw.bin.manifest", "fw.bin.manifest.sig"])
def test_a_file_that_is_not_there_is_named(
    package: Path, key: Path, what: str, capsys: pytest.CaptureFixture[str]
) -> None:
    package.with_name(what).unlink()
    assert check(package, key) == EX_DATAERR
    assert f"{what}: No such file" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "code", "says"),
    [
        (["--model", "Mk-3", "--version", "2.1-beta", "--key", "key"], EX_DATAERR, "expected numbers with dots"),
        (["--model", "", "--version", "2.1", "--key", "key"], EX_DATAERR, "model"),
        (["--model", "Mk-3", "--version", "2.1", "--key", "key.pub"], EX_DATAERR, "cannot sign with this key"),
        (["--model", "Mk-3", "--version", "2.1", "--key", "nowhere"], EX_DATAERR, "cannot sign with this key"),
        (["--model", "Mk-3", "--key", "key"], EX_USAGE, "--version"),
    ],
)
def test_what_cannot_be_signed_is_said(
    words: list[str], code: int, says: str, package: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words[-1] = str(package.with_name(words[-1]))
    with suppress(SystemExit) if code == EX_USAGE else nullcontext():
        assert main(["package", "make", str(package), *words]) == code
    assert says in capsys.readouterr().err


def test_a_key_to_check_with_must_be_a_public_one(package: Path, key: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["package", "check", str(package), "--key", str(key)]) == EX_CONFIG
    assert "not a public key" in capsys.readouterr().err


def test_a_package_of_100_mib_is_never_in_memory_as_a_whole(tmp_path: Path, key: Path) -> None:
    large = tmp_path / "large"
    with large.open("wb") as file:
        file.truncate(100 << 20)
    tracemalloc.start()
    try:
        manifest = make_manifest(large, model="Mk-3", version="1", private_key=key)
        check_content(large, manifest)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 4 << 20, peak
