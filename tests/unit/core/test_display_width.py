"""Columns that a text takes on a terminal."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.core.display_width import cut_to_width, display_width, pad_to_width


@pytest.mark.parametrize(
    ("text", "columns"),
    [
        ("", 0),
        ("abc", 3),
        ("äöü", 3),
        ("e\u0301", 1),
        ("漢字", 4),
        ("ﾊﾝ", 2),
        ("프", 2),
        ("\u1112\u1161\u11ab", 2),
        ("🖨️", 1),
        ("🚀", 2),
    ],
)
def test_wide_letters_take_two_columns_and_marks_none(text: str, columns: int) -> None:
    assert display_width(text) == columns


@given(st.text(), st.integers(1, 20))
def test_a_text_is_never_wider_than_it_was_cut_to(text: str, limit: int) -> None:
    cut = cut_to_width(text, limit)
    assert display_width(cut) <= limit
    assert cut == text or (cut.endswith("…") and text.startswith(cut[:-1]))
    assert display_width(pad_to_width(cut, limit)) == limit


def test_any_number_of_marks_is_cut() -> None:
    assert len(cut_to_width("e" + "\u0301" * 1000, 10)) < 60
