"""The rules of a circuit, by an independent telling of them and by sequences that hypothesis thinks up."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from functions.domain.circuit import IN_A_ROW, LEASE, MOST_FAILURES, OPEN_FOR, Circuit, answered, failed, tried
from tests.harness import MORNING

LONGEST = 8
"""Seconds that a gateway takes to answer, at most."""


def after_failures(count: int, *, at: int = MORNING, apart: int = 0) -> Circuit:
    """The last of them at `at`."""
    circuit = Circuit()
    for n in range(count):
        circuit = failed(circuit, at - apart * (count - 1 - n)) or circuit
    return circuit


def opened(at: int = MORNING) -> Circuit:
    return after_failures(MOST_FAILURES, at=at)


def test_five_failures_in_a_row_open_it_and_four_do_not() -> None:
    assert after_failures(4).closed
    assert not after_failures(5).closed


def test_an_answer_between_them_makes_it_count_anew() -> None:
    circuit = answered(after_failures(4), MORNING)

    assert circuit == Circuit()
    assert failed(circuit, MORNING) == Circuit(failures=1, failed_at=MORNING)


def test_failures_that_are_far_apart_are_not_in_a_row() -> None:
    assert not after_failures(5, apart=IN_A_ROW).closed
    assert after_failures(50, apart=IN_A_ROW + 1).failures == 1


def test_an_answer_where_nothing_failed_changes_nothing() -> None:
    assert answered(Circuit(), MORNING) is None


@pytest.mark.parametrize("second", [0, 1, OPEN_FOR - 1])
def test_while_it_is_open_nobody_tries_it_out_and_late_news_count_for_nothing(second: int) -> None:
    circuit = opened()

    assert tried(circuit, MORNING + second) is None
    assert failed(circuit, MORNING + second) is None
    assert answered(circuit, MORNING + second) is None


def test_after_ten_seconds_one_message_tries_it_out() -> None:
    later = MORNING + OPEN_FOR

    trying = tried(opened(), later)

    assert trying is not None
    assert tried(trying, later) is None
    assert tried(trying, later + LEASE - 1) is None


def test_who_tried_it_out_and_is_heard_of_no_more_is_followed_by_another() -> None:
    trying = tried(opened(), MORNING + OPEN_FOR)

    assert trying is not None
    assert tried(trying, MORNING + OPEN_FOR + LEASE) is not None


def test_a_try_that_is_answered_closes_it() -> None:
    trying = tried(opened(), MORNING + OPEN_FOR)

    assert trying is not None
    assert answered(trying, MORNING + OPEN_FOR + 1) == Circuit()


def test_a_try_that_fails_opens_it_for_another_ten_seconds() -> None:
    trying = tried(opened(), MORNING + OPEN_FOR)

    assert trying is not None
    again = failed(trying, MORNING + OPEN_FOR + 8)
    assert again == opened(MORNING + OPEN_FOR + 8)


def test_nobody_tries_out_what_is_closed() -> None:
    assert tried(Circuit(), MORNING) is None
    assert tried(after_failures(4), MORNING) is None


@pytest.mark.parametrize("back_after", range(2 * (OPEN_FOR + LONGEST)))
@pytest.mark.parametrize("lost", [False, True], ids=["", "and the tries before are never heard of again"])
def test_a_provider_that_is_back_is_known_to_be_within_twenty_seconds(back_after: int, *, lost: bool) -> None:
    circuit, ends, answers = opened(), None, False

    for now in range(MORNING, MORNING + back_after + 20):
        if now == ends:
            ends, circuit = None, (answered if answers else failed)(circuit, now) or circuit
        trying = tried(circuit, now)
        if trying is not None:
            circuit, answers = trying, now >= MORNING + back_after
            ends = now + 1 if answers else None if lost else now + LONGEST

    assert circuit.closed


@given(st.lists(st.tuples(st.sampled_from(["answered", "failed", "gone"]), st.integers(0, 30)), max_size=200))
def test_an_open_one_is_never_tried_out_twice_in_ten_seconds(messages: list[tuple[str, int]]) -> None:
    circuit, now, tries = opened(), MORNING, [MORNING]

    for fate, pause in messages:
        now += pause
        trying = tried(circuit, now)
        if trying is None:
            continue
        assert now - tries[-1] >= OPEN_FOR
        tries.append(now)
        if fate == "answered":
            assert answered(trying, now) == Circuit()
            break
        circuit = (failed(trying, now) or trying) if fate == "failed" else trying
