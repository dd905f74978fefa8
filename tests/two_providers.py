"""A deployment with two providers, a before b, for tests of what one does when the other does not."""

from __future__ import annotations

import json
from typing import Any

from functions.domain.delivery import DeliveryStatus, Message, Outcome, Receipt, SendResult
from functions.domain.identity import parse_id
from functions.domain.phone import PhoneNumber
from functions.domain.routing import Route, Via
from functions.domain.verification import Record
from functions.queues.messages import decode_job, encode_job
from functions.usecases.ports import Job
from functions.usecases.send_batch import QueuedMessage, Unfinished
from tests.harness import Harness, RecordingProvider, Response, call, fresh_number

PATH = "/v1/verifications"
A_THEN_B = (Route(providers=(Via(provider="a"), Via(provider="b"))),)


def says(provider: str, outcome: Outcome, **more: Any) -> RecordingProvider:
    """A provider of this name that says this to every message."""
    result = SendResult(provider=provider, outcome=outcome, reason=f"{provider}_said_so", **more)
    return RecordingProvider(name=provider, otherwise=lambda _: result)


def takes(provider: str, *, learns: bool = False) -> RecordingProvider:
    def accept(message: Message) -> SendResult:
        return SendResult(
            provider=provider,
            outcome=Outcome.ACCEPTED,
            message_id=f"{provider} {message.reference}",
            wants_feedback=learns,
        )

    return RecordingProvider(name=provider, otherwise=accept)


def with_two(harness: Harness, a: RecordingProvider, b: RecordingProvider, **service: Any) -> Harness:
    harness.provider, harness.others = a, {"b": b}
    harness.change_service(routes=A_THEN_B, **service)
    return harness


async def start(harness: Harness, number: PhoneNumber | None = None, **fields: Any) -> Response:
    headers = fields.pop("headers", {})
    return await call(harness.app, "POST", PATH, {"to": (number or fresh_number()).e164, **fields}, headers=headers)


async def shown(harness: Harness, verification: str) -> Any:
    return (await call(harness.app, "GET", f"{PATH}/{verification}")).json


async def record_of(harness: Harness, verification: str) -> Record:
    record = await harness.store.get(parse_id(verification).key)
    assert record is not None
    return record


async def receipt(
    harness: Harness, message: Message, provider: str, status: DeliveryStatus = DeliveryStatus.DELIVERED
) -> None:
    await harness.receive(
        Receipt(provider=provider, reference=message.reference, status=status, reason=None, at=harness.clock())
    )


async def hand_out(harness: Harness, *jobs: Job) -> Unfinished:
    """The queue hands the jobs to a sender, each through its body."""
    messages = [
        QueuedMessage(id=f"m{place}", body=encode_job(job), handle="h", queued_at=harness.clock())
        for place, job in enumerate(jobs)
    ]
    assert all(json.loads(message.body)["v"] == 1 and decode_job(message.body) is not None for message in messages)
    return await harness.send_batch()(messages, lambda: 60.0)


def at_b(harness: Harness) -> list[Message]:
    b = harness.others["b"]
    assert isinstance(b, RecordingProvider)
    return b.messages
