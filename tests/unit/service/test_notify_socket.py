"""Notifications to a supervisor that reads late, or never: nothing waits for it, and what matters reaches it."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from agent.service.notify_socket import NotifySocket
from tests.support.supervisor import Supervisor

REMOVE, STORE = "FDSTOREREMOVE=1\nFDNAME=serial", "FDSTORE=1\nFDNAME=serial"


@pytest.fixture
def systemd(tmp_path: Path) -> Iterator[Supervisor]:
    made = Supervisor(str(tmp_path / "notify"))
    yield made
    made.close()


@pytest.fixture
def notify(systemd: Supervisor) -> Iterator[NotifySocket]:
    made = NotifySocket(systemd.address)
    yield made
    systemd.read()  # so that not even a send that waits does it for ever
    made.close()


@pytest.fixture
def pipe() -> Iterator[tuple[int, int]]:
    read, write = os.pipe()
    yield read, write
    for fd in (read, write):
        os.close(fd)


def test_nothing_waits_for_a_full_queue_and_the_latest_of_each_is_sent_with_the_next_flush(
    systemd: Supervisor, notify: NotifySocket
) -> None:
    assert systemd.fill() > 0
    for text in ("READY=1", "STATUS=idle", "EXTEND_TIMEOUT_USEC=1", "STATUS=printing 5%", "EXTEND_TIMEOUT_USEC=2"):
        notify.send(text)
    assert systemd.texts() == []
    notify.flush()
    assert systemd.texts() == ["READY=1\nSTATUS=printing 5%\nEXTEND_TIMEOUT_USEC=2"]
    notify.flush()
    assert systemd.texts() == []


def test_of_ready_reloading_and_stopping_only_the_latest_is_sent_late(
    systemd: Supervisor, notify: NotifySocket
) -> None:
    systemd.fill()
    for text in ("READY=1", "RELOADING=1\nMONOTONIC_USEC=7", "READY=1", "STOPPING=1"):
        notify.send(text)
    systemd.read()
    notify.flush()
    assert systemd.texts() == ["STOPPING=1"]


def test_what_is_only_true_now_is_not_sent_late(systemd: Supervisor, notify: NotifySocket) -> None:
    systemd.fill()
    notify.send_once("WATCHDOG=1")
    systemd.read()
    notify.flush()
    assert systemd.texts() == []
    notify.send_once("WATCHDOG=1")
    assert systemd.texts() == ["WATCHDOG=1"]


def test_a_descriptor_waits_with_its_message_and_outlives_the_one_that_was_given(
    systemd: Supervisor, notify: NotifySocket
) -> None:
    read, write = os.pipe()
    systemd.fill()
    notify.store_descriptor("serial", write)
    os.close(write)
    systemd.read()
    notify.flush()
    removed, (text, (kept,)) = systemd.read()
    assert (removed, text) == ((REMOVE, []), STORE)
    os.write(kept, b"same")
    assert os.read(read, 10) == b"same"
    os.close(kept)
    assert os.read(read, 10) == b"", "a copy of it is still open"
    os.close(read)


def test_a_descriptor_that_waits_is_forgotten_with_its_port(systemd: Supervisor, notify: NotifySocket) -> None:
    read, write = os.pipe()
    systemd.fill()
    notify.store_descriptor("serial", write)
    os.close(write)
    notify.remove_descriptor("serial")
    assert os.read(read, 10) == b"", "a copy of it is still open"
    os.close(read)
    systemd.read()
    notify.flush()
    assert systemd.read() == [(REMOVE, [])]


def test_at_the_end_systemd_gets_time_for_a_descriptor(
    systemd: Supervisor, notify: NotifySocket, pipe: tuple[int, int]
) -> None:
    systemd.fill()
    notify.store_descriptor("serial", pipe[1])
    found = list[tuple[str, list[int]]]()

    def read_late() -> None:
        end = time.monotonic() + 20.0
        while not any(text == STORE for text, _ in found) and time.monotonic() < end:
            time.sleep(0.05)
            found.extend(systemd.read())

    reader = threading.Thread(target=read_late, name="systemd")
    reader.start()
    notify.close(store_within=10.0)
    reader.join()
    assert [text for text, _ in found] == [REMOVE, STORE]
    os.close(found[1][1][0])


def test_at_the_end_a_supervisor_that_never_reads_costs_a_moment_and_a_sentence(
    systemd: Supervisor, notify: NotifySocket, pipe: tuple[int, int]
) -> None:
    systemd.fill()
    notify.store_descriptor("serial", pipe[1])
    began = time.monotonic()
    with capture_logs() as logs:
        notify.close(store_within=0.1)
    assert time.monotonic() - began < 5.0
    assert [entry["event"] for entry in logs] == ["descriptor not stored"]


def test_without_a_descriptor_the_end_is_not_delayed(systemd: Supervisor, notify: NotifySocket) -> None:
    systemd.fill()
    notify.send("STOPPING=1")
    began = time.monotonic()
    notify.close(store_within=60.0)
    assert time.monotonic() - began < 5.0


def test_a_supervisor_that_comes_back_is_told_what_it_missed(tmp_path: Path) -> None:
    notify = NotifySocket(str(tmp_path / "notify"))
    with capture_logs() as logs:
        notify.send("READY=1")
        notify.send("STATUS=idle")
    assert [(entry["event"], entry["error"]) for entry in logs] == [
        ("notification deferred", "No such file or directory")
    ]
    systemd = Supervisor(str(tmp_path / "notify"))
    notify.flush()
    assert systemd.texts() == ["READY=1\nSTATUS=idle"]
    systemd.close()
    notify.send("STATUS=printing")
    (tmp_path / "notify").unlink()
    systemd = Supervisor(str(tmp_path / "notify"))
    notify.flush()
    assert systemd.texts() == ["STATUS=printing"]
    notify.close()
    systemd.close()


def test_text_is_sent_as_utf_8(systemd: Supervisor, notify: NotifySocket) -> None:
    notify.send("STATUS=Küche – 5 % \ud800")
    assert systemd.texts() == ["STATUS=Küche – 5 % ?"]
