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

from functions.domain.service import Service
from functions.providers.aws_sms import read_event
from functions.queues.sqs import FIRST_WAIT, LONGEST_KEPT, LONGEST_WAIT, MOST_DELIVERIES
from infra.environments import ROOT
from infra.local.embedded_aws import EmbeddedAws, aws_client
from infra.template import functions, read

MAIN = read()
FUNCTIONS = {function.name: function for function in functions(MAIN)}
STORAGE = ROOT / "infra" / "storage.yaml"
MESSAGING = ROOT / "infra" / "messaging.yaml"

TRIES = 9
MOST_SEND_WITHIN = 43_200
"""Seconds: of `batch_send_within` in services.toml."""
QUEUES = ("Queue", "BulkQueue", "DeadLetterQueue")
KEY = "arn:aws:kms:us-east-1:123456789012:key/1234abcd-12ab-34cd-56ef-1234567890ab"
OWN_KEY = {"Fn::If": ["OwnKey", {"Ref": "KmsKeyArn"}, {"Ref": "AWS::NoValue"}]}
_SIMULATED = ("AWS::DynamoDB::Table", "AWS::SQS::Queue", "AWS::SNS::Topic")


def test_the_queue_hands_a_batch_out_again_after_six_times_the_senders_time_at_the_earliest() -> None:
    visibility = _queue("Queue")["VisibilityTimeout"]

    assert FUNCTIONS["SenderFunction"].timeout == 15
    assert visibility == 90
    assert visibility >= 6 * FUNCTIONS["SenderFunction"].timeout


def test_the_bulk_queue_hands_a_batch_out_again_after_six_times_its_senders_time() -> None:
    assert _queue("BulkQueue")["VisibilityTimeout"] == 6 * FUNCTIONS["BulkSenderFunction"].timeout


def test_a_message_of_a_batch_comes_back_often_for_its_account_may_be_busy() -> None:
    redrive = _queue("BulkQueue")["RedrivePolicy"]

    assert redrive == {"deadLetterTargetArn": {"Fn::GetAtt": ["DeadLetterQueue", "Arn"]}, "maxReceiveCount": 100}


def test_a_message_of_a_batch_is_kept_longer_than_its_code_may_be_of_use() -> None:
    """Then its sender says that it came too late, and it does not just vanish."""
    assert _queue("BulkQueue")["MessageRetentionPeriod"] > MOST_SEND_WITHIN


def test_a_message_has_nine_tries_and_then_stays_for_fourteen_days() -> None:
    redrive = _queue("Queue")["RedrivePolicy"]

    assert redrive == {"deadLetterTargetArn": {"Fn::GetAtt": ["DeadLetterQueue", "Arn"]}, "maxReceiveCount": TRIES}
    assert _queue("DeadLetterQueue")["MessageRetentionPeriod"] == 14 * 24 * 60 * 60


def test_while_all_providers_are_down_a_message_comes_back_until_its_code_is_of_no_use() -> None:
    longest = [min(FIRST_WAIT * 2**before, LONGEST_WAIT) for before in range(TRIES - 1)]

    # Each wait is at least half of the longest that it may be.
    assert sum(longest) / 2 > Service(name="default").send_within
    # Where it is of use for longer, it is the last delivery that waits until then.
    assert (TRIES, _queue("Queue")["MessageRetentionPeriod"]) == (MOST_DELIVERIES, LONGEST_KEPT)


def test_a_message_that_waits_longer_than_its_code_is_of_use_is_dropped() -> None:
    assert _queue("Queue")["MessageRetentionPeriod"] == 900


def test_all_queues_are_standard_ones() -> None:
    assert [name for name in QUEUES if "FifoQueue" in _queue(name)] == []


@pytest.mark.parametrize("key", [None, KEY], ids=["by_sqs", "by_key"])
def test_all_queues_are_encrypted(cloud: Cloud, key: str | None) -> None:
    outputs = cloud.deploy(MESSAGING, KmsKeyArn=key or "")

    for url in (outputs[f"{name}Url"] for name in QUEUES):
        assert cloud.queue(url).get("KmsMasterKeyId") == key
    managed = {"Fn::If": ["OwnKey", {"Ref": "AWS::NoValue"}, True]}
    assert [_queue(name)["SqsManagedSseEnabled"] for name in QUEUES] == [managed] * 3


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


async def test_secrets_are_named_after_the_whole_stack(storage: Storage) -> None:
    """A nested stack's own name ends in letters that CloudFormation made up, and nobody could type it."""
    names = {storage.outputs[f"{name}SecretName"] for name in ("Keys", "Callers")}

    assert names == {"salvo-keys", "salvo-callers"}
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
        "maxReceiveCount": TRIES,
    }


def test_the_dead_letters_stay_and_go_nowhere(cloud: Cloud) -> None:
    outputs = cloud.deploy(MESSAGING)

    attributes = cloud.queue(outputs["DeadLetterQueueUrl"])
    assert attributes["QueueArn"] == outputs["DeadLetterQueueArn"]
    assert attributes["MessageRetentionPeriod"] == "1209600"
    assert "RedrivePolicy" not in attributes


def test_nothing_is_told_by_aws_where_nothing_is_sent_by_it(cloud: Cloud) -> None:
    assert cloud.deploy(MESSAGING).keys().isdisjoint({"ReceiptsTopicArn", "ConfigurationSet"})


@pytest.mark.parametrize("key", [None, KEY], ids=["by_nobody", "by_key"])
def test_what_aws_tells_of_its_messages_is_encrypted_with_a_key_of_ones_own_or_not_at_all(
    cloud: Cloud, key: str | None
) -> None:
    outputs = cloud.deploy(MESSAGING, SendByAws="true", KmsKeyArn=key or "")

    attributes = cloud.client("sns").get_topic_attributes(TopicArn=outputs["ReceiptsTopicArn"])["Attributes"]
    assert attributes.get("KmsMasterKeyId") == key


def test_nobody_but_awss_own_service_for_this_account_may_tell_what_became_of_messages() -> None:
    # Neither engine's CloudFormation knows these resources, so they are read. cfn-lint has their schemas.
    policy = read(MESSAGING)["Resources"]["ReceiptsTopicPolicy"]["Properties"]
    (statement,) = policy["PolicyDocument"]["Statement"]

    assert policy["Topics"] == [{"Ref": "ReceiptsTopic"}]
    assert statement == {
        "Effect": "Allow",
        "Principal": {"Service": "sms-voice.amazonaws.com"},
        "Action": "sns:Publish",
        "Resource": {"Ref": "ReceiptsTopic"},
        "Condition": {"StringEquals": {"aws:SourceAccount": {"Ref": "AWS::AccountId"}}},
    }


def test_the_configuration_set_tells_what_the_receipts_understand() -> None:
    properties = read(MESSAGING)["Resources"]["ConfigurationSet"]["Properties"]
    (destination,) = properties["EventDestinations"]
    told = [{"source": "aws.sms-voice", "detail": _event(kind)} for kind in destination["MatchingEventTypes"]]

    assert destination["SnsDestination"] == {"TopicArn": {"Ref": "ReceiptsTopic"}}
    assert destination["Enabled"] is True
    assert [len(read_event(event, now=0) or ()) for event in told] == [1] * 13


def _event(kind: str) -> dict[str, Any]:
    return {"eventType": kind, "context": {"ref": "vfy_k1_id.1"}}


class Cloud:
    """moto's CloudFormation, and what it made. What it does not know is left out."""

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
