"""Channel names as Bayeux and the real server have them (docs/faye.md)."""

from __future__ import annotations

import pytest

from agent.sandbox import channels
from agent.sandbox.access import PrinterAccess


@pytest.mark.parametrize("name", ["/a", "/printers/12/command", "/a-b/_!~()$@", "/meta/connect"])
def test_a_channel_is_segments_of_the_letters_that_bayeux_allows(name: str) -> None:
    assert channels.is_channel(name)


@pytest.mark.parametrize("name", ["", "/", "a", "/a/", "//a", "/a.b", "/ä", "/a/*", "/a b", "/a\n", "/" + "a" * 256])
def test_a_malformed_name_is_no_channel(name: str) -> None:
    assert not channels.is_channel(name)


@pytest.mark.parametrize("name", ["/*", "/**", "/a/*", "/a/b/**", "/a/b"])
def test_a_wildcard_may_stand_at_the_end_of_a_subscription(name: str) -> None:
    assert channels.is_subscription(name)


@pytest.mark.parametrize("name", ["/a/*/b", "/**/b", "/a/***", "/a*", "*", "/a/**\n"])
def test_a_wildcard_anywhere_else_is_refused(name: str) -> None:
    assert not channels.is_subscription(name)


def test_a_channel_is_heard_by_itself_its_parents_star_and_every_ancestors_double_star() -> None:
    assert channels.matching("/a/b/c") == {"/a/b/c", "/a/b/*", "/a/b/**", "/a/**", "/**"}
    assert channels.matching("/a") == {"/a", "/*", "/**"}


ACCESS = PrinterAccess(lambda printer_id, token: (printer_id, token) == (7, "seven"))


@pytest.mark.parametrize(
    "pattern", ["/printers/7/command", "/printers/7/users", "/printers/7/*", "/chat", "/*", "/chat/**"]
)
def test_the_token_of_a_printer_opens_its_channels(pattern: str) -> None:
    assert ACCESS.may_subscribe(pattern, {"authentication_token": "seven"})


@pytest.mark.parametrize(
    "pattern",
    ["/**", "/printers/*", "/printers/**", "/printers/8/command", "/printers/07/command", "/printers/x/users"],
)
def test_no_pattern_hears_another_printers_commands(pattern: str) -> None:
    assert not ACCESS.may_subscribe(pattern, {"authentication_token": "seven"})


@pytest.mark.parametrize(
    "ext", [{}, {"authentication_token": "six"}, {"authentication_token": 7}, {"authentication_token": None}]
)
def test_without_its_token_a_printers_channel_stays_closed(ext: dict[str, object]) -> None:
    assert not ACCESS.may_subscribe("/printers/7/command", ext)


def test_only_the_cloud_publishes_on_the_printers_channels() -> None:
    assert not ACCESS.may_publish("/printers/7/command")
    assert not ACCESS.may_publish("/printers")
    assert ACCESS.may_publish("/printersx/7")
