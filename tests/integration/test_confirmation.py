"""A message whose receipt stays away is sent by another provider, once; an approval is told to who wants to know."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import Any

import pytest

from functions.domain.delivery import DeliveryStatus, Message, Outcome, SendResult
from functions.domain.routing import Route, Via
from functions.usecases.follow_up import PATIENCE, SHORTEST_WAIT
from functions.usecases.ports import ConfirmJob, FeedbackJob, Job, QueueUnavailable, SendJob
from functions.usecases.start import StartCommand
from tests.harness import Harness, RecordingProvider, another, call, fresh_number
from tests.two_providers import (
    PATH,
    at_b,
    hand_out,
    receipt,
    record_of,
    says,
    shown,
    start,
    takes,
    with_two,
)

WAIT = 45


def waiting(harness: Harness) -> Harness:
    return with_two(harness, takes("a"), takes("b"), confirm_within=WAIT)


async def sent_by_a(harness: Harness, **fields: Any) -> tuple[str, Message, Job]:
    """The verification, its message, and the job that will look at it again."""
    started = (await start(harness, **fields)).json
    ((job, _),) = harness.queue.later
    return started["id"], harness.provider.messages[-1], job


class TestALateReceipt:
    async def test_has_the_other_provider_send_the_same_code(self, harness: Harness) -> None:
        verification, message, job = await sent_by_a(waiting(harness))
        harness.clock.advance(WAIT)

        assert list(await hand_out(harness, job)) == []

        (again,) = at_b(harness)
        assert (again.to, again.code, again.reference) == (message.to, message.code, message.reference)
        assert again.valid_for == 600 - WAIT
        delivery = (await shown(harness, verification))["delivery"]
        assert (delivery["status"], delivery["provider"]) == ("submitted", "b")

    async def test_is_waited_for_as_long_as_the_service_says(self, harness: Harness) -> None:
        await start(waiting(harness))

        assert [delay for _, delay in harness.queue.later] == [WAIT]

    async def test_is_waited_for_as_long_as_they_take_in_that_country(self, harness: Harness) -> None:
        harness.times.known = {"DE": 20}

        await start(waiting(harness))

        assert [delay for _, delay in harness.queue.later] == [20]

    async def test_is_given_ten_seconds_at_least(self, harness: Harness) -> None:
        harness.times.known = {"DE": 5}

        await start(waiting(harness))

        assert [delay for _, delay in harness.queue.later] == [SHORTEST_WAIT]

    async def test_that_says_failed_is_none_of_an_arrival(self, harness: Harness) -> None:
        _, message, job = await sent_by_a(waiting(harness))
        await receipt(harness, message, "a", DeliveryStatus.FAILED)

        await hand_out(harness, job)

        assert len(at_b(harness)) == 1

    @pytest.mark.parametrize("told", [("rejected",), ("failed", "rejected"), ("rejected", "failed")])
    async def test_that_says_it_was_blocked_has_nobody_else_send_it(
        self, harness: Harness, told: tuple[str, ...]
    ) -> None:
        _, message, job = await sent_by_a(waiting(harness))
        for status in told:
            await receipt(harness, message, "a", DeliveryStatus(status))

        await hand_out(harness, job)

        assert at_b(harness) == []

    async def test_has_one_other_message_go_out_however_often_the_job_comes(self, harness: Harness) -> None:
        _, _, job = await sent_by_a(waiting(harness))

        await hand_out(harness, *[job] * 20)
        await hand_out(harness, job)

        assert len(at_b(harness)) == 1

    async def test_that_comes_in_the_end_still_counts(self, harness: Harness) -> None:
        verification, message, job = await sent_by_a(waiting(harness))
        await hand_out(harness, job)

        await receipt(harness, message, "a", DeliveryStatus.DELIVERED)

        delivery = (await shown(harness, verification))["delivery"]
        assert (delivery["status"], delivery["provider"]) == ("delivered", "a")

    async def test_of_a_queued_message_is_waited_for_as_well(self, harness: Harness) -> None:
        waiting(harness)

        await hand_out(harness, SendJob(to=fresh_number().e164, service="default", key="k"))

        ((job, delay),) = harness.queue.later
        assert isinstance(job, ConfirmJob)
        assert delay == WAIT
        await hand_out(harness, job)
        assert len(at_b(harness)) == 1

    async def test_what_the_other_provider_refuses_says_nothing_of_the_first_message(self, harness: Harness) -> None:
        with_two(harness, takes("a"), says("b", Outcome.REJECTED_NUMBER), confirm_within=WAIT)
        verification, message, job = await sent_by_a(harness)

        await hand_out(harness, job)

        assert (await shown(harness, verification))["status"] == "pending"
        delivery = (await shown(harness, verification))["delivery"]
        assert (delivery["status"], delivery["provider"]) == ("submitted", "a")
        await receipt(harness, message, "a", DeliveryStatus.SENT)
        assert (await shown(harness, verification))["delivery"]["status"] == "sent"
        assert (await _check(harness, verification, message.code.reveal()))["valid"]


class TestNothingMoreIsSent:
    async def test_after_the_receipt(self, harness: Harness) -> None:
        _, message, job = await sent_by_a(waiting(harness))
        await receipt(harness, message, "a")

        await hand_out(harness, job)

        assert at_b(harness) == []

    async def test_after_the_approval(self, harness: Harness) -> None:
        verification, message, job = await sent_by_a(waiting(harness))
        await _check(harness, verification, message.code.reveal())

        await hand_out(harness, job)

        assert at_b(harness) == []

    async def test_after_it_was_canceled(self, harness: Harness) -> None:
        verification, _, job = await sent_by_a(waiting(harness))
        await call(harness.app, "DELETE", f"{PATH}/{verification}")

        await hand_out(harness, job)

        assert at_b(harness) == []

    async def test_after_a_resend(self, harness: Harness) -> None:
        _, message, job = await sent_by_a(waiting(harness))
        harness.clock.advance(30)
        assert (await start(harness, message.to)).status == 201

        await hand_out(harness, job)

        assert at_b(harness) == []

    async def test_after_the_code_has_expired(self, harness: Harness) -> None:
        _, _, job = await sent_by_a(waiting(harness))
        harness.clock.advance(600)

        await hand_out(harness, job)

        assert at_b(harness) == []

    async def test_to_another_number(self, harness: Harness) -> None:
        _, _, job = await sent_by_a(waiting(harness))
        assert isinstance(job, ConfirmJob)
        forged = ConfirmJob(
            to=fresh_number().e164,
            service=job.service,
            request=job.request,
            verification=job.verification,
            send=job.send,
            tried=job.tried,
        )

        await hand_out(harness, forged)

        assert at_b(harness) == []
        assert [reason for _, reason in harness.dead_letters.bodies] == ["impossible"]


class TestNobodyLooksAgain:
    async def test_where_the_service_does_not_ask_for_it(self, harness: Harness) -> None:
        await start(with_two(harness, takes("a"), takes("b")))

        assert harness.queue.later == []

    async def test_where_there_is_nobody_else(self, harness: Harness) -> None:
        harness.change_service(confirm_within=WAIT)

        await start(harness)

        assert harness.queue.later == []

    async def test_at_a_code_that_its_caller_brought(self, harness: Harness) -> None:
        await start(waiting(harness), code="135790")

        assert harness.queue.later == []

    async def test_where_the_code_would_be_dead_by_then(self, harness: Harness) -> None:
        harness.times.known = {"DE": 290}

        await start(with_two(harness, takes("a"), takes("b"), confirm_within=WAIT, lifetime=300))

        assert harness.queue.later == []

    async def test_where_the_receipts_of_who_took_it_do_not_come_to_us(self, harness: Harness) -> None:
        harness.heard_of = {"b"}

        await start(waiting(harness))

        assert harness.queue.later == []

    async def test_where_the_outcome_is_unknown(self, harness: Harness) -> None:
        await start(with_two(harness, says("a", Outcome.UNKNOWN), takes("b"), confirm_within=WAIT))

        assert harness.queue.later == []

    async def test_and_no_start_fails_where_the_queue_is_away(self, harness: Harness) -> None:
        harness.queue.error = QueueUnavailable("away")

        assert (await start(waiting(harness))).status == 201
        assert len(harness.journal.of("unconfirmed")) == 1

    async def test_and_no_message_that_is_out_is_held_up_by_a_queue_that_does_not_answer(
        self, harness: Harness
    ) -> None:
        follow_up = replace(waiting(harness).follow_up, queue=Stuck())
        start_it = replace(harness.start, deliver=replace(harness.deliver, follow_up=follow_up))

        async with asyncio.timeout(3 * PATIENCE):
            await start_it(StartCommand(to=fresh_number(), service="default", caller="tester"))

        assert [line["reason"] for line in harness.journal.of("unconfirmed")] == ["no_time"]


class Stuck:
    """A queue that does not answer."""

    async def put(self, job: Job, *, delay: int = 0) -> None:
        del job, delay
        await asyncio.get_running_loop().create_future()


class TestWhatIsLearned:
    async def test_is_the_time_from_the_send_to_the_phone(self, harness: Harness) -> None:
        _, message, _ = await sent_by_a(waiting(harness))
        harness.clock.advance(3)
        await receipt(harness, message, "a", DeliveryStatus.SENT)
        harness.clock.advance(4)

        await receipt(harness, message, "a")
        await receipt(harness, message, "a")

        assert harness.times.learned == [("DE", 7)]

    async def test_is_nothing_where_nobody_waits_for_receipts(self, harness: Harness) -> None:
        await start(with_two(harness, takes("a"), takes("b")))

        await receipt(harness, harness.provider.messages[0], "a")

        assert harness.times.learned == []

    @pytest.mark.parametrize("status", [DeliveryStatus.FAILED, DeliveryStatus.SENT])
    async def test_is_nothing_of_what_did_not_arrive(self, harness: Harness, status: DeliveryStatus) -> None:
        _, message, _ = await sent_by_a(waiting(harness))

        await receipt(harness, message, "a", status)

        assert harness.times.learned == []

    async def test_is_nothing_of_a_message_that_two_providers_sent(self, harness: Harness) -> None:
        _, message, job = await sent_by_a(waiting(harness))
        await hand_out(harness, job)

        await receipt(harness, message, "a")

        assert harness.times.learned == []


class TestFeedback:
    async def test_an_approval_is_told_to_a_provider_that_wants_it(self, harness: Harness) -> None:
        a = Learning(takes("a", learns=True))
        with_two(harness, takes("a", learns=True), takes("b"))
        verification = (await start(harness)).json["id"]
        message = harness.provider.messages[0]

        await _check(harness, verification, message.code.reveal())

        ((job, delay),) = harness.queue.later
        assert job == FeedbackJob(provider="a", message_id=f"a {message.reference}")
        assert delay == 0
        harness.others["a"] = a
        await hand_out(harness, job)
        assert a.approvals == [f"a {message.reference}"]
        assert harness.journal.of("feedback") == [{"event": "feedback", "provider": "a", "outcome": "told"}]

    async def test_a_wrong_code_is_not_told(self, harness: Harness) -> None:
        with_two(harness, takes("a", learns=True), takes("b"))
        verification = (await start(harness)).json["id"]

        await _check(harness, verification, another(harness.provider.messages[0].code.reveal()))

        assert harness.queue.later == []

    async def test_a_provider_that_does_not_ask_is_told_nothing_and_nothing_is_stored_for_it(
        self, harness: Harness
    ) -> None:
        verification = (await start(with_two(harness, takes("a"), takes("b")))).json["id"]

        await _check(harness, verification, harness.provider.messages[0].code.reveal())

        assert harness.queue.later == []
        assert (await record_of(harness, verification)).verification.delivery.message_id is None

    async def test_a_provider_that_takes_our_reference_for_its_id_is_told_and_nothing_is_stored_for_it(
        self, harness: Harness
    ) -> None:
        harness.provider = RecordingProvider(name="infobip", otherwise=_taken_under_our_id)
        harness.change_service(routes=(Route(providers=(Via(provider="infobip"),)),))
        verification = (await start(harness)).json["id"]
        message = harness.provider.messages[0]
        stored = (await record_of(harness, verification)).verification.delivery

        await _check(harness, verification, message.code.reveal())

        ((job, _),) = harness.queue.later
        assert job == FeedbackJob(provider="infobip", message_id=message.reference)
        assert stored.message_id is None

    async def test_the_code_is_approved_also_where_nobody_can_be_told(self, harness: Harness) -> None:
        with_two(harness, takes("a", learns=True), takes("b"))
        verification = (await start(harness)).json["id"]
        harness.queue.error = QueueUnavailable("away")

        assert (await _check(harness, verification, harness.provider.messages[0].code.reveal()))["valid"]

    async def test_a_provider_that_is_configured_no_more_is_told_nothing(self, harness: Harness) -> None:
        assert list(await hand_out(harness, FeedbackJob(provider="gone", message_id="m"))) == []

        assert [line["outcome"] for line in harness.journal.of("feedback")] == ["not_told"]


def _taken_under_our_id(message: Message) -> SendResult:
    return SendResult(provider="infobip", outcome=Outcome.ACCEPTED, message_id=message.reference, wants_feedback=True)


class Learning:
    """A provider that wants to hear of approvals."""

    def __init__(self, provider: Any) -> None:
        self._provider = provider
        self.name: str = provider.name
        self.timeout: float = provider.timeout
        self.approvals: list[str] = []

    async def prepare(self) -> None:
        await self._provider.prepare()

    async def send(self, message: Message) -> Any:
        return await self._provider.send(message)

    async def approved(self, message_id: str) -> bool:
        self.approvals.append(message_id)
        return True


async def _check(harness: Harness, verification: str, code: str) -> Any:
    return (await call(harness.app, "POST", f"{PATH}/{verification}/check", {"code": code})).json
