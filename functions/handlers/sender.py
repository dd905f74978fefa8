"""SQS batches → SMS, the whole batch at once. This module's imports are what the function's cold start pays for."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from functions.aws import Clients
from functions.domain.claims import CLAIM_LEASE
from functions.domain.part import part
from functions.domain.service import Service
from functions.handlers.providers import Readiness, learning
from functions.handlers.sending import SendingParts, build_sending
from functions.queues.messages import decode_job
from functions.queues.sqs import BULK_DELIVERIES, MOST_DELIVERIES, Failed, SqsDeadLetters, SqsRedelivery
from functions.runtime import Connections, Runtime, TimeLeft, wall_clock
from functions.settings import BULK, SenderSettings, sender_settings
from functions.stores.batches import DynamoBatchStore
from functions.stores.verifications_together import VerificationsTogether
from functions.telemetry import configure, journal, observed
from functions.usecases.confirm import ConfirmDelivery
from functions.usecases.count_progress import CountProgress
from functions.usecases.give_feedback import GiveFeedback
from functions.usecases.ports import QueueUnavailable, SendJob
from functions.usecases.send import SendQueued
from functions.usecases.send_batch import QueuedMessage, SendBatch, Unfinished

ANSWERING = 0.25
"""Seconds that the answer to Lambda is given: without it the whole batch would come again, what was sent included."""

IN_DOUBT = CLAIM_LEASE + 5
"""Seconds after which messages come back whose claim may stand: before that they would be taken for copies. The bulk
queue's own time-out is six minutes, which a campaign would wait for."""


@part
class Sender:
    send_batch: SendBatch
    redelivery: SqsRedelivery
    ready: Readiness

    async def __call__(self, event: dict[str, Any], remaining: Callable[[], float]) -> dict[str, Any]:
        await self.ready()
        unfinished = await self.send_batch([_message(record) for record in event["Records"]], remaining)
        await self._bring_back(unfinished, remaining() - ANSWERING)
        return {"batchItemFailures": [{"itemIdentifier": message.id} for message in unfinished]}

    async def _bring_back(self, unfinished: Unfinished, seconds: float) -> None:
        try:
            async with asyncio.timeout(seconds):
                # With the first of all waits, however often they were delivered: before their claims' leases are over.
                await self.redelivery.soon([Failed(message.handle, 1, 0) for message in unfinished.uncounted])
                await self.redelivery.after(0, [message.handle for message in unfinished.not_begun])
                await self.redelivery.soon(
                    [self._failed(message, unfinished.again_in.get(message.id, 0)) for message in unfinished.failed]
                )
                await self.redelivery.after(IN_DOUBT, [message.handle for message in unfinished.in_doubt])
        except (QueueUnavailable, TimeoutError) as error:
            # They come back by the queue's own time-out.
            journal("redelivery", outcome="late", reason=str(error) or "no_time")

    def _failed(self, message: QueuedMessage, again_in: int) -> Failed:
        return Failed(message.handle, message.delivered, self._fresh_for(message), again_in)

    def _fresh_for(self, message: QueuedMessage) -> int:
        job = self.send_batch.decode(message.body)
        if not isinstance(job, SendJob):
            return 0
        return self.send_batch.send.fresh_for(job, queued_at=message.queued_at)


async def build(settings: SenderSettings, clients: Clients, connections: Connections, remaining: TimeLeft) -> Sender:
    services = settings.common.configuration.services
    parts = await build_sending(settings.common, settings.sending, clients, connections, remaining)
    batch = SendBatch(
        decode=decode_job,
        send=_send(services, parts),
        confirm=_confirm(services, parts),
        give_feedback=GiveFeedback(providers=learning(parts.providers), journal=journal),
        longest=parts.deliver.submit.longest,
        dead_letters=SqsDeadLetters(parts.sqs, settings.dead_letter_queue_url),
        count_progress=CountProgress(
            batches=DynamoBatchStore(parts.table, secrets.token_bytes), clock=wall_clock, journal=journal
        ),
        journal=journal,
        in_flight=settings.in_flight,
    )
    redelivery = SqsRedelivery(
        parts.sqs,
        settings.sending.queue_url,
        secrets.token_bytes,
        BULK_DELIVERIES if settings.sending.lane == BULK else MOST_DELIVERIES,
    )
    return Sender(batch, redelivery, parts.ready)


def _send(services: Mapping[str, Service], parts: SendingParts) -> SendQueued:
    return SendQueued(
        services=services,
        store=parts.store,
        keys=parts.keys,
        guard=parts.guard,
        reserve=replace(parts.reserve, store=VerificationsTogether(parts.store)),
        deliver=parts.deliver,
        clock=wall_clock,
        journal=journal,
    )


def _confirm(services: Mapping[str, Service], parts: SendingParts) -> ConfirmDelivery:
    return ConfirmDelivery(
        services=services,
        store=parts.store,
        keys=parts.keys,
        deliver=parts.deliver,
        clock=wall_clock,
        journal=journal,
    )


def _message(record: dict[str, Any]) -> QueuedMessage:
    return QueuedMessage(
        id=record["messageId"],
        body=record["body"],
        handle=record["receiptHandle"],
        queued_at=int(record["attributes"]["SentTimestamp"]) // 1000,
        delivered=int(record["attributes"]["ApproximateReceiveCount"]),
    )


settings = sender_settings()
configure(settings.common.log_level, settings.common.stack)
runtime = Runtime()
connections = Connections(limit=settings.in_flight)
remaining = TimeLeft()
# The clients are made here, at start-up, because Lambda lends a whole CPU to it.
sender = runtime.start(build(settings, Clients(runtime.resources), connections, remaining))


@observed
def handler(event: dict[str, Any], context: Any) -> dict[str, Any]:
    """SQS, with ReportBatchItemFailures."""
    remaining.begin(context)
    return runtime.run(_invoke(event))


async def _invoke(event: dict[str, Any]) -> dict[str, Any]:
    await connections.wake()
    try:
        return await sender(event, remaining)
    finally:
        connections.rest()
