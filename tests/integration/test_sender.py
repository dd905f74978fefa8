"""Batches of the queue: what becomes of each message, whatever gateway, store and other workers do meanwhile."""

from __future__ import annotations

import asyncio
import itertools
import json
import secrets
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import pytest

from functions.domain.checking import Guess
from functions.domain.claims import CLAIM_LEASE
from functions.domain.delivery import DeliveryStatus, Message, Outcome, Receipt, SendResult
from functions.domain.identity import number_key, request_digest
from functions.domain.keys import Keyring
from functions.domain.phone import PhoneNumber, parse_phone_number
from functions.domain.service import OnUnknown, Service
from functions.domain.verification import Record, State
from functions.queues.messages import decode_job, encode_job
from functions.usecases.check import CheckCommand
from functions.usecases.confirm import ConfirmDelivery
from functions.usecases.count_progress import CountProgress
from functions.usecases.deliver import Deliver
from functions.usecases.follow_up import FollowUp
from functions.usecases.give_feedback import GiveFeedback
from functions.usecases.guard import Guard
from functions.usecases.ports import Counted, KeysUnavailable, QueueUnavailable, SendJob, StoreUnavailable
from functions.usecases.reserve import Reserve, Wish, code_again
from functions.usecases.send import SendQueued
from functions.usecases.send_batch import QueuedMessage, SendBatch, Unfinished
from functions.usecases.start import StartCommand
from functions.usecases.submit import MARGIN, Submit
from tests.harness import (
    MORNING,
    PROVIDER,
    UNLIMITED,
    FixedKeys,
    GivenRates,
    GivenTimes,
    Harness,
    OpenCircuits,
    Prepared,
    RecordingBatches,
    RecordingDeadLetters,
    RecordingDecisions,
    RecordingJournal,
    RecordingQueue,
    Unsolved,
    accept,
    answer,
    fresh_number,
    reveal,
)
from tests.virtual_time import run_in_virtual_time

PLENTY = 100.0
"""Seconds that no invocation of these tests comes near to, on a busy machine either."""
REDELIVERY = 90
"""Seconds of the queue's visibility time-out."""

TRY_AGAIN = [Outcome.TRANSIENT, Outcome.THROTTLED_ACCOUNT, Outcome.CONFIG]
SETTLED = {
    Outcome.ACCEPTED: DeliveryStatus.SUBMITTED,
    Outcome.REJECTED_NUMBER: DeliveryStatus.REJECTED,
    Outcome.REJECTED_CONTENT: DeliveryStatus.REJECTED,
    Outcome.THROTTLED_RECIPIENT: DeliveryStatus.THROTTLED,
    Outcome.UNKNOWN: DeliveryStatus.UNKNOWN,
}

POISON = [
    "",
    "no JSON",
    "[]",
    "{}",
    '{"to": 4915112345678}',
    '{"to": "+4915112345678", "v": 2}',
    '{"to": "+4915112345678", "surprise": 1}',
    '{"to": "+4915112345678", "verification": "vfy_"}',
    '{"to": "+4915112345678", "service": "nobody\'s"}',
    '{"to": "015112345678"}',
    "[" * 5000,
]


def job_for(number: PhoneNumber, **more: Any) -> SendJob:
    return SendJob(to=number.e164, service="default", **more)


def message_of(body: str, *, at: int = MORNING) -> QueuedMessage:
    name = secrets.token_hex(8)
    return QueuedMessage(id=name, body=body, handle=f"handle of {name}", queued_at=at)


def queued(job: SendJob, *, at: int = MORNING) -> QueuedMessage:
    """The job as it comes out of the queue."""
    message = message_of(encode_job(job), at=at)
    assert decode_job(message.body) == job
    return message


def new_message(**more: Any) -> tuple[PhoneNumber, QueuedMessage]:
    number = fresh_number()
    return number, queued(job_for(number, **more))


async def deliver(harness: Harness, *messages: QueuedMessage, in_flight: int = 1000) -> Unfinished:
    return await harness.send_batch(in_flight=in_flight)(messages, lambda: PLENTY)


def left_over(unfinished: Unfinished) -> list[QueuedMessage]:
    return list(unfinished)


async def record_of(harness: Harness, number: PhoneNumber) -> Record:
    record = await harness.store.get(number_key(await harness.keys.keyring(), "default", number.e164))
    assert record is not None
    return record


async def delivery_of(harness: Harness, number: PhoneNumber) -> DeliveryStatus:
    return (await record_of(harness, number)).verification.delivery.status


async def wish_of(harness: Harness, message: QueuedMessage) -> Wish:
    job = decode_job(message.body)
    assert isinstance(job, SendJob)
    request = request_digest(await harness.keys.keyring(), "queue", job.service, job.key or message.id)
    return Wish(to=parse_phone_number(job.to), service=harness.services[job.service], request=request)


async def claim_and_die(harness: Harness, message: QueuedMessage) -> None:
    """What is left of a worker that died before the gateway answered it: its claim."""
    assert (await harness.reserve(await wish_of(harness, message))).code is not None


async def stored_by_the_api(harness: Harness, number: PhoneNumber, **more: Any) -> tuple[str, QueuedMessage]:
    """A start with Prefer: respond-async; the verification's id, and the message that waits for it."""
    started = await harness.start(
        StartCommand(to=number, service="default", caller="tester", respond_async=True, **more)
    )
    return started.id, queued(harness.queue.jobs[-1], at=harness.clock())


class TestANewNumber:
    async def test_is_stored_and_sent(self, harness: Harness) -> None:
        number, message = new_message()

        assert left_over(await deliver(harness, message)) == []

        assert len(harness.provider.sent_to(number)) == 1
        record = await record_of(harness, number)
        assert record.verification.delivery.status is DeliveryStatus.SUBMITTED
        code = reveal(harness.provider.code_for(number))
        checked = await harness.check(CheckCommand(id=str(record.verification.id), code=code, caller="tester"))
        assert checked.valid

    async def test_is_sent_once_however_often_its_message_comes(self, harness: Harness) -> None:
        harness.change_service(**UNLIMITED)  # else the cooldown would hide a second send
        number, message = new_message()

        for _ in range(3):
            assert left_over(await deliver(harness, message)) == []

        assert len(harness.provider.sent_to(number)) == 1

    async def test_is_sent_once_when_two_messages_have_one_key(self, harness: Harness) -> None:
        harness.change_service(**UNLIMITED)  # else the cooldown would hide a second send
        number = fresh_number()
        twins = [queued(job_for(number, key="order 17")) for _ in range(2)]

        assert left_over(await deliver(harness, *twins)) == []

        assert len(harness.provider.sent_to(number)) == 1

    async def test_is_not_sent_another_code_within_the_cooldown(self, harness: Harness) -> None:
        number, message = new_message()

        assert left_over(await deliver(harness, message, queued(job_for(number)))) == []

        assert len(harness.provider.sent_to(number)) == 1
        assert [line["reason"] for line in harness.journal.of("left")] == ["rate_limited"]


class TestManyAtOnce:
    async def test_a_thousand_messages_thrice_to_twenty_workers_are_a_thousand_sends(self, harness: Harness) -> None:
        harness.change_service(**UNLIMITED)  # else the cooldown would hide a second send
        messages = [queued(job_for(fresh_number())) for _ in range(1000)]
        # Turned, so that the copies of a message meet in different workers.
        copies = [messages[turn:] + messages[:turn] for turn in (0, 7, 13)]
        deliveries = list(itertools.chain.from_iterable(zip(*copies, strict=True)))

        unfinished = await asyncio.gather(*(deliver(harness, *deliveries[worker::20]) for worker in range(20)))

        assert [left_over(each) for each in unfinished] == [[]] * 20
        assert Counter(message.to for message in harness.provider.messages) == Counter(
            parse_phone_number(job.to) for message in messages if isinstance(job := decode_job(message.body), SendJob)
        )

    async def test_no_more_sends_are_under_way_than_allowed(self, harness: Harness) -> None:
        harness.provider.latency = 0.05

        await deliver(harness, *(queued(job_for(fresh_number())) for _ in range(60)), in_flight=7)

        assert len(harness.provider.messages) == 60
        assert harness.provider.most_at_once == 7

    async def test_one_number_in_many_messages_is_sent_one_code(self, harness: Harness) -> None:
        number = fresh_number()

        unfinished = await deliver(harness, *(queued(job_for(number)) for _ in range(5)))

        assert len(harness.provider.sent_to(number)) == 1
        assert left_over(unfinished) == []


class TestPoison:
    async def test_in_a_hundred_batches_goes_to_the_dead_letters_and_hurts_no_neighbour(self, harness: Harness) -> None:
        bad = [message_of(body) for body, _ in zip(itertools.cycle(POISON), range(100), strict=False)]
        good = [queued(job_for(fresh_number())) for _ in range(900)]
        batches = [[*good[n * 9 : n * 9 + 4], bad[n], *good[n * 9 + 4 : n * 9 + 9]] for n in range(100)]

        unfinished = await asyncio.gather(*(deliver(harness, *batch) for batch in batches))

        assert [left_over(each) for each in unfinished] == [[]] * 100
        assert Counter(Counter(message.to for message in harness.provider.messages).values()) == {1: 900}
        assert sorted(body for body, _ in harness.dead_letters.bodies) == sorted(message.body for message in bad)

    @pytest.mark.parametrize("body", POISON)
    async def test_of_every_kind_is_laid_aside(self, harness: Harness, body: str) -> None:
        assert left_over(await deliver(harness, message_of(body))) == []

        assert [found for found, _ in harness.dead_letters.bodies] == [body]
        assert harness.provider.messages == []

    async def test_comes_again_when_the_dead_letters_cannot_take_it_and_alone(self, harness: Harness) -> None:
        harness.dead_letters.error = QueueUnavailable("down")
        number, good = new_message()
        bad, impossible = message_of("{"), message_of('{"to": "+49"}')

        unfinished = await deliver(harness, bad, good, impossible)

        assert {message.id for message in unfinished.failed} == {bad.id, impossible.id}
        assert left_over(unfinished) == unfinished.failed
        assert len(harness.provider.sent_to(number)) == 1
        harness.dead_letters.error = None
        assert left_over(await deliver(harness, *unfinished.failed)) == []
        assert len(harness.dead_letters.bodies) == 2


class TestTooLate:
    async def test_a_thousand_messages_of_eleven_minutes_ago_are_not_sent(self, harness: Harness) -> None:
        messages = [queued(job_for(fresh_number()), at=MORNING - 660) for _ in range(1000)]

        assert left_over(await deliver(harness, *messages)) == []

        assert harness.provider.messages == []
        assert Counter(line["reason"] for line in harness.journal.of("left")) == {"too_late": 1000}
        assert harness.dead_letters.bodies == []

    @pytest.mark.parametrize(("early", "sends"), [(1, 1), (0, 0), (-1, 0), (-MORNING, 0)])
    async def test_the_second_of_send_by_is_the_first_that_is(self, harness: Harness, early: int, sends: int) -> None:
        number, message = new_message(send_by=MORNING + early)

        assert left_over(await deliver(harness, message)) == []

        assert len(harness.provider.sent_to(number)) == sends

    async def test_is_told_without_the_keys_so_that_no_outage_makes_it_a_dead_letter(self, harness: Harness) -> None:
        """Of the store of secrets: nine deliveries soon after one another are quickly over."""
        case = await new_case(
            harness, Outcome.ACCEPTED, Trouble(("keyring before", 1), KeysUnavailable("down")), kind="new"
        )
        harness.clock.advance(120)

        unfinished = await case.deliver(harness, case.trouble)

        assert unfinished is not None
        assert left_over(unfinished) == []
        assert case.gateway.taken == 0

    @pytest.mark.parametrize(("age", "sends"), [(119, 1), (120, 0)])
    async def test_without_send_by_the_service_says_how_old_is(self, harness: Harness, age: int, sends: int) -> None:
        number = fresh_number()

        assert left_over(await deliver(harness, queued(job_for(number), at=MORNING - age))) == []

        assert len(harness.provider.sent_to(number)) == sends


class TestTheGatewaysAnswer:
    def test_is_one_that_these_tests_know(self) -> None:
        assert {*TRY_AGAIN, *SETTLED} == {*Outcome}

    @pytest.mark.parametrize("outcome", SETTLED)
    async def test_ends_the_message_when_it_is_final(self, harness: Harness, outcome: Outcome) -> None:
        harness.provider.script = [answer(outcome)]
        number, message = new_message()

        assert left_over(await deliver(harness, message)) == []
        assert left_over(await deliver(harness, message)) == []

        assert len(harness.provider.sent_to(number)) == 1
        assert await delivery_of(harness, number) is SETTLED[outcome]

    @pytest.mark.parametrize("outcome", [Outcome.REJECTED_NUMBER, Outcome.REJECTED_CONTENT])
    async def test_takes_the_verification_with_it_when_it_is_a_refusal(
        self, harness: Harness, outcome: Outcome
    ) -> None:
        harness.provider.script = [answer(outcome)]
        number, message = new_message()

        await deliver(harness, message)

        assert (await record_of(harness, number)).verification.state(harness.clock()) is State.CANCELED

    async def test_of_a_busy_account_says_when_the_message_is_to_come_back(self, harness: Harness) -> None:
        harness.rates.waits[harness.provider.name] = 99.0
        _, message = new_message()

        unfinished = await deliver(harness, message)

        assert unfinished.failed == [message]
        assert unfinished.again_in == {message.id: 99}
        assert harness.provider.messages == []

    @pytest.mark.parametrize("outcome", TRY_AGAIN)
    async def test_brings_the_message_back_when_nothing_was_sent(self, harness: Harness, outcome: Outcome) -> None:
        harness.provider.script = [answer(outcome), answer(outcome)]
        number, message = new_message()

        assert (await deliver(harness, message)).failed == [message]
        assert (await deliver(harness, message)).failed == [message]
        assert left_over(await deliver(harness, message)) == []
        assert left_over(await deliver(harness, message)) == []

        assert len(harness.provider.sent_to(number)) == 3
        assert await delivery_of(harness, number) is DeliveryStatus.SUBMITTED

    @pytest.mark.parametrize("outcome", TRY_AGAIN)
    async def test_gives_the_claim_back_when_nothing_was_sent(self, harness: Harness, outcome: Outcome) -> None:
        harness.provider.script = [answer(outcome)]
        number, message = new_message()

        await deliver(harness, message)

        record = await record_of(harness, number)
        assert record.sent == ()
        assert record.verification.sends == 0
        assert record.verification.delivery.status is DeliveryStatus.NOT_SENT

    async def test_hurts_no_neighbour(self, harness: Harness) -> None:
        unlucky, message = new_message()
        harness.provider.otherwise = lambda sent: (
            answer(Outcome.TRANSIENT)(sent) if sent.to == unlucky else accept(sent)
        )
        others = [queued(job_for(fresh_number())) for _ in range(9)]

        unfinished = await deliver(harness, *others[:5], message, *others[5:])

        assert left_over(unfinished) == [message]
        assert len(harness.provider.messages) == 10


class TestAnUnknownOutcome:
    async def test_is_left_alone_by_default(self, harness: Harness) -> None:
        harness.provider.script = [answer(Outcome.UNKNOWN)]
        number, message = new_message()

        assert left_over(await deliver(harness, message)) == []
        harness.clock.advance(REDELIVERY)
        assert left_over(await deliver(harness, message)) == []

        assert len(harness.provider.sent_to(number)) == 1
        delivery = (await record_of(harness, number)).verification.delivery
        assert (delivery.status, delivery.reason) == (DeliveryStatus.UNKNOWN, "scripted")

    async def test_is_tried_once_more_where_the_service_wants_that(self, harness: Harness) -> None:
        harness.change_service(on_unknown=OnUnknown.ONCE)
        harness.provider.script = [answer(Outcome.UNKNOWN)]
        number, message = new_message()

        assert (await deliver(harness, message)).failed == [message]
        for _ in range(3):
            assert left_over(await deliver(harness, message)) == []

        first, second = harness.provider.sent_to(number)
        assert first.text == second.text
        assert await delivery_of(harness, number) is DeliveryStatus.SUBMITTED

    async def test_is_tried_once_more_and_not_twice(self, harness: Harness) -> None:
        harness.change_service(on_unknown=OnUnknown.ONCE)
        harness.provider.otherwise = answer(Outcome.UNKNOWN)
        number, message = new_message()

        assert (await deliver(harness, message)).failed == [message]
        for _ in range(3):
            assert left_over(await deliver(harness, message)) == []
            harness.clock.advance(20)

        assert len(harness.provider.sent_to(number)) == 2
        assert await delivery_of(harness, number) is DeliveryStatus.UNKNOWN

    async def test_is_not_tried_a_third_time_after_a_failure_in_between(self, harness: Harness) -> None:
        harness.change_service(on_unknown=OnUnknown.ONCE)
        harness.provider.script = [answer(Outcome.UNKNOWN), answer(Outcome.TRANSIENT)]
        number, message = new_message()

        assert (await deliver(harness, message)).failed == [message]
        for _ in range(3):
            assert left_over(await deliver(harness, message)) == []
            harness.clock.advance(20)

        assert len(harness.provider.sent_to(number)) == 2
        assert await delivery_of(harness, number) is DeliveryStatus.UNKNOWN

    async def test_does_not_overwrite_a_receipt_that_was_quicker(self, harness: Harness) -> None:
        number, message = new_message()
        provider = Quick(harness)

        batch = replace(harness.send_batch(), send=replace(harness.send, deliver=harness.deliver_by(provider)))
        assert left_over(await batch([message], lambda: PLENTY)) == []

        assert await delivery_of(harness, number) is DeliveryStatus.DELIVERED


@dataclass
class Quick(Prepared):
    """A gateway whose receipt comes before its answer, which then gets lost."""

    harness: Harness
    name: str = PROVIDER
    timeout: float = 1.0

    async def send(self, message: Message) -> SendResult:
        receipt = Receipt(
            provider=self.name,
            reference=message.reference,
            status=DeliveryStatus.DELIVERED,
            reason=None,
            at=self.harness.clock(),
        )
        await self.harness.receive(receipt)
        return SendResult(provider=self.name, outcome=Outcome.UNKNOWN, reason="read_timeout")


class TestAWorkerThatDied:
    async def test_is_taken_for_alive_when_its_message_comes_again_at_once(self, harness: Harness) -> None:
        number, message = new_message()
        await claim_and_die(harness, message)
        harness.clock.advance(CLAIM_LEASE - 1)

        assert left_over(await deliver(harness, message)) == []

        assert harness.provider.messages == []
        assert await delivery_of(harness, number) is DeliveryStatus.SUBMITTED

    async def test_leaves_an_unknown_delivery_and_no_sms(self, harness: Harness) -> None:
        number, message = new_message()
        await claim_and_die(harness, message)
        harness.clock.advance(CLAIM_LEASE)

        assert left_over(await deliver(harness, message)) == []

        assert harness.provider.messages == []
        delivery = (await record_of(harness, number)).verification.delivery
        assert (delivery.status, delivery.reason) == (DeliveryStatus.UNKNOWN, "worker_died")

    async def test_is_made_up_for_where_the_service_wants_that(self, harness: Harness) -> None:
        harness.change_service(on_unknown=OnUnknown.ONCE)
        number, message = new_message()
        await claim_and_die(harness, message)
        harness.clock.advance(CLAIM_LEASE)

        for _ in range(3):
            assert left_over(await deliver(harness, message)) == []

        assert len(harness.provider.sent_to(number)) == 1
        assert await delivery_of(harness, number) is DeliveryStatus.SUBMITTED

    @pytest.mark.parametrize(("on_unknown", "sends"), [(OnUnknown.NEVER, 0), (OnUnknown.ONCE, 1)])
    async def test_has_one_heir_among_twenty_redeliveries(
        self, harness: Harness, on_unknown: OnUnknown, sends: int
    ) -> None:
        harness.change_service(on_unknown=on_unknown)
        number, message = new_message()
        await claim_and_die(harness, message)
        harness.clock.advance(CLAIM_LEASE)

        unfinished = await asyncio.gather(*(deliver(harness, message) for _ in range(20)))

        assert [left_over(each) for each in unfinished] == [[]] * 20
        assert len(harness.provider.sent_to(number)) == sends

    async def test_lets_the_person_ask_again_and_get_the_same_code(self, harness: Harness) -> None:
        number, message = new_message()
        await claim_and_die(harness, message)
        first = (await record_of(harness, number)).verification
        harness.clock.advance(CLAIM_LEASE)
        await deliver(harness, message)

        again = await harness.start(StartCommand(to=number, service="default", caller="tester"))

        assert again.id == str(first.id)
        assert harness.provider.code_for(number) == await code_of(harness, number)


async def code_of(harness: Harness, number: PhoneNumber) -> str:
    live = (await record_of(harness, number)).verification
    return (await code_again(harness.keys, live, harness.services["default"])).reveal()


class TestAVerificationThatTheApiStored:
    async def test_is_sent_once(self, harness: Harness) -> None:
        number = fresh_number()
        _, message = await stored_by_the_api(harness, number)

        for _ in range(3):
            assert left_over(await deliver(harness, message)) == []

        assert len(harness.provider.sent_to(number)) == 1
        assert harness.provider.code_for(number) == await code_of(harness, number)

    async def test_is_sent_once_by_twenty_workers_at_once(self, harness: Harness) -> None:
        number = fresh_number()
        _, message = await stored_by_the_api(harness, number)

        unfinished = await asyncio.gather(*(deliver(harness, message) for _ in range(20)))

        assert [left_over(each) for each in unfinished] == [[]] * 20
        assert len(harness.provider.sent_to(number)) == 1

    @pytest.mark.parametrize("outcome", TRY_AGAIN)
    async def test_is_sent_when_its_message_comes_again(self, harness: Harness, outcome: Outcome) -> None:
        harness.provider.script = [answer(outcome)]
        number = fresh_number()
        verification, message = await stored_by_the_api(harness, number)

        assert (await deliver(harness, message)).failed == [message]
        assert (await harness.look_up(verification)).delivery.status == "queued"
        assert left_over(await deliver(harness, message)) == []
        assert left_over(await deliver(harness, message)) == []

        assert len(harness.provider.sent_to(number)) == 2
        assert (await harness.look_up(verification)).delivery.status == "submitted"

    async def test_is_sent_to_no_other_number(self, harness: Harness) -> None:
        _, message = await stored_by_the_api(harness, fresh_number())
        job = decode_job(message.body)
        assert isinstance(job, SendJob)
        forged = queued(replace(job, to=fresh_number().e164))

        assert left_over(await deliver(harness, forged)) == []

        assert harness.provider.messages == []
        assert [reason for _, reason in harness.dead_letters.bodies] == ["impossible"]

    async def test_is_not_sent_when_it_was_canceled(self, harness: Harness) -> None:
        verification, message = await stored_by_the_api(harness, fresh_number())
        await harness.cancel(verification)

        assert left_over(await deliver(harness, message)) == []

        assert harness.provider.messages == []

    async def test_is_not_sent_when_it_was_approved(self, harness: Harness) -> None:
        number = fresh_number()
        verification, message = await stored_by_the_api(harness, number)
        code = reveal(await code_of(harness, number))
        assert (await harness.check(CheckCommand(id=verification, code=code, caller="tester"))).valid

        assert left_over(await deliver(harness, message)) == []

        assert harness.provider.messages == []

    @pytest.mark.parametrize("order", [(0, 1), (1, 0)])
    async def test_is_sent_by_the_newer_of_two_messages_alone(self, harness: Harness, order: tuple[int, int]) -> None:
        number = fresh_number()
        _, older = await stored_by_the_api(harness, number)
        harness.clock.advance(30)
        _, newer = await stored_by_the_api(harness, number)

        for message in ((older, newer)[which] for which in order):
            assert left_over(await deliver(harness, message)) == []

        assert [message.reference[-2:] for message in harness.provider.sent_to(number)] == [".2"]

    async def test_is_not_sent_when_another_took_its_place(self, harness: Harness) -> None:
        number = fresh_number()
        first, older = await stored_by_the_api(harness, number)
        await harness.cancel(first)
        harness.clock.advance(30)
        second, newer = await stored_by_the_api(harness, number)

        assert left_over(await deliver(harness, older, newer)) == []

        assert [message.reference for message in harness.provider.sent_to(number)] == [f"{second}.1"]

    async def test_is_not_sent_too_late_and_says_so(self, harness: Harness) -> None:
        verification, message = await stored_by_the_api(harness, fresh_number())
        harness.clock.advance(120)

        assert left_over(await deliver(harness, message)) == []

        assert harness.provider.messages == []
        delivery = (await harness.look_up(verification)).delivery
        assert (delivery.status, delivery.reason, delivery.provider) == ("not_sent", "too_late", None)

    async def test_stays_sent_when_a_copy_of_its_message_comes_too_late(self, harness: Harness) -> None:
        verification, message = await stored_by_the_api(harness, fresh_number())
        await deliver(harness, message)
        harness.clock.advance(120)

        assert left_over(await deliver(harness, message)) == []

        assert (await harness.look_up(verification)).delivery.status == "submitted"

    async def test_stays_sent_when_a_late_copy_of_its_message_is_handled_at_the_same_time(
        self, harness: Harness
    ) -> None:
        verification, message = await stored_by_the_api(harness, fresh_number())
        in_time = harness.send_batch()

        class Slow:
            """Reads what is there before the other worker takes it."""

            def __init__(self) -> None:
                self.count_guess = harness.store.count_guess

            async def get(self, key: str) -> Record | None:
                found = await harness.store.get(key)
                assert left_over(await in_time([message], lambda: PLENTY)) == []
                return found

            async def put(self, record: Record, *, now: int) -> Record | None:
                return await harness.store.put(record, now=now)

        late = replace(harness.send, store=Slow(), clock=lambda: MORNING + 120)
        assert left_over(await replace(in_time, send=late)([message], lambda: PLENTY)) == []

        assert len(harness.provider.messages) == 1
        assert (await harness.look_up(verification)).delivery.status == "submitted"

    async def test_is_unknown_when_its_worker_died(self, harness: Harness) -> None:
        verification, message = await stored_by_the_api(harness, fresh_number())
        assert await deliver_in(Trouble(("send before", 1)), harness, message, Gateway()) is None
        harness.clock.advance(REDELIVERY)

        assert left_over(await deliver(harness, message)) == []

        assert harness.provider.messages == []
        assert (await harness.look_up(verification)).delivery.status == "unknown"


class TestTrouble:
    async def test_with_one_message_hurts_no_neighbour(self, harness: Harness) -> None:
        unlucky, message = new_message()

        def stumble(sent: Message) -> SendResult:
            if sent.to == unlucky:
                raise ZeroDivisionError
            return accept(sent)

        harness.provider.otherwise = stumble
        others = [queued(job_for(fresh_number())) for _ in range(9)]

        unfinished = await deliver(harness, *others[:5], message, *others[5:])

        assert left_over(unfinished) == [message]
        assert len(harness.provider.messages) == 10
        assert [line["error"] for line in harness.journal.of("failed")] == ["ZeroDivisionError"]

    async def test_that_cancels_one_message_loses_none(self, harness: Harness) -> None:
        unlucky, message = new_message()

        def give_up(sent: Message) -> SendResult:
            if sent.to == unlucky:
                raise asyncio.CancelledError
            return accept(sent)

        harness.provider.otherwise = give_up
        others = [queued(job_for(fresh_number())) for _ in range(3)]

        unfinished = await deliver(harness, message, *others, in_flight=1)

        assert unfinished.in_doubt == [message]
        assert unfinished.not_begun == others

    @pytest.mark.parametrize(
        ("kind", "step"), [("new", "keyring before"), ("new", "pepper before"), ("stored", "pepper before")]
    )
    async def test_with_the_keys_leaves_no_claim_and_brings_the_message_back_soon(
        self,
        harness: Harness,
        kind: str,
        step: str,
    ) -> None:
        case = await new_case(harness, Outcome.ACCEPTED, Trouble((step, 1), KeysUnavailable("down")), kind=kind)

        unfinished = await case.deliver(harness, case.trouble)

        assert unfinished is not None
        assert unfinished.failed == [case.message] == left_over(unfinished)
        assert left_over(await deliver(harness, case.message)) == []
        assert len(harness.provider.sent_to(case.number)) == 1

    async def test_with_the_store_leaves_the_message_to_the_queues_own_time(self, harness: Harness) -> None:
        """A claim may stand. Any sooner, the message would look like the copy of one that is being sent."""
        case = await new_case(
            harness, Outcome.TRANSIENT, Trouble(("put before", 2), StoreUnavailable("down")), kind="new"
        )

        unfinished = await case.deliver(harness, case.trouble)

        assert unfinished is not None
        assert unfinished.in_doubt == [case.message] == left_over(unfinished)
        harness.clock.advance(REDELIVERY)
        assert left_over(await deliver(harness, case.message)) == []
        assert await delivery_of(harness, case.number) is DeliveryStatus.UNKNOWN

    async def test_is_not_started_when_the_time_is_too_short(self, harness: Harness) -> None:
        harness.provider.timeout = 3
        number, message = new_message()

        short = await harness.send_batch()([message], lambda: 3 + MARGIN - 0.001)

        assert short.not_begun == [message]
        assert left_over(await harness.send_batch()([message], lambda: 3 + MARGIN)) == []
        assert len(harness.provider.sent_to(number)) == 1


async def test_no_code_is_in_the_body_of_any_message_of_a_queue(harness: Harness) -> None:
    numbers = [fresh_number() for _ in range(20)]
    waiting = [(await stored_by_the_api(harness, number, metadata=(("user", "7"),)))[1] for number in numbers]
    await deliver(harness, *waiting, message_of('{"to": "+49", "key": "k"}'))

    bodies = [encode_job(job) for job in harness.queue.jobs] + [body for body, _ in harness.dead_letters.bodies]
    # A number or a time may hold the code's digits in a row, by chance.
    texts = [
        json.dumps({name: text for name, text in json.loads(body).items() if name not in {"to", "send_by"}})
        for body in bodies
    ]

    codes = [harness.provider.code_for(number) for number in numbers]
    assert (len(codes), len(texts)) == (20, 21)
    assert [text for text in texts if any(code in text for code in codes)] == []


# DEL-4: time is simulated, with everything else that takes time.


BATCH = 14
"""More than three at a time can send in an invocation, so that its end has to be minded."""


@dataclass
class SlowStore:
    """Records in memory. Each call takes its time."""

    seconds: float
    records: dict[str, Record] = field(default_factory=dict)

    async def get(self, key: str) -> Record | None:
        await asyncio.sleep(self.seconds)
        return self.records.get(key)

    async def put(self, record: Record, *, now: int) -> Record | None:
        await asyncio.sleep(self.seconds)
        found = self.records.get(record.key)
        if (found.rev if found else 0) != record.rev - 1:
            return found
        self.records[record.key] = record
        return None

    async def count_guess(self, guess: Guess) -> Counted:
        raise NotImplementedError


@dataclass
class SlowProvider(Prepared):
    """Takes up to the whole of its time-out, and refuses a part of the messages for now."""

    name: str = PROVIDER
    timeout: float = 3.0
    asked: int = 0
    taken: list[str] = field(default_factory=list)

    async def send(self, message: Message) -> SendResult:
        self.asked += 1
        turn = self.asked % 10
        await asyncio.sleep(self.timeout - 0.3 * (turn % 4))
        if turn == 0:
            return SendResult(provider=self.name, outcome=Outcome.TRANSIENT, reason="busy")
        self.taken.append(message.to.e164)
        return SendResult(provider=self.name, outcome=Outcome.ACCEPTED)


@dataclass
class Simulation:
    store: SlowStore
    provider: SlowProvider = field(default_factory=SlowProvider)
    invocations: list[float] = field(default_factory=list)
    """How long each took."""
    not_begun: int = 0
    in_doubt: int = 0

    @property
    def batch(self) -> SendBatch:
        keys, journal = FixedKeys(), RecordingJournal()
        send = SendQueued(
            services={"default": Service(send_within=600)},
            store=self.store,
            keys=keys,
            guard=Guard(checks=(), challenges=Unsolved(), decisions=RecordingDecisions(), journal=journal),
            reserve=Reserve(store=self.store, keys=keys, entropy=secrets.token_bytes, clock=self.clock),
            deliver=self.deliver(journal),
            clock=self.clock,
            journal=journal,
        )
        return SendBatch(
            decode=decode_job,
            send=send,
            confirm=ConfirmDelivery(
                services=send.services,
                store=self.store,
                keys=keys,
                deliver=send.deliver,
                clock=self.clock,
                journal=journal,
            ),
            give_feedback=GiveFeedback(providers={}, journal=journal),
            longest=self.provider.timeout,
            dead_letters=RecordingDeadLetters(),
            count_progress=CountProgress(batches=RecordingBatches(), clock=self.clock, journal=journal),
            journal=journal,
            in_flight=3,
        )

    def deliver(self, journal: RecordingJournal) -> Deliver:
        return Deliver(
            store=self.store,
            submit=Submit(
                providers={PROVIDER: self.provider},
                circuits=OpenCircuits(),
                rates=GivenRates(),
                remaining=lambda: PLENTY,
            ),
            follow_up=FollowUp(
                heard_of=(), queue=RecordingQueue(), times=GivenTimes(), clock=self.clock, journal=journal
            ),
            clock=self.clock,
            journal=journal,
        )

    def clock(self) -> int:
        return MORNING + int(asyncio.get_running_loop().time())

    async def invoke(self, batch: Sequence[QueuedMessage], *, timeout: float = 15.0) -> Unfinished:  # noqa: ASYNC109
        loop = asyncio.get_running_loop()
        began = loop.time()
        unfinished = await self.batch(batch, lambda: began + timeout - loop.time())
        self.invocations.append(loop.time() - began)
        self.not_begun += len(unfinished.not_begun)
        self.in_doubt += len(unfinished.in_doubt)
        return unfinished

    async def drain(self, messages: Iterable[QueuedMessage]) -> None:
        """All of the batches at once, and what is left of them again, until nothing is."""
        waiting = list(messages)
        while waiting:
            batches = [waiting[start : start + BATCH] for start in range(0, len(waiting), BATCH)]
            finished = await asyncio.gather(*(self.invoke(batch) for batch in batches))
            waiting = [message for unfinished in finished for message in left_over(unfinished)]


class TestTheTimeOfAnInvocation:
    def test_is_enough_for_a_thousand_batches_of_which_each_message_is_sent_once(self) -> None:
        simulation = Simulation(SlowStore(0.3))
        messages = [queued(job_for(fresh_number())) for _ in range(1000 * BATCH)]

        run_in_virtual_time(simulation.drain(messages))

        assert len(simulation.invocations) > 1000
        assert max(simulation.invocations) <= 15
        assert simulation.not_begun > 1000  # the end was minded,
        assert simulation.in_doubt == 0  # and nothing begun that it would have broken off
        assert simulation.provider.asked > 1000 * BATCH
        assert Counter(Counter(simulation.provider.taken).values()) == {1: 1000 * BATCH}

    def test_is_enough_when_the_store_is_slower_than_anybody_thought(self) -> None:
        simulation = Simulation(SlowStore(13.0))
        messages = [queued(job_for(fresh_number())) for _ in range(9)]

        unfinished = run_in_virtual_time(simulation.invoke(messages))

        assert max(simulation.invocations) < 15
        assert sorted(message.id for message in left_over(unfinished)) == sorted(message.id for message in messages)
        assert len(unfinished.in_doubt) == 3


# DEL-1: things go wrong at every step, in every way.


@dataclass
class Trouble:
    """Strikes at a step's n-th time. The steps are «before» and «after» each call of store, gateway and keys."""

    at: tuple[str, int] = ("nowhere", 1)
    error: Exception | None = None
    """What is raised; with None the worker's process ends there."""
    steps: Counter[str] = field(default_factory=Counter)
    worker: asyncio.Task[Unfinished] | None = None

    async def step(self, name: str) -> None:
        self.steps[name] += 1
        if (name, self.steps[name]) != self.at:
            return
        if self.error is not None:
            raise self.error
        assert self.worker is not None
        self.worker.cancel()
        await asyncio.Event().wait()


@dataclass
class Gateway(Prepared):
    """Counts the messages that it took, also where its answer does not say so."""

    script: list[Callable[[Message], SendResult]] = field(default_factory=list)
    taken: int = 0
    name: str = "yunpian"
    timeout: float = 1.0

    async def send(self, message: Message) -> SendResult:
        result = (self.script.pop(0) if self.script else accept)(message)
        self.taken += result.outcome in {Outcome.ACCEPTED, Outcome.UNKNOWN}
        return result


@dataclass
class Troubled(Prepared):
    """Store, gateway and keys."""

    harness: Harness
    gateway: Gateway
    trouble: Trouble
    name: str = "yunpian"
    timeout: float = 1.0

    async def get(self, key: str) -> Record | None:
        await self.trouble.step("get before")
        found = await self.harness.store.get(key)
        await self.trouble.step("get after")
        return found

    async def put(self, record: Record, *, now: int) -> Record | None:
        await self.trouble.step("put before")
        found = await self.harness.store.put(record, now=now)
        await self.trouble.step("put after")
        return found

    async def count_guess(self, guess: Guess) -> Counted:
        raise NotImplementedError

    async def send(self, message: Message) -> SendResult:
        await self.trouble.step("send before")
        result = await self.gateway.send(message)
        await self.trouble.step("send after")
        return result

    async def keyring(self) -> Keyring:
        await self.trouble.step("keyring before")
        return await self.harness.keys.keyring()

    async def pepper(self, kid: str) -> bytes | None:
        await self.trouble.step("pepper before")
        return await self.harness.keys.pepper(kid)


async def deliver_in(trouble: Trouble, harness: Harness, message: QueuedMessage, gateway: Gateway) -> Unfinished | None:
    """What the worker leaves unfinished; None where it did not live to say so."""
    world = Troubled(harness, gateway, trouble)
    send = replace(
        harness.send,
        store=world,
        keys=world,
        reserve=replace(harness.reserve, store=world, keys=world),
        deliver=replace(harness.deliver_by(world), store=world),
    )
    batch = replace(harness.send_batch(), send=send)
    trouble.worker = asyncio.create_task(batch([message], lambda: PLENTY))
    await asyncio.wait({trouble.worker})
    return None if trouble.worker.cancelled() else trouble.worker.result()


@dataclass
class Case:
    """One message on its way, and the one thing that goes wrong with it."""

    number: PhoneNumber
    message: QueuedMessage
    gateway: Gateway
    trouble: Trouble

    async def deliver(self, harness: Harness, trouble: Trouble | None = None) -> Unfinished | None:
        return await deliver_in(trouble or Trouble(), harness, self.message, self.gateway)


FIRST_ANSWERS = [Outcome.ACCEPTED, Outcome.TRANSIENT, Outcome.UNKNOWN, Outcome.REJECTED_NUMBER]
WAYS: list[Exception | None] = [None, RuntimeError("a bug"), StoreUnavailable("down")]


async def cases_of(harness: Harness, outcome: Outcome, *, kind: str) -> list[Case]:
    """Each step of a message's first delivery, with each thing that can go wrong there."""
    untroubled = await new_case(harness, outcome, Trouble(), kind=kind)
    await untroubled.deliver(harness, untroubled.trouble)
    times = [(name, nth) for name, count in untroubled.trouble.steps.items() for nth in range(1, count + 1)]
    assert len(times) >= 6
    return [
        await new_case(harness, outcome, Trouble(at, error), kind=kind) for at, error in itertools.product(times, WAYS)
    ]


async def new_case(harness: Harness, outcome: Outcome, trouble: Trouble, *, kind: str) -> Case:
    number = fresh_number()
    message = (await stored_by_the_api(harness, number))[1] if kind == "stored" else queued(job_for(number))
    return Case(number, message, Gateway([answer(outcome)]), trouble)


@pytest.mark.parametrize("outcome", FIRST_ANSWERS)
@pytest.mark.parametrize("kind", ["new", "stored"])
class TestWhateverGoesWrongAtAnyStep:
    async def test_no_message_becomes_two_sms(
        self,
        harness: Harness,
        kind: str,
        outcome: Outcome,
    ) -> None:
        harness.change_service(**UNLIMITED)
        cases = await cases_of(harness, outcome, kind=kind)

        await asyncio.gather(*(case.deliver(harness, case.trouble) for case in cases))
        await asyncio.gather(*(case.deliver(harness) for case in cases * 2))
        harness.clock.advance(REDELIVERY)
        await asyncio.gather(*(case.deliver(harness) for case in cases * 3))

        assert {case.trouble.at: case.gateway.taken for case in cases if case.gateway.taken > 1} == {}
        assert all(case.trouble.steps[case.trouble.at[0]] >= case.trouble.at[1] for case in cases)  # it did happen

    async def test_no_delivery_is_called_submitted_that_is_not(
        self,
        harness: Harness,
        kind: str,
        outcome: Outcome,
    ) -> None:
        """With deliveries as the queue makes them: soon after a failure, by its own time-out else."""
        cases = await cases_of(harness, outcome, kind=kind)

        soon, later = await deliver_all(harness, cases, [case.trouble for case in cases])
        harness.clock.advance(10)
        soon, more = await deliver_all(harness, soon)
        harness.clock.advance(REDELIVERY)
        soon, none = await deliver_all(harness, [*soon, *later, *more])
        assert none == []
        harness.clock.advance(10)
        assert await deliver_all(harness, soon) == ([], [])

        wrong = [
            (case.trouble.at, repr(case.trouble.error))
            for case in cases
            if case.gateway.taken == 0 and await delivery_of(harness, case.number) is DeliveryStatus.SUBMITTED
        ]
        assert wrong == []


async def deliver_all(
    harness: Harness, cases: Sequence[Case], troubles: Iterable[Trouble | None] = itertools.repeat(None)
) -> tuple[list[Case], list[Case]]:
    """Whose messages come again soon, and whose when the queue's time is over."""
    found = await asyncio.gather(
        *(case.deliver(harness, trouble) for case, trouble in zip(cases, troubles, strict=False))
    )
    results = list(zip(cases, found, strict=True))
    soon = [case for case, unfinished in results if unfinished is not None and unfinished.failed]
    return soon, [case for case, unfinished in results if unfinished is None or unfinished.in_doubt]
