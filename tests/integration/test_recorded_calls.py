"""What the functions ask of AWS, recorded while they do all that they do, and held to their roles (API-7).

Every call is granted, and every grant is called: but for those that AWS Lambda uses itself, to hand out the queue's
messages and to write logs.
"""

from __future__ import annotations

import asyncio
import json
import re
from collections import defaultdict
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import altcha
import pytest

from functions.domain.phone import parse_phone_number
from functions.runtime import wall_clock
from infra.local.embedded_aws import EmbeddedAws, Resources, aws_client, create_resources
from infra.local.event_source import as_record
from infra.local.execution_environment import ExecutionEnvironment
from infra.local.http_front import serve
from tests.dropping_proxy import DroppingProxy, Request
from tests.gateway import Gateway
from tests.harness import another, fresh_number
from tests.lambda_events import ALL_DONE, API, RECEIPTS, SENDER, body_of, http_event, running
from tests.roles import PHONES, PROVIDERS, Call, rights_of

PATH = "/v1/verifications"
SERVICES = """
[default]
[[default.routes]]
providers = [ { name = "yunpian" }, { name = "twilio", sender = "ACME" } ]
[eager]         # a number may be sent to again at once
cooldown = 0
limits = []
[eager.guard]
sampled = 1.0   # each decision is kept
[sure]          # a message whose receipt stays away is sent by another provider
confirm_within = 10
[[sure.routes]]
providers = [ { name = "yunpian" }, { name = "twilio", sender = "ACME" } ]
[seen_by_api.guard.modes]
conversion_country = "enforce"
[seen_by_sender.guard.modes]
conversion_country = "enforce"
[challenged]
[challenged.guard]
challenge = true
[by_aws]
[[by_aws.routes]]
providers = [ { name = "aws_sms" }, { name = "sns" } ]
[providers.yunpian]
rate = 100
[spending]
prices = { "*" = 0.1 }
budget = 1000.0
"""
PUMPED = {API: "+33612345678", SENDER: "+34612345678"}
"""Numbers of countries of whose codes none came to use: each function is the first that is asked for one there."""
CLOSED_BEFORE = {API: "+393123456789", SENDER: "+31612345678"}
"""Of countries that were closed until a moment ago, and are tried out now."""
BY_AWS = {"aws_sms": Call("sms-voice:SendTextMessage", "*"), "sns": Call("sns:Publish", PHONES)}
FUNCTIONS = {API: "ApiFunction", SENDER: "SenderFunction", RECEIPTS: "ReceiptsFunction"}
LAMBDAS_OWN = {
    "sqs:ReceiveMessage",
    "sqs:DeleteMessage",
    "sqs:GetQueueAttributes",
    "logs:CreateLogStream",
    "logs:PutLogEvents",
}

each_function = pytest.mark.parametrize("function", FUNCTIONS.values())


@dataclass(slots=True)
class Deployment:
    """The three functions, each behind a proxy that writes down what it asks of AWS."""

    resources: Resources
    gateway: Gateway
    environment: dict[str, str]
    stack: AsyncExitStack
    sqs: Any
    proxies: dict[str, DroppingProxy] = field(default_factory=dict)
    started: dict[str, ExecutionEnvironment] = field(default_factory=dict)
    by_aws: dict[str, set[Call]] = field(default_factory=lambda: defaultdict(set))
    """What AWS is asked as a provider: at its simulator, and not at the proxy."""

    async def start(self, module: str, *, limit: float = 15.0, **more: str) -> ExecutionEnvironment:
        if module not in self.proxies:
            self.proxies[module] = await self.stack.enter_async_context(
                DroppingProxy.start(self.resources.endpoint, lose=())
            )
        environment = {**self.environment, "AWS_ENDPOINT_URL": self.proxies[module].url, **more}
        return await self.stack.enter_async_context(running(module, environment, limit=limit))

    async def ask(self, method: str, path: str, body: Any = None, *, status: int, **headers: str) -> Any:
        """The API's answer, which has this status."""
        answer = await self.started[API].invoke(http_event(method, path, body, **headers))
        assert answer["statusCode"] == status, answer["body"]
        return body_of(answer)

    async def queue(self, *bodies: dict[str, Any] | str) -> dict[str, Any]:
        """The event with these messages and those that wait."""
        for body in bodies:
            text = body if isinstance(body, str) else json.dumps(body)
            await self.sqs.send_message(QueueUrl=self.resources.queue_url, MessageBody=text)
        return await self.waiting(self.resources.queue_url)

    async def waiting(self, queue_url: str) -> dict[str, Any]:
        answer = await self.sqs.receive_message(
            QueueUrl=queue_url, MaxNumberOfMessages=10, MessageSystemAttributeNames=["All"]
        )
        return {"Records": [as_record(message, "arn:aws:sqs:eu-central-1:0:queue") for message in answer["Messages"]]}

    @asynccontextmanager
    async def sending_by_aws(self, module: str) -> AsyncIterator[None]:
        """Whatever AWS is asked as a provider in the meantime is this function's."""
        before = {provider: len(await self.gateway.asked(provider)) for provider in BY_AWS}
        yield
        for provider, call in BY_AWS.items():
            for asked in (await self.gateway.asked(provider))[before[provider] :]:
                approved = asked["outcome"] == "approved"
                self.by_aws[module].add(Call("sms-voice:PutMessageFeedback", "*") if approved else call)

    def calls(self, module: str) -> set[Call]:
        asked = {call for request in self.proxies[module].requests for call in _calls(request, self.resources)}
        return asked | self.by_aws[module]


@pytest.fixture(scope="module")
async def recorded(
    aws: EmbeddedAws, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Mapping[str, set[Call]]]:
    """By function, what it asked for in the course of all that it does."""
    resources = await create_resources(aws.endpoint, visibility_timeout=90, prefix="recorded")
    services = tmp_path_factory.mktemp("recorded") / "services.toml"
    services.write_text(SERVICES, encoding="utf-8")
    async with AsyncExitStack() as stack:
        deployment = await _deploy(stack, resources, services)
        await _verify(deployment)
        await _repeat_with_idempotency_keys(deployment)
        await _send_what_is_queued(deployment)
        await _fail_to_send(deployment)
        await _wait_for_receipts(deployment)
        await _solve_challenges(deployment)
        await _learn_from_guesses_and_codes(deployment)
        await _send_by_aws(deployment)
        yield {function: deployment.calls(module) for module, function in FUNCTIONS.items()}


async def _deploy(stack: AsyncExitStack, resources: Resources, services: Path) -> Deployment:
    gateway = await stack.enter_async_context(Gateway.start(resources.accounts, receipt_delay=0.01))
    sqs = await stack.enter_async_context(aws_client("sqs", resources.endpoint))
    environment = {**resources.environment(), **gateway.environment(), "SERVICES_FILE": str(services)}
    deployment = Deployment(resources, gateway, environment, stack, sqs)
    deployment.started[RECEIPTS] = await deployment.start(RECEIPTS)
    url = await stack.enter_async_context(serve({"/v1/receipts": deployment.started[RECEIPTS]}))
    deployment.started[API] = await deployment.start(API, RECEIPTS_URL=url)
    deployment.started[SENDER] = await deployment.start(SENDER, RECEIPTS_URL=url)
    return deployment


async def _verify(deployment: Deployment) -> None:
    """Started, refused, sent again, delivered, checked, shown, cancelled."""
    number, other = fresh_number(), fresh_number()
    begun = await deployment.ask("POST", PATH, {"to": number.e164}, status=201)
    await deployment.ask("POST", PATH, {"to": number.e164}, status=429)
    await _delivered(deployment, begun["id"])
    code = await deployment.gateway.code_for(number)
    for guess, headers in (
        (another(code), {}),
        (code, {"idempotency-key": "check"}),
        (code, {"idempotency-key": "check"}),
    ):
        await deployment.ask("POST", f"{PATH}/{begun['id']}/check", {"code": guess}, status=200, **headers)
    for code in ("246802", "135791"):  # the caller's own, and another in its place
        own = await deployment.ask("POST", PATH, {"to": other.e164, "service": "eager", "code": code}, status=201)
    await deployment.ask("GET", f"{PATH}/{own['id']}", status=200)
    await deployment.ask("DELETE", f"{PATH}/{own['id']}", status=200)
    await deployment.ask("GET", PATH + "/vfy_k1_none", status=404)
    await deployment.ask("GET", "/v1/health", status=200)
    await deployment.ask("POST", PATH, {"to": number.e164}, status=401, authorization="Bearer other")


async def _delivered(deployment: Deployment, verification: str) -> None:
    """Waits until the gateway's receipt is in the record."""
    async with asyncio.timeout(10):
        while (await deployment.ask("GET", f"{PATH}/{verification}", status=200))["delivery"]["status"] != "delivered":  # noqa: ASYNC110 (the push comes from another process)
            await asyncio.sleep(0.05)


async def _repeat_with_idempotency_keys(deployment: Deployment) -> None:
    number = fresh_number().e164
    for _ in range(2):
        await deployment.ask("POST", PATH, {"to": number}, status=201, **{"idempotency-key": "one"})
    for _ in range(2):  # a refusal is not kept
        await deployment.ask("POST", PATH, {"to": number}, status=429, **{"idempotency-key": "two"})


async def _send_what_is_queued(deployment: Deployment) -> None:
    """New numbers together, one alone, one that is known, one that the API left to the sender, copies, poison."""
    sender, known = deployment.started[SENDER], fresh_number().e164
    await deployment.ask("POST", PATH, {"to": fresh_number().e164}, status=202, prefer="respond-async")
    assert await sender.invoke(await deployment.queue({"to": known, "service": "eager"})) == ALL_DONE
    again = {"to": known, "service": "eager"}
    batch = await deployment.queue(*({"to": fresh_number().e164} for _ in range(4)), again, "poison", {"to": "+49"})
    for _ in range(2):
        assert await sender.invoke(batch) == ALL_DONE
    await sender.invoke(await deployment.queue({"to": fresh_number().e164, "send_by": 1}))
    await _send_many(deployment)


async def _send_many(deployment: Deployment) -> None:
    """So many that their blocks and addresses are counted together, and all decisions kept; once more, when known."""
    for _ in range(2):
        wishes = [{"to": f"+49151{n:02d}2345678"[:14], "ip": f"9.{n}.9.9", "service": "eager"} for n in range(10, 40)]
        events = [await deployment.queue(*wishes[start : start + 10]) for start in (0, 10, 20)]
        records = [record for event in events for record in event["Records"]]
        assert await deployment.started[SENDER].invoke({"Records": records}) == ALL_DONE
        items = [{"to": f"+49152{n:02d}2345678"[:14], "ip": f"8.{n}.8.8"} for n in range(10, 40)]
        await deployment.ask("POST", f"{PATH}/batch", {"service": "eager", "items": items}, status=200)
    items = [{"to": fresh_number().e164} for _ in range(2)]
    batch = await deployment.ask("POST", f"{PATH}/batch", {"items": items}, status=202, prefer="respond-async")
    queued = await deployment.waiting(deployment.resources.bulk_queue_url)
    assert await deployment.started[SENDER].invoke(queued) == ALL_DONE
    assert (await deployment.ask("GET", f"/v1/batches/{batch['batch']}", status=200))["sent"] == 2


async def _fail_to_send(deployment: Deployment) -> None:
    """A gateway that takes nothing, for the API and for the sender; and an invocation too short to begin."""
    async with deployment.gateway.busy(100):
        await deployment.ask("POST", PATH, {"to": fresh_number().e164}, status=503)
        failing = await deployment.queue(*({"to": fresh_number().e164} for _ in range(3)))
        assert len((await deployment.started[SENDER].invoke(failing))["batchItemFailures"]) == 3
    short_of_time = await deployment.start(SENDER, limit=10)
    event = await deployment.queue({"to": fresh_number().e164})
    # On a slow machine those that failed are back by now.
    assert len((await short_of_time.invoke(event))["batchItemFailures"]) == len(event["Records"])


async def _wait_for_receipts(deployment: Deployment) -> None:
    begun = await deployment.ask("POST", PATH, {"to": fresh_number().e164, "service": "sure"}, status=201)
    await _delivered(deployment, begun["id"])
    batch = await deployment.queue({"to": fresh_number().e164, "service": "sure"})
    assert await deployment.started[SENDER].invoke(batch) == ALL_DONE


async def _solve_challenges(deployment: Deployment) -> None:
    """And name the end user's address, over HTTP and in the queue."""
    over_http, queued = ({"to": fresh_number().e164, "service": "challenged", "ip": "9.9.9.9"} for _ in range(2))
    await deployment.ask("POST", PATH, over_http, status=403)
    solution = await _solution(deployment, over_http["to"])
    await deployment.ask("POST", PATH, {**over_http, "challenge": solution}, status=201)
    batch = await deployment.queue({**queued, "challenge": await _solution(deployment, queued["to"])})
    assert await deployment.started[SENDER].invoke(batch) == ALL_DONE


async def _solution(deployment: Deployment, to: str) -> str:
    made = await deployment.ask("POST", "/v1/challenges", {"to": to, "service": "challenged"}, status=200)
    challenge = altcha.Challenge.from_dict(made)
    solved = await asyncio.to_thread(altcha.solve_challenge, challenge)
    assert solved is not None
    return str(altcha.Payload(challenge, solved).to_base64())


async def _learn_from_guesses_and_codes(deployment: Deployment) -> None:
    """What an hour of guesses and a pump left behind is there, and the next start of each function finds it."""
    for function, service in ((API, "seen_by_api"), (SENDER, "seen_by_sender")):
        await _leave_behind(deployment.resources, function, service)
    for to, status in ((PUMPED[API], 403), (CLOSED_BEFORE[API], 201)):
        await deployment.ask("POST", PATH, {"to": to, "service": "seen_by_api"}, status=status)
    numbers = PUMPED[SENDER], CLOSED_BEFORE[SENDER]
    batch = await deployment.queue(*({"to": to, "service": "seen_by_sender"} for to in numbers))
    assert await deployment.started[SENDER].invoke(batch) == ALL_DONE


async def _leave_behind(resources: Resources, function: str, service: str) -> None:
    """Of this hour as well as of the last one, for a new one may begin meanwhile."""
    now = wall_clock()
    pumped, tried = (parse_phone_number(numbers[function]).region for numbers in (PUMPED, CLOSED_BEFORE))
    left: dict[str, dict[str, float]] = {
        f"k#{tried}": {"times": 1, "until": now - 60, "since": 0, "upper": 0.1},
        **{f"n#{pumped}#{hour}#0": {"s0": 100} for hour in (now // 3600, now // 3600 - 1)},
        **{f"g#{service}#{hour}": {"w0": 8, "r0": 80} for hour in (now // 3600, now // 3600 - 1)},
    }
    async with aws_client("dynamodb", resources.endpoint) as client:
        for pk, counts in left.items():
            numbers = {name: {"N": str(count)} for name, count in counts.items()}
            await client.put_item(TableName=resources.table, Item={"pk": {"S": pk}, **numbers})


async def _send_by_aws(deployment: Deployment) -> None:
    """By both of its services, and the sender tells of a code that was approved."""
    number, sender = fresh_number(), deployment.started[SENDER]
    async with deployment.sending_by_aws(API):
        begun = await deployment.ask("POST", PATH, {"to": number.e164, "service": "by_aws"}, status=201)
        async with deployment.gateway.down("aws_sms"):
            await deployment.ask("POST", PATH, {"to": fresh_number().e164, "service": "by_aws"}, status=201)
    code = await deployment.gateway.code_for(number)
    await deployment.ask("POST", f"{PATH}/{begun['id']}/check", {"code": code}, status=200)
    async with deployment.sending_by_aws(SENDER), deployment.gateway.down("aws_sms"):
        assert await sender.invoke(await deployment.queue({"to": fresh_number().e164, "service": "by_aws"})) == ALL_DONE


@each_function
def test_what_a_function_calls_its_role_grants(function: str, recorded: Mapping[str, set[Call]]) -> None:
    rights = rights_of(function, when=["ByAws"])

    assert recorded[function]
    assert {call for call in recorded[function] if not any(call.is_allowed_by(right) for right in rights)} == set()


@each_function
def test_what_a_role_grants_its_function_or_lambda_itself_calls(
    function: str, recorded: Mapping[str, set[Call]]
) -> None:
    granted = {right for right in rights_of(function, when=["ByAws"]) if right.action not in LAMBDAS_OWN}

    assert {right for right in granted if not any(call.is_allowed_by(right) for call in recorded[function])} == set()


def _calls(request: Request, resources: Resources) -> Iterator[Call]:
    """What a request needs the right to."""
    body = request.body
    match request.service, request.operation:
        case "DynamoDB_20120810", operation:
            yield from _items(operation, body, resources)
        case "AmazonSQS", operation:
            yield Call(f"sqs:{operation.removesuffix('Batch')}", _queue(body["QueueUrl"], resources))
        case "secretsmanager", operation:
            yield Call(f"secretsmanager:{operation}", _secret(body["SecretId"], resources))
        case other:
            raise AssertionError(f"nobody knows what right this needs: {other}")


def _items(operation: str, body: Mapping[str, Any], resources: Resources) -> Iterator[Call]:
    match operation:
        case "BatchExecuteStatement":
            for statement in body["Statements"]:
                yield _statement(statement, resources)
        case "TransactWriteItems":
            for part in body["TransactItems"]:
                yield from _items("UpdateItem", part["Update"], resources)
        case "BatchGetItem":
            for key in body["RequestItems"][resources.table]["Keys"]:
                yield Call("dynamodb:BatchGetItem", "Storage.Outputs.TableArn", key["pk"]["S"])
        case _:
            item = body["Item"] if operation == "PutItem" else body["Key"]
            assert body["TableName"] == resources.table
            yield Call(f"dynamodb:{operation}", "Storage.Outputs.TableArn", item["pk"]["S"])


def _statement(statement: Mapping[str, Any], resources: Resources) -> Call:
    found = re.match(r'(INSERT|UPDATE) (?:INTO )?"(.+?)" ', statement["Statement"])
    assert found is not None
    assert found.group(2) == resources.table
    key = re.search(r"""['"]pk['"](?::|=)'(.+?)'""", statement["Statement"])
    assert key is not None
    return Call(f"dynamodb:PartiQL{found.group(1).capitalize()}", "Storage.Outputs.TableArn", key.group(1))


def _queue(url: str, resources: Resources) -> str:
    queues = {
        resources.queue_url: "QueueArn",
        resources.bulk_queue_url: "BulkQueueArn",
        resources.dead_letter_queue_url: "DeadLetterQueueArn",
    }
    return f"Messaging.Outputs.{queues[url]}"


def _secret(name: str, resources: Resources) -> str:
    if name.startswith(resources.provider_secrets):
        return PROVIDERS
    secrets = {resources.keys_secret: "KeysSecretArn", resources.callers_secret: "CallersSecretArn"}
    return f"Storage.Outputs.{secrets[name]}"
