"""./salvo doctor on the real template, deployed to the embedded AWS: all is well, and then one thing is not."""

from __future__ import annotations

import asyncio
import dataclasses
import hashlib
import json
import secrets
import sys
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from aiohttp import web

from functions.domain.routing import Route, Via
from functions.domain.service import Service
from functions.route_file import ProviderSettings
from functions.service_file import Configuration, load_configuration
from infra import provider_secrets
from infra.deploy import Order, deploy
from infra.deployed import Deployed
from infra.doctor import alarms, api, concurrency, event_source, functions, keys, providers, queues, storage
from infra.doctor.command import CHECKS, examine, look
from infra.doctor.finding import Finding, Level
from infra.doctor.subject import Check, Subject
from infra.environments import ROOT
from tests.adapters import Vendor, open_for_business
from tests.examined import now, served_api, with_parameter, with_stack
from tests.stub_stack import STACK, StubStack, embedded

DAY = 86_400
APIKEY = secrets.token_hex(16)
YUNPIAN = f"{STACK}-provider-yunpian"


@dataclass(frozen=True, slots=True)
class Ward:
    """A deployed stack in good health, an API and a gateway."""

    cloud: StubStack
    stack: Deployed
    services: Path
    """A services.toml that knows where the gateway is."""

    def client(self, service: str) -> Any:
        return self.cloud.aws.client(service)

    @property
    def configuration(self) -> Configuration:
        return load_configuration(self.services)

    async def put(self, output: str, value: object) -> None:
        async with self.client("secretsmanager") as secretsmanager:
            text = value if isinstance(value, str) else json.dumps(value)
            await secretsmanager.put_secret_value(SecretId=self.stack.outputs[output], SecretString=text)

    async def put_credentials(self, **entries: str) -> None:
        async with self.client("secretsmanager") as secretsmanager:
            await provider_secrets.store(secretsmanager, YUNPIAN, entries, stack=STACK, key="")

    async def heal(self) -> None:
        """Undoes what a test may have done to the secrets."""
        await self.put("KeysSecretName", {"pepper": "k1", "index": "k1", "k1": secrets.token_hex(32)})
        await self.put("CallersSecretName", {hashlib.sha256(b"key").hexdigest(): {"name": "checkout"}})
        await self.put_credentials(apikey=APIKEY, receipt_token=secrets.token_urlsafe(32))


@pytest.fixture(scope="module")
async def ward(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Ward]:
    async def account(request: web.Request) -> web.Response:
        known = (await request.post())["apikey"] == APIKEY
        return web.json_response({"balance": 1000} if known else {"code": -1}, status=200 if known else 400)

    folder = tmp_path_factory.mktemp("ward")
    async with embedded(folder) as cloud, open_for_business(Vendor(account)) as gateway:
        order = Order(stack=STACK, parameters={"AlarmEmail": "on-call@example.com"}, confirmed=True)
        deployed = await deploy(cloud.aws, order, build=lambda: None, run=cloud.run)
        await cloud.close_gaps()
        services = folder / "services.toml"
        services.write_text(f'[default]\n[providers.yunpian]\nurl = "{gateway.url}"\n')
        yield Ward(cloud, deployed, services)


@pytest.fixture
async def salvo(ward: Ward) -> AsyncIterator[Subject]:
    await ward.heal()
    async with aiohttp.ClientSession() as http, served_api() as api_server:
        yield Subject(
            aws=ward.cloud.aws,
            stack=ward.stack,
            configuration=ward.configuration,
            http=http,
            api=api_server.url,
            now=now,
        )


async def test_of_a_stack_in_good_health_every_check_says_ok(salvo: Subject, ward: Ward) -> None:
    findings = await examine(ward.cloud.aws, STACK, ward.configuration, api_url=salvo.api)

    assert [finding for finding in findings if finding.level is not Level.OK] == []
    assert len(findings) > len(CHECKS)


async def test_no_secret_is_told(salvo: Subject, ward: Ward) -> None:
    told = repr(await examine(ward.cloud.aws, STACK, ward.configuration, api_url=salvo.api))

    async with ward.client("secretsmanager") as client:
        for name in (ward.stack.outputs["KeysSecretName"], ward.stack.outputs["CallersSecretName"], YUNPIAN):
            value = json.loads((await client.get_secret_value(SecretId=name))["SecretString"])
            long = [text for text in (*value, *value.values()) if isinstance(text, str) and len(text) > 20]
            assert long
            assert not [text for text in long if text in told]


async def test_the_command_prints_tables_and_its_exit_code_tells(salvo: Subject, ward: Ward) -> None:
    code, told, said = await _command(ward, "--api", salvo.api)
    await ward.put("CallersSecretName", {})
    worse, told_worse, _ = await _command(ward, "--api", salvo.api)

    assert (code, said) == (0, "")
    assert "service default" in told
    assert "0 failures" in told
    assert worse == 1
    assert "nobody may call the API" in told_worse


async def test_the_command_prints_json_for_machines(salvo: Subject, ward: Ward) -> None:
    _, told, _ = await _command(ward, "--api", salvo.api, "--json")

    report = json.loads(told)
    assert {finding["level"] for finding in report["findings"]} == {"ok"}
    assert {control["verdict"] for control in report["services"]["default"]} == {"pass", "yours to do"}


async def test_a_stack_that_is_not_there_is_a_sentence(ward: Ward) -> None:
    code, told, said = await _command(ward, "--stack-name", "nowhere")

    assert (code, told) == (1, "")
    assert said == "salvo: there is no stack nowhere in eu-central-1: `./salvo deploy` makes it\n"


async def test_a_clock_that_is_not_awss_is_a_warning(salvo: Subject) -> None:
    (right,) = await api.check_clock(salvo)
    (wrong,) = await api.check_clock(dataclasses.replace(salvo, now=lambda: now() + 30))

    assert (right.level, wrong.level) == (Level.OK, Level.WARN)
    assert wrong.found.endswith("s ahead")


@pytest.mark.parametrize(
    "value",
    ["no JSON", [], {}, {"pepper": "k1", "index": "k1"}, {"pepper": "k1", "index": "k1", "k1": "short"}],
)
async def test_keys_that_no_function_could_use_fail(salvo: Subject, ward: Ward, value: object) -> None:
    await ward.put("KeysSecretName", value)

    (finding,) = await keys.check_keyring(salvo)

    assert finding.level is Level.FAIL


async def test_without_a_caller_there_is_a_command_that_makes_one(salvo: Subject, ward: Ward) -> None:
    await ward.put("CallersSecretName", {})

    (finding,) = await keys.check_callers(salvo)

    assert finding.level is Level.FAIL
    assert finding.advice.endswith(f"./salvo key checkout --secret {ward.stack.outputs['CallersSecretName']}")


async def test_where_api_gateway_tells_callers_apart_nobody_needs_a_key(salvo: Subject, ward: Ward) -> None:
    await ward.put("CallersSecretName", {})

    (finding,) = await keys.check_callers(with_parameter(salvo, "Authorizer", "iam"))

    assert finding.level is Level.OK


async def test_tokens_of_no_issuer_let_nobody_in(salvo: Subject) -> None:
    by_jwt = with_parameter(with_parameter(salvo, "Authorizer", "jwt"), "JwtAudience", "salvo")

    (finding,) = await keys.check_callers(by_jwt)

    assert (finding.level, "JwtIssuer" in finding.found) == (Level.FAIL, True)
    assert finding.advice.endswith("--parameter JwtIssuer=VALUE")


async def test_a_key_in_clear_among_the_callers_is_a_warning_and_not_told(salvo: Subject, ward: Ward) -> None:
    await ward.put("CallersSecretName", {"sk_clear": {"name": "a"}, hashlib.sha256(b"x").hexdigest(): {"name": "b"}})

    (finding,) = await keys.check_callers(salvo)

    assert finding.level is Level.WARN
    assert "sk_clear" not in repr(finding)


async def test_an_empty_apikey_fails_and_the_gateway_is_not_asked(salvo: Subject, ward: Ward) -> None:
    await ward.put_credentials(apikey="", receipt_token="t" * 32)

    (finding,) = await providers.check_providers(salvo)

    assert finding.level is Level.FAIL
    assert finding.found.startswith("yunpian: its secret makes no sense: ")
    assert finding.found.endswith("at `$.apikey`")
    assert finding.advice.startswith(f"./salvo credentials yunpian --stack-name {STACK}")


async def test_a_key_that_the_gateway_refuses_fails(salvo: Subject, ward: Ward) -> None:
    await ward.put_credentials(apikey="another's", receipt_token="t" * 32)

    _, finding = await providers.check_providers(salvo)

    assert (finding.level, finding.found) == (Level.FAIL, "refuses the API key (-1)")


async def test_a_provider_that_a_route_names_and_that_has_no_credentials_fails(salvo: Subject) -> None:
    (finding,) = await providers.check_providers(_with_routes(salvo, "twilio"))

    assert finding.level is Level.FAIL
    assert finding.found == f"there is no secret {STACK}-provider-twilio, and a route names twilio"
    assert finding.advice == f"./salvo credentials twilio --stack-name {STACK}"


@pytest.mark.parametrize(("more", "level"), [({}, Level.WARN), ({"signature_secret": "s" * 32}, Level.OK)])
async def test_an_entry_that_receipts_hang_on_is_asked_for(
    salvo: Subject, ward: Ward, more: dict[str, str], level: Level
) -> None:
    name = provider_secrets.secret_name(STACK, "vonage_messages")
    async with ward.client("secretsmanager") as secretsmanager:
        entries = {"api_key": "k", "api_secret": "s", "receipt_token": "t" * 32, **more}
        await provider_secrets.store(secretsmanager, name, entries, stack=STACK, key="")
        settings = {"vonage": ProviderSettings(url="http://127.0.0.1:9")}
        subject = _with_routes(salvo, "vonage_messages")
        configuration = dataclasses.replace(subject.configuration, providers=settings)
        whole, _ = await providers.check_providers(dataclasses.replace(subject, configuration=configuration))
        await secretsmanager.delete_secret(SecretId=name, ForceDeleteWithoutRecovery=True)

    assert whole.level is level
    assert whole.advice == ("" if level is Level.OK else "./salvo credentials vonage_messages --also signature_secret")


async def test_credentials_that_no_route_needs_are_told(salvo: Subject) -> None:
    assert await providers.check_spare_secrets(salvo) == []

    (finding,) = await providers.check_spare_secrets(_with_routes(salvo, "twilio"))

    assert (finding.level, finding.found) == (Level.OK, f"no route names {YUNPIAN}")


async def test_a_table_that_forgets_nothing_fails_with_the_command(salvo: Subject, ward: Ward) -> None:
    await _set_ttl(ward, enabled=False)
    try:
        finding = await _only(storage.check_table, salvo, "table's TTL")
    finally:
        await _set_ttl(ward, enabled=True)

    assert finding.level is Level.FAIL
    assert finding.advice.startswith("aws dynamodb update-time-to-live --table-name")


async def test_dead_letters_fail_with_their_runbook(salvo: Subject, ward: Ward) -> None:
    url = salvo.stack.id_of("DeadLetterQueue")
    async with ward.client("sqs") as sqs:
        await sqs.send_message(QueueUrl=url, MessageBody="{}")
        finding = await _only(queues.check_queues, salvo, "dead letters")
        await sqs.purge_queue(QueueUrl=url)

    assert (finding.level, finding.advice) == (Level.FAIL, "docs/operations.md#runbook-dead-letters")


@pytest.mark.parametrize(
    ("queue", "attribute", "worse", "good", "about"),
    [
        ("Queue", "VisibilityTimeout", "89", "90", "queue"),
        ("Queue", "RedrivePolicy", "", None, "queue's dead letters"),
        ("BulkQueue", "VisibilityTimeout", "359", "360", "bulk queue"),
        ("BulkQueue", "RedrivePolicy", "", None, "bulk queue's dead letters"),
    ],
)
async def test_a_queue_that_was_changed_by_hand_fails(
    salvo: Subject, ward: Ward, queue: str, attribute: str, worse: str, good: str | None, about: str
) -> None:
    url = salvo.stack.id_of(queue)
    async with ward.client("sqs") as sqs:
        before = (await sqs.get_queue_attributes(QueueUrl=url, AttributeNames=[attribute]))["Attributes"][attribute]
        await sqs.set_queue_attributes(QueueUrl=url, Attributes={attribute: worse})
        finding = await _only(queues.check_queues, salvo, about)
        await sqs.set_queue_attributes(QueueUrl=url, Attributes={attribute: good or before})

    assert finding.level is Level.FAIL


@pytest.mark.parametrize(
    ("change", "told", "advice"),
    [
        (
            {"Enabled": False},
            "nothing of the queue is sent",
            "aws lambda update-event-source-mapping --uuid {} --enabled",
        ),
        ({"FunctionResponseTypes": []}, "one failure sends a whole batch again", "./salvo deploy"),
    ],
)
@pytest.mark.parametrize(
    ("source", "about"),
    [("SenderFunctionQueued", "event source"), ("BulkSenderFunctionQueued", "bulk event source")],
)
async def test_a_queue_that_does_not_reach_its_sender_fails(
    salvo: Subject, ward: Ward, change: dict[str, Any], told: str, advice: str, source: str, about: str
) -> None:
    mapping = salvo.stack.id_of(source)
    good = {"Enabled": True, "FunctionResponseTypes": ["ReportBatchItemFailures"]}
    async with ward.client("lambda") as client:
        await client.update_event_source_mapping(UUID=mapping, **change)
        finding = await _only(event_source.check_event_source, salvo, about)
        await client.update_event_source_mapping(UUID=mapping, **good)

    assert (finding.level, finding.advice) == (Level.FAIL, advice.format(mapping))
    assert told in finding.found


async def test_a_rollback_is_a_warning_until_the_newest_is_live_again(salvo: Subject, ward: Ward) -> None:
    name = salvo.stack.id_of("ApiFunction")
    async with ward.client("lambda") as client:
        live = (await client.get_alias(FunctionName=name, Name="live"))["FunctionVersion"]
        await client.update_alias(FunctionName=name, Name="live", FunctionVersion="1")
        finding = await _only(functions.check_functions, salvo, "ApiFunction")
        await client.update_alias(FunctionName=name, Name="live", FunctionVersion=live)

    assert finding.level is Level.WARN
    assert finding.found == f"version 1 is live, {live} is the newest: rolled back"


async def test_a_function_without_its_alias_fails(salvo: Subject, ward: Ward) -> None:
    name = salvo.stack.id_of("ReceiptsFunction")
    async with ward.client("lambda") as client:
        live = (await client.get_alias(FunctionName=name, Name="live"))["FunctionVersion"]
        await client.delete_alias(FunctionName=name, Name="live")
        finding = await _only(functions.check_functions, salvo, "ReceiptsFunction")
        await client.create_alias(FunctionName=name, Name="live", FunctionVersion=live)

    assert (finding.level, finding.found) == (Level.FAIL, "has no alias live, which events invoke")


@pytest.mark.parametrize(
    ("version", "level"),
    [
        ({"State": "Active"}, Level.OK),
        ({"State": "Inactive", "StateReason": "The function is idle"}, Level.FAIL),
        ({"SnapStart": {"ApplyOn": "PublishedVersions", "OptimizationStatus": "On"}}, Level.OK),
        ({"SnapStart": {"ApplyOn": "PublishedVersions", "OptimizationStatus": "Off"}}, Level.WARN),
    ],
)
def test_a_version_has_to_be_ready(version: dict[str, Any], level: Level) -> None:
    assert functions._version("ApiFunction", 3, 3, version).level is level


def test_a_function_that_is_led_to_a_simulator_fails() -> None:
    variables = {"PROVIDERS_URL": "http://sms.invalid"}

    (finding,) = functions._led_away("ApiFunction", {"Environment": {"Variables": variables}})

    assert finding.level is Level.FAIL
    assert finding.found == "sends every message to http://sms.invalid, and none to its provider"
    assert functions._led_away("ApiFunction", {"Environment": {"Variables": {"PROVIDERS_URL": ""}}}) == []


@pytest.mark.parametrize(
    ("days_before_its_end", "level"), [(1000, Level.OK), (100, Level.WARN), (0, Level.FAIL), (-1, Level.FAIL)]
)
async def test_a_python_that_gets_no_fixes_is_told_in_time(
    salvo: Subject, days_before_its_end: int, level: Level
) -> None:
    end = functions.ENDS["python3.13"]
    now = time.mktime(end.timetuple()) - days_before_its_end * DAY + DAY / 2

    finding = await _only(
        functions.check_functions, dataclasses.replace(salvo, now=lambda: now), "ApiFunction's Python"
    )

    assert finding.level is level


async def test_a_function_that_was_switched_off_fails_with_the_way_to_switch_it_on(salvo: Subject, ward: Ward) -> None:
    name = salvo.stack.id_of("SenderFunction")
    async with ward.client("lambda") as client:
        await client.put_function_concurrency(FunctionName=name, ReservedConcurrentExecutions=0)
        finding = await _only(concurrency.check_concurrency, salvo, "SenderFunction")
        await client.delete_function_concurrency(FunctionName=name)

    assert finding.level is Level.FAIL
    assert finding.advice.endswith(f"aws lambda delete-function-concurrency --function-name {name}")


async def test_less_reserved_than_the_queue_may_start_is_a_warning(salvo: Subject, ward: Ward) -> None:
    name = salvo.stack.id_of("SenderFunction")
    async with ward.client("lambda") as client:
        await client.put_function_concurrency(FunctionName=name, ReservedConcurrentExecutions=5)
        finding = await _only(concurrency.check_concurrency, salvo, "sender's concurrency")
        await client.delete_function_concurrency(FunctionName=name)

    assert (finding.level, finding.found) == (Level.WARN, "5 are reserved for it, and 10 may be started")


async def test_an_account_that_allows_too_little_at_once_is_a_warning(salvo: Subject, ward: Ward) -> None:
    mapping = salvo.stack.id_of("SenderFunctionQueued")
    async with ward.client("lambda") as client:
        whole = (await client.get_account_settings())["AccountLimit"]["ConcurrentExecutions"]
        await client.update_event_source_mapping(UUID=mapping, ScalingConfig={"MaximumConcurrency": min(whole, 1000)})
        finding = await _only(concurrency.check_concurrency, salvo, "concurrency")
        await client.update_event_source_mapping(UUID=mapping, ScalingConfig={"MaximumConcurrency": 10})

    assert finding.level is Level.WARN


async def test_a_log_that_is_kept_for_ever_is_a_warning(salvo: Subject, ward: Ward) -> None:
    group = salvo.stack.id_of("ApiLogs")
    async with ward.client("logs") as logs:
        await logs.delete_retention_policy(logGroupName=group)
        findings = await functions.check_logs(salvo)
        await logs.put_retention_policy(logGroupName=group, retentionInDays=30)

    assert [finding.level for finding in findings] == [Level.WARN, Level.OK, Level.OK, Level.OK]


async def test_an_alarm_that_rings_fails_with_its_runbook(salvo: Subject, ward: Ward) -> None:
    name = salvo.stack.id_of("QueueAgeAlarm")
    async with ward.client("cloudwatch") as cloudwatch:
        await cloudwatch.set_alarm_state(AlarmName=name, StateValue="ALARM", StateReason="a test")
        (finding,) = await alarms.check_alarms(salvo)
        await cloudwatch.set_alarm_state(AlarmName=name, StateValue="OK", StateReason="a test")

    assert (finding.about, finding.level) == ("QueueAgeAlarm", Level.FAIL)
    assert "docs/operations.md#runbook-queue-age" in finding.advice


async def test_an_alarm_that_tells_nobody_fails(salvo: Subject, ward: Ward) -> None:
    name = salvo.stack.id_of("ErrorsAlarm")
    async with ward.client("cloudwatch") as cloudwatch:
        await cloudwatch.disable_alarm_actions(AlarmNames=[name])
        (finding,) = await alarms.check_alarms(salvo)
        await cloudwatch.enable_alarm_actions(AlarmNames=[name])

    assert (finding.about, finding.level, finding.found) == ("ErrorsAlarm", Level.FAIL, "tells nobody")


async def test_an_alarm_that_somebody_deleted_fails(salvo: Subject) -> None:
    gone = dataclasses.replace(salvo.stack.resources["LatencyAlarm"], id="deleted")
    resources = {**salvo.stack.resources, "LatencyAlarm": gone}

    (finding,) = await alarms.check_alarms(with_stack(salvo, resources=resources))

    assert (finding.level, finding.found) == (Level.FAIL, "not there: LatencyAlarm")


async def test_alarms_that_nobody_hears_are_a_warning(salvo: Subject, ward: Ward) -> None:
    async with ward.client("sns") as sns:
        topic = (await sns.create_topic(Name="lonely"))["TopicArn"]
    lonely = dataclasses.replace(salvo.stack.resources["Alarms"], id=topic)

    (finding,) = await alarms.check_listeners(with_stack(salvo, resources={**salvo.stack.resources, "Alarms": lonely}))

    assert (finding.level, finding.found) == (Level.WARN, "nobody")


async def test_what_the_stack_does_not_have_is_a_failure_in_a_sentence(salvo: Subject) -> None:
    resources = {name: each for name, each in salvo.stack.resources.items() if name != "Queue"}

    (finding,) = await look("queues", queues.check_queues, with_stack(salvo, resources=resources))

    assert finding.level is Level.FAIL
    assert finding.found == (
        f"stack {STACK} ({salvo.stack.status}) has no Queue: `./salvo deploy` renews it, or says what is in the way"
    )


async def test_an_aws_that_refuses_to_tell_is_a_failure_in_a_sentence(salvo: Subject) -> None:
    nowhere = dataclasses.replace(salvo.stack.resources["Alarms"], id="arn:aws:sns:eu-central-1:000000000000:gone")
    subject = with_stack(salvo, resources={**salvo.stack.resources, "Alarms": nowhere})

    (finding,) = await look("who hears of alarms", alarms.check_listeners, subject)

    assert finding.level is Level.FAIL
    assert finding.found.startswith("AWS refuses ListSubscriptionsByTopic: ")


def _with_routes(subject: Subject, *names: str) -> Subject:
    route = Route(providers=tuple(Via(provider=name) for name in names))
    return dataclasses.replace(subject, configuration=Configuration(services={"default": Service(routes=(route,))}))


async def _only(check: Check, subject: Subject, about: str) -> Finding:
    (finding,) = [finding for finding in await check(subject) if finding.about == about]
    return finding


async def _set_ttl(ward: Ward, *, enabled: bool) -> None:
    async with ward.client("dynamodb") as dynamodb:
        await dynamodb.update_time_to_live(
            TableName=ward.stack.outputs["TableName"],
            TimeToLiveSpecification={"Enabled": enabled, "AttributeName": "ttl"},
        )


async def _command(ward: Ward, *options: str) -> tuple[int | None, str, str]:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "infra.command", "doctor", "--stack-name", STACK),
        *("--services", str(ward.services), *options),
        env=ward.cloud.environment,
        cwd=ROOT,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    told, said = await process.communicate()
    return process.returncode, told.decode(), said.decode()
