"""./salvo erase: of a number nothing is left in the table, under any index key and service (API-8)."""

from __future__ import annotations

import itertools
import json
import secrets
import subprocess
import sys
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from functions.domain.guard.decision import Decision, Finding, Rule, Said
from functions.domain.guard.lists import Effect, Entry, Kind, Subject
from functions.domain.identity import number_key, pseudonym
from functions.domain.keys import Keyring
from functions.domain.phone import PhoneNumber
from functions.domain.service import Service
from functions.stores.dynamodb import Table
from functions.stores.guard_decisions import DynamoDecisions
from functions.stores.guard_everywhere import DynamoCodesToNumbers
from functions.stores.guard_lists import KEY, attribute, from_entry
from functions.stores.secrets_manager import parse_keyring
from functions.usecases.guard import attempt_of
from functions.usecases.guards.everywhere import Everywhere
from functions.usecases.reserve import Wish
from functions.usecases.start import StartCommand
from infra.environments import ROOT
from infra.local.embedded_aws import EmbeddedAws, aws_client, aws_environment
from tests.harness import Harness, fresh_number

_NAMES = itertools.count()
_TABLE = {
    "Type": "AWS::DynamoDB::Table",
    "Properties": {
        "AttributeDefinitions": [{"AttributeName": "pk", "AttributeType": "S"}],
        "KeySchema": [{"AttributeName": "pk", "KeyType": "HASH"}],
        "BillingMode": "PAY_PER_REQUEST",
    },
}
BEFORE = {"pepper": "k1", "index": "k1", "k1": secrets.token_hex(32)}
CHANGED = {**BEFORE, "index": "k2", "index_before": "k1", "k2": secrets.token_hex(32)}
SERVICES = ("default", "shop", "gone")
"""The last is in services.toml no more."""


@dataclass
class Stack:
    name: str
    endpoint: str
    table: Table
    services: Path

    def erase(self, number: str, *options: str, stack: str | None = None) -> subprocess.CompletedProcess[str]:
        where = ("--stack-name", stack or self.name, "--services", str(self.services))
        return subprocess.run(
            [sys.executable, "-m", "infra.command", "erase", number, *where, *options],
            env={"PATH": "/usr/bin:/bin", **aws_environment(self.endpoint)},
            cwd=ROOT,
            capture_output=True,
            text=True,
            check=False,
        )

    async def items(self) -> list[dict[str, Any]]:
        pages = self.table.client.get_paginator("scan").paginate(TableName=self.table.name)
        return [item async for page in pages for item in page["Items"]]


@pytest.fixture
async def stack(aws: EmbeddedAws, dynamodb: Any, tmp_path: Path) -> Stack:
    name = f"erase-{next(_NAMES)}"
    outputs = {"TableName": {"Value": {"Ref": "Table"}}, "KeysSecretName": {"Value": f"{name}-keys"}}
    template = json.dumps({"Resources": {"Table": _TABLE}, "Outputs": outputs})
    async with (
        aws_client("cloudformation", aws.endpoint) as cloudformation,
        aws_client("secretsmanager", aws.endpoint) as secretsmanager,
    ):
        await secretsmanager.create_secret(Name=f"{name}-keys", SecretString=json.dumps(CHANGED))
        await cloudformation.create_stack(StackName=name, TemplateBody=template)
        await cloudformation.get_waiter("stack_create_complete").wait(StackName=name)
        (table,) = (await cloudformation.describe_stack_resources(StackName=name))["StackResources"]
    services = tmp_path / "services.toml"
    services.write_text("[default]\n[shop]\n")
    return Stack(name, aws.endpoint, Table(dynamodb, table["PhysicalResourceId"]), services)


async def leave_traces(stack: Stack, ring: Keyring, to: PhoneNumber) -> None:
    """A verification in each service, what all count together, an entry in the lists, and a decision."""
    harness = Harness(stack.table, **{name: Service(name=name) for name in SERVICES})
    harness.keys.ring = ring
    harness.checks.append(Everywhere(DynamoCodesToNumbers(stack.table, secrets.token_bytes)))
    for name in SERVICES:
        await harness.start(StartCommand(to=to, service=name, caller="test", idempotency_key=f"{to.e164} {name}"))
    attempt = attempt_of(Wish(to=to, service=Service(), request=secrets.token_urlsafe(12)), ring, harness.clock())
    await DynamoDecisions(stack.table).keep(Decision(findings=(Finding(rule=Rule.LISTED, said=Said.DENY),)), attempt)
    entry = from_entry(Entry(effect=Effect.BLOCK, why="asked", who="tester", at=harness.clock()))
    name = attribute(Subject(Kind.NUMBER, pseudonym(ring, "number", to.e164)))
    await stack.table.client.update_item(
        TableName=stack.table.name,
        Key={"pk": {"S": KEY}},
        UpdateExpression="SET #name = :entry",
        ExpressionAttributeNames={"#name": name},
        ExpressionAttributeValues={":entry": entry},
    )


def names_of(to: PhoneNumber) -> list[str]:
    """All that could stand for the number in the table: itself, its records' keys, its pseudonyms."""
    rings = [parse_keyring(secret, "keys", now=0) for secret in (BEFORE, {**CHANGED, "index_before": "k2"})]
    keys = [number_key(ring, service, to.e164) for ring in rings for service in SERVICES]
    return [to.e164[1:], *keys, *(pseudonym(ring, "number", to.e164) for ring in rings)]


async def traces(stack: Stack, to: PhoneNumber) -> list[str]:
    """The keys of items with one of them anywhere."""
    return [item["pk"]["S"] for item in await stack.items() if any(name in str(item) for name in names_of(to))]


async def test_nothing_of_the_number_is_left_under_any_index_key_and_service(stack: Stack) -> None:
    to, other = fresh_number(), fresh_number()
    new = parse_keyring(CHANGED, "keys", now=0)
    for ring in (replace(new, index_before=None), parse_keyring(BEFORE, "keys", now=0)):
        for number in (to, other):
            await leave_traces(stack, ring, number)
    assert len(await traces(stack, to)) == 17  # the lists are one item

    told = stack.erase(to.e164, "--service", "gone")

    assert (told.returncode, told.stderr) == (0, "")
    assert told.stdout == f"17 items of the number are erased from {stack.name}\n"
    assert await traces(stack, to) == []
    assert len(await traces(stack, other)) == 17


async def test_a_number_that_nobody_knows_is_no_error(stack: Stack) -> None:
    told = stack.erase(fresh_number().e164)

    assert (told.returncode, told.stdout) == (0, f"0 items of the number are erased from {stack.name}\n")


async def test_what_is_no_number_or_stack_is_said_in_a_sentence(stack: Stack) -> None:
    no_number = stack.erase("+49")
    no_stack = stack.erase(fresh_number().e164, stack="nobody")

    assert (no_number.returncode, no_stack.returncode) == (1, 1)
    assert no_number.stderr.startswith("salvo: ")
    assert no_number.stderr.count("\n") == no_stack.stderr.count("\n") == 1
    assert "there is no stack nobody" in no_stack.stderr
