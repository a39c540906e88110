"""Registration: the first time, a known token, a dead one, a server that is away, and when the code is shown."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import structlog
from structlog.testing import capture_logs

from agent.errors import CloudError, UnavailableError
from agent.server import retry
from agent.server.api_client import TOKEN_HEADER
from agent.server.registration import NOT_ADDED, Registrar
from agent.service.condition_tracker import ConditionTracker
from agent.service.config import CloudSection, PrinterSection
from agent.state.store import Identity
from agent.testing import FakeClock
from tests.rigs.server_rig import PATIENCE, Reply, ScriptedServer, answer, scripted
from tests.support.cloud_side import make_client, make_registrar
from tests.support.store import open_store

TOKEN, NEW = "T" * 43, "N" * 43
CODE = "/v1/print/printers/registration_code"
FIRST = {
    "printer_id": 7,
    "auth_token": TOKEN,
    "registration_code": "AB12",
    "registered": False,
    "registration_url": "https://portal",
}
KNOWN = {"printer_id": 7, "registered": True}


class Rig:
    def __init__(self, server: ScriptedServer, path: Path) -> None:
        self.server = server
        self.store = open_store(path, FakeClock())
        self.cloud = make_client(CloudSection(server=server.url, read_timeout_s=5.0), FakeClock())
        self.lost: list[bool] = []
        self.stop = threading.Event()
        self.waits = threading.Semaphore(0)  # released before each wait for a retry
        self.printer = PrinterSection(type_id="TYPE", serial_number="SN")
        self.registrar = self.make()

    def make(self) -> Registrar:
        return make_registrar(
            self.server.url, self.store, printer=self.printer, on_token_lost=lambda: self.lost.append(True)
        )

    def know(self, token: str = TOKEN, *, registered: bool = False) -> None:
        self.store.identities.save(Identity(self.server.url, 7, token, registered, "AB12", "https://portal"))

    def register(self) -> Identity | None:
        return self.registrar.register(self.cloud, self.stop, self.waits.release)

    def tokens(self) -> list[str | None]:
        return [one.headers.get(TOKEN_HEADER) for one in self.server.asked(CODE)]

    def close(self) -> None:
        self.cloud.close()
        self.store.close()


@pytest.fixture
def rig(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Rig]:
    monkeypatch.setattr(retry.ServerWait, "__call__", lambda self, state: 0.001)  # the waits have their own test
    structlog.reset_defaults()
    with scripted() as server:
        made = Rig(server, tmp_path / "agent.db")
        yield made
        made.close()


def shown(logs: list[Any]) -> list[str]:
    return [line["code"] for line in logs if "code" in line]


def test_the_first_start_asks_without_a_token_keeps_the_identity_and_shows_the_code(rig: Rig) -> None:
    rig.server.script(CODE, answer(FIRST))
    with capture_logs() as logs:
        identity = rig.register()
    assert rig.tokens() == [None]
    assert rig.server.asked(CODE)[0].json == {"firmware": "Marlin", "type_id": "TYPE", "serial_number": "SN"}
    assert identity == rig.registrar.identity() == Identity(rig.server.url, 7, TOKEN, False, "AB12", "https://portal")
    assert shown(list(logs)) == ["AB12"]
    assert TOKEN not in str(logs)


def test_a_printer_without_a_serial_number_does_not_send_one(rig: Rig) -> None:
    rig.printer = PrinterSection(type_id="TYPE")
    rig.registrar = rig.make()
    rig.server.script(CODE, answer(FIRST))
    rig.register()
    assert rig.server.asked(CODE)[0].json == {"firmware": "Marlin", "type_id": "TYPE"}


def test_a_later_start_uses_the_token_and_shows_no_code(rig: Rig) -> None:
    rig.know()
    rig.server.script(CODE, answer({**KNOWN, "registration_code": None}))
    with capture_logs() as logs:
        identity = rig.register()
    assert rig.tokens() == [TOKEN]
    assert identity == rig.registrar.identity() == Identity(rig.server.url, 7, TOKEN, registered=True)
    assert shown(list(logs)) == []


def test_a_token_that_the_server_replaced_is_kept(rig: Rig) -> None:
    rig.know()
    rig.server.script(CODE, answer({**KNOWN, "auth_token": NEW}))
    rig.register()
    identity = rig.registrar.identity()
    assert identity is not None
    assert identity.auth_token == NEW


@pytest.mark.parametrize("status", [401, 403])
def test_a_dead_token_leads_to_a_new_registration_with_a_new_code(rig: Rig, status: int) -> None:
    rig.know()
    rig.server.script(CODE, Reply(status), answer({**FIRST, "auth_token": NEW, "printer_id": 8}))
    with capture_logs() as logs:
        identity = rig.register()
    assert rig.tokens() == [TOKEN, None]
    assert identity == rig.registrar.identity()
    assert identity is not None
    assert (identity.auth_token, identity.printer_id) == (NEW, 8)
    assert shown(list(logs)) == ["AB12"]


def test_a_server_that_is_away_is_tried_until_it_is_there(rig: Rig) -> None:
    rig.server.script(CODE, Reply(hang_up=True), Reply(503), Reply(200, b"<html>"), Reply(429), answer(FIRST))
    assert rig.register() is not None
    assert len(rig.tokens()) == 5


@pytest.mark.parametrize("status", [400, 401, 404, 422])
def test_a_refusal_of_an_unknown_printer_is_tried_again(rig: Rig, status: int) -> None:
    rig.server.script(CODE, Reply(status), Reply(status), answer(FIRST))
    assert rig.register() is not None
    assert rig.tokens() == [None] * 3


@pytest.mark.parametrize("status", [400, 404, 422])
def test_a_server_without_the_call_for_a_known_printer_leaves_it_as_it_is(rig: Rig, status: int) -> None:
    rig.know(registered=True)
    before = rig.registrar.identity()
    rig.server.script(CODE, Reply(status))
    assert rig.register() == before == rig.registrar.identity()
    assert rig.tokens() == [TOKEN]


def test_a_stop_ends_the_tries(rig: Rig) -> None:
    rig.server.usual = Reply(503)
    found: list[Identity | None] = []
    thread = threading.Thread(target=lambda: found.append(rig.register()), name="registration")
    thread.start()
    rig.server.until(3, CODE)
    rig.stop.set()
    thread.join(PATIENCE)
    assert found == [None]


def in_background(rig: Rig) -> tuple[threading.Thread, list[Identity | None]]:
    found: list[Identity | None] = []
    thread = threading.Thread(target=lambda: found.append(rig.register()), name="registration")
    thread.start()
    return thread, found


def test_a_disk_that_takes_no_write_is_waited_for_before_a_printer_is_made(
    rig: Rig,
) -> None:
    """The server is not asked for a printer that could not be kept."""
    rig.server.script(CODE, answer(FIRST))
    rig.store.database.execute("PRAGMA query_only = 1")
    thread, found = in_background(rig)
    assert all(rig.waits.acquire(timeout=PATIENCE) for _ in range(3))
    assert rig.tokens() == []
    rig.store.database.row("PRAGMA query_only = 0")
    thread.join(PATIENCE)
    assert found == [rig.registrar.identity()] != [None]
    assert rig.tokens() == [None]


def test_a_disk_that_refuses_the_first_identity_makes_no_other_printer(
    rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The printer that the server made is remembered: each further try carries its token."""
    save, failing = rig.store.identities.save, threading.Event()
    failing.set()

    def save_later(identity: Identity) -> None:
        """A disk that fails between the test write and the write."""
        if failing.is_set():
            raise UnavailableError("the state folder does not take a write")
        save(identity)

    monkeypatch.setattr(rig.store.identities, "save", save_later)
    rig.server.script(CODE, answer(FIRST), answer({**FIRST, "auth_token": None}))
    thread, found = in_background(rig)
    rig.server.until(3, CODE)
    assert rig.registrar.identity() == Identity(rig.server.url, 7, TOKEN, False, "AB12", "https://portal")
    failing.clear()
    thread.join(PATIENCE)
    assert found == [rig.store.identities.get(rig.server.url)] != [None]
    assert rig.tokens()[0] is None
    assert set(rig.tokens()[1:]) == {TOKEN}


def test_a_server_that_refuses_each_token_it_gave_gets_no_printer_a_second(rig: Rig) -> None:
    clock = FakeClock()
    rig.registrar = make_registrar(
        rig.server.url, rig.store, printer=rig.printer, on_token_lost=lambda: rig.lost.append(True), clock=clock
    )
    rig.server.script(CODE, answer(FIRST))
    waits = []
    for _ in range(9):
        assert rig.registrar.register_once(rig.cloud).auth_token == TOKEN
        rig.registrar.discard_token(TOKEN)
        with pytest.raises(CloudError, match="refuses the token that it has just given") as caught:
            rig.registrar.register_once(rig.cloud)
        waits.append(caught.value.retry_after or 0.0)
        clock.advance(waits[-1])
    assert waits == [60, 120, 240, 480, 960, 1920, 3600, 3600, 3600]
    assert len(rig.tokens()) == 9


def test_a_token_that_worked_again_costs_no_wait_when_it_is_lost(rig: Rig) -> None:
    """Only tokens that never worked make a new printer wait."""
    rig.registrar = make_registrar(rig.server.url, rig.store, printer=rig.printer, clock=FakeClock())
    rig.server.script(CODE, answer(FIRST), answer(KNOWN), answer({**FIRST, "auth_token": NEW}))
    assert rig.registrar.register_once(rig.cloud).auth_token == TOKEN
    assert rig.registrar.register_once(rig.cloud).registered, "the server knows the token"
    rig.registrar.discard_token(TOKEN)
    assert rig.registrar.register_once(rig.cloud).auth_token == NEW
    assert rig.tokens() == [None, TOKEN, None]


def test_a_token_that_worked_again_leaves_nothing_to_say(rig: Rig) -> None:
    watch = ConditionTracker()
    rig.registrar = make_registrar(rig.server.url, rig.store, printer=rig.printer, clock=FakeClock(), conditions=watch)
    rig.know(registered=True)
    rig.registrar.discard_token(TOKEN)
    assert watch.read().first() == "token: the server no longer knows this printer's token"
    rig.server.script(CODE, answer({**FIRST, "registered": True}))
    rig.registrar.register_once(rig.cloud)
    assert watch.read().first() == ""


def test_what_is_wrong_is_said_until_the_printer_is_added(rig: Rig) -> None:
    watch = ConditionTracker()
    rig.registrar = make_registrar(rig.server.url, rig.store, printer=rig.printer, clock=FakeClock(), conditions=watch)
    rig.server.script(CODE, Reply(hang_up=True), Reply(503), answer(FIRST))
    with capture_logs() as logs:
        rig.register()
    assert [line["condition"] for line in logs if line["event"] == "condition raised"] == ["network", "cloud", "token"]
    assert watch.read().first() == f"token: {NOT_ADDED}"
    rig.registrar.handle_member_event({"registration": "success"})
    assert watch.read().first() == ""


def test_the_code_is_shown_again_only_when_it_changes(rig: Rig) -> None:
    rig.server.script(CODE, answer(FIRST), answer(FIRST), answer({**FIRST, "registration_code": "CD34"}))
    with capture_logs() as logs:
        for _ in range(3):
            rig.register()
    assert shown(list(logs)) == ["AB12", "CD34"]


def test_a_refused_token_is_forgotten_and_told_once(rig: Rig) -> None:
    rig.know()
    rig.registrar.discard_token(TOKEN)
    rig.registrar.discard_token(TOKEN)
    assert rig.lost == [True]
    assert rig.registrar.identity() is None


def test_a_token_that_was_replaced_in_the_meantime_is_not_forgotten(rig: Rig) -> None:
    rig.know(NEW)
    rig.registrar.discard_token(TOKEN)
    assert rig.lost == []
    assert rig.registrar.identity() is not None


def test_a_member_who_registered_the_printer_makes_the_code_useless(rig: Rig) -> None:
    rig.know()
    assert rig.registrar.handle_member_event(
        {"registration": "success", "type": "primary", "printer_id": 7, "member_id": 1}
    )
    assert rig.registrar.identity() == Identity(rig.server.url, 7, TOKEN, registered=True)


@pytest.mark.parametrize("event", [None, "x", [], {}, {"registration": "failed"}, {"registration": ["success"]}])
def test_anything_else_on_the_channel_changes_nothing(rig: Rig, event: object) -> None:
    rig.know()
    assert not rig.registrar.handle_member_event(event)
    identity = rig.registrar.identity()
    assert identity is not None
    assert not identity.registered
