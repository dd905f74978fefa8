"""What is uploaded, in AWS's own runtime: events of API Gateway and SQS in, messages on phones out."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from infra.local.embedded_aws import Resources, aws_client
from infra.local.emulator import EmulatedEnvironment
from tests import event_files
from tests.emulated import API, RECEIPTS, SENDER, emulated
from tests.gateway import Gateway
from tests.harness import another, fresh_number
from tests.lambda_events import ALL_DONE, body_of

Environment = dict[str, str]


@pytest.fixture(scope="module")
async def api(environment: Environment) -> AsyncIterator[EmulatedEnvironment]:
    async with emulated(API, environment) as function:
        yield function


@pytest.fixture(scope="module")
async def sender(environment: Environment) -> AsyncIterator[EmulatedEnvironment]:
    async with emulated(SENDER, environment) as function:
        yield function


@pytest.fixture(scope="module")
async def receipts(environment: Environment) -> AsyncIterator[EmulatedEnvironment]:
    async with emulated(RECEIPTS, environment) as function:
        yield function


async def started(api: EmulatedEnvironment, number: str) -> str:
    """The id of a new verification."""
    answer = await api.invoke(event_files.start(number))
    assert answer["statusCode"] == 201, answer
    return str(body_of(answer)["id"])


async def status_of(api: EmulatedEnvironment, verification: str) -> tuple[str, str]:
    """The verification's, and its delivery's."""
    shown = body_of(await api.invoke(event_files.http("http_status", id=verification)))
    return shown["status"], shown["delivery"]["status"]


class TestTheApi:
    async def test_sends_a_code_and_approves_it(self, api: EmulatedEnvironment, gateway: Gateway) -> None:
        number = fresh_number()

        verification = await started(api, number.e164)
        code = await gateway.code_for(number)
        wrong = body_of(await api.invoke(event_files.check(verification, another(code))))
        right = body_of(await api.invoke(event_files.check(verification, code)))

        assert (wrong["valid"], wrong["attempts_left"]) == (False, 4)
        assert (right["valid"], right["status"]) == (True, "approved")

    async def test_cancels_a_verification_and_takes_its_code_no_more(
        self, api: EmulatedEnvironment, gateway: Gateway
    ) -> None:
        number = fresh_number()
        verification = await started(api, number.e164)
        assert await status_of(api, verification) == ("pending", "submitted")

        canceled = await api.invoke(event_files.http("http_cancel", id=verification))
        late = await api.invoke(event_files.check(verification, await gateway.code_for(number)))

        assert (canceled["statusCode"], body_of(canceled)["status"]) == (200, "canceled")
        assert (late["statusCode"], body_of(late)["code"]) == (409, "canceled")

    async def test_is_well_and_knows_its_callers(self, api: EmulatedEnvironment) -> None:
        stranger = event_files.start(fresh_number().e164, authorization="Bearer other")

        assert body_of(await api.invoke(event_files.read("http_health"))) == {"status": "ok"}
        assert (await api.invoke(stranger))["statusCode"] == 401

    @pytest.mark.parametrize("name", ["http_check", "http_status", "http_cancel"])
    async def test_knows_no_verification_that_is_in_a_file(self, api: EmulatedEnvironment, name: str) -> None:
        answer = await api.invoke(event_files.read(name))

        assert (answer["statusCode"], body_of(answer)["code"]) == (404, "not_found")

    async def test_is_initialised_once_for_all_its_invocations(self, api: EmulatedEnvironment) -> None:
        await api.invoke(event_files.read("http_health"))
        process = api.pid

        for _ in range(20):
            await api.invoke(event_files.read("http_health"))

        assert api.pid == process
        assert len(api.inits()) == 1
        assert len(api.invocations()) > 20


class TestTheReceipts:
    async def test_say_that_a_message_was_delivered(
        self, api: EmulatedEnvironment, receipts: EmulatedEnvironment, resources: Resources
    ) -> None:
        verification = await started(api, fresh_number().e164)

        acknowledged = await receipts.invoke(event_files.receipt(verification, resources.account_token("yunpian")))

        assert (acknowledged["statusCode"], acknowledged["body"]) == (200, "SUCCESS")
        assert await status_of(api, verification) == ("pending", "delivered")

    async def test_are_taken_from_nobody_without_the_token(self, receipts: EmulatedEnvironment) -> None:
        assert (await receipts.invoke(event_files.read("http_receipt")))["statusCode"] == 404


class TestTheSender:
    async def test_lays_poison_aside_and_sends_the_rest(
        self, sender: EmulatedEnvironment, resources: Resources, gateway: Gateway
    ) -> None:
        event = event_files.read("sqs_batch")
        numbers = {n: fresh_number() for n, record in enumerate(event["Records"]) if "send_by" in record["body"]}
        for n, number in numbers.items():
            event["Records"][n] = event_files.carrying(event["Records"][n], event_files.message_to(number.e164))

        assert await sender.invoke(event) == ALL_DONE

        assert [len(await gateway.inbox(number)) for number in numbers.values()] == [1, 1, 1]
        assert await buried(resources) == [(event_files.read("sqs_batch")["Records"][2]["body"], "invalid")]

    async def test_takes_a_batch_as_it_is_in_the_file(self, sender: EmulatedEnvironment, resources: Resources) -> None:
        assert await sender.invoke(event_files.read("sqs_batch")) == ALL_DONE
        assert await sender.invoke(event_files.read("sqs_one")) == ALL_DONE

        assert len(await buried(resources)) == 1

    async def test_names_the_one_that_the_gateway_did_not_take(
        self, sender: EmulatedEnvironment, gateway: Gateway
    ) -> None:
        numbers = [fresh_number() for _ in range(5)]
        event = event_files.batch([number.e164 for number in numbers])

        async with gateway.busy(1):
            answer = await sender.invoke(event)

        received = [len(await gateway.inbox(number)) for number in numbers]
        assert sorted(received) == [0, 1, 1, 1, 1]
        left_out = event["Records"][received.index(0)]["messageId"]
        assert answer == {"batchItemFailures": [{"itemIdentifier": left_out}]}

    async def test_sends_what_failed_when_it_comes_again(self, sender: EmulatedEnvironment, gateway: Gateway) -> None:
        number = fresh_number()
        event = event_files.batch([number.e164])
        async with gateway.busy(1):
            assert len((await sender.invoke(event))["batchItemFailures"]) == 1

        assert await sender.invoke(event) == ALL_DONE
        assert await sender.invoke(event) == ALL_DONE

        assert len(await gateway.inbox(number)) == 1


async def buried(resources: Resources) -> list[tuple[str, str]]:
    """Bodies and reasons of the dead letters, taken out."""
    async with aws_client("sqs", resources.endpoint) as sqs:
        url = resources.dead_letter_queue_url
        answer = await sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=10, MessageAttributeNames=["All"])
        messages = answer.get("Messages", [])
        for message in messages:
            await sqs.delete_message(QueueUrl=url, ReceiptHandle=message["ReceiptHandle"])
    return [(message["Body"], message["MessageAttributes"]["reason"]["StringValue"]) for message in messages]


async def test_the_log_holds_no_code_no_key_and_no_number(api: EmulatedEnvironment, gateway: Gateway) -> None:
    number = fresh_number()
    await started(api, number.e164)
    code = await gateway.code_for(number)

    log = api.log()

    assert "accepted" in log
    assert number.e164[1:] not in log
    assert "Bearer local" not in log
    assert f'"{code}"' not in log
