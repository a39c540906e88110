"""The rule of the print bed, as its tables say it."""

from __future__ import annotations

from typing import get_args

import pytest

from agent.core.bed import STARTS, TRANSITIONS, Bed, BedEvent, BedPolicy, BedState, Start, advance, refusal

B, E = BedState, BedEvent


def test_only_a_confirmation_makes_a_bed_clear_that_a_print_has_taken() -> None:
    made_clear = {key for key, state in TRANSITIONS.items() if state is B.CLEAR}
    assert made_clear == {(B.CLEAR, E.CONFIRM), (B.NOT_CONFIRMED, E.CONFIRM), (B.PRINTING, E.ABANDON)}


def test_a_confirmation_while_a_print_is_on_the_bed_is_no_step_of_the_table() -> None:
    with pytest.raises(ValueError, match="a bed that is printing cannot confirm"):
        advance(B.PRINTING, E.CONFIRM)


@pytest.mark.parametrize("policy", get_args(BedPolicy))
@pytest.mark.parametrize("state", B)
def test_a_start_begins_on_a_clear_bed_alone_unless_nobody_is_asked(state: BedState, policy: BedPolicy) -> None:
    expected = Start.BEGIN if state is B.CLEAR or policy == "free" else Start.WAIT if policy == "ask" else Start.REFUSE
    assert STARTS[state, policy] is expected
    assert Bed(state).start(policy) is expected


@pytest.mark.parametrize(
    ("bed", "confirmation", "objection"),
    [
        (Bed(B.CLEAR), {}, ""),
        (Bed(B.CLEAR, job_id="a"), {"job_id": "b"}, ""),
        (Bed(B.PRINTING, job_id="a"), {}, "a print is on the bed (job a)"),
        (Bed(B.PRINTING, job_id="a"), {"job_id": "a"}, "a print is on the bed (job a)"),
        (Bed(B.NOT_CONFIRMED, job_id="a", age=9), {}, ""),
        (Bed(B.NOT_CONFIRMED, job_id="a", age=9), {"job_id": "a"}, ""),
        (
            Bed(B.NOT_CONFIRMED, job_id="a", age=9),
            {"job_id": "b"},
            "job b is not the one that was printed last (job a)",
        ),
        (Bed(B.NOT_CONFIRMED), {"job_id": "b"}, "job b is not the one"),
        (Bed(B.NOT_CONFIRMED, job_id="a", age=9), {"age": 10}, "it was sent before the last print had ended (job a)"),
        (Bed(B.NOT_CONFIRMED, job_id="a", age=9), {"age": 8.5}, ""),
        (Bed(B.NOT_CONFIRMED, job_id="a", age=9), {"age": 8.5, "sent": True}, "before the last print had ended"),
    ],
)
def test_what_counts_as_a_confirmation(bed: Bed, confirmation: dict[str, object], objection: str) -> None:
    said = bed.objection(**confirmation)  # type: ignore[arg-type]
    assert said.startswith(objection) if objection.startswith(("a ", "job", "it")) else objection in said
    assert bool(said) == bool(objection)


def test_a_print_that_never_began_leaves_the_bed_as_it_was() -> None:
    assert advance(B.PRINTING, Bed(B.PRINTING, was_clear=True).abandoned()) is B.CLEAR
    assert advance(B.PRINTING, Bed(B.PRINTING, was_clear=False).abandoned()) is B.NOT_CONFIRMED


def test_the_refusal_says_which_job_and_what_to_do() -> None:
    text = refusal("print_data", Bed(B.NOT_CONFIRMED, job_id="a"))
    assert "(job a)" in text
    assert "printer-agent ready" in text
    assert "dismiss" in text


def test_the_cloud_is_told_two_words() -> None:
    assert [Bed(state).reported_state for state in B] == ["clear", "not_confirmed", "not_confirmed"]
