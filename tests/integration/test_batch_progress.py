"""Batches through the queue: how far each has come is told right, whatever happens to senders and to their notes."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from typing import Any

import pytest

from functions.domain.batch import Batch, Notes
from functions.domain.caller import Caller, Scope
from functions.domain.claims import CLAIM_LEASE
from functions.domain.delivery import Outcome
from functions.domain.guard.attempt import Attempt
from functions.domain.guard.decision import Finding, Rule, Said
from functions.domain.identity import parse_id
from functions.domain.keys import derive
from functions.domain.phone import PhoneNumber
from functions.domain.service import OnUnknown, Service
from functions.queues.messages import encode_job
from functions.usecases.ports import BatchStore, SendJob, StoreUnavailable
from functions.usecases.send_batch import QueuedMessage, Unfinished
from tests.harness import MORNING, UNLIMITED, Harness, Response, accept, answer, assert_problem, call, fresh_number

PATH = "/v1/verifications/batch"
ASYNC = {"prefer": "respond-async"}
PLENTY = 100.0
IN_AN_INVOCATION = 100


@dataclass(slots=True)
class Campaign:
    """A batch that waits in the queue."""

    harness: Harness
    numbers: list[PhoneNumber]
    answered: Response
    jobs: list[SendJob]

    async def progress(self) -> dict[str, Any]:
        shown = await call(self.harness.app, "GET", self.answered.headers["location"])
        assert shown.status == 200
        found: dict[str, Any] = shown.json
        assert sum(found[name] for name in ("sent", "refused", "failed", "pending")) == found["total"]
        return found

    async def counts(self) -> tuple[int, int, int, int]:
        found = await self.progress()
        return found["sent"], found["refused"], found["failed"], found["pending"]

    async def hand_out(self, *, delivered: int = 1) -> Unfinished:
        return await hand_out(self.harness, self.jobs, delivered=delivered)


async def queue_up(harness: Harness, numbers: Iterable[PhoneNumber], **fields: Any) -> Campaign:
    to, before = list(numbers), len(harness.bulk_queue.jobs)
    items = [{"to": number.e164, **fields} for number in to]
    answered = await call(harness.app, "POST", PATH, {"items": items}, headers=ASYNC)
    assert answered.status == 202
    return Campaign(harness, to, answered, harness.bulk_queue.jobs[before:])


async def hand_out(harness: Harness, jobs: Iterable[SendJob], *, delivered: int = 1) -> Unfinished:
    """The queue hands the jobs to one invocation."""
    messages = [
        QueuedMessage(
            id=f"{place}", body=encode_job(job), handle=f"{place}", queued_at=harness.clock(), delivered=delivered
        )
        for place, job in enumerate(jobs)
    ]
    return await harness.send_batch()(messages, lambda: PLENTY)


def numbers(count: int) -> list[PhoneNumber]:
    return [fresh_number() for _ in range(count)]


@dataclass(slots=True)
class LossyBatches:
    """Takes no notes as long as it is away. `kept_anyway`: they are made, and only the answer gets lost."""

    store: BatchStore
    away: bool = True
    kept_anyway: bool = False
    calls: int = 0

    async def begin(self, batch: Batch) -> Batch | None:
        return await self.store.begin(batch)

    async def get(self, name: str) -> Batch | None:
        return await self.store.get(name)

    async def finish(self, name: str, notes: Notes, *, now: int) -> None:
        await self.store.finish(name, notes, now=now)

    async def note(self, name: str, notes: Notes, *, now: int) -> None:
        self.calls += 1
        if self.kept_anyway or not self.away:
            await self.store.note(name, notes, now=now)
        if self.away:
            raise StoreUnavailable("the table is away")


async def test_a_thousand_are_all_told_as_sent(harness: Harness) -> None:
    campaign = await queue_up(harness, numbers(1000))
    assert await campaign.progress() == {
        "batch": campaign.answered.json["batch"],
        "total": 1000,
        "sent": 0,
        "refused": 0,
        "failed": 0,
        "pending": 1000,
        "created_at": MORNING,
        "items": [],
    }

    for start in range(0, 1000, IN_AN_INVOCATION):
        assert list(await hand_out(harness, campaign.jobs[start : start + IN_AN_INVOCATION])) == []
        assert (await campaign.counts())[0] == start + IN_AN_INVOCATION

    assert (await campaign.progress())["items"] == []
    assert len({message.to for message in harness.provider.messages}) == 1000


async def test_of_a_thousand_each_refused_one_is_told(harness: Harness) -> None:
    campaign = await queue_up(harness, numbers(1000))
    refused = set(campaign.numbers[::7])
    harness.provider.otherwise = lambda message: (
        answer(Outcome.REJECTED_NUMBER)(message) if message.to in refused else accept(message)
    )

    for start in range(0, 1000, IN_AN_INVOCATION):
        await hand_out(harness, campaign.jobs[start : start + IN_AN_INVOCATION])

    assert await campaign.counts() == (1000 - 143, 143, 0, 0)
    assert (await campaign.progress())["items"] == [
        {"index": index, "status": "refused", "code": "delivery_rejected"} for index in range(0, 1000, 7)
    ]


async def test_an_announced_id_is_the_verifications(harness: Harness) -> None:
    campaign = await queue_up(harness, numbers(2))

    await campaign.hand_out()

    for number, result in zip(campaign.numbers, campaign.answered.json["results"], strict=True):
        code = {"code": harness.provider.code_for(number)}
        assert (await call(harness.app, "POST", f"/v1/verifications/{result['id']}/check", code)).json["valid"]


async def test_another_id_than_the_announced_one_is_told(harness: Harness) -> None:
    live, new = numbers(2)
    started = await call(harness.app, "POST", "/v1/verifications", {"to": live.e164})
    harness.clock.advance(60)
    campaign = await queue_up(harness, [live, new])

    await campaign.hand_out()

    assert (await campaign.progress())["items"] == [{"index": 0, "status": "sent", "id": started.json["id"]}]
    assert len(harness.provider.sent_to(live)) == 2


async def test_one_invocation_writes_once_for_a_batch(harness: Harness) -> None:
    campaign = await queue_up(harness, numbers(50))
    harness.batches = lossless = LossyBatches(harness.batches, away=False)

    await campaign.hand_out()

    assert lossless.calls == 1
    assert await campaign.counts() == (50, 0, 0, 0)


async def test_batches_of_one_invocation_are_told_apart(harness: Harness) -> None:
    first, second = await queue_up(harness, numbers(2)), await queue_up(harness, numbers(3))

    await hand_out(harness, [*first.jobs, *second.jobs])

    assert (await first.counts(), await second.counts()) == ((2, 0, 0, 0), (3, 0, 0, 0))


class TestAnItemThatIsNotSent:
    async def test_is_refused_by_the_guard_with_its_code(self, harness: Harness) -> None:
        campaign = await queue_up(harness, numbers(1))
        harness.checks = [_Denies()]

        await campaign.hand_out()

        assert (await campaign.progress())["items"] == [{"index": 0, "status": "refused", "code": "blocked_by_guard"}]

    async def test_is_refused_by_the_numbers_own_limits(self, harness: Harness) -> None:
        number = fresh_number()
        await call(harness.app, "POST", "/v1/verifications", {"to": number.e164})
        campaign = await queue_up(harness, [number])

        await campaign.hand_out()

        assert (await campaign.progress())["items"] == [{"index": 0, "status": "refused", "code": "rate_limited"}]

    async def test_came_too_late(self, harness: Harness) -> None:
        campaign = await queue_up(harness, numbers(1))
        harness.clock.advance(3600)

        assert list(await campaign.hand_out()) == []

        assert (await campaign.progress())["items"] == [{"index": 0, "status": "failed", "code": "too_late"}]
        assert harness.provider.messages == []

    async def test_is_in_time_for_as_long_as_its_service_says(self, harness: Harness) -> None:
        harness.change_service(batch_send_within=7200)
        campaign = await queue_up(harness, numbers(1))
        harness.clock.advance(7199)

        await campaign.hand_out()

        assert await campaign.counts() == (1, 0, 0, 0)

    async def test_is_unknown_where_the_provider_did_not_answer(self, harness: Harness) -> None:
        harness.provider.otherwise = answer(Outcome.UNKNOWN)
        campaign = await queue_up(harness, numbers(1))

        await campaign.hand_out()

        assert (await campaign.progress())["items"] == [{"index": 0, "status": "failed", "code": "unknown"}]

    async def test_is_poison_where_its_service_is_gone(self, harness: Harness) -> None:
        harness.services["shop"] = Service(name="shop")
        campaign = await queue_up(harness, numbers(1), service="shop")
        del harness.services["shop"]

        await campaign.hand_out()

        assert (await campaign.progress())["items"] == [{"index": 0, "status": "failed", "code": "unknown_service"}]
        assert len(harness.dead_letters.bodies) == 1

    async def test_waits_where_it_may_be_tried_again(self, harness: Harness) -> None:
        harness.provider.script = [answer(Outcome.TRANSIENT)]
        campaign = await queue_up(harness, numbers(1))

        first = await campaign.hand_out()
        waiting = await campaign.counts()
        again = await campaign.hand_out(delivered=2)

        assert (len(first.failed), list(again)) == (1, [])
        assert waiting == (0, 0, 0, 1)
        assert (await campaign.counts(), (await campaign.progress())["items"]) == ((1, 0, 0, 0), [])

    async def test_keeps_the_announced_id_and_no_guess_at_the_code_before(self, harness: Harness) -> None:
        campaign = await queue_up(harness, numbers(1))
        harness.provider.script = [answer(Outcome.TRANSIENT)]
        await campaign.hand_out()
        unsent = harness.provider.code_for(campaign.numbers[0])

        await campaign.hand_out(delivered=2)

        sent = harness.provider.code_for(campaign.numbers[0])
        path = f"/v1/verifications/{campaign.answered.json['results'][0]['id']}/check"
        assert sent != unsent
        assert [(await call(harness.app, "POST", path, {"code": code})).json["valid"] for code in (unsent, sent)] == [
            False,
            True,
        ]


class _Denies:
    async def look(self, attempt: Attempt) -> list[Finding]:
        return [Finding(rule=Rule.LISTED, said=Said.DENY)]

    async def give_back(self, attempt: Attempt) -> None:
        raise NotImplementedError


class TestKeysThatChange:
    async def test_between_the_request_and_the_send_make_another_id(self, harness: Harness) -> None:
        campaign = await queue_up(harness, numbers(1))
        ring = harness.keys.ring
        harness.keys.ring = replace(ring, current="k2", peppers={**ring.peppers, "k2": derive("another", "pepper")})

        await campaign.hand_out()

        (item,) = (await campaign.progress())["items"]
        assert (item["status"], parse_id(item["id"]).kid) == ("sent", "k2")
        assert parse_id(campaign.answered.json["results"][0]["id"]).kid == "k1"


class TestASenderThatDies:
    """After the gateways took its messages, before it told of them: the queue hands them out again."""

    @pytest.mark.parametrize(("later", "counts"), [(5, (3, 0, 0, 0)), (CLAIM_LEASE + 30, (0, 0, 3, 0))])
    async def test_leaves_nobody_a_second_sms_and_nobody_uncounted(
        self, harness: Harness, later: int, counts: tuple[int, int, int, int]
    ) -> None:
        harness.change_service(**UNLIMITED)  # else the cooldown would hide a second send
        campaign = await queue_up(harness, numbers(3))
        await die_before_telling(campaign)
        harness.clock.advance(later)

        assert list(await campaign.hand_out(delivered=2)) == []

        assert await campaign.counts() == counts
        assert [len(harness.provider.sent_to(number)) for number in campaign.numbers] == [1, 1, 1]

    async def test_after_some_were_told_has_the_rest_counted(self, harness: Harness) -> None:
        harness.change_service(**UNLIMITED)
        campaign = await queue_up(harness, numbers(6))
        await hand_out(harness, campaign.jobs[:3])

        await campaign.hand_out(delivered=2)

        assert await campaign.counts() == (6, 0, 0, 0)
        assert len(harness.provider.messages) == 6

    @pytest.mark.parametrize(("later", "counts"), [(20, (1, 0, 0, 0)), (CLAIM_LEASE + 30, (0, 0, 1, 0))])
    async def test_is_told_of_by_the_record_where_its_message_comes_too_late(
        self, harness: Harness, later: int, counts: tuple[int, int, int, int]
    ) -> None:
        campaign = await queue_up(harness, numbers(1))
        harness.clock.advance(3590)
        await die_before_telling(campaign)
        harness.clock.advance(later)

        await campaign.hand_out(delivered=2)

        assert await campaign.counts() == counts
        assert not any(item.get("code") == "too_late" for item in (await campaign.progress())["items"])

    async def test_is_told_of_by_the_record_where_the_guard_refuses_by_then(self, harness: Harness) -> None:
        campaign = await queue_up(harness, numbers(1))
        await die_before_telling(campaign)
        harness.checks = [_Denies()]

        await campaign.hand_out(delivered=2)

        assert await campaign.counts() == (1, 0, 0, 0)

    async def test_is_unknown_where_the_one_more_try_came_to_nothing(self, harness: Harness) -> None:
        harness.change_service(on_unknown=OnUnknown.ONCE)
        campaign = await queue_up(harness, numbers(1))
        await die_before_telling(campaign)
        harness.clock.advance(CLAIM_LEASE + 30)
        harness.provider.script = [answer(Outcome.TRANSIENT)]

        assert list(await campaign.hand_out(delivered=2)) == []

        assert (await campaign.progress())["items"] == [{"index": 0, "status": "failed", "code": "unknown"}]

    async def test_is_inherited_as_the_service_wants(self, harness: Harness) -> None:
        harness.change_service(on_unknown=OnUnknown.ONCE)
        campaign = await queue_up(harness, numbers(1))
        await die_before_telling(campaign)
        harness.clock.advance(CLAIM_LEASE + 30)

        await campaign.hand_out(delivered=2)

        assert await campaign.counts() == (1, 0, 0, 0)
        assert len(harness.provider.messages) == 2


async def die_before_telling(campaign: Campaign) -> None:
    """The whole invocation is broken off while it writes what it did."""
    batches, hanging = campaign.harness.batches, _Hanging(campaign.harness.batches)
    campaign.harness.batches = hanging
    invocation = asyncio.create_task(campaign.hand_out())
    await hanging.reached.wait()
    invocation.cancel()
    await asyncio.wait([invocation])
    campaign.harness.batches = batches


@dataclass(slots=True)
class _Hanging(LossyBatches):
    reached: asyncio.Event = field(default_factory=asyncio.Event)

    async def note(self, name: str, notes: Notes, *, now: int) -> None:
        self.reached.set()
        await asyncio.Event().wait()


class TestNotesThatGetLost:
    async def test_bring_their_messages_back_soon_and_are_counted_once(self, harness: Harness) -> None:
        harness.change_service(**UNLIMITED)
        campaign = await queue_up(harness, numbers(4))
        refused = campaign.numbers[1]
        harness.provider.otherwise = lambda message: (
            answer(Outcome.REJECTED_NUMBER)(message) if message.to == refused else accept(message)
        )
        harness.batches = batches = LossyBatches(harness.batches)

        first = await campaign.hand_out()
        batches.away = False
        harness.clock.advance(5)
        again = await campaign.hand_out(delivered=2)

        assert (len(first.uncounted), list(again)) == (4, [])
        assert await campaign.counts() == (3, 1, 0, 0)
        assert [len(harness.provider.sent_to(number)) for number in campaign.numbers] == [1, 1, 1, 1]
        assert [line["batch"] for line in harness.journal.of("uncounted")] == [campaign.answered.json["batch"]]

    async def test_count_once_where_only_their_answer_got_lost(self, harness: Harness) -> None:
        campaign = await queue_up(harness, numbers(2))
        harness.batches = batches = LossyBatches(harness.batches, kept_anyway=True)
        await campaign.hand_out()
        batches.away = False

        await campaign.hand_out(delivered=2)

        assert await campaign.counts() == (2, 0, 0, 0)
        assert len(harness.provider.messages) == 2

    async def test_leave_other_batches_alone(self, harness: Harness) -> None:
        lost, told = await queue_up(harness, numbers(2)), await queue_up(harness, numbers(2))
        harness.batches = _LossyFor(harness.batches, name=lost.answered.json["batch"])

        unfinished = await hand_out(harness, [*lost.jobs, *told.jobs])

        assert [message.id for message in unfinished] == ["0", "1"]
        assert await told.counts() == (2, 0, 0, 0)

    async def test_leave_messages_alone_that_come_again_anyway(self, harness: Harness) -> None:
        campaign = await queue_up(harness, numbers(2))
        harness.provider.script = [answer(Outcome.TRANSIENT)]
        harness.batches = LossyBatches(harness.batches)

        unfinished = await campaign.hand_out()

        assert (len(unfinished.failed), len(unfinished.uncounted), len(list(unfinished))) == (1, 1, 2)


@dataclass(slots=True)
class _LossyFor(LossyBatches):
    name: str = ""

    async def note(self, name: str, notes: Notes, *, now: int) -> None:
        if name == self.name:
            raise StoreUnavailable("the table is away")
        await self.store.note(name, notes, now=now)


class TestTheSameKeyInTwoBatches:
    async def test_is_one_sms_and_both_tell_of_it(self, harness: Harness) -> None:
        harness.change_service(**UNLIMITED, on_unknown=OnUnknown.ONCE)
        (number,) = numbers(1)
        first = await queue_up(harness, [number], key=f"k {number.e164}")
        await first.hand_out()
        harness.clock.advance(CLAIM_LEASE + 3600)
        second = await queue_up(harness, [number], key=f"k {number.e164}")

        await second.hand_out()
        await second.hand_out(delivered=2)

        assert len(harness.provider.messages) == 1
        assert (await first.counts(), await second.counts()) == ((1, 0, 0, 0), (1, 0, 0, 0))
        told = [campaign.answered.json["results"][0]["id"] for campaign in (first, second)]
        assert told[0] != told[1]
        assert (await second.progress())["items"] == [{"index": 0, "status": "sent", "id": told[0]}]

    async def test_is_one_sms_within_the_request_and_by_the_queue(self, harness: Harness) -> None:
        harness.change_service(**UNLIMITED)
        (number,) = numbers(1)
        item = {"to": number.e164, "key": f"k {number.e164}"}
        await call(harness.app, "POST", PATH, {"items": [item]})
        campaign = await queue_up(harness, [number], key=item["key"])

        await campaign.hand_out()

        assert len(harness.provider.messages) == 1
        assert (await campaign.counts())[0] == 1

    async def test_is_one_sms_where_its_message_is_queued_twice(self, harness: Harness) -> None:
        harness.change_service(**UNLIMITED, on_unknown=OnUnknown.ONCE)
        campaign = await queue_up(harness, numbers(2))
        await campaign.hand_out()
        harness.clock.advance(CLAIM_LEASE + 1)

        await campaign.hand_out()

        assert len(harness.provider.messages) == 2
        assert await campaign.counts() == (2, 0, 0, 0)


class TestWhoMayAsk:
    @pytest.mark.parametrize(
        "path", ["bat_", "spring", "bat_aaaaaaaaaaaaaaaaaaaaaaaa", "bat_aaaaaaaaaaaaaaaaaaaaaaaaa", "vfy_k1_abc"]
    )
    async def test_finds_no_batch_where_there_is_none(self, harness: Harness, path: str) -> None:
        assert_problem(await call(harness.app, "GET", f"/v1/batches/{path}"), 404, "not_found")

    async def test_needs_the_scope_to_read(self, harness: Harness) -> None:
        campaign = await queue_up(harness, numbers(1))
        harness.callers = _Given(Caller(name="tester", scopes=frozenset({Scope.START, Scope.CHECK})))

        assert_problem(await call(harness.app, "GET", campaign.answered.headers["location"]), 403, "forbidden")

    async def test_finds_no_batch_of_another_callers_services(self, harness: Harness) -> None:
        campaign = await queue_up(harness, numbers(1))
        harness.callers = _Given(Caller(name="of the shop", services=frozenset({"shop"})))

        shown = await call(harness.app, "GET", campaign.answered.headers["location"])

        unknown = await call(harness.app, "GET", "/v1/batches/bat_aaaaaaaaaaaaaaaaaaaaaaaa")
        assert_problem(shown, 404, "not_found")
        assert shown.body == unknown.body


@dataclass
class _Given:
    caller: Caller

    async def caller_of(self, key_digest: str) -> Caller | None:
        return self.caller


class TestALabelAlone:
    async def test_counts_nothing(self, harness: Harness) -> None:
        campaign = await queue_up(harness, numbers(1))
        stranger = SendJob(to=fresh_number().e164, service="default", batch=campaign.answered.json["batch"])

        assert list(await hand_out(harness, [stranger])) == []

        assert await campaign.counts() == (0, 0, 0, 1)
        assert len(harness.provider.messages) == 1

    async def test_with_a_place_of_a_batch_that_nobody_began_does_no_harm(self, harness: Harness) -> None:
        stranger = SendJob(to=fresh_number().e164, service="default", batch="bat_aaaaaaaaaaaaaaaaaaaaaaab", place=0)

        assert list(await hand_out(harness, [stranger])) == []

        assert len(harness.provider.messages) == 1


async def test_thousands_of_messages_are_read_when_their_turn_comes(harness: Harness) -> None:
    """So that what an invocation holds of them is bounded by the sends under way."""
    messages = [
        QueuedMessage(id=f"{n}", body=encode_job(SendJob(to=to.e164, service="default")), handle="", queued_at=MORNING)
        for n, to in enumerate(numbers(200))
    ]
    held: list[int] = []
    sends = harness.send_batch(in_flight=20)
    read = []

    def decode(body: str) -> Any:
        read.append(body)
        held.append(len(read) - len(harness.provider.messages))
        return sends.decode(body)

    await replace(sends, decode=decode)(messages, lambda: PLENTY)

    assert len(read) == 200
    assert max(held) <= 20
