"""The nested templates of what is kept and what waits, read as text and deployed to simulated CloudFormations."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from botocore.session import get_session
from moto import mock_aws

from infra.environments import ROOT
from infra.local.embedded_aws import EmbeddedAws, aws_client
from infra.template import functions, read

MAIN = read()
FUNCTIONS = {function.name: function for function in functions(MAIN)}
STORAGE = ROOT / "infra" / "storage.yaml"
MESSAGING = ROOT / "infra" / "messaging.yaml"

KEY = "arn:aws:kms:us-east-1:123456789012:key/1234abcd-12ab-34cd-56ef-1234567890ab"
OWN_KEY = {"Fn::If": ["OwnKey", {"Ref": "KmsKeyArn"}, {"Ref": "AWS::NoValue"}]}
_SIMULATED = ("AWS::DynamoDB::Table", "AWS::SQS::Queue")


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


def test_both_queues_are_standard_ones() -> None:
    assert [name for name in ("Queue", "DeadLetterQueue") if "FifoQueue" in _queue(name)] == []


@pytest.mark.parametrize("key", [None, KEY], ids=["by_sqs", "by_key"])
def test_both_queues_are_encrypted(cloud: Cloud, key: str | None) -> None:
    outputs = cloud.deploy(MESSAGING, KmsKeyArn=key or "")

    for url in (outputs["QueueUrl"], outputs["DeadLetterQueueUrl"]):
        assert cloud.queue(url).get("KmsMasterKeyId") == key
    managed = {"Fn::If": ["OwnKey", {"Ref": "AWS::NoValue"}, True]}
    assert [_queue(name)["SqsManagedSseEnabled"] for name in ("Queue", "DeadLetterQueue")] == [managed] * 2


def test_the_table_has_one_key_and_is_paid_by_request(cloud: Cloud) -> None:
    outputs = cloud.deploy(STORAGE, Stack="salvo")

    table = cloud.client("dynamodb").describe_table(TableName=outputs["TableName"])["Table"]
    assert table["KeySchema"] == [{"AttributeName": "pk", "KeyType": "HASH"}]
    assert table["AttributeDefinitions"] == [{"AttributeName": "pk", "AttributeType": "S"}]
    assert table["BillingModeSummary"]["BillingMode"] == "PAY_PER_REQUEST"
    assert table["TableArn"] == outputs["TableArn"]


def test_the_table_is_encrypted_and_forgets_and_its_backups_are_the_operators_choice() -> None:
    table = read(STORAGE)["Resources"]["Table"]["Properties"]

    # Neither engine's CloudFormation heeds these properties, so they are read.
    assert table["TimeToLiveSpecification"] == {"AttributeName": "ttl", "Enabled": True}
    assert table["SSESpecification"] == {"SSEEnabled": True, "SSEType": "KMS", "KMSMasterKeyId": OWN_KEY}
    assert table["PointInTimeRecoverySpecification"] == {"PointInTimeRecoveryEnabled": {"Ref": "PointInTimeRecovery"}}
    assert read(STORAGE)["Parameters"]["PointInTimeRecovery"]["Default"] == "false"
    assert MAIN["Resources"]["Storage"]["Properties"]["Parameters"]["PointInTimeRecovery"] == {
        "Ref": "PointInTimeRecovery"
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
    resources = read(STORAGE)["Resources"].values()
    generated = [each["Properties"].get("GenerateSecretString") for each in resources]

    # Neither engine's CloudFormation heeds this property, so it is read.
    assert [each["ExcludePunctuation"] for each in generated if each] == [True, True]


async def test_secrets_are_named_after_the_whole_stack(storage: Storage) -> None:
    """A nested stack's own name ends in letters that CloudFormation made up, and nobody could type it."""
    names = {storage.outputs[f"{name}SecretName"] for name in ("Keys", "Callers", "Yunpian")}

    assert names == {"salvo-keys", "salvo-callers", "salvo-yunpian"}
    assert MAIN["Resources"]["Storage"]["Properties"]["Parameters"]["Stack"] == {"Ref": "AWS::StackName"}


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


class Cloud:
    """moto's CloudFormation, and what it made. It knows no secrets: those are left out."""

    def client(self, service: str) -> Any:
        return get_session().create_client(service, region_name="us-east-1")

    def deploy(self, template: Path, **parameters: str) -> dict[str, str]:
        cloudformation = self.client("cloudformation")
        body = read(template)
        body["Resources"] = {name: each for name, each in body["Resources"].items() if each["Type"] in _SIMULATED}
        kept = body["Resources"].keys()
        body["Outputs"] = {name: each for name, each in body["Outputs"].items() if _refers_to(each["Value"]) in kept}
        given = [{"ParameterKey": name, "ParameterValue": value} for name, value in parameters.items()]
        cloudformation.create_stack(StackName="salvo", TemplateBody=json.dumps(body), Parameters=given)
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
        stack_parameter = {"ParameterKey": "Stack", "ParameterValue": "salvo"}
        await client.create_stack(StackName="templates", TemplateBody=body, Parameters=[stack_parameter])
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
    properties: dict[str, Any] = read(MESSAGING)["Resources"][name]["Properties"]
    return properties


def _refers_to(value: dict[str, Any]) -> str:
    """The resource that an output is about, where it is about one."""
    reference = value.get("Ref") or value.get("Fn::GetAtt", [""])[0]
    return str(reference)
