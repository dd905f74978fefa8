"""A number's wrong guesses a day and in a row, which nothing refills (SEC-5b), and who gets codes in spite (SEC-5c)."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from functions.domain.errors import RateLimited
from functions.domain.guard.policy import Policy
from functions.domain.sending import release, renew, resend, resends
from functions.domain.service import Limit, Service
from functions.domain.verification import DAY, MONTH, Record, State
from tests.unit.test_verification import (
    DEFAULT,
    FAILED,
    NOW,
    UNLIMITED,
    a_code,
    a_start,
    guessed,
    start_again,
    started,
    wait_told,
)

HOURS = range(24)


def guess_on(record: Record | None, at: int, service: Service, portion: int) -> tuple[Record | None, int, int]:
    """A start and so many wrong guesses, where there may be: the record, how many were judged, and when to go on."""
    try:
        record = started(service, at=at) if record is None else start_again(record, at, service)
    except RateLimited as refusal:
        return record, 0, at + (refusal.retry_after or 0)
    count = min(portion, record.verification.attempts_left)
    return guessed(record, *["wrong"] * count, at=at), count, at


def guesses_of_one_who_never_stops(*, begin: int, seconds: int, service: Service) -> int:
    """He believes no refusal for longer than ten minutes."""
    record, judged, at = None, 0, begin
    while at < begin + seconds:
        record, count, allowed_at = guess_on(record, at, service, 5)
        judged, at = judged + count, min(allowed_at, at + 600)
    return judged


@pytest.mark.parametrize("service", [DEFAULT, UNLIMITED], ids=["default", "unlimited"])
@pytest.mark.parametrize("hour", HOURS)
def test_who_starts_and_guesses_five_times_in_a_loop_has_twenty_guesses_in_24_hours(
    hour: int, service: Service
) -> None:
    assert guesses_of_one_who_never_stops(begin=NOW + hour * 3600, seconds=DAY, service=service) == 20


@pytest.mark.parametrize("service", [DEFAULT, UNLIMITED], ids=["default", "unlimited"])
def test_who_never_stops_has_a_hundred_guesses_in_30_days(service: Service) -> None:
    assert guesses_of_one_who_never_stops(begin=NOW, seconds=MONTH, service=service) == 100


@pytest.mark.parametrize("portion", [1, 2, 3, 4, 5])
def test_who_lets_a_number_be_forgotten_before_each_portion_has_less(portion: int) -> None:
    record, judged, at = None, 0, NOW
    while at < NOW + MONTH:
        record, count, at = guess_on(record, at, DEFAULT, portion)
        judged += count
        at = at if record is None else record.forget_at

    assert judged == portion


@given(
    plan=st.lists(
        st.tuples(st.integers(0, 5), st.sampled_from([0, 600, 3600, DAY, DAY + 600, 3 * DAY, MONTH, MONTH + 600])),
        max_size=120,
    )
)
def test_whatever_the_plan_no_30_days_see_more_than_a_hundred_guesses(plan: list[tuple[int, int]]) -> None:
    record, at, times = None, NOW, list[int]()
    for portion, wait in plan:
        record, count, at = guess_on(record, at, UNLIMITED, portion)
        times += [at] * count
        at += wait

    assert all(late - early >= MONTH for early, late in zip(times, times[100:], strict=False))


def test_one_right_code_brings_all_guesses_back() -> None:
    nineteen = guessed(up_to(15), *["wrong"] * 4, "right")

    after = start_again(nineteen, NOW + DAY, UNLIMITED)

    assert (after.streak, after.failures, after.verification.attempts_left) == (0, 0, 5)


# Who is known to be signed in


def up_to(failures: int, service: Service = UNLIMITED) -> Record:
    """A number at which strangers guessed wrong so often today."""
    record = guessed(started(service), *["wrong"] * 5)
    for _ in range(failures // 5 - 1):
        record = guessed(start_again(record, NOW, service), *["wrong"] * 5)
    return start_again(record, NOW, service) if failures < 20 else record


def trusted_start(record: Record, at: int, service: Service = UNLIMITED) -> Record:
    start = replace(a_start(f"trusted at {at} {record.rev}"), trusted=True)
    if resends(record, at):
        return resend(record, start, a_code(record.verification.digest), service, at)
    return renew(record, start, a_code("right"), service, at)


def over(record: Record) -> Record:
    return replace(record, verification=replace(record.verification, canceled=True))


def test_after_twenty_wrong_guesses_a_trusted_start_gets_a_code_of_full_attempts() -> None:
    closed = up_to(20)
    assert wait_told(closed, NOW + 60, UNLIMITED) == DAY - 60

    live = trusted_start(closed, NOW + 60).verification

    assert live.state(NOW + 60) is State.PENDING
    assert live.attempts_left == 5


def test_after_a_hundred_wrong_guesses_in_a_row_a_trusted_start_gets_one_too() -> None:
    closed = replace(up_to(20), streak=100)
    assert wait_told(closed, NOW + DAY, UNLIMITED) == MONTH + 600 - DAY

    assert trusted_start(closed, NOW + DAY).verification.attempts_left == 5


def test_a_stranger_cannot_have_a_vouched_code_resent_and_so_learns_no_id_to_guess_at() -> None:
    vouched = trusted_start(up_to(20), NOW + 60)

    assert wait_told(vouched, NOW + 120, UNLIMITED) == 540
    assert trusted_start(vouched, NOW + 120).verification.sends == 2


def test_a_stranger_can_have_a_code_resent_that_a_trusted_start_got_like_any_other() -> None:
    assert start_again(trusted_start(up_to(15), NOW), NOW, UNLIMITED).verification.sends == 3


def test_five_vouched_codes_go_out_in_a_day_and_no_more() -> None:
    record = up_to(20)
    for code in range(5):
        record = over(trusted_start(record, NOW + 60 * code))

    with pytest.raises(RateLimited) as refusal:
        trusted_start(record, NOW + 600)
    assert refusal.value.retry_after == DAY - 600


def test_how_many_vouched_codes_go_out_is_the_services_own() -> None:
    none = replace(UNLIMITED, guard=Policy(trusted_day=0))

    with pytest.raises(RateLimited) as refusal:
        trusted_start(up_to(20), NOW + 60, none)
    assert refusal.value.retry_after == DAY - 60


def test_a_vouched_code_obeys_the_limits_of_sending() -> None:
    service = replace(UNLIMITED, cooldown=30, longest_cooldown=30, limits=(Limit(5, 3600),))

    with pytest.raises(RateLimited) as refusal:
        trusted_start(up_to(20), NOW + 10, service)
    assert refusal.value.retry_after == 20


def test_a_vouched_code_that_was_not_sent_is_given_back() -> None:
    record = trusted_start(up_to(20), NOW + 60, replace(UNLIMITED, guard=Policy(trusted_day=1)))

    released = release(record, record.verification.delivery.request, NOW + 61, FAILED)

    assert released is not None
    assert trusted_start(released, NOW + 62, replace(UNLIMITED, guard=Policy(trusted_day=1)))


def test_all_guesses_end_at_twice_as_many_in_a_row_as_strangers_have() -> None:
    record = replace(up_to(20), streak=198)

    last = trusted_start(record, NOW + DAY)
    assert last.verification.attempts_left == 2
    used_up = guessed(last, "wrong", "wrong", at=NOW + DAY)
    with pytest.raises(RateLimited) as refusal:
        trusted_start(used_up, NOW + 2 * DAY)
    assert refusal.value.retry_after == MONTH + 600 - DAY


def test_an_owner_who_is_let_in_brings_everybodys_guesses_back() -> None:
    approved = guessed(trusted_start(replace(up_to(20), streak=100), NOW + DAY), "right", at=NOW + DAY)

    assert start_again(approved, NOW + DAY, UNLIMITED).verification.attempts_left == 5
