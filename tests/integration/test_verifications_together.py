"""New records that travel in one call end as if each had been put by itself."""

from __future__ import annotations

import asyncio
import secrets
from collections import Counter
from collections.abc import AsyncIterator
from dataclasses import dataclass, field, replace
from typing import Any

import pytest
from botocore.exceptions import EndpointConnectionError

from functions.aws import CONFIG
from functions.domain.checking import Guess
from functions.domain.identity import NONCE_BYTES, VerificationId, nonce_from
from functions.domain.sending import Code, Start, first
from functions.domain.service import Service
from functions.domain.verification import Record
from functions.stores.dynamodb import Table
from functions.stores.verifications import DynamoVerificationStore
from functions.stores.verifications_together import VerificationsTogether
from functions.usecases.ports import StoreUnavailable
from infra.local.embedded_aws import EmbeddedAws, Resources, aws_client
from tests.dropping_proxy import DroppingProxy
from tests.harness import MORNING, Harness, fresh_number


def new_record(key: str | None = None) -> Record:
    key = key or nonce_from(secrets.token_bytes(15))
    verification_id = VerificationId("k1", key, nonce_from(secrets.token_bytes(NONCE_BYTES)))
    start = Start(
        request=secrets.token_urlsafe(12), new_id=verification_id, region="DE", block="b" * 25, provider="yunpian"
    )
    return first(start, Code(digest="a" * 32, own=False, generation=1), Service(), MORNING)


@dataclass(slots=True)
class Watched:
    """A client that remembers what it was asked, and does as it is told before."""

    client: Any
    calls: list[str] = field(default_factory=list)
    error: Exception | None = None
    loses_the_answer: bool = False
    """It does what it is asked, and the error is all that is heard of it."""
    reached: asyncio.Event = field(default_factory=asyncio.Event)

    def __getattr__(self, operation: str) -> Any:
        async def call(**request: Any) -> Any:
            self.calls.append(operation)
            if operation == "batch_execute_statement":
                self.reached.set()
                if self.loses_the_answer:
                    await getattr(self.client, operation)(**request)
                if self.error is not None:
                    raise self.error
            return await getattr(self.client, operation)(**request)

        return call


@pytest.fixture
def watched(dynamodb: Any) -> Watched:
    return Watched(dynamodb)


@pytest.fixture
def together(watched: Watched, resources: Resources) -> VerificationsTogether:
    return VerificationsTogether(DynamoVerificationStore(Table(watched, resources.table), secrets.token_bytes))


async def put_all(together: VerificationsTogether, *records: Record) -> list[Record | None]:
    return await asyncio.gather(*(together.put(record, now=MORNING) for record in records))


async def test_a_thousand_new_records_take_forty_calls(together: VerificationsTogether, watched: Watched) -> None:
    records = [new_record() for _ in range(1000)]

    assert set(await put_all(together, *records)) == {None}

    assert Counter(watched.calls) == {"batch_execute_statement": 40}
    assert await together.get(records[-1].key) == records[-1]


async def test_a_record_that_comes_alone_is_put_by_itself(together: VerificationsTogether, watched: Watched) -> None:
    assert await together.put(new_record(), now=MORNING) is None

    assert watched.calls == ["put_item"]


async def test_a_number_with_a_record_gets_what_stands_in_the_way(together: VerificationsTogether) -> None:
    there = [new_record() for _ in range(10)]
    await put_all(together, *there)
    late = [new_record(record.key) for record in there]
    others = [new_record() for _ in range(10)]

    assert await put_all(together, *late, *others) == [*there, *[None] * 10]


async def test_a_forgotten_record_is_taken_the_place_of(together: VerificationsTogether) -> None:
    old = [new_record() for _ in range(5)]
    await put_all(together, *old)
    later = [new_record(record.key) for record in old]

    answers = await asyncio.gather(*(together.put(record, now=old[0].forget_at) for record in later))

    assert answers == [None] * 5
    assert await together.get(later[0].key) == later[0]


async def test_of_several_records_of_a_number_at_once_one_is_written(together: VerificationsTogether) -> None:
    key = nonce_from(secrets.token_bytes(15))
    rivals = [new_record(key) for _ in range(60)]

    answers = await put_all(together, *rivals, *[new_record() for _ in range(60)])

    winner = await together.get(key)
    assert answers[:60].count(None) == 1
    assert set(answers[:60]) == {None, winner}
    assert answers[60:] == [None] * 60


async def test_next_steps_travel_together_too(together: VerificationsTogether, watched: Watched) -> None:
    records = [new_record() for _ in range(50)]
    await put_all(together, *records)
    watched.calls.clear()
    following = [replace(record, rev=2, failures=3) for record in records]

    assert await put_all(together, *following) == [None] * 50

    assert Counter(watched.calls) == {"batch_execute_statement": 2}
    assert [await together.get(record.key) for record in records] == following


async def test_a_step_leaves_nothing_of_the_one_before(together: VerificationsTogether) -> None:
    records = [new_record() for _ in range(2)]
    answered = [
        replace(
            record,
            rev=2,
            verification=replace(
                record.verification, last_mac="m" * 32, last_request="r", binding="b", metadata=(("a", "b"),)
            ),
        )
        for record in records
    ]
    renewed = [replace(record, rev=3) for record in records]

    for step in (records, answered, renewed):
        assert await put_all(together, *step) == [None, None]
        assert [await together.get(record.key) for record in step] == step


async def test_a_guess_counts_after_steps_that_travelled_together(together: VerificationsTogether) -> None:
    records = [new_record() for _ in range(2)]
    await put_all(together, *records)
    await put_all(together, *(replace(record, rev=2) for record in records))
    live = records[0].verification

    counted = await together.count_guess(Guess(id=live.id, mac="m" * 32, request="r", at=MORNING, services=None))

    assert counted.counted
    assert counted.record is not None
    assert counted.record.verification.attempts == 1


async def test_a_step_that_came_too_late_gets_what_stands_in_the_way(together: VerificationsTogether) -> None:
    records = [new_record() for _ in range(10)]
    await put_all(together, *records)
    winners = [replace(record, rev=2, failures=1) for record in records[:5]]
    await put_all(together, *winners)

    answers = await put_all(together, *(replace(record, rev=2, failures=2) for record in records))

    assert answers == [*winners, *[None] * 5]


async def test_what_stands_in_the_way_of_many_is_read_together(
    together: VerificationsTogether, watched: Watched
) -> None:
    there = [new_record() for _ in range(50)]
    await put_all(together, *there)
    watched.calls.clear()

    assert await put_all(together, *(new_record(record.key) for record in there)) == there

    assert Counter(watched.calls) == {"batch_execute_statement": 2, "batch_get_item": 2}


async def test_where_the_store_does_not_answer_it_is_asked_once_more_for_all(
    together: VerificationsTogether, watched: Watched
) -> None:
    watched.error = EndpointConnectionError(endpoint_url="as said")
    puts = [asyncio.create_task(together.put(new_record(), now=MORNING)) for _ in range(30)]

    await asyncio.wait(puts)

    assert {type(put.exception()) for put in puts} == {StoreUnavailable}
    assert Counter(watched.calls)["batch_execute_statement"] == 2
    assert 1 <= Counter(watched.calls)["batch_get_item"] <= 2
    assert set(watched.calls) == {"batch_execute_statement", "batch_get_item"}


@pytest.mark.parametrize("rev", [1, 2])
async def test_what_was_written_and_never_told_is_found(
    together: VerificationsTogether, watched: Watched, rev: int
) -> None:
    records = [new_record() for _ in range(30)]
    if rev > 1:
        await put_all(together, *records)
    watched.loses_the_answer, watched.error = True, EndpointConnectionError(endpoint_url="as said")

    assert await put_all(together, *(replace(record, rev=rev) for record in records)) == [None] * 30


@pytest.mark.parametrize("place", [0, 3])
async def test_where_one_is_broken_off_nobody_else_is(
    together: VerificationsTogether, watched: Watched, place: int
) -> None:
    puts = [asyncio.create_task(together.put(new_record(), now=MORNING)) for _ in range(5)]
    await watched.reached.wait()

    puts[place].cancel()

    await asyncio.wait(puts)
    assert [put.cancelled() for put in puts] == [n == place for n in range(5)]
    assert [put.result() for put in puts if not put.cancelled()] == [None] * 4


@pytest.fixture
async def lossy(aws: EmbeddedAws, resources: Resources) -> AsyncIterator[tuple[VerificationsTogether, DroppingProxy]]:
    async with (
        DroppingProxy.start(aws.endpoint, lose={"BatchExecuteStatement"}) as proxy,
        aws_client("dynamodb", proxy.url, config=CONFIG) as client,
    ):
        yield VerificationsTogether(DynamoVerificationStore(Table(client, resources.table), secrets.token_bytes)), proxy


async def test_records_whose_answer_got_lost_are_recognised_as_written(
    lossy: tuple[VerificationsTogether, DroppingProxy],
) -> None:
    together, proxy = lossy
    records = [new_record() for _ in range(20)]

    assert await put_all(together, *records) == [None] * 20

    assert len(proxy.lost) == 1
    assert await together.get(records[7].key) == records[7]


async def test_steps_whose_answer_got_lost_are_recognised_as_written(
    lossy: tuple[VerificationsTogether, DroppingProxy],
) -> None:
    together, proxy = lossy
    records = [new_record() for _ in range(20)]
    await asyncio.gather(*(together.store.put(record, now=MORNING) for record in records))

    assert await put_all(together, *(replace(record, rev=2) for record in records)) == [None] * 20

    assert len(proxy.lost) == 1
    assert await together.get(records[7].key) == replace(records[7], rev=2)


async def test_a_thousand_messages_for_a_number_at_once_send_one_sms(harness: Harness) -> None:
    from tests.integration.test_sender import deliver, job_for, queued  # noqa: PLC0415 - the sender's own vocabulary

    number = fresh_number()

    await deliver(harness, *(queued(job_for(number)) for _ in range(1000)))

    assert len(harness.provider.sent_to(number)) == 1
