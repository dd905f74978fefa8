"""The real template, deployed by sam: each event of its way from outside to the phone, and what is deployed over it."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import AsyncIterator, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from infra import template
from infra.local.embedded_aws import aws_client
from infra.local.stack import DeployFailed, StackSystem, start_stack
from tests.eventually import Eventually
from tests.harness import fresh_number
from tests.lambda_events import ALL_DONE, sqs_event

KEY = "a key"
ALIAS = "live"
TEMPLATE = template.read()
ROUTES = [
    (event["Properties"]["Method"], event["Properties"]["Path"])
    for resource in TEMPLATE["Resources"].values()
    for event in resource.get("Properties", {}).get("Events", {}).values()
    if event["Type"] == "HttpApi"
]
OTHER = {"LogLevel": "ERROR", "SnapStart": "PublishedVersions", "Tracing": "Active", "ApiConcurrency": "5"}
DEFAULTS = {name: str(TEMPLATE["Parameters"][name]["Default"]) for name in OTHER}


@dataclass(frozen=True, slots=True)
class Deployed:
    """The system as those see it who use it, and its AWS as its owner does."""

    system: StackSystem
    http: aiohttp.ClientSession

    def client(self, service: str) -> Any:
        return aws_client(service, self.system.stack.endpoint)

    def named(self, resource: str) -> str:
        """What the template's resource is called in AWS."""
        return self.system.stack.resources[resource].name

    async def call(self, method: str, path: str, body: Any = None, key: str = KEY, **headers: str) -> tuple[int, Any]:
        sent = {"Authorization": f"Bearer {key}", **headers}
        async with self.http.request(method, self.system.url + path, json=body, headers=sent) as answer:
            return answer.status, await answer.json(content_type=None)

    async def start(self, number: str, **headers: str) -> str:
        """The verification's id."""
        status, started = await self.call("POST", "/v1/verifications", {"to": number}, **headers)
        assert status in {201, 202}, started
        return str(started["id"])

    async def check(self, verification: str, code: str) -> tuple[int, Any]:
        return await self.call("POST", f"/v1/verifications/{verification}/check", {"code": code})

    async def codes(self, number: str) -> list[str]:
        """Those that the phone has received."""
        async with self.http.get(f"{self.system.url}/inbox.json", params={"to": number}) as answer:
            texts = [message["text"] for message in await answer.json()]
        return [code for text in texts for code in re.findall(r"[0-9]{6,10}", text)]

    async def queued(self, bodies: Iterable[str]) -> None:
        async with self.client("sqs") as sqs:
            entries = [{"Id": str(number), "MessageBody": body} for number, body in enumerate(bodies)]
            answer = await sqs.send_message_batch(QueueUrl=self.system.stack.outputs["QueueUrl"], Entries=entries)
            assert len(answer["Successful"]) == len(entries)

    async def log(self, group: str) -> list[str]:
        async with self.client("logs") as logs:
            found = await logs.filter_log_events(logGroupName=self.named(group))
            return [event["message"] for event in found["events"]]


@pytest.fixture(scope="module")
async def deployed(deployable: Path) -> AsyncIterator[Deployed]:
    async with (
        start_stack(port=0, latency=0.05, fail=0.0, api_key=KEY) as system,
        aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=60)) as http,
    ):
        yield Deployed(system, http)


async def test_a_code_arrives_and_is_approved_once(deployed: Deployed) -> None:
    number = fresh_number().e164
    verification = await deployed.start(number)

    [code] = await deployed.codes(number)

    status, checked = await deployed.check(verification, code)
    assert (status, checked["valid"], checked["status"]) == (200, True, "approved")
    status, again = await deployed.check(verification, code)
    assert (status, again["code"]) == (409, "already_approved")


async def test_a_code_that_was_asked_for_later_goes_through_the_queue(
    deployed: Deployed, eventually: Eventually
) -> None:
    number = fresh_number().e164
    verification = await deployed.start(number, Prefer="respond-async")

    async def arrived() -> list[str]:
        return await deployed.codes(number)

    [code] = await eventually(arrived, within=30)
    _, checked = await deployed.check(verification, code)
    assert checked["valid"] is True


async def test_poison_in_a_batch_goes_to_the_dead_letters_and_hurts_no_neighbour(
    deployed: Deployed, eventually: Eventually
) -> None:
    numbers = [fresh_number().e164 for _ in range(6)]
    poison = f"no message of ours, for {numbers[0]}"

    await deployed.queued([*(json.dumps({"to": number}) for number in numbers[:3]), poison])
    await deployed.queued(json.dumps({"to": number}) for number in numbers[3:])

    async def all_arrived() -> bool:
        return all([await deployed.codes(number) for number in numbers])

    async def dead_letters() -> list[str]:
        async with deployed.client("sqs") as sqs:
            url = deployed.named("Messaging.DeadLetterQueue")
            answer = await sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=10)
            return [message["Body"] for message in answer.get("Messages", [])]

    async def queue_is_empty() -> bool:
        async with deployed.client("sqs") as sqs:
            url = deployed.named("Messaging.Queue")
            attributes = (await sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["All"]))["Attributes"]
        names = ("ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible")
        return all(attributes[name] == "0" for name in names)

    await eventually(all_arrived, within=30)
    assert await eventually(dead_letters, within=30) == [poison]
    await eventually(queue_is_empty, within=30)
    assert [len(await deployed.codes(number)) for number in numbers] == [1] * len(numbers)


async def test_a_batch_that_comes_twice_is_sent_once(deployed: Deployed) -> None:
    numbers = [fresh_number().e164 for _ in range(3)]
    event = json.dumps(sqs_event(*(json.dumps({"to": number}) for number in numbers)))

    async with deployed.client("lambda") as functions:
        for _ in range(2):
            answer = await functions.invoke(
                FunctionName=deployed.named("SenderFunction"), Qualifier=ALIAS, Payload=event
            )
            assert json.loads(await answer["Payload"].read()) == ALL_DONE

    assert [len(await deployed.codes(number)) for number in numbers] == [1, 1, 1]


async def test_the_gateways_receipt_shows_in_the_status(deployed: Deployed, eventually: Eventually) -> None:
    verification = await deployed.start(fresh_number().e164)

    async def delivered() -> bool:
        _, now = await deployed.call("GET", f"/v1/verifications/{verification}")
        return bool(now["delivery"]["status"] == "delivered")

    await eventually(delivered, within=30)


@pytest.mark.parametrize(("method", "path"), ROUTES, ids=lambda part: part)
async def test_each_route_of_the_template_leads_to_a_function(deployed: Deployed, method: str, path: str) -> None:
    status, answer = await deployed.call(
        method, path.format(id="vfy_1", batch="bat_1", provider="yunpian", token="wrong"), key="wrong"
    )

    if path == "/v1/health":
        assert (status, answer) == (200, {"status": "ok"})
    elif path == "/v1/jwks.json":
        assert (status, answer.keys()) == (200, {"keys"})
    else:
        assert (status, answer["code"]) in {(401, "unauthorized"), (404, "not_found")}


async def test_what_the_template_names_no_route_for_does_not_get_to_a_function(deployed: Deployed) -> None:
    assert await deployed.call("GET", "/v1/nothing") == (404, {"message": "Not Found"})


async def test_events_go_to_the_alias(deployed: Deployed) -> None:
    await deployed.start(fresh_number().e164)

    async with deployed.client("lambda") as functions, deployed.client("logs") as logs:
        mapping = await functions.get_event_source_mapping(UUID=deployed.named("SenderFunctionQueued"))
        alias = await functions.get_alias(FunctionName=deployed.named("ApiFunction"), Name=ALIAS)
        streams = await logs.describe_log_streams(logGroupName=deployed.named("ApiLogs"))

    assert mapping["FunctionArn"].endswith(f":{deployed.named('SenderFunction')}:{ALIAS}")
    assert alias["FunctionVersion"].isdigit()
    assert any(f"[{alias['FunctionVersion']}]" in stream["logStreamName"] for stream in streams["logStreams"])
    assert not any("[$LATEST]" in stream["logStreamName"] for stream in streams["logStreams"])


async def test_the_table_forgets_by_itself(deployed: Deployed) -> None:
    name = deployed.system.stack.outputs["TableName"]

    async with deployed.client("dynamodb") as dynamodb:
        ttl = (await dynamodb.describe_time_to_live(TableName=name))["TimeToLiveDescription"]
        table = (await dynamodb.describe_table(TableName=name))["Table"]

    assert ttl == {"TimeToLiveStatus": "ENABLED", "AttributeName": "ttl"}
    assert table["BillingModeSummary"]["BillingMode"] == "PAY_PER_REQUEST"
    assert table["KeySchema"] == [{"AttributeName": "pk", "KeyType": "HASH"}]


async def test_the_outputs_are_all_there(deployed: Deployed) -> None:
    outputs = deployed.system.stack.outputs

    # What AWS would send by is not asked for here.
    assert outputs.keys() == {name for name, output in TEMPLATE["Outputs"].items() if "Condition" not in output}
    assert all(outputs.values())


async def test_the_alarms_and_the_dashboard_are_there(deployed: Deployed) -> None:
    wanted = {
        found.name for found in deployed.system.stack.resources.values() if found.kind == "AWS::CloudWatch::Alarm"
    }

    async with deployed.client("cloudwatch") as cloudwatch:
        alarms = (await cloudwatch.describe_alarms())["MetricAlarms"]
        dashboard = await cloudwatch.get_dashboard(DashboardName=deployed.named("Monitoring.Dashboard"))

    assert wanted
    assert {alarm["AlarmName"] for alarm in alarms} >= wanted
    assert json.loads(dashboard["DashboardBody"])["widgets"]


async def test_the_logs_tell_what_happened_and_neither_code_nor_number(
    deployed: Deployed, eventually: Eventually
) -> None:
    number = fresh_number()
    verification = await deployed.start(number.e164)
    [code] = await deployed.codes(number.e164)
    await deployed.check(verification, code)

    async def told() -> bool:
        lines = {group: await deployed.log(group) for group in ("ApiLogs", "ReceiptsLogs")}
        return all(any(verification in line for line in found) for found in lines.values())

    await eventually(told, within=30)
    lines = [line for group in ("ApiLogs", "ReceiptsLogs", "SenderLogs") for line in await deployed.log(group)]
    assert not [line for line in lines if re.search(rf"(?<![0-9]){code}(?![0-9])", line)]
    assert not [line for line in lines if number.national in line]
    assert not [line for line in lines if KEY in line]


async def test_logs_are_not_kept_for_ever(deployed: Deployed) -> None:
    async with deployed.client("logs") as logs:
        groups = (await logs.describe_log_groups())["logGroups"]
    kept = {group["logGroupName"]: group.get("retentionInDays") for group in groups}

    for resource in ("ApiLogs", "SenderLogs", "ReceiptsLogs"):
        assert kept[deployed.named(resource)] == TEMPLATE["Parameters"]["LogRetention"]["Default"]


async def test_a_function_may_do_what_its_role_says_and_no_more(deployed: Deployed) -> None:
    role = {"RoleName": deployed.named("ApiRole"), "PolicyName": "api"}

    async with deployed.client("iam") as iam:
        policy = (await iam.get_role_policy(**role))["PolicyDocument"]
        await iam.delete_role_policy(**role)
        try:
            refused = await deployed.call("POST", "/v1/verifications", {"to": fresh_number().e164})
        finally:
            await iam.put_role_policy(**role, PolicyDocument=json.dumps(policy))

    assert (refused[0], refused[1]["code"]) == (503, "unavailable")
    await deployed.start(fresh_number().e164)


async def test_a_deployment_of_the_same_again_changes_nothing(deployed: Deployed) -> None:
    stack, version = deployed.system.stack, await _live_version(deployed)
    verification = await deployed.start(fresh_number().e164)

    again = await deployed.system.redeploy()

    assert (again.outputs, again.resources.keys()) == (stack.outputs, stack.resources.keys())
    assert await _live_version(deployed) == version
    status, shown = await deployed.call("GET", f"/v1/verifications/{verification}")
    assert (status, shown["status"]) == (200, "pending")


async def test_a_deployment_that_is_refused_says_why_and_changes_nothing(deployed: Deployed) -> None:
    with pytest.raises(DeployFailed, match="ReceiptsUrl' starts with https://"):
        await deployed.system.redeploy({"ReceiptsUrl": "http://example.com"})

    await deployed.start(fresh_number().e164)


@pytest.mark.timeout(240)
async def test_new_code_and_parameters_take_effect_and_a_rollback_takes_them_back(
    deployed: Deployed, tmp_path: Path, deployable: Path
) -> None:
    old, kept_number = await _live_version(deployed), fresh_number().e164
    kept = await deployed.start(kept_number)

    try:
        built = _with_longer_codes(deployable, tmp_path)
        await deployed.system.redeploy(OTHER, built=built)
        assert (await _code_length(deployed), await _settings(deployed)) == (8, ("ERROR", "On"))

        [code] = await deployed.codes(kept_number)
        assert (await deployed.check(kept, code))[1]["valid"] is True

        async with deployed.client("lambda") as functions:
            await functions.update_alias(FunctionName=deployed.named("ApiFunction"), Name=ALIAS, FunctionVersion=old)
        assert (await _code_length(deployed), await _settings(deployed)) == (6, ("INFO", "Off"))
    finally:  # a parameter that is not named keeps its value
        await deployed.system.redeploy(DEFAULTS)
    assert (await _code_length(deployed), await _settings(deployed)) == (6, ("INFO", "Off"))


def _with_longer_codes(built: Path, folder: Path) -> Path:
    """Another build, whose services.toml asks for eight digits."""
    for path in built.parent.iterdir():
        if path.is_dir():
            (folder / path.name).symlink_to(path)
    (folder / "ApiFunction").unlink()
    shutil.copytree(built.parent / "ApiFunction", folder / "ApiFunction")
    services = folder / "ApiFunction" / "functions" / "services.toml"
    services.write_text("[default]\ncode_length = 8\n", encoding="utf-8")
    shutil.copy(built, folder)
    return folder / built.name


async def _code_length(deployed: Deployed) -> int:
    number = fresh_number().e164
    await deployed.start(number)
    [code] = await deployed.codes(number)
    return len(code)


async def _live_version(deployed: Deployed) -> str:
    async with deployed.client("lambda") as functions:
        alias = await functions.get_alias(FunctionName=deployed.named("ApiFunction"), Name=ALIAS)
    return str(alias["FunctionVersion"])


async def _settings(deployed: Deployed) -> tuple[str, str]:
    """Log level and snapshots of the version which gets the events."""
    async with deployed.client("lambda") as functions:
        found = await functions.get_function_configuration(FunctionName=deployed.named("ApiFunction"), Qualifier=ALIAS)
    return found["Environment"]["Variables"]["LOG_LEVEL"], found["SnapStart"]["OptimizationStatus"]
