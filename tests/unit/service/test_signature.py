"""Verification of a signature with limits: a real child process in OpenSSL's place, the clock in the test's hands."""

from __future__ import annotations

import threading
import time
from pathlib import Path

import pytest

from agent.errors import CancelledError, ConfigError, UnavailableError
from agent.service import signature
from agent.testing import FakeClock

PATIENCE = 20.0  # seconds for anything that should happen


@pytest.fixture
def key(tmp_path: Path) -> Path:
    path = tmp_path / "key.pub"
    path.write_text("-----BEGIN PUBLIC KEY-----\n-----END PUBLIC KEY-----\n")
    return path


@pytest.fixture
def hanging(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An OpenSSL that never ends; the file that it makes when it has begun."""
    program, begun = tmp_path / "openssl", tmp_path / "begun"
    program.write_text(
        f"#!/bin/sh\ntrap '' TERM\necho $$ >{begun}.new\nmv {begun}.new {begun}\nwhile :; do sleep 1; done\n"
    )
    program.chmod(0o755)
    monkeypatch.setattr(signature, "OPENSSL", str(program))
    return begun


class Verification(threading.Thread):
    """One verification on a thread; `error` is what it raised."""

    def __init__(self, key: Path, clock: FakeClock, cancel: threading.Event) -> None:
        super().__init__(daemon=True)
        self._key, self._clock, self._cancel = key, clock, cancel
        self.error: Exception | None = None

    def run(self) -> None:
        try:
            signature.verify(self._key, self._key, self._key, clock=self._clock, cancelled=self._cancel.is_set)
        except Exception as error:  # noqa: BLE001 it is what is looked at
            self.error = error


def wait_for(path: Path) -> int:
    end = time.monotonic() + PATIENCE
    while not path.exists():
        assert time.monotonic() < end
        time.sleep(0.01)
    return int(path.read_text())


def test_an_openssl_that_hangs_is_ended_after_30_seconds(key: Path, hanging: Path) -> None:
    clock = FakeClock()
    verification = Verification(key, clock, threading.Event())
    verification.start()
    child = wait_for(hanging)
    clock.advance(29.0)
    verification.join(0.3)
    assert verification.is_alive(), "it was ended before its time"
    clock.advance(2.0)
    verification.join(PATIENCE)
    assert isinstance(verification.error, UnavailableError)
    assert str(verification.error) == "verifying the signature took too long"
    assert not Path(f"/proc/{child}").exists()


def test_an_openssl_that_hangs_ends_with_a_cancel(key: Path, hanging: Path) -> None:
    cancel = threading.Event()
    verification = Verification(key, FakeClock(), cancel)
    verification.start()
    child = wait_for(hanging)
    cancel.set()
    verification.join(PATIENCE)
    assert isinstance(verification.error, CancelledError)
    assert not Path(f"/proc/{child}").exists()


def test_an_openssl_that_is_not_there_is_a_fault_of_the_configuration(
    key: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(signature, "OPENSSL", str(tmp_path / "nothing"))
    with pytest.raises(ConfigError, match="the signature cannot be verified"):
        signature.verify(key, key, key, clock=FakeClock(), cancelled=lambda: False)
