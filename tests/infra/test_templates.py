"""The templates, read as text and deployed to a simulated CloudFormation: numbers, rights, routes and variables."""

from __future__ import annotations

import ast
import json
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from botocore.session import get_session
from moto import mock_aws

from infra.environments import ROOT
from infra.local.embedded_aws import EmbeddedAws, aws_client
from infra.template import TEMPLATE, Function, functions, nested, read

MAIN = read()
FUNCTIONS = {function.name: function for function in functions(MAIN)}
STORAGE = ROOT / "infra" / "storage.yaml"
MESSAGING = ROOT / "infra" / "messaging.yaml"
ALL = {path.name: read(path) for path in (TEMPLATE, *nested(MAIN))}

ROUTES = {
    "POST /v1/verifications": "ApiFunction",
    "POST /v1/verifications/{id}/check": "ApiFunction",
    "GET /v1/verifications/{id}": "ApiFunction",
    "DELETE /v1/verifications/{id}": "ApiFunction",
    "GET /v1/health": "ApiFunction",
    "POST /v1/receipts/{provider}/{token}": "ReceiptsFunction",
}

VARIABLES = {
    "ApiFunction": {
        "AWS_ENDPOINT_URL",
        "TABLE_NAME",
        "LOG_LEVEL",
        "KEYS_SECRET",
        "CALLERS_SECRET",
        "YUNPIAN_SECRET",
        "YUNPIAN_URL",
        "QUEUE_URL",
        "RECEIPTS_URL",
    },
    "SenderFunction": {
        "AWS_ENDPOINT_URL",
        "TABLE_NAME",
        "LOG_LEVEL",
        "KEYS_SECRET",
        "QUEUE_URL",
        "DEAD_LETTER_QUEUE_URL",
        "YUNPIAN_SECRET",
        "YUNPIAN_URL",
        "RECEIPTS_URL",
        "MAX_IN_FLIGHT",
    },
    "ReceiptsFunction": {"AWS_ENDPOINT_URL", "TABLE_NAME", "LOG_LEVEL", "YUNPIAN_SECRET"},
}

TABLE = "Storage.Outputs.TableArn"
KEYS = "Storage.Outputs.KeysSecretArn"
CALLERS = "Storage.Outputs.CallersSecretArn"
YUNPIAN = "Storage.Outputs.YunpianSecretArn"
QUEUE = "Messaging.Outputs.QueueArn"
DEAD_LETTERS = "Messaging.Outputs.DeadLetterQueueArn"

RIGHTS = {
    "ApiFunction": {
        ("dynamodb:GetItem", TABLE),
        ("dynamodb:PutItem", TABLE),
        ("dynamodb:UpdateItem", TABLE),
        ("dynamodb:DeleteItem", TABLE),
        ("secretsmanager:GetSecretValue", KEYS),
        ("secretsmanager:GetSecretValue", CALLERS),
        ("secretsmanager:GetSecretValue", YUNPIAN),
        ("sqs:SendMessage", QUEUE),
        ("logs:CreateLogStream", "ApiLogs.Arn"),
        ("logs:PutLogEvents", "ApiLogs.Arn"),
    },
    "SenderFunction": {
        ("dynamodb:GetItem", TABLE),
        ("dynamodb:PutItem", TABLE),
        ("dynamodb:PartiQLInsert", TABLE),
        ("secretsmanager:GetSecretValue", KEYS),
        ("secretsmanager:GetSecretValue", YUNPIAN),
        ("sqs:ReceiveMessage", QUEUE),
        ("sqs:DeleteMessage", QUEUE),
        ("sqs:GetQueueAttributes", QUEUE),
        ("sqs:ChangeMessageVisibility", QUEUE),
        ("sqs:SendMessage", DEAD_LETTERS),
        ("logs:CreateLogStream", "SenderLogs.Arn"),
        ("logs:PutLogEvents", "SenderLogs.Arn"),
    },
    "ReceiptsFunction": {
        ("dynamodb:GetItem", TABLE),
        ("dynamodb:PutItem", TABLE),
        ("secretsmanager:GetSecretValue", YUNPIAN),
        ("logs:CreateLogStream", "ReceiptsLogs.Arn"),
        ("logs:PutLogEvents", "ReceiptsLogs.Arn"),
    },
}

_SIMULATED = ("AWS::DynamoDB::Table", "AWS::SQS::Queue")

each_function = pytest.mark.parametrize("function", FUNCTIONS.values(), ids=FUNCTIONS)


def test_the_queue_hands_a_batch_out_again_after_six_times_the_senders_time_at_the_earliest() -> None:
    visibility = _queue("Queue")["VisibilityTimeout"]

    assert FUNCTIONS["SenderFunction"].timeout == 15
    assert visibility == 90
    assert visibility >= 6 * FUNCTIONS["SenderFunction"].timeout


def test_a_message_has_five_tries_and_then_stays_for_fourteen_days() -> None:
    redrive = _queue("Queue")["RedrivePolicy"]

    assert redrive == {"deadLetterTargetArn": {"Fn::GetAtt": ["DeadLetterQueue", "Arn"]}, "maxReceiveCount": 5}
    assert _queue("DeadLetterQueue")["MessageRetentionPeriod"] == 14 * 24 * 60 * 60


def test_a_message_that_waits_longer_than_its_code_is_of_use_is_dropped() -> None:
    assert _queue("Queue")["MessageRetentionPeriod"] == 900


def test_both_queues_are_standard_and_encrypted() -> None:
    for queue in (_queue("Queue"), _queue("DeadLetterQueue")):
        assert queue["SqsManagedSseEnabled"] is True
        assert "FifoQueue" not in queue


def test_the_sender_takes_ten_at_once_without_delay_and_gives_failures_back_one_by_one() -> None:
    (event,) = _events("SenderFunction", "SQS")

    assert event["Queue"] == {"Fn::GetAtt": ["Messaging", "Outputs.QueueArn"]}
    assert event["BatchSize"] == 10
    assert event["MaximumBatchingWindowInSeconds"] == 0
    assert event["FunctionResponseTypes"] == ["ReportBatchItemFailures"]


def test_how_many_senders_run_at_once_is_the_operators_to_say() -> None:
    (event,) = _events("SenderFunction", "SQS")

    assert event["ScalingConfig"] == {"MaximumConcurrency": {"Ref": "SenderConcurrency"}}
    assert MAIN["Parameters"]["SenderConcurrency"]["MinValue"] == 2  # AWS takes no less


def test_http_functions_answer_before_the_gateway_gives_up() -> None:
    assert FUNCTIONS["ApiFunction"].timeout == 15
    assert FUNCTIONS["ReceiptsFunction"].timeout == 10


def test_the_template_has_exactly_the_routes_of_the_interface() -> None:
    routes = {f"{event['Method']} {event['Path']}": name for name in FUNCTIONS for event in _events(name, "HttpApi")}

    assert routes == ROUTES


def test_every_route_is_on_the_one_api_with_payload_2() -> None:
    events = [event for name in FUNCTIONS for event in _events(name, "HttpApi")]

    assert {json.dumps(event["ApiId"]) for event in events} == {'{"Ref": "Api"}'}
    assert {event.get("PayloadFormatVersion", "2.0") for event in events} == {"2.0"}


def test_no_action_and_no_resource_is_a_wildcard() -> None:
    granted = [right for template in ALL.values() for _, role in _roles(template) for right in _granted(role)]

    assert granted
    assert [right for right in granted if "*" in right[0] or right[1] == "*"] == []


def test_each_function_may_do_what_it_needs_and_nothing_else() -> None:
    granted = {name: set(_granted(MAIN["Resources"][_role_of(name)])) for name in FUNCTIONS}

    assert granted == RIGHTS


def test_no_right_comes_from_elsewhere() -> None:
    roles = [_role_of(name) for name in FUNCTIONS]
    own = [MAIN["Resources"][name]["Properties"] for name in FUNCTIONS]

    assert len(set(roles)) == len(FUNCTIONS)
    assert sorted(roles) == sorted(name for template in ALL.values() for name, _ in _roles(template))
    assert all("ManagedPolicyArns" not in role["Properties"] for _, role in _roles(MAIN))
    assert all("Policies" not in properties for properties in own)


@each_function
def test_the_handler_is_where_the_template_says(function: Function) -> None:
    module, _, name = function.handler.rpartition(".")
    source = (ROOT / module.replace(".", "/")).with_suffix(".py").read_text(encoding="utf-8")

    assert module.startswith("functions.handlers.")
    assert name in _names_of(ast.parse(source))


@each_function
def test_each_function_finds_its_settings_in_the_environment(function: Function) -> None:
    assert set(function.environment) == VARIABLES[function.name]


@each_function
def test_secrets_are_named_in_the_environment_and_never_there_themselves(function: Function) -> None:
    named = {name: value for name, value in function.environment.items() if name.endswith("_SECRET")}

    arns = {"KEYS_SECRET": KEYS, "CALLERS_SECRET": CALLERS, "YUNPIAN_SECRET": YUNPIAN}
    assert named == {name: {"Fn::GetAtt": arns[name].split(".", 1)} for name in named}


@each_function
def test_each_function_logs_to_a_group_of_its_own_that_forgets(function: Function) -> None:
    group = MAIN["Resources"][function.name]["Properties"]["LoggingConfig"]["LogGroup"]["Ref"]

    assert group == function.name.replace("Function", "Logs")
    assert MAIN["Resources"][group]["Properties"]["RetentionInDays"] == {"Ref": "LogRetention"}


def test_one_build_serves_all_functions() -> None:
    own = [MAIN["Resources"][name] for name in FUNCTIONS]

    assert MAIN["Globals"]["Function"]["CodeUri"] == "functions/"
    assert all("CodeUri" not in function["Properties"] for function in own)
    assert [function["Metadata"]["BuildProperties"] for function in own] == [
        {"ParentPackageMode": "explicit", "ParentPackages": "functions"}
    ] * len(FUNCTIONS)


def test_sam_is_told_where_the_dependencies_are_listed() -> None:
    settings = tomllib.loads((ROOT / "samconfig.toml").read_text(encoding="utf-8"))

    assert settings["default"]["build"]["parameters"]["manifest"] == "requirements.txt"


def test_every_parameter_says_what_it_is() -> None:
    silent = [
        f"{file}: {name}"
        for file, template in ALL.items()
        for name, parameter in template.get("Parameters", {}).items()
        if not parameter.get("Description")
    ]

    assert silent == []


def test_whatever_holds_something_says_what_becomes_of_it() -> None:
    kinds = ("AWS::DynamoDB::Table", "AWS::SecretsManager::Secret", "AWS::SQS::Queue", "AWS::Logs::LogGroup")
    holding = [each for template in ALL.values() for each in template["Resources"].values() if each["Type"] in kinds]

    assert len(holding) == 9
    assert all({"DeletionPolicy", "UpdateReplacePolicy"} <= each.keys() for each in holding)


def test_the_table_has_one_key_and_is_paid_by_request(cloud: Cloud) -> None:
    outputs = cloud.deploy(STORAGE)

    table = cloud.client("dynamodb").describe_table(TableName=outputs["TableName"])["Table"]
    assert table["KeySchema"] == [{"AttributeName": "pk", "KeyType": "HASH"}]
    assert table["AttributeDefinitions"] == [{"AttributeName": "pk", "AttributeType": "S"}]
    assert table["BillingModeSummary"]["BillingMode"] == "PAY_PER_REQUEST"
    assert table["TableArn"] == outputs["TableArn"]


def test_the_table_is_encrypted_and_forgets_and_its_backups_are_the_operators_choice() -> None:
    table = ALL["storage.yaml"]["Resources"]["Table"]["Properties"]

    # Neither engine's CloudFormation heeds these properties, so they are read.
    assert table["TimeToLiveSpecification"] == {"AttributeName": "ttl", "Enabled": True}
    assert table["SSESpecification"] == {"SSEEnabled": True}
    assert table["PointInTimeRecoverySpecification"] == {"PointInTimeRecoveryEnabled": {"Ref": "PointInTimeRecovery"}}
    assert ALL["storage.yaml"]["Parameters"]["PointInTimeRecovery"]["Default"] == "false"
    assert MAIN["Resources"]["Storage"]["Properties"]["Parameters"] == {
        "PointInTimeRecovery": {"Ref": "PointInTimeRecovery"}
    }


async def test_the_keys_are_made_with_the_stack(storage: Storage) -> None:
    keys = await storage.secret("KeysSecret")

    assert keys.keys() == {"pepper", "index", "k1"}
    assert (keys["pepper"], keys["index"]) == ("k1", "k1")
    assert len(keys["k1"]) == 64


async def test_the_receipts_token_is_made_with_the_stack_and_the_api_key_is_left_to_fill_in(storage: Storage) -> None:
    account = await storage.secret("YunpianSecret")

    assert account.keys() == {"apikey", "receipt_token"}
    assert account["apikey"] == ""
    assert len(account["receipt_token"]) == 43


def test_what_is_generated_goes_into_an_address_as_it_is() -> None:
    resources = ALL["storage.yaml"]["Resources"].values()
    generated = [each["Properties"].get("GenerateSecretString") for each in resources]

    # Neither engine's CloudFormation heeds this property, so it is read.
    assert [each["ExcludePunctuation"] for each in generated if each] == [True, True]


async def test_nobody_may_call_until_a_key_is_made(storage: Storage) -> None:
    assert await storage.secret("CallersSecret") == {}


def test_the_queue_passes_on_to_the_dead_letters(cloud: Cloud) -> None:
    outputs = cloud.deploy(MESSAGING)

    attributes = cloud.queue(outputs["QueueUrl"])
    assert attributes["QueueArn"] == outputs["QueueArn"]
    assert attributes["VisibilityTimeout"] == "90"
    assert attributes["MessageRetentionPeriod"] == "900"
    assert json.loads(attributes["RedrivePolicy"]) == {
        "deadLetterTargetArn": outputs["DeadLetterQueueArn"],
        "maxReceiveCount": 5,
    }


def test_the_dead_letters_stay_and_go_nowhere(cloud: Cloud) -> None:
    outputs = cloud.deploy(MESSAGING)

    attributes = cloud.queue(outputs["DeadLetterQueueUrl"])
    assert attributes["QueueArn"] == outputs["DeadLetterQueueArn"]
    assert attributes["MessageRetentionPeriod"] == "1209600"
    assert "RedrivePolicy" not in attributes


def test_what_the_main_template_asks_of_a_nested_one_is_there() -> None:
    asked = {value for value in _getatts(MAIN) if ".Outputs." in value}

    offered = {
        f"{name}.Outputs.{output}"
        for name, resource in MAIN["Resources"].items()
        if resource["Type"] == "AWS::Serverless::Application"
        for output in ALL[Path(resource["Properties"]["Location"]).name]["Outputs"]
    }
    assert asked
    assert asked - offered == set()


class Cloud:
    """moto's CloudFormation, and what it made. It knows no secrets: those are left out."""

    def client(self, service: str) -> Any:
        return get_session().create_client(service, region_name="us-east-1")

    def deploy(self, template: Path) -> dict[str, str]:
        cloudformation = self.client("cloudformation")
        body = read(template)
        body["Resources"] = {name: each for name, each in body["Resources"].items() if each["Type"] in _SIMULATED}
        kept = body["Resources"].keys()
        body["Outputs"] = {name: each for name, each in body["Outputs"].items() if _refers_to(each["Value"]) in kept}
        cloudformation.create_stack(StackName="salvo", TemplateBody=json.dumps(body))
        (stack,) = cloudformation.describe_stacks(StackName="salvo")["Stacks"]
        assert stack["StackStatus"] == "CREATE_COMPLETE"
        return {output["OutputKey"]: output["OutputValue"] for output in stack["Outputs"]}

    def queue(self, url: str) -> dict[str, str]:
        asked = self.client("sqs").get_queue_attributes(QueueUrl=url, AttributeNames=["All"])
        attributes: dict[str, str] = asked["Attributes"]
        return attributes


@dataclass(frozen=True, slots=True)
class Storage:
    """storage.yaml in the embedded AWS, whose CloudFormation knows secrets."""

    endpoint: str
    outputs: dict[str, str]

    async def secret(self, name: str) -> dict[str, str]:
        """The value under its ARN, which is also the one under its name."""
        async with aws_client("secretsmanager", self.endpoint) as client:
            stored = await client.get_secret_value(SecretId=self.outputs[f"{name}Arn"])
            named = await client.get_secret_value(SecretId=self.outputs[f"{name}Name"])
        assert stored["SecretString"] == named["SecretString"]
        value: dict[str, str] = json.loads(stored["SecretString"])
        return value


@pytest.fixture(scope="session")
async def storage(aws: EmbeddedAws) -> Storage:
    async with aws_client("cloudformation", aws.endpoint) as client:
        body = STORAGE.read_text(encoding="utf-8")
        await client.create_stack(StackName="templates", TemplateBody=body)
        await client.get_waiter("stack_create_complete").wait(
            StackName="templates", WaiterConfig={"Delay": 1, "MaxAttempts": 30}
        )
        (stack,) = (await client.describe_stacks(StackName="templates"))["Stacks"]
    return Storage(aws.endpoint, {output["OutputKey"]: output["OutputValue"] for output in stack["Outputs"]})


@pytest.fixture
def cloud() -> Iterator[Cloud]:
    with mock_aws():
        yield Cloud()


def _queue(name: str) -> dict[str, Any]:
    properties: dict[str, Any] = ALL["messaging.yaml"]["Resources"][name]["Properties"]
    return properties


def _events(function: str, kind: str) -> list[dict[str, Any]]:
    events = MAIN["Resources"][function]["Properties"]["Events"].values()
    return [event["Properties"] for event in events if event["Type"] == kind]


def _roles(template: dict[str, Any]) -> list[tuple[str, dict[str, Any]]]:
    return [(name, each) for name, each in template["Resources"].items() if each["Type"] == "AWS::IAM::Role"]


def _role_of(function: str) -> str:
    name, attribute = MAIN["Resources"][function]["Properties"]["Role"]["Fn::GetAtt"]
    assert attribute == "Arn"
    return str(name)


def _granted(role: dict[str, Any]) -> Iterator[tuple[str, str]]:
    """Each action with each resource that it is allowed on."""
    for policy in role["Properties"]["Policies"]:
        for statement in policy["PolicyDocument"]["Statement"]:
            assert statement.keys() == {"Effect", "Action", "Resource"}
            for action in _listed(statement["Action"]):
                for resource in _listed(statement["Resource"]):
                    yield action, resource if isinstance(resource, str) else ".".join(resource["Fn::GetAtt"])


def _refers_to(value: dict[str, Any]) -> str:
    """The resource that an output is about, where it is about one."""
    reference = value.get("Ref") or value.get("Fn::GetAtt", [""])[0]
    return str(reference)


def _listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


def _getatts(node: Any) -> Iterator[str]:
    if isinstance(node, list):
        for each in node:
            yield from _getatts(each)
    elif isinstance(node, dict):
        for key, value in node.items():
            if key == "Fn::GetAtt":
                yield ".".join(value)
            else:
                yield from _getatts(value)


def _names_of(module: ast.Module) -> set[str]:
    """What the module defines at its top."""
    names: set[str] = set()
    for node in module.body:
        if isinstance(node, ast.FunctionDef):
            names.add(node.name)
        elif isinstance(node, ast.Assign):
            names |= {target.id for target in node.targets if isinstance(target, ast.Name)}
        elif isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
            names.add(node.target.id)
    return names
