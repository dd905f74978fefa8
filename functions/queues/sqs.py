"""The work queue and its dead letters on SQS."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any, NamedTuple

from botocore.exceptions import BotoCoreError, ClientError

from functions.domain.part import part
from functions.queues.messages import encode_job
from functions.usecases.ports import Entropy, Job, QueueUnavailable

FIRST_WAIT = 6
"""Seconds until a failed send is tried again, at most: its code is waited for, so not the queue's 90. Doubles with each
delivery up to LONGEST_WAIT, or to a third of the time that the message stays fresh."""
LONGEST_WAIT = 48
"""Seconds, at most, for a message that stays fresh as long as most do (120 s)."""
MOST_DELIVERIES = 9
"""The queue's maxReceiveCount. While all providers are down a message comes back until it is too late: for the last of
them it waits until then, and is dropped, so that no outage makes a dead letter of it."""
BULK_DELIVERIES = 100
"""The same of the bulk queue: what waits for a place in an account's rate comes back often."""
LONGEST_KEPT = 900
"""Seconds that the queue keeps a message: no wait is longer, on the bulk queue either."""
_BATCH = 10
"""SQS takes ten entries a call, of 1 MiB together: ten of our messages are a tenth of that at most."""
_SIDE_BY_SIDE = 8
"""Calls that put a batch's messages, at most."""


@part
class SqsSendQueue:
    client: Any
    """An aiobotocore SQS client."""
    url: str

    async def put(self, job: Job, *, delay: int = 0) -> None:
        await _call(self.client.send_message, QueueUrl=self.url, MessageBody=encode_job(job), DelaySeconds=delay)

    async def put_all(self, jobs: Sequence[Job]) -> Sequence[int]:
        slots = asyncio.Semaphore(_SIDE_BY_SIDE)
        starts = range(0, len(jobs), _BATCH)
        missing = await asyncio.gather(
            *(self._put_some(start, jobs[start : start + _BATCH], slots) for start in starts)
        )
        return [place for places in missing for place in places]

    async def _put_some(self, start: int, jobs: Sequence[Job], slots: asyncio.Semaphore) -> list[int]:
        """The places, counted from `start`, of those that SQS did not take. It answers for each message by itself."""
        entries = [{"Id": str(place), "MessageBody": encode_job(job)} for place, job in enumerate(jobs, start)]
        try:
            async with slots:
                answer = await _call(self.client.send_message_batch, QueueUrl=self.url, Entries=entries)
        except QueueUnavailable:
            return list(range(start, start + len(jobs)))
        return [int(failed["Id"]) for failed in answer.get("Failed", ())]


@part
class SqsDeadLetters:
    """Poison goes here at once: left to the queue it would come back five times first, in a batch with others."""

    client: Any
    url: str

    async def put(self, body: str, *, reason: str) -> None:
        attributes = {"reason": {"DataType": "String", "StringValue": reason}}
        await _call(self.client.send_message, QueueUrl=self.url, MessageBody=body, MessageAttributes=attributes)


class Failed(NamedTuple):
    """A message that was not carried out."""

    handle: str
    delivered: int
    """How often, so far."""
    fresh_for: int
    """Seconds that its code is of use for."""
    again_in: int = 0
    """Seconds that it has to wait at least."""


@part
class SqsRedelivery:
    """Brings back messages that were not carried out sooner than the queue's visibility time-out would."""

    client: Any
    url: str
    entropy: Entropy
    most_deliveries: int = MOST_DELIVERIES
    """The queue's maxReceiveCount."""

    async def after(self, seconds: int, handles: Sequence[str]) -> None:
        await self._change([(handle, seconds) for handle in handles])

    async def soon(self, messages: Sequence[Failed]) -> None:
        """After 3 to 6 s, then 6 to 12, and so on. Each waits its own time: a provider that has just failed should not
        meet them all at once.
        """
        await self._change([(message.handle, self._wait(message)) for message in messages])

    def _wait(self, message: Failed) -> int:
        delivered, fresh = message.delivered, message.fresh_for
        # Where there are many deliveries left, they share out the time; else the wait grows with what is left of it.
        share = fresh // max(3, self.most_deliveries - MOST_DELIVERIES - delivered)
        longest = min(FIRST_WAIT << min(delivered - 1, 8), max(LONGEST_WAIT, share))
        wait = longest - self.entropy(1)[0] % (longest // 2 + 1)
        # What has to wait longer than its code is of use comes when it is over, and is told of.
        least = fresh if delivered == self.most_deliveries - 1 else min(message.again_in, fresh)
        return min(max(wait, least), LONGEST_KEPT)

    async def _change(self, waits: Sequence[tuple[str, int]]) -> None:
        for start in range(0, len(waits), _BATCH):
            entries = [
                {"Id": str(number), "ReceiptHandle": handle, "VisibilityTimeout": seconds}
                for number, (handle, seconds) in enumerate(waits[start : start + _BATCH])
            ]
            await _call(self.client.change_message_visibility_batch, QueueUrl=self.url, Entries=entries)


async def _call(operation: Any, **request: Any) -> dict[str, Any]:
    try:
        answer: dict[str, Any] = await operation(**request)
    except ClientError as error:
        raise QueueUnavailable(f"SQS answered {error.response['Error']['Code']}") from None
    except BotoCoreError as error:
        raise QueueUnavailable(f"SQS did not answer: {type(error).__name__}") from None
    return answer
