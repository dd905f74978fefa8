from __future__ import annotations

import itertools
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from infra.local.embedded_aws import EmbeddedAws, Resources, create_resources
from infra.local.event_source import EventSource, as_record, failed_ids
from infra.local.execution_environment import Function
from infra.local.processes import REPOSITORY
from tests.eventually import Eventually

MESSAGING = """
Resources:
  Queue:
    Type: AWS::SQS::Queue
    Properties:
      VisibilityTimeout: 90
      RedrivePolicy: {deadLetterTargetArn: !GetAtt DeadLetterQueue.Arn, maxReceiveCount: 2}
  BulkQueue:
    Type: AWS::SQS::Queue
    Properties:
      VisibilityTimeout: 90
      RedrivePolicy: {deadLetterTargetArn: !GetAtt DeadLetterQueue.Arn, maxReceiveCount: 2}
  DeadLetterQueue:
    Type: AWS::SQS::Queue
"""
ARN = "arn:aws:sqs:eu-central-1:000000000000:a-queue"

_names = (f"events{n}" for n in itertools.count())


@dataclass(frozen=True, slots=True)
class Queue:
    sqs: Any
    resources: Resources

    async def send(self, *bodies: Any, **more: Any) -> None:
        for start in range(0, len(bodies), 10):
            entries = [
                {"Id": str(n), "MessageBody": json.dumps(body), **more}
                for n, body in enumerate(bodies[start : start + 10])
            ]
            await self.sqs.send_message_batch(QueueUrl=self.resources.queue_url, Entries=entries)

    async def left(self) -> int:
        """Messages in the queue, those in somebody's hands too."""
        return await self._count(self.resources.queue_url)

    async def dead_letters(self) -> int:
        return await self._count(self.resources.dead_letter_queue_url)

    async def _count(self, url: str) -> int:
        answer = await self.sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["All"])
        names = ("ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible")
        return sum(int(answer["Attributes"][name]) for name in names)


@pytest.fixture
def templates(tmp_path: Path) -> Path:
    """Ours, but for a queue that gives a message up after its second time."""
    (tmp_path / "storage.yaml").write_text((REPOSITORY / "infra" / "storage.yaml").read_text())
    (tmp_path / "messaging.yaml").write_text(MESSAGING)
    return tmp_path


@pytest.fixture
async def queue(aws: EmbeddedAws, sqs: Any, templates: Path) -> Queue:
    """With all the time of the world to handle a message."""
    return await _queue(aws, sqs, templates, visibility_timeout=60)


@pytest.fixture
async def hasty_queue(aws: EmbeddedAws, sqs: Any, templates: Path) -> Queue:
    """Shows a message again after a second."""
    return await _queue(aws, sqs, templates, visibility_timeout=1)


async def _queue(aws: EmbeddedAws, sqs: Any, templates: Path, *, visibility_timeout: int) -> Queue:
    resources = await create_resources(
        aws.endpoint, visibility_timeout=visibility_timeout, prefix=next(_names), templates=templates
    )
    return Queue(sqs, resources)


@dataclass(frozen=True, slots=True)
class Consumer:
    source: EventSource
    notes: Path

    def events(self) -> list[dict[str, Any]]:
        """What the function was invoked with, in no order."""
        return [json.loads(note.read_text()) for note in self.notes.iterdir()]


@asynccontextmanager
async def consumer(queue: Queue, tmp_path: Path, **options: Any) -> AsyncIterator[Consumer]:
    notes = tmp_path / "notes"
    notes.mkdir()
    async with (
        Function("tests.local.toy_handlers.consume", {"NOTES": str(notes)}, timeout=30, name="consume") as function,
        EventSource.start(
            function, endpoint=queue.resources.endpoint, queue_url=queue.resources.queue_url, **options
        ) as source,
    ):
        yield Consumer(source, notes)


async def test_messages_are_handled_once_and_deleted(queue: Queue, tmp_path: Path, eventually: Eventually) -> None:
    await queue.send(*({"n": n} for n in range(25)))

    async with consumer(queue, tmp_path) as consuming:

        async def nothing_left() -> bool:
            return await queue.left() == 0

        await eventually(nothing_left)

    counters = consuming.source.counters
    bodies = [json.loads(record["body"])["n"] for event in consuming.events() for record in event["Records"]]
    assert sorted(bodies) == list(range(25))
    assert (counters.received, counters.succeeded, counters.failed) == (25, 25, 0)
    assert counters.invocations == len(consuming.events()) >= 3
    assert await queue.dead_letters() == 0


async def test_the_event_is_as_aws_documents_it(queue: Queue, tmp_path: Path, eventually: Eventually) -> None:
    await queue.send({}, MessageAttributes={"trace": {"DataType": "String", "StringValue": "abc"}})

    async with consumer(queue, tmp_path) as consuming:

        async def handled() -> bool:
            return consuming.source.counters.succeeded == 1

        await eventually(handled)

    ((record,),) = [event["Records"] for event in consuming.events()]
    attributes = record["attributes"]
    assert record.keys() == {
        "messageId",
        "receiptHandle",
        "body",
        "attributes",
        "messageAttributes",
        "md5OfBody",
        "eventSource",
        "eventSourceARN",
        "awsRegion",
    }
    assert attributes.keys() == {
        "ApproximateReceiveCount",
        "SentTimestamp",
        "SenderId",
        "ApproximateFirstReceiveTimestamp",
    }
    assert attributes["ApproximateReceiveCount"] == "1"
    assert record["eventSource"] == "aws:sqs"
    assert record["awsRegion"] == "eu-central-1"
    assert record["eventSourceARN"].endswith("-queue")
    assert record["messageAttributes"]["trace"]["stringValue"] == "abc"


async def test_a_thousand_messages_are_one_batch(queue: Queue, tmp_path: Path, eventually: Eventually) -> None:
    await queue.send(*({"n": n} for n in range(1000)))

    async with consumer(queue, tmp_path, batch_size=1000, window=10.0) as consuming:

        async def nothing_left() -> bool:
            return consuming.source.counters.succeeded == 1000

        await eventually(nothing_left)

    assert consuming.source.counters.invocations == 1


async def test_a_batch_is_complete_when_its_window_closes(queue: Queue, tmp_path: Path, eventually: Eventually) -> None:
    await queue.send({"n": 1}, {"n": 2})

    async with consumer(queue, tmp_path, batch_size=100, window=1.0) as consuming:

        async def handled() -> bool:
            return consuming.source.counters.succeeded == 2

        await eventually(handled)

    assert consuming.source.counters.invocations == 1


async def test_only_what_failed_comes_again_and_then_goes_to_the_dead_letters(
    hasty_queue: Queue, tmp_path: Path, eventually: Eventually
) -> None:
    await hasty_queue.send({"n": 1}, {"fail": True}, {"n": 2})

    async with consumer(hasty_queue, tmp_path) as consuming:

        async def given_up() -> bool:
            return await hasty_queue.dead_letters() == 1

        await eventually(given_up)

    counters = consuming.source.counters
    again = [event["Records"] for event in consuming.events() if len(event["Records"]) == 1]
    assert (counters.received, counters.succeeded, counters.failed) == (4, 2, 2)
    assert [json.loads(record["body"]) for (record,) in again] == [{"fail": True}]
    assert again[0][0]["attributes"]["ApproximateReceiveCount"] == "2"
    assert await hasty_queue.left() == 0


@pytest.mark.parametrize(
    "order", [{"raise": True}, {"answer": {"batchItemFailures": [{"itemIdentifier": "of another batch"}]}}]
)
async def test_a_batch_that_fails_as_a_whole_stays_as_a_whole(
    queue: Queue, tmp_path: Path, eventually: Eventually, order: dict[str, Any]
) -> None:
    await queue.send({"n": 1}, order)

    async with consumer(queue, tmp_path) as consuming:

        async def failed() -> bool:
            return consuming.source.counters.failed >= 2

        await eventually(failed)
        assert consuming.source.counters.succeeded == 0
        assert await queue.left() == 2


@pytest.mark.parametrize(
    "answer",
    [None, {}, "", {"batchItemFailures": []}, {"batchItemFailures": None}, {"other": "things"}],
)
def test_an_answer_without_failures_is_success(answer: Any) -> None:
    assert not failed_ids(answer, {"a", "b"})


def test_the_failures_of_an_answer_are_those_that_it_names() -> None:
    answer = {"batchItemFailures": [{"itemIdentifier": "a"}, {"itemIdentifier": "a"}]}

    assert set(failed_ids(answer, {"a", "b"})) == {"a"}


@pytest.mark.parametrize(
    "answer",
    [
        "done",
        ["a"],
        17,
        False,
        [],
        {"batchItemFailures": ""},
        {"batchItemFailures": "a"},
        {"batchItemFailures": {"itemIdentifier": "a"}},
        {"batchItemFailures": ["a"]},
        {"batchItemFailures": [{"itemIdentifier": ""}]},
        {"batchItemFailures": [{"itemIdentifier": None}]},
        {"batchItemFailures": [{"itemIdentifier": 1}]},
        {"batchItemFailures": [{"itemIdentifier": "c"}]},
        {"batchItemFailures": [{"messageId": "a"}]},
        {"batchItemFailures": [{"itemIdentifier": "a"}, {"itemIdentifier": "c"}]},
    ],
)
def test_an_answer_that_makes_no_sense_fails_the_whole_batch(answer: Any) -> None:
    assert set(failed_ids(answer, {"a", "b"})) == {"a", "b"}


def test_binary_attributes_come_in_base64() -> None:
    message = {
        "MessageId": "1",
        "ReceiptHandle": "r",
        "Body": "b",
        "MD5OfBody": "m",
        "Attributes": {},
        "MessageAttributes": {"raw": {"DataType": "Binary", "BinaryValue": b"\x00\xff"}},
    }

    assert as_record(message, ARN)["messageAttributes"]["raw"]["binaryValue"] == "AP8="


@pytest.mark.parametrize(("batch_size", "window"), [(0, 1), (10_001, 1), (11, 0)])
async def test_what_aws_refuses_is_refused(queue: Queue, tmp_path: Path, batch_size: int, window: float) -> None:
    with pytest.raises(ValueError, match="a batch has"):
        async with consumer(queue, tmp_path, batch_size=batch_size, window=window):
            pytest.fail("AWS would not have it")


async def test_stopping_finishes_what_was_received(queue: Queue, tmp_path: Path, eventually: Eventually) -> None:
    await queue.send(*({"n": n} for n in range(30)))

    async with consumer(queue, tmp_path, max_concurrency=1) as consuming:

        async def begun() -> bool:
            return consuming.source.counters.received > 0

        await eventually(begun)
        await consuming.source.stop()

    counters = consuming.source.counters
    assert counters.received == counters.succeeded
    assert await queue.left() == 30 - counters.succeeded
