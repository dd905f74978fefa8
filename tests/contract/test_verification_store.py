"""The contract of VerificationStore, on every engine."""

from __future__ import annotations

import secrets
from dataclasses import replace

import pytest

from functions.domain.checking import Guess
from functions.domain.delivery import Delivery, DeliveryStatus
from functions.domain.identity import NONCE_BYTES, VerificationId, nonce_from
from functions.domain.sending import Code, Start, first
from functions.domain.service import Limit, Service
from functions.domain.verification import DAY, Record, Sent
from functions.stores.dynamodb import Table
from functions.stores.verifications import DynamoVerificationStore
from functions.stores.verifications_together import VerificationsTogether
from functions.usecases.ports import VerificationStore
from tests.harness import MORNING

ODD = 1_812_345_679
"""A second without zeros: DynamoDB stores numbers by their digits."""
SERVICE = Service(limits=(Limit(20, 3600),))
RIGHT, WRONG = "a" * 32, "b" * 32


@pytest.fixture(params=["alone", "together"])
def store(request: pytest.FixtureRequest, table: Table) -> VerificationStore:
    alone = DynamoVerificationStore(table, secrets.token_bytes)
    return VerificationsTogether(alone) if request.param == "together" else alone


def new_record() -> Record:
    key = nonce_from(secrets.token_bytes(15))
    verification_id = VerificationId("k1", key, nonce_from(secrets.token_bytes(NONCE_BYTES)))
    start = Start(
        request=secrets.token_urlsafe(12), new_id=verification_id, region="DE", block="b" * 25, provider="yunpian"
    )
    return first(start, Code(digest=RIGHT, own=False, generation=1), SERVICE, MORNING)


def guess(record: Record, mac: str = WRONG, *, request: str | None = None, at: int = MORNING) -> Guess:
    return Guess(id=record.verification.id, mac=mac, request=request or secrets.token_urlsafe(12), at=at)


def full_record() -> Record:
    """The largest that there can be: every attribute there, every text at its longest, no number round."""
    record = new_record()
    live = replace(
        record.verification,
        id=replace(record.verification.id, kid="k2345678"),
        sends=10,
        binding="b" * 16,
        created_at=ODD,
        expires_at=ODD,
        attempts=4,
        last_mac=WRONG,
        last_request="r" * 16,
        metadata=(("name", "x" * 124),),
        delivery=Delivery(
            status=DeliveryStatus.DELIVERED, request="r" * 16, send=10, at=ODD, provider="p" * 16, reason="r" * 32
        ),
    )
    sent = tuple(Sent(ODD, f"{n:016d}") for n in range(10))
    return replace(
        record, service="s" * 32, verification=live, sent=sent, failures=19, failures_since=ODD, streak=99, rev=1
    )


async def test_a_number_without_a_record_has_none(store: VerificationStore) -> None:
    assert await store.get(new_record().key) is None


async def test_what_was_put_is_got(store: VerificationStore) -> None:
    record = full_record()

    assert await store.put(record, now=MORNING) is None
    assert await store.get(record.key) == record


async def test_a_first_record_does_not_overwrite_another(store: VerificationStore) -> None:
    record = new_record()
    await store.put(record, now=MORNING)

    late = replace(new_record(), key=record.key)

    assert await store.put(late, now=MORNING) == record
    assert await store.get(record.key) == record


async def test_a_first_record_takes_the_place_of_a_forgotten_one(store: VerificationStore) -> None:
    record = new_record()
    await store.put(record, now=MORNING)

    later = replace(new_record(), key=record.key)

    assert await store.put(later, now=record.forget_at - 1) == record
    assert await store.put(later, now=record.forget_at) is None


async def test_a_step_is_written_over_the_record_it_was_decided_on(store: VerificationStore) -> None:
    record = new_record()
    await store.put(record, now=MORNING)

    following = replace(record, rev=2, streak=7)

    assert await store.put(following, now=MORNING) is None
    assert await store.get(record.key) == following


async def test_a_step_that_was_decided_on_an_older_record_is_not_written(store: VerificationStore) -> None:
    record = new_record()
    await store.put(record, now=MORNING)
    winner = replace(record, rev=2, streak=7)
    await store.put(winner, now=MORNING)

    assert await store.put(replace(record, rev=2, streak=8), now=MORNING) == winner


async def test_a_guess_is_counted_before_anybody_compares(store: VerificationStore) -> None:
    record = new_record()
    await store.put(record, now=MORNING)

    counted = await store.count_guess(guess(record))

    assert counted.counted
    assert counted.record is not None
    assert counted.record.verification.attempts == 1
    assert (counted.record.failures, counted.record.streak, counted.record.rev) == (1, 1, 2)
    assert not counted.record.verification.approved


async def test_the_right_guess_approves_by_being_counted(store: VerificationStore) -> None:
    record = new_record()
    await store.put(record, now=MORNING)

    counted = await store.count_guess(guess(record, RIGHT))

    assert counted.record is not None
    assert counted.record.verification.approved


async def test_no_guess_is_counted_after_the_right_one(store: VerificationStore) -> None:
    record = new_record()
    await store.put(record, now=MORNING)
    await store.count_guess(guess(record, RIGHT))

    counted = await store.count_guess(guess(record, RIGHT))

    assert not counted.counted
    assert counted.record is not None
    assert counted.record.verification.attempts == 1


async def test_no_guess_is_counted_beyond_the_last(store: VerificationStore) -> None:
    record = new_record()
    await store.put(record, now=MORNING)
    for _ in range(record.verification.max_attempts):
        await store.count_guess(guess(record))

    counted = await store.count_guess(guess(record, RIGHT))

    assert not counted.counted
    assert counted.record is not None
    assert not counted.record.verification.approved


async def test_a_guess_counts_until_the_last_second_and_not_after(store: VerificationStore) -> None:
    record = new_record()
    await store.put(record, now=MORNING)
    end = record.verification.expires_at

    assert not (await store.count_guess(guess(record, RIGHT, at=end))).counted
    assert not (await store.count_guess(guess(record, RIGHT, at=end + 2 * DAY))).counted
    assert (await store.count_guess(guess(record, RIGHT, at=end - 1))).counted


async def test_a_canceled_verification_counts_no_guess(store: VerificationStore) -> None:
    record = new_record()
    canceled = replace(record, verification=replace(record.verification, canceled=True))
    await store.put(canceled, now=MORNING)

    assert not (await store.count_guess(guess(record, RIGHT))).counted


async def test_a_guess_at_another_id_of_the_number_is_not_counted(store: VerificationStore) -> None:
    record = new_record()
    await store.put(record, now=MORNING)
    other = replace(record.verification.id, nonce=nonce_from(secrets.token_bytes(NONCE_BYTES)))

    counted = await store.count_guess(replace(guess(record, RIGHT), id=other))

    assert not counted.counted
    assert await store.get(record.key) == record


async def test_a_guess_at_nothing_finds_nothing(store: VerificationStore) -> None:
    counted = await store.count_guess(guess(new_record(), RIGHT))

    assert counted.record is None
    assert not counted.counted


async def test_the_same_request_is_counted_once(store: VerificationStore) -> None:
    record = new_record()
    await store.put(record, now=MORNING)
    once = guess(record, request="the same")
    await store.count_guess(once)

    counted = await store.count_guess(once)

    assert not counted.counted
    assert counted.record is not None
    assert counted.record.verification.attempts == 1
    assert counted.record.verification.last_request == "the same"
