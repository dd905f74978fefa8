"""The contract of Lists and of Decisions, on every engine."""

from __future__ import annotations

import asyncio
import logging
import secrets
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from typing import Any

import pytest
from botocore.config import Config

from functions.aws import CONFIG
from functions.domain.guard import kept
from functions.domain.guard.attempt import Attempt
from functions.domain.guard.decision import Decision, Finding, Mode, Rule, Said
from functions.domain.guard.lists import Effect, Entry, Kind, Subject
from functions.domain.guard.policy import Policy
from functions.domain.identity import pseudonym
from functions.stores.dynamodb import Table
from functions.stores.guard_decisions import A_SECOND, KEPT_FOR, DynamoDecisions
from functions.stores.guard_lists import FRESH_FOR, KEY, DynamoLists, attribute, from_entry
from functions.usecases.ports import StoreUnavailable
from infra.local.embedded_aws import aws_client
from tests.adapters import open_for_business, says_nothing
from tests.harness import MORNING, FixedKeys, fresh_number

BLOCK = Subject(Kind.BLOCK, "4915112345")
ENTRY = Entry(effect=Effect.BLOCK, why="pumped", who="an operator", at=MORNING, until=MORNING + 60)
DENIED = Decision(findings=(Finding(rule=Rule.UNCONVERTED_1K, said=Said.DENY, key="4915112345", count=20, limit=20),))
WATCHED = Decision(findings=(replace(DENIED.findings[0], mode=Mode.MONITOR),))
ALLOWED = Decision(findings=(Finding(rule=Rule.COUNTRY, said=Said.PASS),))


async def put(table: Table, subject: Subject, entry: Entry) -> None:
    await table.count(KEY, f"SET #{attribute(subject)} = :entry", values={":entry": from_entry(entry)})


async def take_off(table: Table, subject: Subject) -> None:
    await table.client.update_item(
        TableName=table.name,
        Key={"pk": {"S": KEY}},
        UpdateExpression="REMOVE #entry",
        ExpressionAttributeNames={"#entry": attribute(subject)},
    )


def attempt(**more: Any) -> Attempt:
    return Attempt(
        to=fresh_number(),
        service=f"service-{secrets.token_hex(4)}",
        policy=more.pop("policy", Policy()),
        request=secrets.token_urlsafe(12),
        at=more.pop("at", MORNING),
        pseudonym=partial(pseudonym, FixedKeys().ring),
        **more,
    )


async def kept_of(table: Table, service: str) -> list[tuple[kept.Kept, int]]:
    """With the time each expires."""
    pages = table.client.get_paginator("scan").paginate(TableName=table.name)
    items = [item async for page in pages for item in page["Items"] if item["pk"]["S"].startswith("d#")]
    found = [(kept.from_text(item["facts"]["S"]), int(item["ttl"]["N"])) for item in items]
    return [each for each in found if each[0].service == service]


async def test_what_operators_said_is_read_as_it_was_written(table: Table) -> None:
    number = Subject(Kind.NUMBER, "abc234")
    for_good = replace(ENTRY, effect=Effect.ALLOW, until=None)
    await put(table, BLOCK, ENTRY)
    await put(table, number, for_good)

    listing = await DynamoLists(table).listing(MORNING)

    assert (listing[BLOCK], listing[number]) == (ENTRY, for_good)


async def test_a_change_is_heard_after_five_seconds(table: Table) -> None:
    lists, block = DynamoLists(table), Subject(Kind.BLOCK, secrets.token_hex(4))
    assert block not in await lists.listing(MORNING)
    await put(table, block, ENTRY)

    assert block not in await lists.listing(MORNING + FRESH_FOR - 1)
    assert block in await lists.listing(MORNING + FRESH_FOR)
    await take_off(table, block)
    assert block not in await lists.listing(MORNING + 2 * FRESH_FOR)


async def test_a_thousand_who_ask_at_once_are_one_read(table: Table, reads: list[str]) -> None:
    lists = DynamoLists(table)

    await asyncio.gather(*(lists.listing(MORNING) for _ in range(1000)))

    assert reads == ["GetItem"]


async def test_a_denial_is_kept_for_two_weeks(table: Table) -> None:
    denied = attempt()

    await DynamoDecisions(table).keep(DENIED, denied)

    assert await kept_of(table, denied.service) == [(kept.of(DENIED, denied, weight=1), MORNING + KEPT_FOR)]


async def test_what_a_watching_rule_would_have_denied_is_kept_too(table: Table) -> None:
    watched = attempt()

    await DynamoDecisions(table).keep(WATCHED, watched)

    assert len(await kept_of(table, watched.service)) == 1


async def test_of_what_is_allowed_a_share_is_kept_and_stands_for_the_others(table: Table) -> None:
    all_of_it, none_of_it = attempt(policy=Policy(sampled=1.0)), attempt(policy=Policy(sampled=0.0))
    decisions = DynamoDecisions(table)

    await decisions.keep(ALLOWED, all_of_it)
    await decisions.keep(ALLOWED, none_of_it)

    assert [one.weight for one, _ in await kept_of(table, all_of_it.service)] == [1.0]
    assert await kept_of(table, none_of_it.service) == []


async def test_a_challenge_that_was_solved_is_allowed_as_any_other_start(table: Table) -> None:
    solved = Decision(findings=(Finding(rule=Rule.CHALLENGE, said=Said.SOLVED),))
    unsampled = attempt(policy=Policy(sampled=0.0))

    await DynamoDecisions(table).keep(solved, unsampled)

    assert await kept_of(table, unsampled.service) == []


async def test_a_flood_of_denials_is_kept_in_samples_that_stand_for_all(table: Table) -> None:
    first = attempt()
    flood = [replace(first, request=secrets.token_urlsafe(12)) for _ in range(200)]
    decisions = DynamoDecisions(table)

    for each in flood:
        await decisions.keep(DENIED, each)
    await decisions.keep(DENIED, replace(first, at=MORNING + 1))

    found = [one for one, _ in await kept_of(table, first.service)]
    assert len(found) == A_SECOND + 1
    assert sum(one.weight for one in found) == 201


async def test_a_flood_of_one_rule_leaves_the_others_decisions(table: Table) -> None:
    first, decisions = attempt(), DynamoDecisions(table)
    for _ in range(20):
        await decisions.keep(DENIED, replace(first, request=secrets.token_urlsafe(12)))

    other = Decision(findings=(Finding(rule=Rule.IP, said=Said.DENY),))
    await decisions.keep(other, replace(first, request="another"))

    found = [one.decision for one, _ in await kept_of(table, first.service)]
    assert other in found


class TestAStoreThatDoesNotAnswer:
    @pytest.fixture
    async def silent(self) -> Any:
        async with (
            open_for_business(says_nothing()) as vendor,
            aws_client("dynamodb", vendor.url, config=CONFIG.merge(Config(read_timeout=60))) as client,
        ):
            yield Table(client, "nowhere", patience=0.1)

    async def test_leaves_the_lists_unknown_and_nothing_passes(self, silent: Table) -> None:
        with pytest.raises(StoreUnavailable):
            await DynamoLists(silent).listing(MORNING)

    async def test_costs_a_decision_and_nobody_an_answer(self, silent: Table, caplog: pytest.LogCaptureFixture) -> None:
        with caplog.at_level(logging.WARNING):
            await DynamoDecisions(silent).keep(DENIED, attempt())

        assert [record.message for record in caplog.records] == [
            "a decision is not kept: DynamoDB did not answer within 0.5 s"
        ]


@pytest.fixture
def reads(table: Table) -> Iterator[list[str]]:
    seen: list[str] = []
    events = table.client.meta.events

    def note(**_: Any) -> None:
        seen.append("GetItem")

    events.register("before-call.dynamodb.GetItem", note, "lists")
    yield seen
    events.unregister("before-call.dynamodb.GetItem", note, "lists")
