"""What is wrong, as a person is told it: the one thing to look at, once."""

from __future__ import annotations

import time
from email.utils import formatdate

import pytest
from structlog.testing import capture_logs

from agent.core.conditions import PARENT, Conditions, Part
from agent.core.driver import PrinterState, Telemetry
from agent.errors import CloudError
from agent.server.server_clock import ServerClock
from agent.service.condition_tracker import ConditionTracker
from agent.testing import FakeClock


def test_all_is_well_at_first() -> None:
    assert (Conditions().first(), Conditions().shown()) == ("", {})


def test_a_broken_parent_hides_what_is_below_it() -> None:
    found = Conditions().with_(Part.TOKEN, "t").with_(Part.CLOUD, "c")
    assert found.shown() == {Part.CLOUD: "c"}
    found = found.with_(Part.NETWORK, "n").with_(Part.CLOUD, "")
    assert found.shown() == {Part.NETWORK: "n"}, "the grandparent hides too"
    assert found.with_(Part.NETWORK, "").shown() == {Part.TOKEN: "t"}


def test_the_one_reason_is_the_most_important() -> None:
    found = Conditions()
    for part in reversed(Part):
        found = found.with_(part, "why")
        assert found.first() == f"{part}: why"
    assert found.first(Part.HEAT) == "disk: why"
    assert list(found.shown()) == [Part.HEAT, Part.DISK, Part.PRINTER, Part.BED, Part.NETWORK, Part.CLOCK]


def test_the_tree_has_no_circle() -> None:
    for part in Part:
        seen = [part]
        while seen[-1] in PARENT:
            seen.append(PARENT[seen[-1]])
            assert len(seen) <= len(Part)


def test_a_change_is_logged_when_it_comes_and_when_it_goes() -> None:
    watch = ConditionTracker()
    with capture_logs() as logs:
        for _ in range(50):
            watch.update_server(CloudError("POST x: no answer: Connection refused"))
            watch.set(Part.TOKEN, "hidden")
        watch.update_server(CloudError("POST y: 503 <html>", status=503))
        watch.update_server(CloudError("POST z: 503 other", status=503))
        watch.update_server(None)
        watch.set(Part.TOKEN, "")
    assert [(line["condition"], line.get("error")) for line in logs] == [
        ("network", "the server gives no answer: Connection refused"),
        ("network", None),
        ("cloud", "the server answers 503"),
        ("cloud", None),
        ("token", "hidden"),
        ("token", None),
    ]


def test_the_printer_speaks_for_itself() -> None:
    watch = ConditionTracker()
    watch.update_printer(Telemetry(PrinterState.OFFLINE, reason="no port"))
    assert watch.read().first() == "printer: no port"
    watch.update_printer(Telemetry(PrinterState.ERROR))
    assert watch.read().first() == "printer: error"
    watch.update_printer(Telemetry(PrinterState.PAUSED, reason="filament is out"))
    assert watch.read().first() == ""


def test_the_servers_clock_goes_on_with_the_monotonic_one_whatever_the_wall_clock_does() -> None:
    clock = FakeClock()
    server = ServerClock(clock)
    assert (server.now(), server.describe_skew()) == (None, "")
    server.observe(formatdate(clock.epoch, usegmt=True))
    clock.advance(100)
    assert server.now() == clock.epoch
    assert server.describe_skew() == ""
    then = clock.epoch
    for years, words in ((10, "about 10 years ahead of"), (-10, "about 10 years behind")):
        clock.epoch = then + years * 365 * 86400
        assert server.now() == then
        assert server.describe_skew() == f"the clock is {words} the server's"
    clock.epoch = then + 400
    assert server.describe_skew() == "the clock is minutes ahead of the server's"


@pytest.mark.parametrize("date", [None, "", "yesterday", "Tue, 99 Mar 2016 12:00:00 GMT", "\x00"])
def test_a_date_that_cannot_be_read_says_nothing(date: str | None) -> None:
    server = ServerClock(FakeClock())
    server.observe(date)
    assert server.now() is None
    server.observe(formatdate(time.time()))
    known = server.now()
    server.observe(date)
    assert server.now() == known


def test_a_port_that_is_lent_to_an_install_command_is_no_trouble() -> None:
    tracker = ConditionTracker()
    tracker.update_printer(Telemetry(state=PrinterState.OFFLINE, reason="released", released=""))
    assert tracker.read().first() == ""
    tracker.update_printer(Telemetry(state=PrinterState.OFFLINE, reason="no answer"))
    assert tracker.read().first() == "printer: no answer"
