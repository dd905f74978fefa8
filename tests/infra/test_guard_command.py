"""./salvo guard, on a stack with a table and keys: lists that functions hear of, what is shown, and replays."""

from __future__ import annotations

import asyncio
import itertools
import json
import secrets
import sys
import time
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from functions.domain.guard.attempt import Attempt
from functions.domain.guard.decision import Decision, Finding, Rule, Said
from functions.domain.guard.lists import Effect, Entry, Kind, Subject
from functions.domain.guard.policy import Policy
from functions.domain.identity import pseudonym
from functions.domain.phone import PhoneNumber
from functions.stores.dynamodb import Table
from functions.stores.guard_decisions import DynamoDecisions
from functions.stores.guard_lists import KEY, DynamoLists, attribute, from_entry
from functions.stores.secrets_manager import parse_keyring
from infra.aws import Aws
from infra.command import main
from infra.environments import ROOT
from infra.guard.deployment import opened
from infra.guard.forget import forget
from infra.local.embedded_aws import REGION, EmbeddedAws, Resources, aws_client, aws_environment
from tests.harness import fresh_number

_NUMBERS = itertools.count()
_HOUR, _DAY = 3_600, 86_400

SERVICES = """
[shop]
[shop.guard]
budget = 50.0
[shop.guard.modes]
unconverted_1k = "enforce"
[bank]
code_length = 8
[spending]
prices = { "*" = 0.05 }
budget = 200.0
"""


def _now() -> int:
    return int(time.time())  # noqa: TID251 - the command goes by it


@dataclass
class Told:
    code: int | None
    out: str
    said: str


@dataclass
class Stack:
    """A table and keys, under the outputs of a deployed stack."""

    name: str
    resources: Resources
    table: Table
    services: Path
    keys: dict[str, str]

    @property
    def pseudonym(self) -> Any:
        return partial(pseudonym, parse_keyring(self.keys, "keys", now=0))

    async def guard(self, *arguments: str, **environment: str) -> Told:
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "infra.command", "guard", *arguments),
            env={"PATH": "/usr/bin:/bin", **aws_environment(self.resources.endpoint), **environment},
            cwd=ROOT,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        out, said = await process.communicate()
        return Told(process.returncode, out.decode(), said.decode())

    async def change(self, *arguments: str) -> Told:
        return await self.guard(*arguments, "--stack-name", self.name)

    async def status(self, *options: str) -> dict[str, list[dict[str, str]]]:
        where = ("--stack-name", self.name, "--services", str(self.services))
        told = await self.guard("status", *where, "--json", *options)
        assert told.code == 0, told.said
        found: dict[str, list[dict[str, str]]] = json.loads(told.out)
        return found

    async def listing(self) -> Any:
        """As a function sees it that has just begun."""
        return await DynamoLists(self.table).listing(_now())

    async def decide(self, *findings: Finding, to: PhoneNumber, service: str = "shop", ago: int = 60) -> None:
        attempt = Attempt(
            to=to,
            service=service,
            policy=Policy(sampled=1.0),
            request=secrets.token_urlsafe(12),
            at=_now() - ago,
            pseudonym=self.pseudonym,
        )
        await DynamoDecisions(self.table).keep(Decision(findings=findings), attempt)

    async def fill(self, size: int, *, until: int | None = None) -> None:
        """The lists, with blocks."""
        entry = from_entry(Entry(effect=Effect.BLOCK, why="a test", who="tester", at=1, until=until))
        entries = {attribute(Subject(Kind.BLOCK, f"49151000{n:04d}")): entry for n in range(size)}
        await self.table.client.put_item(TableName=self.table.name, Item={"pk": {"S": KEY}, **entries})

    async def count(self, pk: str, **counters: int) -> None:
        adds = ", ".join(f"#{name} :{name}" for name in counters)
        await self.table.count(
            pk, f"ADD {adds}", values={f":{name}": {"N": str(count)} for name, count in counters.items()}
        )


_TABLE = {
    "Type": "AWS::DynamoDB::Table",
    "Properties": {
        "AttributeDefinitions": [{"AttributeName": "pk", "AttributeType": "S"}],
        "KeySchema": [{"AttributeName": "pk", "KeyType": "HASH"}],
        "BillingMode": "PAY_PER_REQUEST",
    },
}


@pytest.fixture
async def stack(aws: EmbeddedAws, resources: Resources, dynamodb: Any, tmp_path: Path) -> Stack:
    name = f"guard-{next(_NUMBERS)}"
    outputs = {"TableName": {"Value": {"Ref": "Table"}}, "KeysSecretName": {"Value": resources.keys_secret}}
    async with (
        aws_client("cloudformation", aws.endpoint) as cloudformation,
        aws_client("secretsmanager", aws.endpoint) as secretsmanager,
    ):
        await cloudformation.create_stack(
            StackName=name, TemplateBody=json.dumps({"Resources": {"Table": _TABLE}, "Outputs": outputs})
        )
        await cloudformation.get_waiter("stack_create_complete").wait(StackName=name)
        (table,) = (await cloudformation.describe_stack_resources(StackName=name))["StackResources"]
        keys = json.loads((await secretsmanager.get_secret_value(SecretId=resources.keys_secret))["SecretString"])
    services = tmp_path / "services.toml"
    services.write_text(SERVICES)
    return Stack(name, resources, Table(dynamodb, table["PhysicalResourceId"]), services, keys)


def block_of(to: PhoneNumber) -> Subject:
    return Subject(Kind.BLOCK, to.e164[1:-3])


def denied(to: PhoneNumber, limit: int = 20) -> Finding:
    return Finding(rule=Rule.UNCONVERTED_1K, said=Said.DENY, key=to.e164[1:-3], count=limit, limit=limit)


async def test_functions_hear_of_a_blocked_number_block_and_country(stack: Stack) -> None:
    to = fresh_number()

    for who in (to.e164, f"{to.e164[:-3]}xxx", "DE"):
        told = await stack.change("block", who, "--why", "pumped")
        assert (told.code, told.said) == (0, "salvo: every function knows it within six seconds\n")

    number = Subject(Kind.NUMBER, stack.pseudonym("number", to.e164))
    listing = await stack.listing()
    assert listing.keys() == {number, block_of(to), Subject(Kind.COUNTRY, "DE")}
    assert {entry.effect for entry in listing.values()} == {Effect.BLOCK}


async def test_a_change_tells_who_made_it_and_why_and_is_kept(stack: Stack) -> None:
    told = await stack.change("allow", "+4915112345xxx", "--why", "our testers", "--for", "12h")

    assert "+4915112345xxx".removeprefix("+") in told.out
    assert "allowed until" in told.out
    assert "our testers (arn:aws:" in told.out
    (entry,) = (await stack.listing()).values()
    assert abs(entry.until - _now() - 12 * _HOUR) < 60
    assert (await stack.status())["last changes of the lists"] == [{"what": told.out.strip()}]


async def test_what_is_unblocked_is_on_no_list_and_its_history_stays(stack: Stack) -> None:
    await stack.change("block", "DE", "--why", "pumped")
    assert (await stack.change("unblock", "DE", "--why", "over")).code == 0

    assert await stack.listing() == {}
    found = await stack.status()
    assert found["lists"] == []
    assert len(found["last changes of the lists"]) == 2


async def test_what_is_on_no_list_can_not_be_taken_off(stack: Stack) -> None:
    told = await stack.change("unblock", "DE", "--why", "over")

    assert (told.code, told.out, told.said) == (1, "", "salvo: it is on no list\n")
    assert (await stack.status())["last changes of the lists"] == []


async def test_neither_the_table_nor_what_is_told_holds_a_whole_number(stack: Stack) -> None:
    to = fresh_number()

    told = await stack.change("block", to.e164, "--why", "it asked us to")
    status = await stack.guard("status", "--stack-name", stack.name)

    pages = stack.table.client.get_paginator("scan").paginate(TableName=stack.table.name)
    items = [item async for page in pages for item in page["Items"]]
    assert items
    for text in (told.out, told.said, status.out, repr(items)):
        assert to.e164[1:] not in text
        assert f"…{to.e164[-2:]}" in text or text == told.said


async def test_a_number_that_is_to_be_forgotten_is_in_no_list_no_change_and_no_decision(stack: Stack) -> None:
    to, other = fresh_number(), fresh_number()
    for each in (to, other):
        await stack.change("block", each.e164, "--why", "it asked us to")
        await stack.decide(denied(each), to=each)
    aws = Aws(REGION, partial(aws_client, endpoint=stack.resources.endpoint))

    async with opened(aws, stack.name) as deployment:
        assert await forget(deployment, to) == 3
        assert await forget(deployment, to) == 0
        left = repr(await deployment.scan(""))

    assert stack.pseudonym("number", to.e164) not in left
    assert left.count(stack.pseudonym("number", other.e164)) == 3


async def test_lists_are_full_at_their_most(stack: Stack) -> None:
    await stack.fill(500)

    told = await stack.change("block", "DE", "--why", "one more")

    assert told.code == 1
    assert told.said.startswith("salvo: there are 500 entries, and that is all the lists hold")


async def test_entries_whose_time_is_over_make_room(stack: Stack) -> None:
    await stack.fill(500, until=_now() - 1)

    told = await stack.change("block", "DE", "--why", "pumped")

    assert told.code == 0
    assert len(await stack.listing()) == 451


async def test_the_status_shows_budgets_denials_breakers_and_conversion(stack: Stack) -> None:
    to, now = fresh_number(), _now()
    await stack.decide(denied(to), to=to)
    await stack.decide(Finding(rule=Rule.COUNTRY, said=Said.PASS), to=to)
    await stack.count(f"m#{now // _DAY}#shop", used=20_000_000)
    await stack.count(f"n#DE#{now // _HOUR}#3", s0=10, s11=10, c11=12, u=8)
    block = stack.pseudonym("block", to.e164[1:-4])
    await stack.count(f"k#{block}", times=1, until=now + 600, since=0)
    await stack.table.count(f"k#{block}", "SET #upper = :u", values={":u": {"N": "0.21"}})

    found = await stack.status("--since", "1h")

    assert found["budgets of today (UTC)"] == [
        {"service": "shop", "taken": "20.00", "budget": "50.00 USD", "share": "40%"},
        {"service": "all services", "taken": "0.00", "budget": "200.00 USD", "share": "0%"},
    ]
    (row,) = found["denials, by the decisions that were kept"]
    assert (row["service"], row["rule"], row["outcome"], row["starts"]) == ("shop", "unconverted_1k", "denied", "1")
    (breaker,) = found["closed by conversion"]
    assert breaker["what"] == f"+{to.e164[1:-4]}xxxx"
    assert breaker["at most come to use"] == "21%"
    assert found["conversion by country"] == [
        {"country": "DE", "sent": "20", "came to use": "12", "share": "60%"},
    ]


async def test_what_another_version_kept_is_left_out_and_told(stack: Stack) -> None:
    await stack.table.count("d#1#other", "SET #facts = :facts", values={":facts": {"S": '{"version": 2}'}})

    told = await stack.guard("status", "--stack-name", stack.name)

    assert told.code == 0
    assert told.said == "salvo: 1 kept decisions are of another version of Salvo, and left out\n"


async def test_the_status_of_one_service_leaves_the_others_out(stack: Stack) -> None:
    to = fresh_number()
    await stack.decide(denied(to), to=to, service="bank")

    found = await stack.status("--service", "shop")

    assert found["denials, by the decisions that were kept"] == []
    assert [row["service"] for row in found["budgets of today (UTC)"]] == ["shop"]


async def test_a_changed_file_is_replayed_over_what_was_decided(stack: Stack, tmp_path: Path) -> None:
    to = fresh_number()
    for ago in range(40, 30, -1):
        await stack.decide(denied(to), to=to, ago=ago)
    changed = tmp_path / "changed.toml"
    changed.write_text(SERVICES.replace("budget = 50.0", "budget = 50.0\nunconverted_1k = 24\nconversion_floor = 0.1"))
    files = ("--before", str(stack.services), "--services", str(changed))
    saved = tmp_path / "decisions.jsonl"

    told = await stack.guard("replay", "--since", "1h", *files, "--stack-name", stack.name, "--save", str(saved))
    again = await stack.guard("replay", str(saved), *files)

    assert (told.code, told.said) == (0, "")
    lines = told.out.splitlines()
    assert "10 starts, by 10 kept decisions: 0 more are stopped, 4 fewer" in lines
    assert any(line.startswith("shop.guard.conversion_floor is changed, and not replayed: ") for line in lines)
    row = next(line.split() for line in lines if "unconverted_1k" in line)
    assert (row[0], row[2], row[3], row[-1]) == ("shop", "unconverted_1k", "denied", "4")
    assert again.out == told.out
    assert to.e164[1:] not in saved.read_text()


def test_the_odds_are_told_for_each_service(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    services = tmp_path / "services.toml"
    services.write_text(SERVICES)

    assert main(["guard", "odds", "--services", str(services)]) == 0

    told = capsys.readouterr().out
    for fact in ("5.0e-06", "2.0e-05", "1.0e-04", "200,000 on average", "2,010"):
        assert fact in told  # six digits
    for fact in ("5.0e-08", "2.0e-07", "1.0e-06", "20,000,000 on average", "201,007"):
        assert fact in told  # eight
    assert "1,000 SMS" in told  # of 50.00 at 0.05
    assert "5.0e-03 (1 in 201)" in told


async def test_what_can_not_be_listed_is_told_in_a_sentence(stack: Stack) -> None:
    told = await stack.change("block", "ZZ", "--why", "pumped")

    assert (told.code, told.out) == (1, "")
    assert told.said == "salvo: ZZ is no country's code, such as DE\n"


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("replay", "/nowhere"), "salvo: /nowhere: No such file or directory\n"),
        (("replay", "README.md"), "salvo: README.md, line 1 is no kept decision: "),
        (("odds", "--services", "/nowhere.toml"), "salvo: nowhere.toml: "),
        (("status", "--service", "none"), "salvo: "),
    ],
)
def test_a_mistake_ends_in_a_sentence(
    arguments: tuple[str, ...], said: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(ROOT)

    assert main(["guard", *arguments]) == 1

    told = capsys.readouterr()
    assert told.out == ""
    assert told.err.startswith(said)


async def test_without_a_stack_it_says_what_to_do(stack: Stack) -> None:
    told = await stack.guard("status", "--stack-name", "nobody")

    assert (told.code, told.out) == (1, "")
    assert told.said == f"salvo: there is no stack nobody in {REGION}: `./salvo deploy` makes it\n"


async def test_a_change_without_a_reason_is_none(stack: Stack) -> None:
    told = await stack.change("block", "DE")

    assert told.code == 2
    assert await stack.listing() == {}
