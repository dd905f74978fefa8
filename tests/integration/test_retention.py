"""API-8: what has no more use is forgotten within a day of its code's end, but for wrong guesses that nothing ended."""

from __future__ import annotations

import secrets
from typing import Any

from functions.domain.errors import Refused
from functions.domain.phone import PhoneNumber
from functions.domain.verification import DAY, MONTH
from functions.stores.dynamodb import Table
from functions.stores.guard_everywhere import DynamoCodesToNumbers
from functions.usecases.check import CheckCommand
from functions.usecases.guards.everywhere import Everywhere
from functions.usecases.start import StartCommand
from infra.local.embedded_aws import EmbeddedAws, create_resources
from tests.harness import UNLIMITED, Harness, another, fresh_number, reveal

NUMBERS = 100


async def live(harness: Harness, to: PhoneNumber, *, wrong: int, right: bool, again: bool, asynchronous: bool) -> None:
    """What a number goes through: a start, some wrong guesses, perhaps the right one, perhaps another start."""
    command = StartCommand(
        to=to, service="default", caller="test", idempotency_key=secrets.token_hex(8), respond_async=asynchronous
    )
    started = await harness.start(command)
    if asynchronous:
        await harness.send(harness.queue.jobs.pop(), message_id="m", queued_at=harness.clock())
    code = harness.provider.code_for(to)
    for guess in [another(code)] * wrong + [code] * right:
        try:
            await harness.check(CheckCommand(id=started.id, code=reveal(guess), caller="test"))
        except Refused:
            break
    if again:
        await harness.start(StartCommand(to=to, service="default", caller="test"))


async def items_of(table: Table) -> list[dict[str, Any]]:
    pages = table.client.get_paginator("scan").paginate(TableName=table.name)
    return [item async for page in pages for item in page["Items"]]


def seconds_after_its_end(item: dict[str, Any]) -> int:
    return int(item["ttl"]["N"]) - int(item["expires_at"]["N"])


async def test_all_items_have_their_day_and_wrong_guesses_their_month(aws: EmbeddedAws, dynamodb: Any) -> None:
    made = await create_resources(aws.endpoint, visibility_timeout=2, prefix=f"kept-{secrets.token_hex(4)}")
    harness = Harness(Table(dynamodb, made.table))
    harness.change_service(**UNLIMITED)
    harness.checks.append(Everywhere(DynamoCodesToNumbers(harness.table, secrets.token_bytes)))

    for n in range(NUMBERS):
        await live(harness, fresh_number(), wrong=n % 6, right=n % 4 == 0, again=n % 5 == 0, asynchronous=n % 7 == 0)
    items = await items_of(harness.table)
    records = [item for item in items if item["pk"]["S"].startswith("v#")]
    others = [item for item in items if item not in records]

    unanswered = [item for item in records if int(item["streak"]["N"]) > 0 and not is_approved(item)]
    assert len(records) == NUMBERS
    assert {seconds_after_its_end(item) for item in records if item not in unanswered} == {DAY}
    assert {seconds_after_its_end(item) for item in unanswered} == {MONTH}
    assert 0 < len(unanswered) < NUMBERS
    assert all(int(item["ttl"]["N"]) <= harness.clock() + 2 * DAY for item in others)


def is_approved(item: dict[str, Any]) -> bool:
    return bool(item.get("last_mac") == item["digest"])
