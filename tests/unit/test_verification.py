"""Every step of a record, at its boundaries; and in whatever order they come, the limits hold (SEC-3 to 5, ABU-2)."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import dataclass, replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from functions.domain.checking import Guess, cancel, judge
from functions.domain.claims import CLAIM_LEASE, outcome_is_unknown, retry_unknown, take_from_queue
from functions.domain.delivery import Delivery, DeliveryStatus, Outcome, Receipt, SendResult
from functions.domain.errors import (
    AlreadyApproved,
    AttemptsExhausted,
    Canceled,
    Conflict,
    Expired,
    IdempotencyMismatch,
    NotFound,
    RateLimited,
    Refused,
)
from functions.domain.identity import VerificationId
from functions.domain.sending import Code, Start, first, next_send_at, receive, release, renew, resend, resends, settle
from functions.domain.service import REMEMBERED_SENDS, Limit, Service
from functions.domain.verification import DAY, MONTH, Record, Sent, State

NOW = 1_800_000_000
"""2027-01-15 08:00:00 UTC."""
KEY = "n" * 24
DEFAULT = Service()
UNLIMITED = Service(cooldown=0, limits=(Limit(20, 1),), max_sends=10)
"""For what is not about the sending limits."""
FAILED = SendResult(provider="gateway", outcome=Outcome.TRANSIENT, reason="scripted")


def an_id(nonce: str) -> VerificationId:
    return VerificationId("k1", KEY, nonce)


def a_start(request: str, *, queued: bool = False, metadata: tuple[tuple[str, str], ...] = ()) -> Start:
    return Start(
        request=request,
        new_id=an_id(f"for {request}"),
        region="DE",
        block="b" * 25,
        provider="gateway",
        queued=queued,
        metadata=metadata,
    )


def a_code(digest: str, *, own: bool = False, generation: int = 1) -> Code:
    return Code(digest=digest, own=own, generation=generation)


def started(service: Service = DEFAULT, *, at: int = NOW, queued: bool = False) -> Record:
    """A number's first start: its request is `first`, its code's digest `right`."""
    return first(a_start("first", queued=queued), a_code("right"), service, at)


def start_again(record: Record, at: int, service: Service = DEFAULT, *, request: str = "", digest: str = "") -> Record:
    """A further start, as the use case and the store carry it out."""
    start = a_start(request or f"start at {at}")
    if at >= record.forget_at:
        return first(start, a_code(digest or "right"), service, at)
    if resends(record, at):
        return resend(record, start, a_code(digest or record.verification.digest), service, at)
    return renew(record, start, a_code(digest or "right"), service, at)


def wait_told(record: Record, at: int, service: Service = DEFAULT) -> int:
    """The retry_after of a start that is refused."""
    with pytest.raises(RateLimited) as caught:
        start_again(record, at, service)
    assert caught.value.retry_after is not None
    return caught.value.retry_after


def guess_of(record: Record, mac: str, at: int, request: str = "") -> Guess:
    """Equal macs and digests stand for equal codes."""
    return Guess(id=record.verification.id, mac=mac, request=request or f"guess {record.rev} at {at}", at=at)


def count(record: Record, guess: Guess) -> Record | None:
    """What the store's blind write does with a guess (ports.VerificationStore); None where its condition fails."""
    live = record.verification
    countable = (
        live.id == guess.id
        and not live.canceled
        and live.expires_at > guess.at
        and live.attempts < live.max_attempts
        and live.last_mac != live.digest
        and live.last_request != guess.request
    )
    if not countable:
        return None
    return replace(
        record,
        rev=record.rev + 1,
        failures=record.failures + 1,
        streak=record.streak + 1,
        verification=replace(live, attempts=live.attempts + 1, last_mac=guess.mac, last_request=guess.request),
    )


def guessed(record: Record, *macs: str, at: int = NOW) -> Record:
    """The record after these guesses, all counted."""
    for mac in macs:
        after = count(record, guess_of(record, mac, at))
        assert after is not None
        record = after
    return record


def verdict_on(record: Record, guess: Guess) -> bool:
    after = count(record, guess)
    return judge(after or record, guess, counted=after is not None).valid


def with_delivery(record: Record, status: DeliveryStatus) -> Record:
    return replace(record, verification=replace(record.verification, delivery=delivery_of(record, status)))


def delivery_of(record: Record, status: DeliveryStatus) -> Delivery:
    return replace(record.verification.delivery, status=status)


def a_receipt(status: DeliveryStatus, at: int = NOW + 3) -> Receipt:
    return Receipt(provider="gateway", reference="r", status=status, reason="why", at=at)


APPROVED = guessed(started(), "right")
CANCELED = replace(started(), verification=replace(started().verification, canceled=True))
EXHAUSTED = guessed(started(), *["wrong"] * 5)


# The first start


def test_a_first_start_makes_a_pending_verification_of_full_attempts() -> None:
    live = started().verification

    assert live.state(NOW) is State.PENDING
    assert (live.attempts, live.attempts_left, live.max_attempts) == (0, 5, 5)
    assert (live.sends, live.created_at, live.expires_at) == (1, NOW, NOW + 600)


def test_a_first_start_is_all_that_the_record_knows() -> None:
    record = started()

    assert (record.rev, record.key, record.service) == (1, KEY, "default")
    assert record.sent == (Sent(NOW, "first"),)
    assert (record.failures, record.failures_since, record.streak) == (0, NOW, 0)


@pytest.mark.parametrize(("queued", "status"), [(False, DeliveryStatus.SUBMITTED), (True, DeliveryStatus.QUEUED)])
def test_a_start_is_handed_over_or_waits_in_the_queue(*, queued: bool, status: DeliveryStatus) -> None:
    delivery = started(queued=queued).verification.delivery

    provider = None if queued else "gateway"  # nobody has been chosen to send what waits
    assert delivery == Delivery(status=status, request="first", send=1, at=NOW, provider=provider)


def test_a_record_knows_the_requests_of_its_sends() -> None:
    record = start_again(started(), NOW + 30, request="second")

    assert [record.has_request(request, NOW + 30) for request in ("first", "second", "third")] == [True, True, False]


def test_a_record_knows_a_request_for_a_day() -> None:
    assert started().has_request("first", NOW + DAY - 1)
    assert not started().has_request("first", NOW + DAY)


@pytest.mark.parametrize("macs", [[], ["right"], ["wrong", "right"], ["wrong"] * 4 + ["right"]])
def test_a_record_is_forgotten_a_day_after_its_code(macs: list[str]) -> None:
    assert guessed(started(), *macs).forget_at == NOW + 600 + DAY


def test_a_record_with_a_wrong_code_and_no_right_one_after_it_is_forgotten_a_month_after_its_code() -> None:
    assert guessed(started(), "wrong").forget_at == NOW + 600 + MONTH
    assert start_again(EXHAUSTED, NOW + DAY).forget_at == NOW + DAY + 600 + MONTH


# States and time


def test_a_verification_expires_to_the_second() -> None:
    live = started().verification

    assert live.state(NOW + 599) is State.PENDING
    assert live.state(NOW + 600) is State.EXPIRED


def test_the_right_code_is_approved_until_a_second_before_expiry() -> None:
    record = started()

    assert verdict_on(record, guess_of(record, "right", NOW + 599))


@pytest.mark.parametrize("late", [0, 1, 48 * 3600])
def test_the_right_code_is_refused_from_expiry_on(late: int) -> None:
    record = started()

    with pytest.raises(Expired):
        verdict_on(record, guess_of(record, "right", NOW + 600 + late))


@pytest.mark.parametrize(
    ("record", "then", "later"),
    [
        (started(), State.PENDING, State.EXPIRED),
        (APPROVED, State.APPROVED, State.APPROVED),
        (CANCELED, State.CANCELED, State.CANCELED),
        (EXHAUSTED, State.ATTEMPTS_EXHAUSTED, State.EXPIRED),
    ],
)
def test_a_state_stays_or_expires(record: Record, then: State, later: State) -> None:
    assert record.verification.state(NOW + 599) is then
    assert record.verification.state(NOW + 600) is later


def test_a_start_resends_only_what_is_pending() -> None:
    assert resends(started(), NOW + 599)
    assert not resends(None, NOW)
    assert not any(resends(record, NOW) for record in (APPROVED, CANCELED, EXHAUSTED))
    assert not resends(started(), NOW + 600)


# Guesses


def test_the_right_code_is_approved_and_a_wrong_one_is_not() -> None:
    record = started()

    assert verdict_on(record, guess_of(record, "right", NOW))
    assert not verdict_on(record, guess_of(record, "wrong", NOW))


def test_the_last_attempt_may_be_the_right_one() -> None:
    record = guessed(started(), *["wrong"] * 4, "right")

    assert record.verification.state(NOW) is State.APPROVED
    assert record.verification.attempts_left == 0


def test_after_five_wrong_codes_the_right_one_is_refused() -> None:
    with pytest.raises(AttemptsExhausted):
        verdict_on(EXHAUSTED, guess_of(EXHAUSTED, "right", NOW))


def test_a_code_is_approved_once() -> None:
    with pytest.raises(AlreadyApproved):
        verdict_on(APPROVED, guess_of(APPROVED, "right", NOW))


def test_a_canceled_code_is_refused() -> None:
    with pytest.raises(Canceled):
        verdict_on(CANCELED, guess_of(CANCELED, "right", NOW))


def test_a_guess_at_no_record_finds_nothing() -> None:
    with pytest.raises(NotFound):
        judge(None, guess_of(started(), "right", NOW), counted=False)


@pytest.mark.parametrize("counted", [True, False])
def test_a_guess_at_a_verification_that_was_replaced_finds_nothing(*, counted: bool) -> None:
    record = start_again(APPROVED, NOW + 30)

    with pytest.raises(NotFound):
        judge(record, guess_of(APPROVED, "right", NOW + 30), counted=counted)


@pytest.mark.parametrize(("mac", "valid"), [("right", True), ("wrong", False)])
def test_a_guess_whose_answer_got_lost_is_answered_again(mac: str, *, valid: bool) -> None:
    record = started()
    guess = guess_of(record, mac, NOW, "lost")
    after = count(record, guess)

    assert after is not None
    assert count(after, guess) is None
    assert judge(after, guess, counted=False).valid is valid


def test_a_lost_answer_is_given_again_after_expiry_too() -> None:
    record = started()
    after = count(record, guess_of(record, "right", NOW + 599, "lost"))

    assert verdict_on(after or record, guess_of(record, "right", NOW + 601, "lost"))


def test_a_repeated_request_with_another_code_is_a_mismatch() -> None:
    record = started()
    after = count(record, guess_of(record, "wrong", NOW, "same"))

    with pytest.raises(IdempotencyMismatch):
        verdict_on(after or record, guess_of(record, "right", NOW, "same"))


def test_a_guess_that_something_came_between_may_be_tried_again() -> None:
    with pytest.raises(Conflict):
        judge(started(), guess_of(started(), "right", NOW), counted=False)


# Resends


def test_a_resend_keeps_the_verification_its_code_and_its_metadata() -> None:
    record = first(a_start("first", metadata=(("a", "b"),)), a_code("right"), DEFAULT, NOW)

    again = start_again(record, NOW + 30)

    assert again.verification.id == record.verification.id
    assert again.verification.digest == "right"
    assert again.verification.metadata == (("a", "b"),)


def test_a_resend_keeps_the_attempts() -> None:
    record = guessed(started(), *["wrong"] * 4)

    again = start_again(record, NOW + 30)

    assert again.verification.attempts_left == 1
    assert (again.failures, again.streak) == (4, 4)


def test_a_resend_with_another_code_keeps_the_attempts() -> None:
    record = guessed(started(), *["wrong"] * 4)

    assert start_again(record, NOW + 30, digest="new").verification.attempts_left == 1


def test_a_resend_keeps_the_expiry() -> None:
    again = start_again(started(), NOW + 30)

    assert (again.verification.created_at, again.verification.expires_at) == (NOW, NOW + 600)


def test_a_resend_is_another_send_of_its_own_request() -> None:
    again = start_again(started(), NOW + 30, request="second")

    assert again.verification.sends == 2
    assert again.verification.delivery == Delivery(
        status=DeliveryStatus.SUBMITTED, request="second", send=2, at=NOW + 30, provider="gateway"
    )


def test_a_resend_may_bring_metadata() -> None:
    start = a_start("second", metadata=(("c", "d"),))

    again = resend(started(), start, a_code("right"), DEFAULT, NOW + 30)

    assert again.verification.metadata == (("c", "d"),)


def test_a_resend_of_the_same_code_still_knows_the_last_guess() -> None:
    record = started()
    guess = guess_of(record, "wrong", NOW, "lost")

    again = start_again(count(record, guess) or record, NOW + 30)

    assert not judge(again, guess, counted=False).valid


def test_a_new_code_that_was_guessed_wrong_before_is_not_approved() -> None:
    record = guessed(started(), "wrong")

    again = start_again(record, NOW + 30, digest="wrong")

    assert again.verification.state(NOW + 30) is State.PENDING
    assert verdict_on(again, guess_of(again, "wrong", NOW + 30))


def test_a_guess_that_is_repeated_after_a_new_code_is_a_guess_at_that_one() -> None:
    record = started()
    record = count(record, guess_of(record, "new", NOW, "repeated")) or record

    again = start_again(record, NOW + 30, digest="new")

    assert verdict_on(again, guess_of(again, "new", NOW + 30, "repeated"))


def test_the_code_before_is_dead_once_there_is_a_new_one() -> None:
    again = start_again(started(), NOW + 30, digest="new")

    assert not verdict_on(again, guess_of(again, "right", NOW + 30))


def test_a_callers_own_code_replaces_a_derived_one() -> None:
    again = resend(started(), a_start("second"), a_code("own", own=True), DEFAULT, NOW + 30)

    assert again.verification.own_code
    assert again.verification.digest == "own"


def test_a_verification_is_sent_so_often_and_no_more() -> None:
    service = replace(UNLIMITED, max_sends=2)
    record = start_again(started(service), NOW, service)

    assert wait_told(record, NOW + 1, service) == 599
    assert wait_told(record, NOW + 599, service) == 1
    assert next_send_at(record, service, NOW + 1) == NOW + 600
    assert start_again(record, NOW + 600, service).verification.sends == 1


def test_a_verification_that_was_sent_too_often_is_told_from_a_number_that_was() -> None:
    service = replace(UNLIMITED, max_sends=1)

    with pytest.raises(RateLimited, match="this verification has been sent too often"):
        start_again(started(service), NOW + 1, service)


def test_after_the_last_resend_the_number_waits_for_what_comes_later_expiry_or_limit() -> None:
    service = Service(max_sends=2, cooldown=0, limits=(Limit(2, 3600),))
    record = start_again(started(service), NOW + 60, service)

    assert wait_told(record, NOW + 60, service) == 3540
    assert start_again(record, NOW + 3600, service)


# Renewals


def test_a_renewal_is_a_new_verification() -> None:
    renewed = start_again(EXHAUSTED, NOW + 30, request="second", digest="new").verification

    assert renewed == first(a_start("second"), a_code("new"), DEFAULT, NOW + 30).verification


@pytest.mark.parametrize("over", [APPROVED, CANCELED, EXHAUSTED])
def test_a_renewal_obeys_the_cooldown_whatever_became_of_the_last(over: Record) -> None:
    assert wait_told(over, NOW + 29) == 1
    assert start_again(over, NOW + 30)


def test_a_verification_keeps_the_attempts_that_it_was_started_with() -> None:
    record = start_again(started(), NOW + 30, replace(DEFAULT, max_attempts=10))

    assert record.verification.max_attempts == 5


def test_a_right_check_is_taken_off_at_the_next_start() -> None:
    record = guessed(started(), "wrong", "wrong", "right")
    assert record.failures == 3

    assert start_again(record, NOW + 30).failures == 2


def test_a_success_ends_the_streak() -> None:
    assert start_again(guessed(started(), "wrong", "right"), NOW + 30).streak == 0


def test_without_a_success_the_streak_goes_on() -> None:
    assert start_again(EXHAUSTED, NOW + 30).streak == 5


def test_a_canceled_verification_gives_no_failure_back() -> None:
    canceled = cancel(guessed(started(), "wrong"), NOW)
    assert canceled is not None

    again = start_again(canceled, NOW + 30)

    assert (again.failures, again.streak) == (1, 1)


def test_a_day_later_there_are_no_failures_and_the_same_streak() -> None:
    again = start_again(EXHAUSTED, NOW + DAY)

    assert (again.failures, again.failures_since, again.streak) == (0, NOW + DAY, 5)


def test_the_failures_of_a_day_are_still_those_of_that_day_a_second_before_its_end() -> None:
    again = start_again(EXHAUSTED, NOW + DAY - 1)

    assert (again.failures, again.failures_since) == (5, NOW)


def test_a_day_of_failures_begins_with_the_first_verification_that_has_one() -> None:
    record = guessed(start_again(started(), NOW + 600), "wrong", at=NOW + 600)

    assert start_again(record, NOW + 1200).failures_since == NOW + 600


def test_a_success_of_the_day_before_is_not_taken_off() -> None:
    assert start_again(guessed(started(), "wrong", "right"), NOW + DAY).failures == 0


def all_wrong(record: Record, at: int) -> Record:
    return guessed(record, *["wrong"] * record.verification.attempts_left, at=at)


def test_a_number_has_twenty_wrong_codes_a_day() -> None:
    record = all_wrong(started(UNLIMITED), NOW)
    for _ in range(3):
        record = all_wrong(start_again(record, NOW, UNLIMITED), NOW)

    assert record.failures == 20
    assert wait_told(record, NOW, UNLIMITED) == DAY
    assert wait_told(record, NOW + DAY - 1, UNLIMITED) == 1
    assert start_again(record, NOW + DAY, UNLIMITED).failures == 0


def test_the_last_verification_of_a_day_has_no_more_attempts_than_the_day_has_left() -> None:
    record = all_wrong(started(UNLIMITED), NOW)
    for _ in range(2):
        record = all_wrong(start_again(record, NOW, UNLIMITED), NOW)
    nineteenth = cancel(guessed(start_again(record, NOW, UNLIMITED), *["wrong"] * 4), NOW)
    assert nineteenth is not None

    record = all_wrong(start_again(nineteenth, NOW, UNLIMITED), NOW)

    assert record.failures == 20
    assert record.verification.max_attempts == 1
    assert wait_told(record, NOW, UNLIMITED) == DAY


def test_right_codes_use_none_of_the_twenty() -> None:
    record = started(UNLIMITED)
    for _ in range(100):
        record = start_again(guessed(record, "right"), NOW + record.rev, UNLIMITED)

    assert (record.failures, record.streak) == (0, 0)


def test_a_number_has_a_hundred_wrong_codes_in_a_row_and_is_then_left_alone_until_forgotten() -> None:
    record, at = all_wrong(started(UNLIMITED), NOW), NOW
    for attempt in range(1, 20):
        at = NOW + attempt // 4 * DAY
        record = all_wrong(start_again(record, at, UNLIMITED), at)

    assert record.streak == 100
    assert wait_told(record, at + MONTH, UNLIMITED) == 600
    assert wait_told(record, at, UNLIMITED) == record.forget_at - at
    assert start_again(record, record.forget_at, UNLIMITED).streak == 0


def test_who_waits_a_day_after_too_many_wrong_codes_waits_for_the_limits_too() -> None:
    service = Service(cooldown=0, limits=(Limit(1, DAY),), failures_per_day=5)
    record = guessed(start_again(all_wrong(started(service), NOW), NOW + DAY, service), *["wrong"] * 5, at=NOW + DAY)

    assert wait_told(record, NOW + DAY, replace(service, cooldown=2 * DAY)) == 2 * DAY


# Limits


@pytest.mark.parametrize(
    ("limit", "sends", "free_after"),
    [
        (Limit(1, 30), [0], 30),
        (Limit(3, 600), [0, 1, 2], 600),
        (Limit(3, 600), [0, 599, 599], 600),
        (Limit(3, 600), [0, 300, 400, 700], 900),
        (Limit(5, 3600), [0, 600, 1200, 1800, 3599], 3600),
        (Limit(2, DAY), [0, DAY - 1], DAY),
        (Limit(2, DAY), [0, 1, DAY, DAY + 1], 2 * DAY),
    ],
)
def test_a_limit_ends_to_the_second(limit: Limit, sends: list[int], free_after: int) -> None:
    service = Service(cooldown=0, limits=(limit,), max_sends=10)
    record = started(service)
    for at in sends[1:]:
        record = start_again(record, NOW + at, service)

    assert next_send_at(record, service, NOW + sends[-1]) == NOW + free_after
    assert wait_told(record, NOW + sends[-1], service) == free_after - sends[-1]
    assert wait_told(record, NOW + free_after - 1, service) == 1
    assert start_again(record, NOW + free_after, service)


def test_the_cooldown_ends_to_the_second() -> None:
    assert wait_told(started(), NOW) == 30
    assert wait_told(started(), NOW + 29) == 1
    assert start_again(started(), NOW + 30)


def test_the_strictest_limit_tells_the_wait() -> None:
    service = Service(cooldown=600, limits=(Limit(1, 60), Limit(2, 3600)))
    record = start_again(started(service), NOW + 600, service)

    assert wait_told(record, NOW + 600, service) == 3000


def test_without_limits_only_the_cooldown_counts() -> None:
    service = Service(limits=(), max_sends=10)
    record = start_again(started(service), NOW + 30, service)

    assert next_send_at(record, service, NOW + 30) == NOW + 30 + 60


def test_who_asks_again_and_again_waits_twice_as_long_each_time_up_to_a_limit() -> None:
    service = Service(limits=(), max_sends=10)
    record, waits = started(service), list[int]()

    for _ in range(5):
        now = record.sent[-1].at
        waits.append(next_send_at(record, service, now) - now)
        record = start_again(record, now + waits[-1], service)

    assert waits == [30, 60, 120, 120, 120]


def test_the_wait_begins_anew_with_a_new_verification() -> None:
    service = Service(limits=(), max_sends=10)
    again = start_again(started(service), NOW + 30, service)
    later = start_again(again, NOW + 600, service)

    assert next_send_at(later, service, NOW + 600) == NOW + 600 + 30


def test_a_cooldown_that_is_longer_than_the_longest_stays() -> None:
    service = Service(limits=(), max_sends=10, cooldown=300)
    record = start_again(started(service), NOW + 300, service)

    assert next_send_at(record, service, NOW + 300) == NOW + 600


def test_where_nothing_hinders_the_next_send_may_be_at_once() -> None:
    assert next_send_at(started(), DEFAULT, NOW + 5000) == NOW + 5000


def test_a_refused_start_changes_nothing_for_the_next() -> None:
    record = started()
    for second in range(30):
        assert wait_told(record, NOW + second) == 30 - second

    assert start_again(record, NOW + 30).sent == (Sent(NOW, "first"), Sent(NOW + 30, f"start at {NOW + 30}"))


def test_who_tries_every_31_seconds_for_a_day_gets_ten_messages() -> None:
    assert len(sends_of_one_who_tries(every=31, until=DAY)) == 10


def test_who_goes_on_for_a_week_never_gets_more_than_ten_in_any_day() -> None:
    sends = sends_of_one_who_tries(every=31, until=7 * DAY)

    assert max(sum(begin <= at < begin + DAY for at in sends) for begin in sends) == 10
    assert len(sends) == 70


def sends_of_one_who_tries(*, every: int, until: int) -> list[int]:
    record, sends = started(), [0]
    for at in range(every, until, every):
        try:
            record = start_again(record, NOW + at)
        except RateLimited:
            continue
        sends.append(at)
    return sends


LIMITS = st.lists(st.builds(Limit, st.integers(1, 4), st.sampled_from([1, 30, 60, 600, 3600, DAY])), max_size=3)
SERVICES = st.builds(
    Service,
    limits=LIMITS.map(tuple),
    cooldown=st.sampled_from([0, 1, 30, 600]),
    max_sends=st.integers(1, 4),
    lifetime=st.sampled_from([60, 300, 600]),
    failures_per_day=st.just(100),
    failures_in_a_row=st.just(100),
)
GAPS = st.lists(st.sampled_from([0, 1, 29, 30, 31, 60, 299, 300, 599, 600, 3000, 3600, DAY]), max_size=12)


def history(service: Service, gaps: list[int]) -> tuple[Record, int]:
    """A number's record after starts with these gaps between, as far as they were allowed; and the time."""
    record, at = started(service), NOW
    for gap in gaps:
        at += gap
        try:
            record = start_again(record, at, service)
        except RateLimited:
            continue
    return record, at


@given(service=SERVICES, gaps=GAPS)
def test_a_refusal_tells_the_first_second_at_which_a_start_is_allowed(service: Service, gaps: list[int]) -> None:
    record, at = history(service, gaps)
    try:
        start_again(record, at, service)
    except RateLimited as refusal:
        allowed_at = at + (refusal.retry_after or 0)
    else:
        allowed_at = at

    assert allowed_at == next_send_at(record, service, at)
    assert start_again(record, allowed_at, service)
    if allowed_at > at:
        assert wait_told(record, allowed_at - 1, service) == 1


@given(service=SERVICES, gaps=GAPS)
def test_a_record_remembers_the_last_ten_sends(service: Service, gaps: list[int]) -> None:
    record, _ = history(service, gaps)

    assert len(record.sent) <= REMEMBERED_SENDS


# Claims given back


def test_a_claim_given_back_takes_a_code_that_never_went_out_with_it() -> None:
    released = release(started(), "first", NOW + 2, FAILED)

    assert released is not None
    assert released.verification.state(NOW + 2) is State.CANCELED
    assert released.verification.sends == 0
    assert released.verification.delivery == Delivery(
        status=DeliveryStatus.NOT_SENT, request="first", send=1, at=NOW + 2, provider="gateway", reason="scripted"
    )


def test_a_resend_given_back_leaves_the_code_that_went_out_before() -> None:
    released = release(start_again(started(), NOW + 30, request="second"), "second", NOW + 30, FAILED)

    assert released is not None
    assert released.verification.state(NOW + 30) is State.PENDING
    assert released.verification.sends == 1
    assert released.sent == (Sent(NOW, "first"),)


def test_a_resend_given_back_leaves_a_canceled_verification_canceled() -> None:
    canceled = cancel(start_again(started(), NOW + 30, request="second"), NOW + 30)
    assert canceled is not None

    released = release(canceled, "second", NOW + 30, FAILED)

    assert released is not None
    assert released.verification.state(NOW + 30) is State.CANCELED


def test_a_request_whose_claim_was_given_back_may_try_again_at_once() -> None:
    released = release(started(), "first", NOW, FAILED)

    assert released is not None
    assert not released.has_request("first", NOW)
    again = start_again(released, NOW, request="first")
    assert again.sent == started().sent
    assert again.verification == started().verification


@given(service=SERVICES, gaps=GAPS, later=st.sampled_from([0, 1, 30, 600, DAY]))
def test_a_claim_given_back_leaves_the_limits_as_they_were(service: Service, gaps: list[int], later: int) -> None:
    before, at = history(service, gaps)
    at = next_send_at(before, service, at)
    claimed = start_again(before, at, service, request="claim")

    released = release(claimed, "claim", at, FAILED)

    assert released is not None
    assert next_send_at(released, service, at + later) == next_send_at(before, service, at + later)
    assert start_again(released, at, service).sent == replace(claimed, sent=start_again(before, at, service).sent).sent


def test_a_claim_given_back_keeps_the_attempts_that_were_used() -> None:
    released = release(guessed(started(), "wrong"), "first", NOW, FAILED)

    assert released is not None
    assert (released.verification.attempts, released.failures, released.streak) == (1, 1, 1)


def test_an_earlier_claim_given_back_leaves_the_latest_message_alone() -> None:
    record = start_again(started(), NOW + 30, request="second")

    released = release(record, "first", NOW + 31, FAILED)

    assert released is not None
    assert released.sent == (Sent(NOW + 30, "second"),)
    assert released.verification == record.verification


def test_a_claim_is_given_back_once() -> None:
    released = release(started(), "first", NOW, FAILED)

    assert released is not None
    assert release(released, "first", NOW, FAILED) is None


def test_a_claim_that_nobody_has_is_not_given_back() -> None:
    assert release(started(), "other", NOW, FAILED) is None


# What became of a message


@pytest.mark.parametrize("status", [DeliveryStatus.UNKNOWN, DeliveryStatus.THROTTLED, DeliveryStatus.QUEUED])
def test_what_became_of_a_message_is_noted(status: DeliveryStatus) -> None:
    settled = settle(started(), "first", NOW + 2, FAILED, status)

    assert settled is not None
    assert settled.verification.state(NOW + 2) is State.PENDING
    assert settled.verification.delivery == Delivery(
        status=status, request="first", send=1, at=NOW + 2, provider="gateway", reason="scripted"
    )


def test_a_request_that_met_the_gateways_own_limit_may_try_again_though_its_send_counts() -> None:
    settled = settle(started(), "first", NOW, FAILED, DeliveryStatus.THROTTLED)

    assert settled is not None
    assert not settled.has_request("first", NOW)
    assert [sent.at for sent in settled.sent] == [NOW]


@pytest.mark.parametrize("status", [DeliveryStatus.UNKNOWN, DeliveryStatus.QUEUED, DeliveryStatus.REJECTED])
def test_a_request_whose_message_met_another_end_is_still_known(status: DeliveryStatus) -> None:
    settled = settle(started(), "first", NOW, FAILED, status)

    assert settled is not None
    assert settled.sent == started().sent


def test_a_refused_number_takes_its_verification_with_it() -> None:
    settled = settle(started(), "first", NOW, FAILED, DeliveryStatus.REJECTED)

    assert settled is not None
    assert settled.verification.state(NOW) is State.CANCELED


def test_a_refused_number_takes_no_approval_back() -> None:
    settled = settle(APPROVED, "first", NOW, FAILED, DeliveryStatus.REJECTED)

    assert settled is not None
    assert settled.verification.state(NOW) is State.APPROVED


def test_a_canceled_verification_stays_so_whatever_became_of_its_message() -> None:
    settled = settle(CANCELED, "first", NOW, FAILED, DeliveryStatus.UNKNOWN)

    assert settled is not None
    assert settled.verification.canceled


def test_what_became_of_an_earlier_message_is_no_news() -> None:
    record = start_again(started(), NOW + 30)

    assert settle(record, "first", NOW + 30, FAILED, DeliveryStatus.UNKNOWN) is None


@pytest.mark.parametrize("reported", [DeliveryStatus.DELIVERED, DeliveryStatus.FAILED])
def test_a_receipt_that_was_faster_than_the_gateways_answer_is_not_unlearned(reported: DeliveryStatus) -> None:
    record = receive(started(), a_receipt(reported), 1)
    assert record is not None

    assert settle(record, "first", NOW + 10, FAILED, DeliveryStatus.UNKNOWN) is None


# The queue


def test_a_queued_send_is_claimed() -> None:
    taken = take_from_queue(started(queued=True), "first", NOW + 5, "gateway")

    assert taken.verification.delivery == Delivery(
        status=DeliveryStatus.SUBMITTED, request="first", send=1, at=NOW + 5, provider="gateway"
    )


def test_a_queued_send_is_claimed_once() -> None:
    taken = take_from_queue(started(queued=True), "first", NOW, "gateway")

    with pytest.raises(Conflict):
        take_from_queue(taken, "first", NOW, "gateway")


def test_a_send_whose_verification_is_over_is_not_claimed() -> None:
    waiting = started(queued=True)
    canceled = cancel(waiting, NOW)
    assert canceled is not None

    for over, now in [(canceled, NOW), (waiting, waiting.verification.expires_at)]:
        with pytest.raises(Conflict):
            take_from_queue(over, "first", now, "gateway")


def test_a_queued_send_of_another_request_is_not_claimed() -> None:
    with pytest.raises(Conflict):
        take_from_queue(started(queued=True), "other", NOW, "gateway")


@pytest.mark.parametrize("status", set(DeliveryStatus) - {DeliveryStatus.QUEUED})
def test_a_send_that_does_not_wait_is_not_claimed(status: DeliveryStatus) -> None:
    with pytest.raises(Conflict):
        take_from_queue(with_delivery(started(), status), "first", NOW + CLAIM_LEASE, "gateway")


def test_a_claim_belongs_to_somebody_until_its_lease_ends() -> None:
    delivery = started().verification.delivery

    assert not outcome_is_unknown(delivery, NOW + CLAIM_LEASE - 1)
    assert outcome_is_unknown(delivery, NOW + CLAIM_LEASE)


def test_an_outcome_that_was_noted_as_unknown_is_so_at_once() -> None:
    assert outcome_is_unknown(delivery_of(started(), DeliveryStatus.UNKNOWN), NOW)


@pytest.mark.parametrize("status", set(DeliveryStatus) - {DeliveryStatus.SUBMITTED, DeliveryStatus.UNKNOWN})
def test_an_outcome_that_is_known_never_becomes_unknown(status: DeliveryStatus) -> None:
    assert not outcome_is_unknown(delivery_of(started(), status), NOW + DAY)


@pytest.mark.parametrize(("status", "after"), [(DeliveryStatus.SUBMITTED, CLAIM_LEASE), (DeliveryStatus.UNKNOWN, 0)])
def test_an_unknown_send_is_tried_once_more(status: DeliveryStatus, after: int) -> None:
    record = with_delivery(started(), status)

    again = retry_unknown(record, "first", NOW + after, "gateway")

    assert again.verification.delivery == Delivery(
        status=DeliveryStatus.SUBMITTED, request="first", send=1, at=NOW + after, provider="gateway", tries=2
    )
    assert (again.sent, again.verification.sends) == (record.sent, 1)


@pytest.mark.parametrize("status", [DeliveryStatus.SUBMITTED, DeliveryStatus.UNKNOWN])
def test_an_unknown_send_is_tried_only_once_more(status: DeliveryStatus) -> None:
    again = with_delivery(retry_unknown(started(), "first", NOW + CLAIM_LEASE, "gateway"), status)

    with pytest.raises(Conflict):
        retry_unknown(again, "first", NOW + DAY, "gateway")


def test_a_send_that_somebody_is_busy_with_is_not_tried_again() -> None:
    with pytest.raises(Conflict):
        retry_unknown(started(), "first", NOW + CLAIM_LEASE - 1, "gateway")


def test_an_unknown_send_of_another_request_is_not_tried_again() -> None:
    with pytest.raises(Conflict):
        retry_unknown(started(), "other", NOW + CLAIM_LEASE, "gateway")


# Receipts


def test_a_receipt_moves_the_delivery_and_nothing_else() -> None:
    record = guessed(started(), "wrong")

    received = receive(record, a_receipt(DeliveryStatus.DELIVERED), 1)

    noted = Delivery(
        status=DeliveryStatus.DELIVERED, request="first", send=1, at=NOW + 3, provider="gateway", reason="why"
    )
    live = replace(record.verification, delivery=noted)
    assert received == replace(record, rev=record.rev + 1, verification=live)


@pytest.mark.parametrize("send", [0, 1, 3])
def test_a_receipt_of_another_send_is_no_news(send: int) -> None:
    record = start_again(started(), NOW + 30)

    assert receive(record, a_receipt(DeliveryStatus.DELIVERED), send) is None


def test_a_receipt_that_comes_twice_is_no_news() -> None:
    received = receive(started(), a_receipt(DeliveryStatus.FAILED), 1)

    assert received is not None
    assert receive(received, a_receipt(DeliveryStatus.FAILED), 1) is None


@given(
    statuses=st.lists(
        st.sampled_from([DeliveryStatus.SUBMITTED, DeliveryStatus.UNKNOWN, DeliveryStatus.FAILED]), max_size=8
    ),
    place=st.integers(0, 8),
)
def test_a_delivered_message_is_delivered_in_whatever_order_its_receipts_come(
    statuses: list[DeliveryStatus], place: int
) -> None:
    record = started(queued=True)
    for status in [*statuses[:place], DeliveryStatus.DELIVERED, *statuses[place:]]:
        record = receive(record, a_receipt(status), 1) or record

    assert record.verification.delivery.status is DeliveryStatus.DELIVERED


# Cancels


def test_a_pending_verification_can_be_canceled() -> None:
    canceled = cancel(started(), NOW + 599)

    assert canceled is not None
    assert canceled.verification.state(NOW + 599) is State.CANCELED


@pytest.mark.parametrize("at", [NOW, NOW + 600])
def test_to_cancel_twice_changes_nothing(at: int) -> None:
    assert cancel(CANCELED, at) is None


@pytest.mark.parametrize(
    ("record", "at", "refusal"),
    [
        (APPROVED, NOW, AlreadyApproved),
        (APPROVED, NOW + 600, AlreadyApproved),
        (EXHAUSTED, NOW, AttemptsExhausted),
        (started(), NOW + 600, Expired),
    ],
)
def test_what_is_over_cannot_be_canceled(record: Record, at: int, refusal: type[Refused]) -> None:
    with pytest.raises(refusal):
        cancel(record, at)


# Revisions

STEPS: dict[str, Callable[[Record], Record | None]] = {
    "resend": lambda record: start_again(record, NOW + 30),
    "renew": lambda record: start_again(record, NOW + 600),
    "release": lambda record: release(record, "first", NOW, FAILED),
    "settle": lambda record: settle(record, "first", NOW, FAILED, DeliveryStatus.UNKNOWN),
    "take_from_queue": lambda record: take_from_queue(
        with_delivery(record, DeliveryStatus.QUEUED), "first", NOW, "gateway"
    ),
    "retry_unknown": lambda record: retry_unknown(record, "first", NOW + CLAIM_LEASE, "gateway"),
    "receive": lambda record: receive(record, a_receipt(DeliveryStatus.DELIVERED), 1),
    "cancel": lambda record: cancel(record, NOW),
}


@pytest.mark.parametrize("step", STEPS.values(), ids=STEPS.keys())
def test_every_step_is_one_revision(step: Callable[[Record], Record | None]) -> None:
    record = replace(started(), rev=7)

    following = step(record)

    assert following is not None
    assert following.rev == 8
    assert (following.key, following.service) == (record.key, record.service)


# Everything at once


@dataclass
class Account:
    """What truly happened to one verification, kept beside the record and without its code."""

    digest: str
    expires_at: int
    guesses: int = 0
    right: bool = False
    canceled: bool = False


class LifeOfANumber(RuleBasedStateMachine):
    """Starts, guesses, cancels, receipts and outcomes at any time. Three codes only, so that they collide often."""

    service: Service
    record: Record
    account: Account

    def __init__(self) -> None:
        super().__init__()
        self.now = NOW
        self.names = itertools.count()
        self.sends: list[Sent] = []
        self.rev = 0
        self.wrong_at: list[int] = []
        """When the verifications were started whose wrong guesses these are."""
        self.wrong_in_a_row = 0

    @initialize(
        service=SERVICES,
        max_attempts=st.integers(3, 5),
        failures_per_day=st.integers(3, 12),
        failures_in_a_row=st.integers(3, 20),
        digest=st.sampled_from("abc"),
    )
    def begin(
        self, service: Service, max_attempts: int, failures_per_day: int, failures_in_a_row: int, digest: str
    ) -> None:
        self.service = replace(
            service,
            max_attempts=max_attempts,
            failures_per_day=failures_per_day,
            failures_in_a_row=failures_in_a_row,
        )
        self._take_first(self._a_start(queued=False), digest)

    @rule(seconds=st.sampled_from([1, 29, 30, 60, 299, 599, 600, 3600, DAY // 2, DAY, DAY + 600, MONTH]))
    def wait(self, seconds: int) -> None:
        self.now += seconds

    @rule(digest=st.sampled_from("abc"), own=st.booleans(), same=st.booleans(), queued=st.booleans())
    def start(self, *, digest: str, own: bool, same: bool, queued: bool) -> None:
        start = self._a_start(queued=queued)
        if self.now >= self.record.forget_at:
            self._take_first(start, digest)
            return
        pending = self._pending
        assert resends(self.record, self.now) is pending
        digest = self.account.digest if pending and same else digest
        step = resend if pending else renew
        if self._too_many_sends or (self._too_often if pending else self._too_many_failures):
            with pytest.raises(RateLimited):
                step(self.record, start, a_code(digest, own=own), self.service, self.now)
            return
        self._accept(step(self.record, start, a_code(digest, own=own), self.service, self.now), start)
        if pending:
            self.account.digest = digest
        else:
            self.account = Account(digest, self.now + self.service.lifetime)

    @rule(mac=st.sampled_from("abc"), again=st.booleans())
    def guess(self, *, mac: str, again: bool) -> None:
        live = self.record.verification
        request = (live.last_request if again else None) or f"guess {next(self.names)}"
        guess = guess_of(self.record, mac, self.now, request)
        after = count(self.record, guess)
        if after is None:
            self._expect_no_other_verdict(guess)
            return
        assert self._pending
        right = mac == self.account.digest
        assert judge(after, guess, counted=True).valid is right
        self._accept(after)
        self.account.guesses += 1
        self.account.right = right
        self.wrong_at += [] if right else [live.created_at]
        self.wrong_in_a_row = 0 if right else self.wrong_in_a_row + 1

    @rule(mac=st.sampled_from("abc"))
    def guess_at_another_verification(self, mac: str) -> None:
        guess = replace(guess_of(self.record, mac, self.now), id=an_id("another"))

        assert count(self.record, guess) is None
        with pytest.raises(NotFound):
            judge(self.record, guess, counted=False)

    @rule()
    def cancel(self) -> None:
        if self._pending:
            self._accept(cancel(self.record, self.now))
            self.account.canceled = True
        elif self._refusal is Canceled:
            assert cancel(self.record, self.now) is None
        else:
            with pytest.raises(self._refusal):
                cancel(self.record, self.now)

    @precondition(lambda self: self.sends)
    @rule(data=st.data())
    def give_a_claim_back(self, data: st.DataObject) -> None:
        sent = data.draw(st.sampled_from(self.sends))
        live = self.record.verification
        released = release(self.record, sent.request, self.now, FAILED)
        if released is not None:
            self._accept(released)
            self.sends.remove(sent)
            self.account.canceled |= live.delivery.request == sent.request and live.sends == 1

    @rule(status=st.sampled_from(sorted(DeliveryStatus)), latest=st.booleans())
    def note(self, *, status: DeliveryStatus, latest: bool) -> None:
        request = self.record.verification.delivery.request if latest else "another"
        settled = settle(self.record, request, self.now, FAILED, status)
        if settled is not None:
            assert latest
            self._accept(settled)
            self.account.canceled |= status is DeliveryStatus.REJECTED

    @rule(status=st.sampled_from(sorted(DeliveryStatus)), send=st.integers(1, 3))
    def hear_from_the_gateway(self, status: DeliveryStatus, send: int) -> None:
        received = receive(self.record, a_receipt(status, self.now), send)
        if received is not None:
            self._accept(received)

    @rule(step=st.sampled_from([take_from_queue, retry_unknown]))
    def claim(self, step: Callable[[Record, str, int, str], Record]) -> None:
        try:
            claimed = step(self.record, self.record.verification.delivery.request, self.now, "gateway")
        except Conflict:
            return
        self._accept(claimed)

    @invariant()
    def each_step_is_one_revision(self) -> None:
        assert self.record.rev == self.rev

    @invariant()
    def no_verification_counts_more_guesses_than_it_has_attempts(self) -> None:
        assert (
            self.record.verification.attempts
            == self.account.guesses
            <= self.record.verification.max_attempts
            <= self.service.max_attempts
        )

    @invariant()
    def nothing_but_a_right_and_counted_guess_approves(self) -> None:
        assert self.record.verification.approved is self.account.right

    @invariant()
    def the_expiry_never_moves(self) -> None:
        assert self.record.verification.expires_at == self.account.expires_at

    @invariant()
    def no_window_holds_more_sends_than_its_limit(self) -> None:
        times = [sent.at for sent in self.sends]
        for limit in (*self.service.limits, Limit(1, self.service.cooldown)):
            assert all(late - early >= limit.seconds for early, late in zip(times, times[limit.count :], strict=False))

    @invariant()
    def no_verification_is_sent_too_often(self) -> None:
        assert 0 <= self.record.verification.sends <= self.service.max_sends

    @invariant()
    def no_more_is_remembered_than_needed(self) -> None:
        assert len(self.record.sent) <= REMEMBERED_SENDS

    @invariant()
    def the_failures_of_a_day_are_bounded(self) -> None:
        assert len(self._wrong_of_the_day) <= self.service.failures_per_day

    @invariant()
    def the_failures_in_a_row_are_bounded(self) -> None:
        assert self.wrong_in_a_row <= self.service.failures_in_a_row

    def _a_start(self, *, queued: bool) -> Start:
        return a_start(f"start {next(self.names)}", queued=queued)

    def _take_first(self, start: Start, digest: str) -> None:
        """What was written of the number before, if anything, is forgotten."""
        self.rev, self.wrong_at, self.wrong_in_a_row = 0, [], 0
        self._accept(first(start, a_code(digest), self.service, self.now), start)
        self.account = Account(digest, self.now + self.service.lifetime)

    def _accept(self, record: Record | None, start: Start | None = None) -> None:
        assert record is not None
        self.record = record
        self.rev += 1
        if start is not None:
            self.sends.append(Sent(self.now, start.request))

    @property
    def _pending(self) -> bool:
        open_still = self.now < self.account.expires_at and self.account.guesses < self.record.verification.max_attempts
        return open_still and not self.account.right and not self.account.canceled

    @property
    def _too_many_sends(self) -> bool:
        times = [sent.at for sent in self.sends]
        return any(
            sum(at > self.now - limit.seconds for at in times) >= limit.count
            for limit in (*self.service.limits, Limit(1, self.service.cooldown))
        )

    @property
    def _too_often(self) -> bool:
        return self.record.verification.sends >= self.service.max_sends

    @property
    def _too_many_failures(self) -> bool:
        today = len(self._wrong_of_the_day) if self.now < self._day_began + DAY else 0
        return today >= self.service.failures_per_day or self.wrong_in_a_row >= self.service.failures_in_a_row

    @property
    def _day_began(self) -> int:
        """The last first wrong guess that none came before within a day."""
        began = -DAY
        for at in self.wrong_at:
            began = at if at >= began + DAY else began
        return began

    @property
    def _wrong_of_the_day(self) -> list[int]:
        return [at for at in self.wrong_at if at >= self._day_began]

    def _expect_no_other_verdict(self, guess: Guess) -> None:
        live = self.record.verification
        if live.last_request == guess.request and live.last_mac == guess.mac:
            assert judge(self.record, guess, counted=False).valid is self.account.right
            return
        with pytest.raises(Refused) as caught:
            judge(self.record, guess, counted=False)
        if live.last_request == guess.request:
            assert caught.type is IdempotencyMismatch
        else:
            assert caught.type is self._refusal

    @property
    def _refusal(self) -> type[Refused]:
        assert not self._pending
        if self.account.right:
            return AlreadyApproved
        if self.account.canceled:
            return Canceled
        return Expired if self.now >= self.account.expires_at else AttemptsExhausted


def test_in_whatever_order_things_happen_every_limit_holds() -> None:
    run_state_machine_as_test(LifeOfANumber, settings=settings(max_examples=150, stateful_step_count=40, deadline=None))
