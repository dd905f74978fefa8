"""Answers that get lost on the way: the SDK asks DynamoDB again, the caller asks us again, and it counts once."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from dataclasses import dataclass

import pytest

from functions.aws import CONFIG
from functions.domain.delivery import DeliveryStatus, Outcome
from functions.domain.errors import DeliveryRejected, DeliveryUnavailable, VerificationError
from functions.domain.identity import parse_id
from functions.domain.phone import PhoneNumber
from functions.domain.verification import Record
from functions.queues.messages import encode_job
from functions.stores.dynamodb import Table
from functions.usecases.check import CheckCommand, Checked
from functions.usecases.once import LEASE
from functions.usecases.ports import SendJob
from functions.usecases.send_batch import QueuedMessage
from functions.usecases.start import StartCommand
from functions.usecases.views import VerificationView
from infra.local.embedded_aws import EmbeddedAws, Resources, aws_client
from tests.dropping_proxy import DroppingProxy
from tests.harness import Harness, another, answer, assert_problem, call, fresh_number, reveal

TIMES = 20


@dataclass(frozen=True, slots=True)
class Lossy:
    """A deployment whose every write's first answer gets lost."""

    harness: Harness
    proxy: DroppingProxy

    def assert_every_write_was_repeated(self, operation: str, *, calls: int) -> None:
        """Else these tests would prove nothing."""
        tries = Counter(request.call for request in self.proxy.of(operation))
        assert Counter(tries.values()) == {2: calls}
        assert len([request for request in self.proxy.lost if request.operation == operation]) == calls

    async def start(self, number: PhoneNumber) -> VerificationView:
        return await self.harness.start(StartCommand(to=number, service="default", caller="tester"))

    async def check(self, verification: str, code: str) -> Checked:
        return await self.harness.check(CheckCommand(id=verification, code=reveal(code), caller="tester"))

    async def record(self, verification: str) -> Record:
        record = await self.harness.store.get(parse_id(verification).key)
        assert record is not None
        return record


@pytest.fixture
async def lossy(aws: EmbeddedAws, resources: Resources) -> AsyncIterator[Lossy]:
    async with (
        DroppingProxy.start(aws.endpoint) as proxy,
        aws_client("dynamodb", proxy.url, config=CONFIG) as client,
    ):
        yield Lossy(Harness(Table(client, resources.table)), proxy)


async def started(harness: Harness) -> list[tuple[str, str]]:
    """Verifications, with the codes that their phones received."""
    numbers = [fresh_number() for _ in range(TIMES)]
    begun = await asyncio.gather(
        *(harness.start(StartCommand(to=number, service="default", caller="tester")) for number in numbers)
    )
    return [
        (verification.id, harness.provider.code_for(number))
        for verification, number in zip(begun, numbers, strict=True)
    ]


class TestBetweenUsAndDynamoDb:
    async def test_a_right_code_is_approved_and_counted_once(self, lossy: Lossy, harness: Harness) -> None:
        verifications = await started(harness)

        checked = await asyncio.gather(*(lossy.check(verification, code) for verification, code in verifications))

        assert [each.valid for each in checked] == [True] * TIMES
        assert [each.verification.attempts_left for each in checked] == [4] * TIMES
        lossy.assert_every_write_was_repeated("UpdateItem", calls=TIMES)
        assert [(await lossy.record(each.verification.id)).verification.attempts for each in checked] == [1] * TIMES

    async def test_a_wrong_code_is_counted_once(self, lossy: Lossy, harness: Harness) -> None:
        verifications = await started(harness)

        checked = await asyncio.gather(
            *(lossy.check(verification, another(code)) for verification, code in verifications)
        )

        assert [(each.valid, each.verification.attempts_left) for each in checked] == [(False, 4)] * TIMES
        lossy.assert_every_write_was_repeated("UpdateItem", calls=2 * TIMES)  # the second: how long it is remembered
        assert [(await lossy.record(each.verification.id)).failures for each in checked] == [1] * TIMES

    async def test_a_start_sends_one_sms(self, lossy: Lossy) -> None:
        numbers = [fresh_number() for _ in range(TIMES)]

        begun = await asyncio.gather(*(lossy.start(number) for number in numbers))

        assert Counter(message.to for message in lossy.harness.provider.messages) == Counter(numbers)
        lossy.assert_every_write_was_repeated("PutItem", calls=TIMES)
        records = [await lossy.record(verification.id) for verification in begun]
        assert [(record.rev, len(record.sent), record.verification.sends) for record in records] == [(1, 1, 1)] * TIMES

    async def test_a_message_of_the_queue_sends_one_sms(self, lossy: Lossy) -> None:
        jobs = [SendJob(to=fresh_number().e164, service="default") for _ in range(TIMES)]
        now = lossy.harness.clock()
        messages = [
            QueuedMessage(id=f"{n}", body=encode_job(job), handle=f"{n}", queued_at=now) for n, job in enumerate(jobs)
        ]

        assert list(await lossy.harness.send_batch()(messages, lambda: 15.0)) == []
        lossy.assert_every_write_was_repeated("BatchExecuteStatement", calls=1)
        assert list(await lossy.harness.send_batch()(messages, lambda: 15.0)) == []

        assert len(lossy.harness.provider.messages) == TIMES

    async def test_a_refusal_is_noted_once(self, lossy: Lossy) -> None:
        lossy.harness.provider.otherwise = answer(Outcome.REJECTED_NUMBER)

        records = await self.refused(lossy, DeliveryRejected)

        assert [record.verification.delivery.status for record in records] == [DeliveryStatus.REJECTED] * TIMES

    async def test_a_claim_is_given_back_once(self, lossy: Lossy) -> None:
        lossy.harness.provider.otherwise = answer(Outcome.TRANSIENT)

        records = await self.refused(lossy, DeliveryUnavailable)

        assert [(record.sent, record.verification.sends) for record in records] == [((), 0)] * TIMES

    async def refused(self, lossy: Lossy, refusal: type[VerificationError]) -> list[Record]:
        """The records of starts that the gateway refused: each was written twice, to claim and to say so."""
        answers = await asyncio.gather(*(lossy.start(fresh_number()) for _ in range(TIMES)), return_exceptions=True)

        assert {type(each) for each in answers} == {refusal}
        lossy.assert_every_write_was_repeated("PutItem", calls=2 * TIMES)
        references = [message.reference.partition(".")[0] for message in lossy.harness.provider.messages]
        records = [await lossy.record(reference) for reference in references]
        assert [record.rev for record in records] == [2] * TIMES
        return records

    async def test_an_idempotency_key_is_recognised_as_ones_own(self, lossy: Lossy, harness: Harness) -> None:
        keys, now = [f"key {fresh_number().e164}" for _ in range(TIMES)], harness.clock()

        async def take(of: Harness, key: str) -> bool:
            return await of.answers.take(key, "fingerprint", now=now, stale_before=now - LEASE) is None

        assert all(await asyncio.gather(*(take(lossy.harness, key) for key in keys)))
        lossy.assert_every_write_was_repeated("PutItem", calls=TIMES)
        assert not any(await asyncio.gather(*(take(harness, key) for key in keys)))

    async def test_a_start_with_an_idempotency_key_is_answered_and_sends_one_sms(self, lossy: Lossy) -> None:
        numbers = [fresh_number() for _ in range(TIMES)]

        async def start(number: PhoneNumber) -> int:
            body, headers = {"to": number.e164}, {"idempotency-key": f"start {number.e164}"}
            return (await call(lossy.harness.app, "POST", "/v1/verifications", body, headers=headers)).status

        assert await asyncio.gather(*(start(number) for number in numbers)) == [201] * TIMES
        assert await asyncio.gather(*(start(number) for number in numbers)) == [201] * TIMES

        assert Counter(message.to for message in lossy.harness.provider.messages) == Counter(numbers)


class TestBetweenUsAndTheCaller:
    async def test_a_right_code_is_approved_again_under_its_idempotency_key(self, harness: Harness) -> None:
        for verification, code in await started(harness):
            path, headers = f"/v1/verifications/{verification}/check", {"idempotency-key": f"check {verification}"}
            await call(harness.app, "POST", path, {"code": code}, headers=headers)  # its answer gets lost

            repeated = await call(harness.app, "POST", path, {"code": code}, headers=headers)

            assert (repeated.status, repeated.json["valid"], repeated.json["status"]) == (200, True, "approved")

    async def test_a_right_code_is_approved_when_every_answer_gets_lost(self, lossy: Lossy, harness: Harness) -> None:
        async def approve(verification: str, code: str) -> bool:
            path, headers = f"/v1/verifications/{verification}/check", {"idempotency-key": f"check {verification}"}
            await call(lossy.harness.app, "POST", path, {"code": code}, headers=headers)
            valid: bool = (await call(lossy.harness.app, "POST", path, {"code": code}, headers=headers)).json["valid"]
            return valid

        verifications = await started(harness)

        assert all(await asyncio.gather(*(approve(verification, code) for verification, code in verifications)))
        assert len(lossy.proxy.lost) == 2 * TIMES

    async def test_a_wrong_code_is_counted_once_under_its_idempotency_key(self, harness: Harness) -> None:
        verification, code = (await started(harness))[0]
        path, headers = f"/v1/verifications/{verification}/check", {"idempotency-key": "check"}

        answers = [await call(harness.app, "POST", path, {"code": another(code)}, headers=headers) for _ in range(3)]

        assert [(each.status, each.json["attempts_left"]) for each in answers] == [(200, 4)] * 3

    async def test_without_an_idempotency_key_a_repeated_check_is_another_one(self, harness: Harness) -> None:
        verification, code = (await started(harness))[0]
        path = f"/v1/verifications/{verification}/check"
        await call(harness.app, "POST", path, {"code": code})

        assert_problem(await call(harness.app, "POST", path, {"code": code}), 409, "already_approved")
