"""API-11: another index key refills no limit and breaks no code, though it gives every number's record another name."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import pytest

from functions.domain.delivery import Outcome
from functions.domain.errors import RateLimited
from functions.domain.identity import number_key
from functions.domain.keys import derive
from functions.domain.phone import PhoneNumber
from functions.domain.service import Limit
from functions.domain.verification import DAY, Record
from functions.usecases.check import CheckCommand
from functions.usecases.disposition import Disposition
from functions.usecases.start import StartCommand
from functions.usecases.views import VerificationView
from tests.harness import UNLIMITED, Harness, another, answer, fresh_number, reveal


def change_the_index_key(harness: Harness) -> None:
    ring = harness.keys.ring
    harness.keys.ring = replace(ring, index=derive("another test's", "index"), index_before=ring.index)


async def start(harness: Harness, to: PhoneNumber, **more: Any) -> VerificationView:
    return await harness.start(StartCommand(to=to, service="default", caller="test", **more))


async def check(harness: Harness, started: VerificationView, code: str) -> bool:
    return (await harness.check(CheckCommand(id=started.id, code=reveal(code), caller="test"))).valid


async def guess_wrong(harness: Harness, to: PhoneNumber, verifications: int) -> None:
    for _ in range(verifications):
        started = await start(harness, to)
        for _ in range(5):
            assert not await check(harness, started, another(harness.provider.code_for(to)))


async def record_of(harness: Harness, to: PhoneNumber) -> Record | None:
    return await harness.store.get(number_key(harness.keys.ring, "default", to.e164))


async def test_a_number_whose_hour_is_used_up_gets_no_further_send(harness: Harness) -> None:
    harness.change_service(cooldown=0, limits=(Limit(5, 3600),))
    to = fresh_number()
    for _ in range(5):
        await start(harness, to)

    change_the_index_key(harness)
    for _ in range(59):
        harness.clock.advance(60)
        with pytest.raises(RateLimited):
            await start(harness, to)

    assert len(harness.provider.sent_to(to)) == 5
    harness.clock.advance(60)
    await start(harness, to)
    assert len(harness.provider.sent_to(to)) == 6


async def test_what_a_number_had_left_is_left_under_the_new_key(harness: Harness) -> None:
    harness.change_service(cooldown=0, limits=(Limit(5, 3600),), lifetime=60)
    to = fresh_number()
    for _ in range(3):
        await start(harness, to)

    change_the_index_key(harness)
    harness.clock.advance(60)
    for _ in range(2):
        await start(harness, to)
    with pytest.raises(RateLimited):
        await start(harness, to)

    moved = await record_of(harness, to)
    assert moved is not None
    assert len(moved.sent) == 5


async def test_of_a_hundred_codes_from_before_all_verify(harness: Harness) -> None:
    numbers = [fresh_number() for _ in range(100)]
    started = await asyncio.gather(*(start(harness, to) for to in numbers))
    codes = [harness.provider.code_for(to) for to in numbers]

    change_the_index_key(harness)

    answers = await asyncio.gather(*map(check, [harness] * 100, started, codes))
    assert sum(answers) == 100


async def test_a_live_verification_is_sent_once_more_where_it_is(harness: Harness) -> None:
    harness.change_service(**UNLIMITED)
    to = fresh_number()
    before = await start(harness, to)
    code = harness.provider.code_for(to)

    change_the_index_key(harness)
    again = await start(harness, to)

    assert again.id == before.id
    assert harness.provider.code_for(to) == code
    assert await check(harness, again, code)


async def test_wrong_guesses_are_remembered(harness: Harness) -> None:
    harness.change_service(**UNLIMITED)
    to = fresh_number()
    await guess_wrong(harness, to, 3)

    change_the_index_key(harness)
    await guess_wrong(harness, to, 1)

    with pytest.raises(RateLimited, match="too many wrong codes"):
        await start(harness, to)
    harness.clock.advance(DAY)
    await start(harness, to)
    moved = await record_of(harness, to)
    assert moved is not None
    assert moved.streak == 20


async def test_what_came_since_counts_and_not_the_old_memory(harness: Harness) -> None:
    harness.change_service(**UNLIMITED)
    to = fresh_number()
    await guess_wrong(harness, to, 4)
    change_the_index_key(harness)
    harness.clock.advance(DAY)
    assert await check(harness, await start(harness, to), harness.provider.code_for(to))

    harness.change_service(failures_in_a_row=20)  # the old record has as many
    await start(harness, to)

    moved = await record_of(harness, to)
    assert moved is not None
    assert moved.streak == 0


async def test_of_a_hundred_starts_at_once_one_sends(harness: Harness) -> None:
    to = fresh_number()
    await start(harness, to)
    change_the_index_key(harness)
    harness.clock.advance(600)

    outcomes = await asyncio.gather(*(start(harness, to) for _ in range(100)), return_exceptions=True)

    assert sum(isinstance(outcome, RateLimited) for outcome in outcomes) == 99
    assert len(harness.provider.sent_to(to)) == 2


async def test_a_request_that_comes_twice_is_carried_out_once(harness: Harness) -> None:
    harness.change_service(**UNLIMITED)
    to = fresh_number()
    await start(harness, to)
    change_the_index_key(harness)
    harness.provider.script.append(answer(Outcome.UNKNOWN))

    for _ in range(2):
        await start(harness, to, idempotency_key="the same")

    assert len(harness.provider.sent_to(to)) == 2


async def test_what_waits_in_the_queue_is_sent(harness: Harness) -> None:
    to = fresh_number()
    await start(harness, to, respond_async=True)

    change_the_index_key(harness)
    (job,) = harness.queue.jobs

    assert (await harness.send(job, message_id="m", queued_at=harness.clock())).disposition is Disposition.DONE
    assert len(harness.provider.sent_to(to)) == 1


# What it costs


@dataclass(slots=True)
class Reads:
    count: int = 0

    def note(self, **_: Any) -> None:
        self.count += 1


@pytest.fixture
def reads(dynamodb: Any) -> Iterator[Reads]:
    reads = Reads()
    dynamodb.meta.events.register("after-call.dynamodb.GetItem", reads.note, "reads")
    yield reads
    dynamodb.meta.events.unregister("after-call.dynamodb.GetItem", reads.note, "reads")


async def test_two_reads_a_start_while_the_key_before_is_named_and_none_else(harness: Harness, reads: Reads) -> None:
    await start(harness, fresh_number())
    assert reads.count == 0

    change_the_index_key(harness)
    await start(harness, fresh_number())
    assert reads.count == 2
