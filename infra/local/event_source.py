"""SQS to Lambda on this machine: receives from a queue, invokes a function with batches, deletes what it has handled.

As AWS's event source mapping does it with ReportBatchItemFailures on. What failed is left alone: the queue shows it
again after its visibility timeout, and moves it to the dead letters after maxReceiveCount.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
from base64 import b64encode
from collections.abc import AsyncIterator, Collection, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol, Self

from botocore.exceptions import BotoCoreError, ClientError

from infra.local.embedded_aws import aws_client
from infra.local.execution_environment import FunctionError

_log = logging.getLogger(__name__)

MOST_RECORDS = 10_000
"""AWS's largest batch from a standard queue."""
MOST_BYTES = 6 * 1024 * 1024
"""AWS's limit for the event of an invocation: the batch that reaches it is complete."""

_IN_A_CALL = 10
_CALLS_AT_ONCE = 8
_LONG_POLL_SECONDS = 1
"""Short, since a stop has to wait for it: SQS hides what it hands to a caller that is gone."""
_PAUSE_SECONDS = 0.05
_AFTER_A_FAULT_SECONDS = 1.0

_ATTRIBUTES = ["ApproximateReceiveCount", "SentTimestamp", "SenderId", "ApproximateFirstReceiveTimestamp"]

Record = dict[str, Any]


class Invocable(Protocol):
    async def invoke(self, event: Any) -> Any:
        """Raises FunctionError."""


@dataclass(slots=True)
class Counters:
    received: int = 0
    succeeded: int = 0
    failed: int = 0
    """Left in the queue; a message counts each time."""
    invocations: int = 0


@dataclass(slots=True)
class _Batch:
    records: list[Record] = field(default_factory=list)
    size: int = 0

    def takes(self, record: Record) -> bool:
        """Adds the record, unless the event would get too large."""
        size = len(json.dumps(record)) + 1
        if self.records and self.size + size > MOST_BYTES:
            return False
        self.records.append(record)
        self.size += size
        return True


class EventSource:
    def __init__(
        self,
        function: Invocable,
        sqs: Any,
        *,
        queue_url: str,
        queue_arn: str,
        batch_size: int,
        window: float,
        max_concurrency: int,
    ) -> None:
        self.counters = Counters()
        self._function = function
        self._sqs = sqs
        self._queue_url = queue_url
        self._queue_arn = queue_arn
        self._batch_size = batch_size
        self._window = window
        self._slots = asyncio.Semaphore(max_concurrency)
        self._left_over: list[Record] = []
        self._stopping = False
        self._running: asyncio.Task[None] | None = None

    @classmethod
    @contextlib.asynccontextmanager
    async def start(
        cls,
        function: Invocable,
        *,
        endpoint: str,
        queue_url: str,
        batch_size: int = 10,
        window: float = 0.0,
        max_concurrency: int = 2,
    ) -> AsyncIterator[Self]:
        """Runs until it is stopped, by leaving the block at the latest.

        A batch is complete with `batch_size` records, or `window` seconds after its first. Raises ValueError for what
        AWS refuses: more than ten records without a window.
        """
        if not 1 <= batch_size <= MOST_RECORDS or (batch_size > _IN_A_CALL and window < 1):
            raise ValueError("a batch has 1 to 10,000 records; above 10 it takes a window of at least a second")
        async with aws_client("sqs", endpoint) as sqs:
            queue = await sqs.get_queue_attributes(QueueUrl=queue_url, AttributeNames=["QueueArn"])
            source = cls(
                function,
                sqs,
                queue_url=queue_url,
                queue_arn=queue["Attributes"]["QueueArn"],
                batch_size=batch_size,
                window=window,
                max_concurrency=max_concurrency,
            )
            source._running = asyncio.create_task(source._run())
            try:
                yield source
            finally:
                await source.stop()

    async def stop(self) -> None:
        """Receives no more, and finishes what it has received."""
        self._stopping = True
        if self._running is not None:
            await self._running

    async def _run(self) -> None:
        async with asyncio.TaskGroup() as invocations:
            while True:
                # Nothing is received before somebody is free to handle it: its visibility timeout would run.
                await self._slots.acquire()
                if self._stopping and not self._left_over:
                    return
                batch = await self._gather()
                invocations.create_task(self._handle(batch.records))

    async def _gather(self) -> _Batch:
        """The next batch. Empty when there was nothing for a while."""
        loop = asyncio.get_running_loop()
        batch = _Batch()
        found, self._left_over = self._left_over, []
        found = found or await self._receive(min(_IN_A_CALL, self._batch_size), wait=_LONG_POLL_SECONDS)
        closes = loop.time() + self._window
        while self._add(batch, found) and not self._stopping and loop.time() < closes:
            found = await self._receive_several(self._batch_size - len(batch.records))
            if not found:
                await asyncio.sleep(_PAUSE_SECONDS)
        return batch

    def _add(self, batch: _Batch, found: list[Record]) -> bool:
        """Whether the batch has begun and has room for more."""
        self._left_over = [record for record in found if not batch.takes(record)]
        return 0 < len(batch.records) < self._batch_size and not self._left_over

    async def _receive_several(self, room: int) -> list[Record]:
        calls = [_IN_A_CALL] * (room // _IN_A_CALL) + [room % _IN_A_CALL] * (room % _IN_A_CALL > 0)
        found = await asyncio.gather(*(self._receive(most, wait=0) for most in calls[:_CALLS_AT_ONCE]))
        return [record for records in found for record in records]

    async def _receive(self, most: int, *, wait: int) -> list[Record]:
        try:
            answer = await self._sqs.receive_message(
                QueueUrl=self._queue_url,
                MaxNumberOfMessages=most,
                WaitTimeSeconds=wait,
                MessageSystemAttributeNames=_ATTRIBUTES,
                MessageAttributeNames=["All"],
            )
        except (BotoCoreError, ClientError):
            _log.warning("The queue does not answer", exc_info=True)
            await asyncio.sleep(_AFTER_A_FAULT_SECONDS)
            return []
        messages = answer.get("Messages", ())
        self.counters.received += len(messages)
        return [as_record(message, self._queue_arn) for message in messages]

    async def _handle(self, records: list[Record]) -> None:
        try:
            if records:
                await self._invoke(records)
        finally:
            self._slots.release()

    async def _invoke(self, records: list[Record]) -> None:
        self.counters.invocations += 1
        try:
            answer = await self._function.invoke({"Records": records})
        except FunctionError as error:
            _log.warning("A batch of %d failed: %s", len(records), error)
            failed: Collection[str] = {record["messageId"] for record in records}
        else:
            failed = failed_ids(answer, {record["messageId"] for record in records})
        self.counters.failed += sum(record["messageId"] in failed for record in records)
        await self._delete([record for record in records if record["messageId"] not in failed])

    async def _delete(self, records: list[Record]) -> None:
        calls = [records[start : start + _IN_A_CALL] for start in range(0, len(records), _IN_A_CALL)]
        for start in range(0, len(calls), _CALLS_AT_ONCE):
            await asyncio.gather(*(self._delete_ten(call) for call in calls[start : start + _CALLS_AT_ONCE]))

    async def _delete_ten(self, records: list[Record]) -> None:
        entries = [{"Id": str(n), "ReceiptHandle": record["receiptHandle"]} for n, record in enumerate(records)]
        try:
            answer = await self._sqs.delete_message_batch(QueueUrl=self._queue_url, Entries=entries)
        except (BotoCoreError, ClientError):
            _log.warning("Handled messages could not be deleted and will come again", exc_info=True)
            return
        self.counters.succeeded += len(answer.get("Successful", ()))


def as_record(message: Mapping[str, Any], queue_arn: str) -> Record:
    """A received message as Lambda hands it over."""
    return {
        "messageId": message["MessageId"],
        "receiptHandle": message["ReceiptHandle"],
        "body": message["Body"],
        "attributes": {name: message["Attributes"][name] for name in _ATTRIBUTES if name in message["Attributes"]},
        "messageAttributes": {
            name: _message_attribute(value) for name, value in message.get("MessageAttributes", {}).items()
        },
        "md5OfBody": message["MD5OfBody"],
        "eventSource": "aws:sqs",
        "eventSourceARN": queue_arn,
        "awsRegion": queue_arn.split(":")[3],
    }


def _message_attribute(value: Mapping[str, Any]) -> dict[str, Any]:
    attribute = {"stringListValues": [], "binaryListValues": [], "dataType": value["DataType"]}
    if "StringValue" in value:
        attribute["stringValue"] = value["StringValue"]
    if "BinaryValue" in value:
        attribute["binaryValue"] = b64encode(value["BinaryValue"]).decode()
    return attribute


def failed_ids(answer: Any, batch: Collection[str]) -> Collection[str]:
    """Which messages of the batch failed by the function's own account.

    AWS takes an empty or null answer, or an empty or null list in it, for full success. Whatever it cannot understand
    (another shape, an id that is empty, null or of no message in the batch) fails the whole batch.
    """
    if answer is None or answer in ({}, ""):
        return ()
    if not isinstance(answer, Mapping):
        return batch
    failures = answer.get("batchItemFailures")
    if failures is None or failures == []:
        return ()
    if not isinstance(failures, list) or not all(isinstance(failure, Mapping) for failure in failures):
        return batch
    named = [failure.get("itemIdentifier") for failure in failures]
    return {*named} if all(isinstance(name, str) and name in batch for name in named) else batch
