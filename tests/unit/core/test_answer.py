"""What a server's answer means: each row of docs/protocol.md's table, and every reading of `Retry-After`."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from email.utils import formatdate

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.core.answer import MAX_RETRY_AFTER, Answer, classify, retry_after

NOW = 1456833600.0  # 2016-03-01 12:00:00 UTC


@pytest.mark.parametrize(
    ("answer", "statuses"),
    [
        (Answer.TAKEN, (200, 201, 202, 204)),
        (Answer.NEVER, (400, 404, 405, 409, 410, 411, 413, 414, 415, 422)),
        (Answer.TOKEN_DEAD, (401, 403)),
        (Answer.LATER, (408, 425, 429, 500, 501, 502, 503, 504, 507, 599)),
        (Answer.LATER, (100, 301, 302, 307, 402, 418, 600)),  # not in the table: nothing is lost by asking again
    ],
)
def test_a_status_means_what_the_table_says(answer: Answer, statuses: tuple[int, ...]) -> None:
    assert {classify(status) for status in statuses} == {answer}


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("0", 0),
        ("17", 17),
        (" 17 ", 17),
        ("3600", 3600),
        ("86400", MAX_RETRY_AFTER),
        ("9" * 400, MAX_RETRY_AFTER),
        (formatdate(NOW + 90, usegmt=True), 90),
        (formatdate(NOW - 90, usegmt=True), 0),
        (formatdate(NOW + 10**7, usegmt=True), MAX_RETRY_AFTER),
        ("Tue, 01 Mar 2016 12:00:30 -0000", 30),
        ("Tue, 01 Mar 2016 13:00:30 +0100", 30),
        ("Tue Mar  1 12:00:30 2016", 30),
        (None, None),
        ("", None),
        ("  ", None),
        ("soon", None),
        ("-5", None),
        ("1.5", None),
        ("٣", None),
        ("Tue, 99 Foo 2016 12:00:30 GMT", None),
    ],
)
def test_retry_after_is_seconds_or_a_date(value: str | None, expected: float | None) -> None:
    assert retry_after(value, NOW) == expected


@given(st.text() | st.from_regex(r"\w{3}, \d{1,2} \w{3} \d{1,6} \d+:\d+:\d+ [-+]?\w*"))
def test_no_header_breaks_anything(value: str) -> None:
    found = retry_after(value, NOW)
    assert found is None or 0 <= found <= MAX_RETRY_AFTER


@pytest.fixture
def far_away() -> Iterator[None]:
    before = os.environ.get("TZ")
    os.environ["TZ"] = "Asia/Tokyo"
    time.tzset()
    yield
    os.environ.pop("TZ")
    if before is not None:
        os.environ["TZ"] = before
    time.tzset()


@pytest.mark.usefixtures("far_away")
def test_a_date_without_a_zone_is_gmt_wherever_the_printer_stands() -> None:
    assert retry_after("Tue, 01 Mar 2016 12:00:30", NOW) == 30
    assert retry_after("Tue Mar  1 12:00:30 2016", NOW) == 30
