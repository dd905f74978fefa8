from __future__ import annotations

import asyncio
import hashlib
import json
import signal
import socket
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from functions.providers.catalog import PROVIDERS
from infra.local.embedded_aws import EmbeddedAws, EmbeddedAwsFailed, Resources, aws_client, create_resources
from infra.local.processes import REPOSITORY
from tests.eventually import Eventually

STORAGE = """
Parameters:
  Billing: {Type: String, Default: PAY_PER_REQUEST}
Resources:
  Table:
    Type: AWS::DynamoDB::Table
    Properties:
      BillingMode: !Ref Billing
      AttributeDefinitions: [{AttributeName: pk, AttributeType: S}]
      KeySchema: [{AttributeName: pk, KeyType: HASH}]
      TimeToLiveSpecification: {AttributeName: forgotten_at, Enabled: true}
      Tags: [{Key: stack, Value: !Sub "${AWS::StackName}"}, {Key: all, Value: !Join [",", [a, b]]}]
"""
MESSAGING = """
Resources:
  Queue:
    Type: AWS::SQS::Queue
    Properties:
      VisibilityTimeout: 90
      MessageRetentionPeriod: 900
      RedrivePolicy: {deadLetterTargetArn: !GetAtt DeadLetterQueue.Arn, maxReceiveCount: 3}
  BulkQueue:
    Type: AWS::SQS::Queue
    Properties:
      VisibilityTimeout: 270
      MessageRetentionPeriod: 3600
      RedrivePolicy: {deadLetterTargetArn: !GetAtt DeadLetterQueue.Arn, maxReceiveCount: 30}
  DeadLetterQueue:
    Type: AWS::SQS::Queue
"""
CRASHING_PARENT = """
import asyncio, os, signal
from infra.local.embedded_aws import EmbeddedAws
async def main():
    async with EmbeddedAws.start() as aws:
        print(aws.child.pid, flush=True)
        os.kill(os.getpid(), signal.SIGKILL)
asyncio.run(main())
"""


@pytest.fixture
def templates(tmp_path: Path) -> Path:
    (tmp_path / "storage.yaml").write_text(STORAGE)
    (tmp_path / "messaging.yaml").write_text(MESSAGING)
    return tmp_path


async def test_it_answers_on_loopback_and_leaves_no_process(running: Callable[[int], bool]) -> None:
    async with EmbeddedAws.start() as aws, aws_client("dynamodb", aws.endpoint) as dynamodb:
        assert (await dynamodb.list_tables())["TableNames"] == []
        assert running(aws.child.pid)

    assert aws.endpoint.startswith("http://127.0.0.1:")
    assert not running(aws.child.pid)


async def test_a_port_that_somebody_else_has_is_left_to_them() -> None:
    async def healthy(_: web.Request) -> web.Response:
        return web.json_response({"services": {"dynamodb": "available"}, "version": "1.5.33"})

    somebody = web.Application()
    somebody.router.add_get("/_ministack/health", healthy)
    runner = web.AppRunner(somebody)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    theirs = runner.addresses[0][1]

    try:
        async with EmbeddedAws.start(ports=[theirs, _free_port()]) as aws:
            assert not aws.endpoint.endswith(f":{theirs}")
        with pytest.raises(EmbeddedAwsFailed, match="already in use"):
            async with EmbeddedAws.start(ports=[theirs]):
                pytest.fail("that is not ours")
    finally:
        await runner.cleanup()


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux ends children with their parent")
async def test_it_ends_when_we_are_killed(
    running: Callable[[int], bool], eventually: Eventually, tmp_path: Path
) -> None:
    parent = await asyncio.create_subprocess_exec(
        sys.executable,
        "-c",
        CRASHING_PARENT,
        cwd=REPOSITORY,
        env={"TMPDIR": str(tmp_path)},  # nobody is left to tidy up
        stdout=asyncio.subprocess.PIPE,
    )
    output, _ = await parent.communicate()

    async def has_ended() -> bool:
        return not running(int(output))

    assert parent.returncode == -signal.SIGKILL
    await eventually(has_ended)


async def test_the_table_is_the_templates(aws: EmbeddedAws, dynamodb: Any, templates: Path) -> None:
    resources = await create_resources(aws.endpoint, visibility_timeout=1, prefix="tiny", templates=templates)

    table = (await dynamodb.describe_table(TableName=resources.table))["Table"]
    assert table["KeySchema"] == [{"AttributeName": "pk", "KeyType": "HASH"}]
    assert table["BillingModeSummary"]["BillingMode"] == "PAY_PER_REQUEST"
    ttl = await dynamodb.describe_time_to_live(TableName=resources.table)
    assert ttl["TimeToLiveDescription"] == {"TimeToLiveStatus": "ENABLED", "AttributeName": "forgotten_at"}


async def test_the_queues_are_the_templates(aws: EmbeddedAws, sqs: Any, templates: Path) -> None:
    resources = await create_resources(aws.endpoint, visibility_timeout=7, prefix="queues", templates=templates)

    queue = await _attributes(sqs, resources.queue_url)
    dead_letters = await _attributes(sqs, resources.dead_letter_queue_url)
    assert queue["VisibilityTimeout"] == "7"
    assert queue["MessageRetentionPeriod"] == "900"
    assert json.loads(queue["RedrivePolicy"]) == {
        "deadLetterTargetArn": dead_letters["QueueArn"],
        "maxReceiveCount": 3,
    }


async def test_the_bulk_queue_is_another_that_hides_messages_as_many_times_longer(
    aws: EmbeddedAws, sqs: Any, templates: Path
) -> None:
    resources = await create_resources(aws.endpoint, visibility_timeout=7, prefix="bulk", templates=templates)

    queue = await _attributes(sqs, resources.bulk_queue_url)
    dead_letters = await _attributes(sqs, resources.dead_letter_queue_url)
    assert (queue["VisibilityTimeout"], queue["MessageRetentionPeriod"]) == ("21", "3600")
    assert json.loads(queue["RedrivePolicy"]) == {
        "deadLetterTargetArn": dead_letters["QueueArn"],
        "maxReceiveCount": 30,
    }


async def test_the_bulk_sender_finds_its_own_queue_in_its_own_lane(aws: EmbeddedAws, templates: Path) -> None:
    resources = await create_resources(aws.endpoint, visibility_timeout=1, prefix="lane", templates=templates)

    assert resources.bulk_environment() == {"QUEUE_URL": resources.bulk_queue_url, "LANE": "bulk"}


async def test_our_own_templates_work(aws: EmbeddedAws, dynamodb: Any) -> None:
    resources = await create_resources(aws.endpoint, visibility_timeout=1, prefix="own")

    ttl = await dynamodb.describe_time_to_live(TableName=resources.table)
    assert ttl["TimeToLiveDescription"] == {"TimeToLiveStatus": "ENABLED", "AttributeName": "ttl"}


async def test_the_secrets_hold_what_the_functions_look_for(aws: EmbeddedAws, templates: Path) -> None:
    resources = await create_resources(
        aws.endpoint, visibility_timeout=1, prefix="secrets", api_key="a key", templates=templates
    )

    async with aws_client("secretsmanager", aws.endpoint) as client:
        names = (resources.keys_secret, resources.callers_secret, f"{resources.provider_secrets}twilio")
        keys, callers, twilio = [
            json.loads((await client.get_secret_value(SecretId=name))["SecretString"]) for name in names
        ]
    assert (keys["pepper"], keys["index"]) == ("k1", "k1")
    assert len(keys["k1"]) >= 64
    assert callers == {hashlib.sha256(b"a key").hexdigest(): {"name": "local"}}
    assert twilio == resources.accounts["twilio"]
    assert twilio.keys() == {"account_sid", "auth_token", "receipt_token"}


async def test_each_provider_that_wants_a_key_has_a_secret_of_its_own(resources: Resources, aws: EmbeddedAws) -> None:
    async with aws_client("secretsmanager", aws.endpoint) as client:
        for provider in {entry.secret for entry in PROVIDERS.values() if entry.secret is not None}:
            found = await client.get_secret_value(SecretId=f"{resources.provider_secrets}{provider}")
            assert "private_key" not in json.loads(found["SecretString"])


async def test_the_environment_names_everything(aws: EmbeddedAws, templates: Path) -> None:
    resources = await create_resources(aws.endpoint, visibility_timeout=1, prefix="env", templates=templates)

    environment = resources.environment()
    assert environment["AWS_ENDPOINT_URL"] == aws.endpoint
    assert environment["TABLE_NAME"] == resources.table
    assert environment["QUEUE_URL"] == resources.queue_url
    assert environment["BULK_QUEUE_URL"] == resources.bulk_queue_url
    assert environment["DEAD_LETTER_QUEUE_URL"] == resources.dead_letter_queue_url
    assert environment["AWS_REGION"] == environment["AWS_DEFAULT_REGION"] == "eu-central-1"


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


async def _attributes(sqs: Any, url: str) -> dict[str, str]:
    answer = await sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["All"])
    attributes: dict[str, str] = answer["Attributes"]
    return attributes
