"""Registration: the first time, a known token, a dead one, a server that is away, and when the code is shown."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import structlog
from structlog.testing import capture_logs

from agent.core.clock import Clock
from agent.errors import CloudError, UnavailableError
from agent.server import retry
from agent.server.api_client import TOKEN_HEADER
from agent.server.current_identity import OTHER_BOARD, UNKNOWN_TOKEN
from agent.server.new_printer_pace import SHORT_WAIT
from agent.server.registration import CHECK_INTERVAL, NOT_ADDED, Registrar
from agent.service.board_id import BoardId
from agent.service.condition_tracker import ConditionTracker
from agent.service.config import CloudSection, PrinterSection
from agent.state.store import Identity
from agent.testing import FakeClock
from tests.rigs.server_rig import PATIENCE, Reply, ScriptedServer, answer, scripted
from tests.support.cloud_side import NO_BOARD, make_client, make_registrar
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

    def make(
        self, *, clock: Clock | None = None, conditions: ConditionTracker | None = None, board: BoardId = NO_BOARD
    ) -> Registrar:
        return make_registrar(
            self.server.url,
            self.store,
            printer=self.printer,
            on_token_lost=lambda: self.lost.append(True),
            clock=clock,
            conditions=conditions,
            board=board,
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
    rig.registrar = rig.make(clock=clock)
    rig.server.script(CODE, answer(FIRST))
    waits = []
    for _ in range(9):
        rig.server.script(CODE, answer(FIRST))
        assert rig.registrar.register_once(rig.cloud).auth_token == TOKEN
        rig.server.script(CODE, Reply(401))
        assert not rig.registrar.check_token(rig.cloud, TOKEN)
        with pytest.raises(CloudError, match="refuses the token that it has just given") as caught:
            rig.registrar.register_once(rig.cloud)
        waits.append(caught.value.retry_after or 0.0)
        clock.advance(waits[-1])
    assert waits == [60, 120, 240, 480, 960, 1920, 3600, 3600, 3600]
    assert rig.tokens() == [None, TOKEN] * 9


@pytest.mark.parametrize("proof", ["registration", "report"])
def test_a_token_that_has_worked_makes_the_next_printer_wait_shortly(rig: Rig, proof: str) -> None:
    """Only tokens that never worked make a new printer wait long; a heartbeat that was taken is as good a proof."""
    clock = FakeClock()
    rig.registrar = rig.make(clock=clock)
    rig.server.script(CODE, answer(FIRST))
    rig.registrar.register_once(rig.cloud)
    if proof == "registration":
        rig.server.script(CODE, answer(KNOWN))
        rig.registrar.register_once(rig.cloud)
    else:
        rig.registrar.note_token_worked("another" * 5)
        rig.registrar.note_token_worked(TOKEN)
    rig.server.script(CODE, Reply(403))
    assert not rig.registrar.check_token(rig.cloud, TOKEN)
    rig.server.script(CODE, answer({**FIRST, "auth_token": NEW}))
    with pytest.raises(CloudError, match="a new printer was requested just now") as caught:
        rig.registrar.register_once(rig.cloud)
    assert caught.value.retry_after == SHORT_WAIT
    clock.advance(SHORT_WAIT)
    assert rig.registrar.register_once(rig.cloud).auth_token == NEW


def test_what_is_wrong_is_said_until_the_printer_is_added(rig: Rig) -> None:
    watch = ConditionTracker()
    rig.registrar = rig.make(clock=FakeClock(), conditions=watch)
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


@pytest.mark.parametrize("status", [401, 403])
def test_a_refusal_of_the_registration_call_itself_is_the_death_of_the_token(rig: Rig, status: int) -> None:
    watch = ConditionTracker()
    rig.registrar = rig.make(conditions=watch)
    rig.know(registered=True)
    rig.server.script(CODE, Reply(status))
    assert not rig.registrar.check_token(rig.cloud, TOKEN)
    assert not rig.registrar.check_token(rig.cloud, TOKEN), "known by now: the server is not asked again"
    assert rig.tokens() == [TOKEN]
    assert rig.lost == [True]
    assert rig.registrar.identity() is None
    assert rig.registrar.problem() == UNKNOWN_TOKEN
    assert watch.read().first() == f"token: {UNKNOWN_TOKEN}"
    rig.server.script(CODE, answer({**FIRST, "registered": True}))
    rig.registrar.register_once(rig.cloud)
    assert watch.read().first() == rig.registrar.problem() == ""


def test_a_stray_refusal_leaves_the_printer_who_it_is(rig: Rig) -> None:
    """A proxy or a captive portal answers 401 or 403 as well; the server, asked with the token, knows it."""
    clock = FakeClock()
    rig.registrar = rig.make(clock=clock)
    rig.know(registered=True)
    rig.server.script(CODE, answer(KNOWN))
    with capture_logs() as logs:
        assert rig.registrar.check_token(rig.cloud, TOKEN)
        clock.advance(CHECK_INTERVAL - 1)
        assert rig.registrar.check_token(rig.cloud, TOKEN)
    assert rig.tokens() == [TOKEN], "a portal that refuses every call does not make it ask at each"
    assert [line["event"] for line in logs if line["log_level"] == "warning"] == ["call refused while the token holds"]
    clock.advance(1)
    assert rig.registrar.check_token(rig.cloud, TOKEN)
    assert rig.tokens() == [TOKEN, TOKEN]
    assert rig.lost == []
    assert rig.registrar.identity() == Identity(rig.server.url, 7, TOKEN, registered=True)


@pytest.mark.parametrize("reply", [Reply(404), Reply(503), Reply(200, b"<html>"), Reply(302), Reply(hang_up=True)])
def test_what_is_no_refusal_by_the_registration_call_is_no_death(rig: Rig, reply: Reply) -> None:
    rig.know(registered=True)
    rig.server.script(CODE, reply)
    assert rig.registrar.check_token(rig.cloud, TOKEN)
    assert rig.lost == []
    assert rig.registrar.identity() is not None


def test_a_portal_that_refuses_a_call_without_a_token_too_takes_no_identity(rig: Rig) -> None:
    """What refuses everybody says nothing of the token: when it is gone, the printer is still the one it was."""
    rig.know(registered=True)
    rig.server.script(CODE, Reply(403), Reply(403), Reply(403), Reply(403), answer(KNOWN))
    assert rig.register() == Identity(rig.server.url, 7, TOKEN, registered=True)
    assert rig.tokens() == [TOKEN, None, TOKEN, None, TOKEN]


def test_an_agent_that_ends_before_the_new_token_came_asks_with_the_old_one(rig: Rig) -> None:
    rig.know(registered=True)
    rig.server.script(CODE, Reply(401), Reply(503))
    with pytest.raises(CloudError):
        rig.registrar.register_once(rig.cloud)
    assert rig.registrar.identity() is None
    rig.registrar = rig.make()
    rig.server.script(CODE, answer(KNOWN))
    rig.registrar.register_once(rig.cloud)
    assert rig.tokens() == [TOKEN, None, TOKEN]


def test_a_server_that_repeats_the_token_does_not_bring_it_to_the_status(rig: Rig) -> None:
    rig.know()
    rig.server.script(CODE, Reply(503, f"bad {TOKEN}".encode()), answer(KNOWN))
    said: list[str] = []
    rig.registrar.register(rig.cloud, rig.stop, lambda: said.append(rig.registrar.problem()))
    assert said[0] == "POST printers/registration_code: 503 bad [token]"
    assert rig.registrar.problem() == ""


def test_a_token_that_was_replaced_in_the_meantime_is_not_asked_about(rig: Rig) -> None:
    rig.know(NEW)
    assert not rig.registrar.check_token(rig.cloud, TOKEN)
    assert rig.lost == []
    assert rig.tokens() == []
    assert rig.registrar.identity() is not None


def test_a_new_printer_says_whose_place_it_took_until_it_is_added(rig: Rig) -> None:
    rig.know(registered=True)
    rig.server.script(CODE, Reply(401), answer({**FIRST, "printer_id": 8, "auth_token": NEW}))
    with capture_logs() as logs:
        identity = rig.register()
    assert identity is not None
    assert identity.replaces == f"printer 7: {UNKNOWN_TOKEN}"
    assert [line["replaces"] for line in logs if "replaces" in line] == [identity.replaces]
    rig.registrar.handle_member_event({"registration": "success"})
    assert rig.registrar.identity() == Identity(rig.server.url, 8, NEW, registered=True)


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


HERE, THERE = {"cpuinfo": "aaaa", "machine-id": "cccc"}, {"cpuinfo": "bbbb", "machine-id": "cccc"}


def test_a_copied_card_makes_a_new_printer_and_leaves_the_old_one_alone(rig: Rig) -> None:
    """The clone has no identity, so it neither reports nor subscribes, until the server has given it one."""
    rig.registrar = rig.make(board=HERE)
    rig.server.script(CODE, answer({**FIRST, "registered": True}))
    rig.register()
    watch = ConditionTracker()
    rig.registrar = rig.make(board=THERE, conditions=watch)
    assert rig.registrar.identity() is None
    assert rig.registrar.problem() == OTHER_BOARD
    rig.server.script(CODE, Reply(503), answer({**FIRST, "printer_id": 8, "auth_token": NEW}))
    rig.server.forget()
    with capture_logs() as logs:
        with pytest.raises(CloudError):
            rig.registrar.register_once(rig.cloud)
        assert watch.read().first() == f"token: {OTHER_BOARD}: this one registers as a new printer"
        identity = rig.registrar.register_once(rig.cloud)
    assert rig.tokens() == [None, None], "the token of the original is never shown"
    assert (identity.printer_id, identity.board, identity.replaces) == (8, THERE, f"printer 7: {OTHER_BOARD}")
    (said,) = [line for line in logs if line["event"] == "identity of another board not used"]
    assert (said["printer_id"], said["source"]) == (7, "cpuinfo")
    assert rig.make(board=THERE).identity() == identity


def test_a_card_that_comes_back_to_its_board_is_the_old_printer(rig: Rig) -> None:
    rig.registrar = rig.make(board=HERE)
    rig.server.script(CODE, answer(FIRST))
    before = rig.register()
    rig.registrar = rig.make(board=THERE)
    rig.server.script(CODE, Reply(503))
    with pytest.raises(CloudError):
        rig.registrar.register_once(rig.cloud)
    assert rig.make(board=HERE).identity() == before


def test_an_owner_who_moves_the_card_may_keep_the_printer(rig: Rig) -> None:
    rig.registrar = rig.make(board=HERE)
    rig.server.script(CODE, answer(FIRST), answer(KNOWN))
    rig.register()
    rig.printer = PrinterSection(type_id="TYPE", other_board="keep")
    rig.registrar = rig.make(board=THERE)
    with capture_logs() as logs:
        identity = rig.register()
    assert identity is not None
    assert (identity.printer_id, identity.auth_token, identity.board) == (7, TOKEN, THERE)
    assert next(line["event"] for line in logs) == "identity kept on another board"
    rig.printer = PrinterSection(type_id="TYPE")
    assert rig.make(board=THERE).identity() == identity, "from now on it belongs to this board"


def test_an_identity_of_before_takes_the_board_that_it_is_on(rig: Rig) -> None:
    rig.know(registered=True)
    rig.registrar = rig.make(board=HERE)
    rig.server.script(CODE, answer(KNOWN))
    rig.register()
    identity = rig.registrar.identity()
    assert identity is not None
    assert identity.board == HERE
    assert rig.make(board=THERE).identity() is None
    assert rig.make(board={}).identity() == identity, "a board that tells nothing of itself"
    assert rig.make(board={"dmi": "eeee"}).identity() == identity, "nothing in common to compare"
