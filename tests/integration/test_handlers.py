"""The three functions as processes, on a real table and real queues: events in, messages on phones out."""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

import pytest

from functions.domain.claims import CLAIM_LEASE
from functions.domain.phone import PhoneNumber
from functions.queues.sqs import Failed, SqsRedelivery
from infra.local.embedded_aws import EmbeddedAws, Resources, aws_client, create_resources
from infra.local.event_source import as_record
from infra.local.execution_environment import ExecutionEnvironment, FunctionError
from infra.local.http_front import serve
from tests.dropping_proxy import DroppingProxy
from tests.gateway import Gateway
from tests.harness import another, fresh_number
from tests.lambda_events import ALL_DONE, API, RECEIPTS, SENDER, body_of, http_event, in_base64, running, sqs_event

VISIBILITY_TIMEOUT = 90
NOBODY = "http://127.0.0.1:9"


@pytest.fixture(scope="module")
async def resources(aws: EmbeddedAws) -> Resources:
    return await create_resources(aws.endpoint, visibility_timeout=VISIBILITY_TIMEOUT, prefix="handlers")


@pytest.fixture(scope="module")
async def gateway(resources: Resources) -> AsyncIterator[Gateway]:
    async with Gateway.start(resources.accounts, receipt_delay=0.05) as started:
        yield started


@pytest.fixture(scope="module")
def environment(resources: Resources, gateway: Gateway) -> dict[str, str]:
    return {**resources.environment(), **gateway.environment()}


@pytest.fixture(scope="module")
async def receipts(environment: dict[str, str]) -> AsyncIterator[ExecutionEnvironment]:
    async with running(RECEIPTS, environment) as function:
        yield function


@pytest.fixture(scope="module")
async def api(environment: dict[str, str], receipts: ExecutionEnvironment) -> AsyncIterator[ExecutionEnvironment]:
    """With an address at which the gateway reaches the receipts function."""
    async with (
        serve({"/v1/receipts": receipts}) as url,
        running(API, {**environment, "RECEIPTS_URL": url}) as function,
    ):
        yield function


@pytest.fixture(scope="module")
async def watched(resources: Resources) -> AsyncIterator[DroppingProxy]:
    """Stands between the sender and its queue, and loses nothing."""
    async with DroppingProxy.start(resources.endpoint, lose=()) as proxy:
        yield proxy


@pytest.fixture(scope="module")
async def sender(environment: dict[str, str], watched: DroppingProxy) -> AsyncIterator[ExecutionEnvironment]:
    async with running(SENDER, {**environment, "AWS_ENDPOINT_URL_SQS": watched.url}) as function:
        yield function


@dataclass(frozen=True, slots=True)
class Queue:
    """The real one."""

    sqs: Any
    url: str
    dead_letters: str
    arn: str

    async def put(self, *bodies: str) -> None:
        entries = [{"Id": str(number), "MessageBody": body} for number, body in enumerate(bodies)]
        await self.sqs.send_message_batch(QueueUrl=self.url, Entries=entries)

    async def receive(self, most: int = 10, *, wait: int = 0) -> dict[str, Any]:
        """An event with what is visible now, or becomes so within `wait` seconds."""
        answer = await self.sqs.receive_message(
            QueueUrl=self.url, MaxNumberOfMessages=most, WaitTimeSeconds=wait, MessageSystemAttributeNames=["All"]
        )
        return {"Records": [as_record(message, self.arn) for message in answer.get("Messages", ())]}

    async def buried(self) -> list[tuple[str, str]]:
        """Bodies and reasons of the dead letters, taken out."""
        answer = await self.sqs.receive_message(
            QueueUrl=self.dead_letters, MaxNumberOfMessages=10, MessageAttributeNames=["All"]
        )
        return [(each["Body"], each["MessageAttributes"]["reason"]["StringValue"]) for each in answer["Messages"]]


@pytest.fixture
async def queue(resources: Resources) -> AsyncIterator[Queue]:
    """Empty."""
    async with aws_client("sqs", resources.endpoint) as sqs:
        await sqs.purge_queue(QueueUrl=resources.queue_url)
        answer = await sqs.get_queue_attributes(QueueUrl=resources.queue_url, AttributeNames=["QueueArn"])
        yield Queue(sqs, resources.queue_url, resources.dead_letter_queue_url, answer["Attributes"]["QueueArn"])


def zeros(size: int) -> bytes:
    """Entropy that draws the shortest wait."""
    return bytes(size)


def to(number: PhoneNumber) -> str:
    return json.dumps({"to": number.e164})


class TestTheApi:
    async def test_sends_a_code_and_approves_it(self, api: ExecutionEnvironment, gateway: Gateway) -> None:
        number = fresh_number()

        started = await api.invoke(http_event("POST", "/v1/verifications", {"to": number.e164}))
        path = f"/v1/verifications/{body_of(started)['id']}/check"
        code = await gateway.code_for(number)
        wrong = await api.invoke(http_event("POST", path, {"code": another(code)}))
        right = await api.invoke(http_event("POST", path, {"code": code}))

        assert [answer["statusCode"] for answer in (started, wrong, right)] == [201, 200, 200]
        assert (body_of(wrong)["valid"], body_of(wrong)["attempts_left"]) == (False, 4)
        assert (body_of(right)["valid"], body_of(right)["status"]) == (True, "approved")

    async def test_reads_a_body_in_base64(self, api: ExecutionEnvironment, gateway: Gateway) -> None:
        number = fresh_number()

        started = await api.invoke(in_base64(http_event("POST", "/v1/verifications", {"to": number.e164})))

        assert started["statusCode"] == 201
        assert len(await gateway.inbox(number)) == 1

    async def test_answers_a_problem_with_its_headers(self, api: ExecutionEnvironment, gateway: Gateway) -> None:
        event = http_event("POST", "/v1/verifications", {"to": fresh_number().e164})
        await api.invoke(event)

        refused = await api.invoke(event)

        assert refused["statusCode"] == 429
        assert refused["headers"]["content-type"] == "application/problem+json"
        assert 1 <= int(refused["headers"]["retry-after"]) <= 30
        assert body_of(refused)["code"] == "rate_limited"

    async def test_knows_its_callers(self, api: ExecutionEnvironment) -> None:
        event = http_event("POST", "/v1/verifications", {"to": fresh_number().e164}, authorization="Bearer other")

        assert (await api.invoke(event))["statusCode"] == 401

    async def test_says_that_the_gateway_took_nothing(self, api: ExecutionEnvironment, gateway: Gateway) -> None:
        number = fresh_number()

        async with gateway.busy():
            refused = await api.invoke(http_event("POST", "/v1/verifications", {"to": number.e164}))
        again = await api.invoke(http_event("POST", "/v1/verifications", {"to": number.e164}))

        assert (refused["statusCode"], body_of(refused)["code"]) == (503, "delivery_unavailable")
        assert again["statusCode"] == 201
        assert len(await gateway.inbox(number)) == 1

    async def test_leaves_a_send_to_the_sender_where_its_caller_prefers_that(
        self, api: ExecutionEnvironment, sender: ExecutionEnvironment, gateway: Gateway, queue: Queue
    ) -> None:
        number = fresh_number()

        started = await api.invoke(http_event("POST", "/v1/verifications", {"to": number.e164}, prefer="respond-async"))
        assert (started["statusCode"], await gateway.inbox(number)) == (202, [])
        assert await sender.invoke(await queue.receive()) == ALL_DONE

        path = f"/v1/verifications/{body_of(started)['id']}/check"
        checked = await api.invoke(http_event("POST", path, {"code": await gateway.code_for(number)}))
        assert body_of(checked)["valid"] is True


class TestTheSender:
    async def test_lays_poison_aside_and_sends_the_rest(
        self, sender: ExecutionEnvironment, gateway: Gateway, queue: Queue
    ) -> None:
        numbers = [fresh_number() for _ in range(8)]
        bodies = [to(number) for number in numbers]
        await queue.put(*bodies[:4], "poison", *bodies[4:], '{"to": "+49"}')

        assert await sender.invoke(await queue.receive()) == ALL_DONE

        assert [len(await gateway.inbox(number)) for number in numbers] == [1] * 8
        assert sorted(await queue.buried()) == [("poison", "invalid"), ('{"to": "+49"}', "impossible")]

    async def test_sends_once_what_is_delivered_twice(self, sender: ExecutionEnvironment, gateway: Gateway) -> None:
        number = fresh_number()
        event = sqs_event(to(number))

        assert await sender.invoke(event) == ALL_DONE
        assert await sender.invoke(event) == ALL_DONE

        assert len(await gateway.inbox(number)) == 1

    async def test_has_what_failed_come_again_within_twenty_seconds(
        self, sender: ExecutionEnvironment, gateway: Gateway, queue: Queue, watched: DroppingProxy
    ) -> None:
        numbers = [fresh_number() for _ in range(10)]
        await queue.put(*map(to, numbers))
        event = await queue.receive()

        async with gateway.busy():
            answer = await sender.invoke(event)

        assert {each["itemIdentifier"] for each in answer["batchItemFailures"]} == {
            record["messageId"] for record in event["Records"]
        }
        request = watched.of("ChangeMessageVisibilityBatch")[-1]
        assert request.status == 200
        assert {entry["ReceiptHandle"] for entry in request.body["Entries"]} == {
            record["receiptHandle"] for record in event["Records"]
        }
        waits = Counter(entry["VisibilityTimeout"] for entry in request.body["Entries"])
        assert 3 <= min(waits) < max(waits) <= 6  # all ten alike is one chance in 260,000

    async def test_sends_what_failed_when_it_comes_again(
        self, sender: ExecutionEnvironment, gateway: Gateway, queue: Queue
    ) -> None:
        number = fresh_number()
        await queue.put(to(number))
        event = await queue.receive()
        async with gateway.busy():
            assert len((await sender.invoke(event))["batchItemFailures"]) == 1

        assert await sender.invoke(event) == ALL_DONE

        assert len(await gateway.inbox(number)) == 1

    async def test_has_what_it_did_not_begin_come_again_at_once(
        self, environment: dict[str, str], gateway: Gateway, queue: Queue
    ) -> None:
        number = fresh_number()
        await queue.put(to(number))
        event = await queue.receive()
        assert await queue.receive() == {"Records": []}

        async with running(SENDER, environment, limit=10) as short_of_time:
            answer = await short_of_time.invoke(event)

        (record,) = (await queue.receive())["Records"]
        assert answer == {"batchItemFailures": [{"itemIdentifier": record["messageId"]}]}
        assert record["attributes"]["ApproximateReceiveCount"] == "2"
        assert await gateway.inbox(number) == []

    async def test_has_what_may_be_claimed_come_again_when_the_claim_is_over(
        self, environment: dict[str, str], queue: Queue, watched: DroppingProxy
    ) -> None:
        await queue.put(to(fresh_number()), to(fresh_number()))
        event = await queue.receive()

        addresses = {"AWS_ENDPOINT_URL_DYNAMODB": NOBODY, "AWS_ENDPOINT_URL_SQS": watched.url}
        async with running(SENDER, environment | addresses) as cut_off:
            answer = await cut_off.invoke(event)

        assert len(answer["batchItemFailures"]) == 2
        entries = watched.of("ChangeMessageVisibilityBatch")[-1].body["Entries"]
        assert [entry["VisibilityTimeout"] for entry in entries] == [CLAIM_LEASE + 5] * 2


class TestTheQueue:
    @pytest.mark.parametrize(
        ("failed", "drawn", "wait"),
        [
            *[((1, 120), 0, 6), ((1, 120), 3, 3), ((1, 120), 4, 6), ((2, 117), 0, 12), ((2, 117), 6, 6)],
            *[((4, 99), 0, 48), ((4, 99), 24, 24), ((5, 75), 0, 48), ((900, 0), 0, 48)],
            *[((5, 540), 0, 96), ((6, 450), 0, 150), ((7, 300), 50, 50)],  # what stays fresh for longer
            # Before the last delivery.
            *[((8, 27), 24, 27), ((8, 0), 0, 48), ((8, 400), 0, 400), ((8, 86_400), 0, 900)],
            # What an account has no place for before so many seconds are over, or not while it is fresh.
            *[((1, 120, 40), 0, 40), ((3, 120, 5), 0, 24), ((1, 30, 40), 0, 30), ((1, 43_200, 9_000), 0, 900)],
        ],
    )
    async def test_is_told_to_wait_longer_each_time(
        self, queue: Queue, watched: DroppingProxy, failed: tuple[int, ...], drawn: int, wait: int
    ) -> None:
        async with aws_client("sqs", watched.url) as sqs:
            await queue.put("1", "2")
            messages = [Failed(record["receiptHandle"], *failed) for record in (await queue.receive())["Records"]]

            await SqsRedelivery(sqs, queue.url, lambda size: bytes([drawn] * size)).soon(messages)

        entries = watched.of("ChangeMessageVisibilityBatch")[-1].body["Entries"]
        assert [entry["VisibilityTimeout"] for entry in entries] == [wait] * 2

    async def test_gives_a_message_out_again_when_it_was_told_to(self, queue: Queue) -> None:
        await queue.put("1")
        (record,) = (await queue.receive())["Records"]
        redelivery = SqsRedelivery(queue.sqs, queue.url, lambda size: bytes([3] * size))

        await redelivery.soon([Failed(record["receiptHandle"], 1, 120)])

        assert await queue.receive() == {"Records": []}
        (again,) = (await queue.receive(wait=8))["Records"]
        assert again["messageId"] == record["messageId"]

    async def test_is_told_of_more_messages_than_one_call_takes(self, queue: Queue) -> None:
        await queue.put(*map(str, range(10)))
        await queue.put("10", "11")
        events = [await queue.receive() for _ in range(2)]
        handles = [record["receiptHandle"] for event in events for record in event["Records"]]
        assert len(handles) == 12

        await SqsRedelivery(queue.sqs, queue.url, zeros).after(0, handles)

        assert sum([len((await queue.receive())["Records"]) for _ in range(2)]) == 12


class TestTheReceipts:
    async def test_that_the_gateway_pushes_say_that_a_message_was_delivered(
        self, api: ExecutionEnvironment, gateway: Gateway
    ) -> None:
        started = await api.invoke(http_event("POST", "/v1/verifications", {"to": fresh_number().e164}))
        path = f"/v1/verifications/{body_of(started)['id']}"
        assert body_of(started)["delivery"]["status"] == "submitted"

        async with asyncio.timeout(5):
            while (shown := body_of(await api.invoke(http_event("GET", path))))["delivery"]["status"] != "delivered":  # noqa: ASYNC110 (the push comes from another process)
                await asyncio.sleep(0.05)

        assert shown["delivery"]["provider"] == "yunpian"

    @pytest.mark.parametrize("encode", [dict, in_base64])
    async def test_are_acknowledged_and_read_in_base64_too(
        self, receipts: ExecutionEnvironment, resources: Resources, encode: Any
    ) -> None:
        event = http_event("POST", f"/v1/receipts/yunpian/{resources.account_token('yunpian')}", "sms_status=[]")

        answer = await receipts.invoke(encode(event))

        assert (answer["statusCode"], answer["body"]) == (200, "SUCCESS")

    async def test_are_taken_from_nobody_without_the_token(
        self, receipts: ExecutionEnvironment, resources: Resources
    ) -> None:
        event = http_event("POST", f"/v1/receipts/yunpian/{resources.account_token('yunpian')}x", "sms_status=[]")

        assert (await receipts.invoke(event))["statusCode"] == 404


SENDING = {"STACK_NAME", "TABLE_NAME", "PROVIDER_SECRETS", "KEYS_SECRET", "QUEUE_URL"}


@pytest.mark.parametrize(
    ("handler", "missing"),
    [
        (SENDER, SENDING | {"DEAD_LETTER_QUEUE_URL"}),
        (API, SENDING | {"BULK_QUEUE_URL", "CALLERS_SECRET"}),
        (RECEIPTS, {"STACK_NAME", "TABLE_NAME", "PROVIDER_SECRETS"}),
    ],
)
async def test_a_function_without_its_environment_fails_at_start_and_names_all_that_is_missing(
    handler: str, missing: set[str]
) -> None:
    with pytest.raises(FunctionError) as failure:
        await ExecutionEnvironment.start(
            f"{handler}.handler", {"LOG_LEVEL": "LOUD", "AWS_REGION": "eu-central-1"}, timeout=15, name="function"
        )

    assert failure.value.type == "SettingsError"
    expected = {f"{name} is not set" for name in missing} | {"LOG_LEVEL must be one of DEBUG, INFO, WARNING, ERROR"}
    assert set(failure.value.message.splitlines()) == expected
