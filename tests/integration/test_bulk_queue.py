"""Many messages put on a queue at once: by tens, and each answered for by itself."""

from __future__ import annotations

import secrets
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any

import pytest
from botocore.exceptions import ClientError

from functions.queues.messages import decode_job
from functions.queues.sqs import (
    BULK_DELIVERIES,
    FIRST_WAIT,
    LONGEST_KEPT,
    LONGEST_WAIT,
    Failed,
    SqsRedelivery,
    SqsSendQueue,
)
from functions.usecases.ports import SendJob
from infra.local.embedded_aws import EmbeddedAws, aws_client, create_resources
from tests.harness import fresh_number

IN_A_CALL = 10


def jobs(count: int) -> list[SendJob]:
    return [SendJob(to=fresh_number().e164, service="default", batch="b", place=place) for place in range(count)]


@pytest.fixture
async def sqs(aws: EmbeddedAws) -> AsyncIterator[Any]:
    async with aws_client("sqs", aws.endpoint) as client:
        yield client


async def test_a_thousand_jobs_come_out_of_the_queue_as_they_were_put(aws: EmbeddedAws, sqs: Any) -> None:
    made = await create_resources(aws.endpoint, visibility_timeout=30, prefix=f"bulk-{secrets.token_hex(4)}")
    put = jobs(1000)

    missing = await SqsSendQueue(sqs, made.bulk_queue_url).put_all(put)

    found = [decode_job(body) for body in await _drain(sqs, made.bulk_queue_url)]
    assert missing == []
    assert sorted(repr(job) for job in found) == sorted(repr(job) for job in put)
    assert {job.to for job in found if isinstance(job, SendJob)} == {job.to for job in put}


async def _drain(sqs: Any, url: str) -> list[str]:
    bodies: list[str] = []
    while True:
        found = (await sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=10)).get("Messages", [])
        if not found:
            return bodies
        bodies += [message["Body"] for message in found]


@dataclass(slots=True)
class ScriptedSqs:
    """Takes no entry of the places `refused`, and no call with one of the places `broken` in it."""

    refused: set[int] = field(default_factory=set)
    broken: set[int] = field(default_factory=set)
    calls: list[list[int]] = field(default_factory=list)

    async def send_message_batch(self, *, QueueUrl: str, Entries: list[dict[str, str]]) -> dict[str, Any]:  # noqa: N803
        places = [int(entry["Id"]) for entry in Entries]
        self.calls.append(places)
        if self.broken & set(places):
            raise ClientError({"Error": {"Code": "ServiceUnavailable"}}, "SendMessageBatch")
        return {"Failed": [{"Id": str(place)} for place in places if place in self.refused]}


async def test_ten_messages_travel_together() -> None:
    client = ScriptedSqs()

    await SqsSendQueue(client, "url").put_all(jobs(25))

    assert sorted(client.calls) == [list(range(10)), list(range(10, 20)), list(range(20, 25))]


async def test_what_sqs_does_not_take_is_told_message_by_message() -> None:
    client = ScriptedSqs(refused={3, 17})

    assert await SqsSendQueue(client, "url").put_all(jobs(25)) == [3, 17]


async def test_a_call_that_fails_loses_its_own_messages_alone() -> None:
    client = ScriptedSqs(refused={3}, broken={12})

    assert await SqsSendQueue(client, "url").put_all(jobs(25)) == [3, *range(10, 20)]


async def test_no_jobs_make_no_call() -> None:
    client = ScriptedSqs()

    assert await SqsSendQueue(client, "url").put_all([]) == []
    assert client.calls == []


class TestTheBulkQueuesWaits:
    """While an account is busy a message comes back often; while all providers are down its deliveries have to last."""

    @pytest.mark.parametrize("fresh", [120, 3600, 43_200])
    @pytest.mark.parametrize("luck", [0, 255])
    def test_last_until_the_code_is_of_no_use(self, fresh: int, luck: int) -> None:
        redelivery, left = SqsRedelivery(None, "url", lambda _: bytes([luck]), BULK_DELIVERIES), fresh

        for delivered in range(1, BULK_DELIVERIES):
            wait = redelivery._wait(Failed("", delivered, left))
            assert FIRST_WAIT // 2 <= wait <= LONGEST_KEPT
            left -= wait
            if left <= 0:
                return

        pytest.fail(f"{left} s are left, and no delivery")

    def test_are_short_for_a_message_that_stays_fresh_for_an_hour(self) -> None:
        redelivery = SqsRedelivery(None, "url", lambda _: b"\0", BULK_DELIVERIES)

        assert [redelivery._wait(Failed("", delivered, 3600)) for delivered in range(1, 9)] == [
            6,
            12,
            24,
            *[LONGEST_WAIT] * 5,
        ]
