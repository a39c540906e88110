"""What a person reads while a file comes."""

from __future__ import annotations

import pytest

from agent.files.fetch_progress import FetchProgress


@pytest.mark.parametrize(
    ("size", "total", "text"),
    [
        (0, None, ""),
        (0, 11_000_000, "downloading 0 %, 0 of 11 MB"),
        (4_100_000, 11_000_000, "downloading 37 %, 4 of 11 MB"),
        (11_000_000, 11_000_000, "downloading 100 %, 11 of 11 MB"),
        (600, 1200, "downloading 50 %, 1 of 1 kB"),
        (3_000_000, None, "downloading, 3 MB"),
        (3_000, 0, "downloading, 3 kB"),
        (3_000_000, 1_500_000, "downloading 100 %, 3 of 2 MB"),
    ],
)
def test_how_much_of_a_file_is_here(size: int, total: int | None, text: str) -> None:
    progress = FetchProgress()
    progress.received(size, total)
    assert progress.text == text


def test_a_failed_attempt_says_when_the_next_is_and_why_until_bytes_come_again() -> None:
    progress = FetchProgress()
    assert progress.text == ""
    progress.received(1_000_000, 2_000_000)
    progress.attempt_failed("the server answered 503 Service Unavailable", 3, 8.2)
    assert progress.text == "try 3 in 8 s: the server answered 503 Service Unavailable"
    progress.received(1_500_000, 2_000_000)
    assert progress.text == "downloading 75 %, 2 of 2 MB"


def test_what_a_server_says_is_made_printable_and_bounded() -> None:
    progress = FetchProgress()
    progress.attempt_failed("\x1b[2J" + "x" * 900, 2, 1.0)
    assert progress.text.isprintable()
    assert len(progress.text) < 300
