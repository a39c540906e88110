"""The port in systemd's descriptor store: what is said to systemd, on a real socket, and what it gives back, to a real
process."""

from __future__ import annotations

import fcntl
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from agent.core.driver import NoKeeper
from agent.service.descriptor_store import FIRST_DESCRIPTOR, SystemdKeeper, port_keeper
from agent.service.notify_socket import NotifySocket
from tests.support.supervisor import Supervisor


@pytest.fixture(params=["path", "abstract"])
def systemd(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Supervisor]:
    made = Supervisor(str(tmp_path / "notify") if request.param == "path" else f"@printer-agent-test-{os.getpid()}")
    yield made
    made.close()


@pytest.fixture
def keeper(systemd: Supervisor) -> Iterator[SystemdKeeper]:
    notify = NotifySocket(systemd.address)
    yield SystemdKeeper(notify, None)
    systemd.read()
    notify.close()


def test_a_port_is_kept_in_place_of_the_one_before_and_is_the_same_port(
    systemd: Supervisor, keeper: SystemdKeeper
) -> None:
    master, slave = os.openpty()
    keeper.keep(slave)
    os.close(slave)
    removed, (text, (kept,)) = systemd.read()
    assert removed == ("FDSTOREREMOVE=1\nFDNAME=serial", [])
    assert text == "FDSTORE=1\nFDNAME=serial"
    os.write(kept, b"still open\n")
    assert os.read(master, 100).startswith(b"still open")
    os.close(kept)
    os.close(master)


def test_a_port_that_is_gone_is_forgotten(systemd: Supervisor, keeper: SystemdKeeper) -> None:
    keeper.drop()
    assert systemd.read() == [("FDSTOREREMOVE=1\nFDNAME=serial", [])]


def test_a_port_that_is_gone_already_is_not_kept(systemd: Supervisor, keeper: SystemdKeeper) -> None:
    read, write = os.pipe()
    os.close(read)
    os.close(write)
    with capture_logs() as logs:
        keeper.keep(write)
    assert systemd.read() == []
    assert [(entry["event"], entry["error"]) for entry in logs] == [("port not kept open", "Bad file descriptor")]


def test_without_systemd_nobody_keeps_it() -> None:
    environ: dict[str, str] = {}
    assert isinstance(port_keeper(environ, os.getpid(), NotifySocket.from_environ(environ)), NoKeeper)


def test_what_was_left_for_another_process_is_not_ours() -> None:
    environ = {"LISTEN_PID": str(os.getpid() + 1), "LISTEN_FDS": "1", "NOTIFY_SOCKET": "/run/x"}
    assert port_keeper(environ, os.getpid(), NotifySocket.from_environ(environ)).take() is None
    assert environ == {"NOTIFY_SOCKET": "/run/x"}


CHILD = """
import fcntl, os, sys
from agent.service.descriptor_store import port_keeper
from agent.service.notify_socket import NotifySocket
os.environ["LISTEN_PID"] = str(os.getpid())
made = port_keeper(os.environ, os.getpid(), NotifySocket.from_environ(os.environ))
fd = made.take()
print(fd, made.take(), *(name for name in os.environ if name.startswith("LISTEN_")))
if fd is not None:
    print(bool(fcntl.fcntl(fd, fcntl.F_GETFD) & fcntl.FD_CLOEXEC))
    os.write(fd, b"found")
for other in (3, 4, 5):
    try:
        fcntl.fcntl(other, fcntl.F_GETFD)
    except OSError:
        print("closed", other)
"""


def child(names: str, count: str, *, notify: str = "/run/nobody") -> tuple[list[str], bytes]:
    """A process that is started with three pipes as descriptors 3 to 5: what it said, and what came out of them."""
    pipes = [os.pipe() for _ in range(3)]

    def place() -> None:
        ends = [fcntl.fcntl(write, fcntl.F_DUPFD, 20) for _, write in pipes]
        for number, end in enumerate(ends):
            os.dup2(end, FIRST_DESCRIPTOR + number)

    environ = {**os.environ, "LISTEN_FDS": count, "LISTEN_FDNAMES": names, "NOTIFY_SOCKET": notify}
    done = subprocess.run(
        [sys.executable, "-c", CHILD],
        env=environ,
        preexec_fn=place,
        close_fds=False,
        capture_output=True,
        text=True,
        timeout=30,
        check=True,
    )
    came = b""
    for read, write in pipes:
        os.close(write)
        came += os.read(read, 100)
        os.close(read)
    return done.stdout.splitlines(), came


def test_the_port_is_taken_once_by_its_name_and_what_else_there_is_is_closed() -> None:
    said, came = child("other:serial:serial", "3")
    assert said == ["4 None", "True", "closed 3", "closed 5"]
    assert came == b"found"


@pytest.mark.parametrize(("names", "count"), [("other:unknown", "2"), ("", "2"), ("serial", "0"), ("serial", "x")])
def test_nothing_is_taken_that_is_not_the_port(names: str, count: str) -> None:
    said, came = child(names, count)
    assert said[0] == "None None"
    assert came == b""


def test_without_an_ear_what_was_left_is_closed() -> None:
    said, _ = child("serial", "1", notify="")
    assert said[:2] == ["None None", "closed 3"]
