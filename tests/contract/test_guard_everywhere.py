"""The contract of CodesToNumbers: on every engine, and with many starts at once on the exact one."""

from __future__ import annotations

import asyncio
import secrets
from typing import Any

from functions.aws import CONFIG
from functions.stores.dynamodb import Table
from functions.stores.guard_everywhere import DynamoCodesToNumbers
from infra.local.embedded_aws import EmbeddedAws, Resources, aws_client
from tests.dropping_proxy import DroppingProxy

TODAY = 20_833


def some_number() -> str:
    """A pseudonym that nobody else in this run has."""
    return secrets.token_hex(12)


def codes_in(table: Table) -> DynamoCodesToNumbers:
    return DynamoCodesToNumbers(table, secrets.token_bytes)


async def test_codes_are_counted_up_to_the_most_and_no_further(table: Table) -> None:
    codes, number = codes_in(table), some_number()

    assert [await codes.add(number, TODAY, most=3) for _ in range(5)] == [1, 2, 3, None, None]


async def test_without_a_most_they_are_only_counted(table: Table) -> None:
    codes, number = codes_in(table), some_number()
    await codes.add(number, TODAY, most=1)

    assert [await codes.add(number, TODAY, most=None) for _ in range(2)] == [2, 3]


async def test_each_number_and_each_day_has_its_own(table: Table) -> None:
    codes, number = codes_in(table), some_number()
    await codes.add(number, TODAY, most=1)

    assert await codes.add(some_number(), TODAY, most=1) == 1
    assert await codes.add(number, TODAY + 1, most=1) == 1


async def test_a_new_day_takes_the_one_before_away(table: Table) -> None:
    codes, number = codes_in(table), some_number()
    for day in range(TODAY, TODAY + 3):
        await codes.add(number, day, most=1)

    item = await table.get(f"e#{number}")

    assert item is not None
    assert item.keys() == {"pk", "write", "ttl", f"d{TODAY + 2}"}
    assert int(item["ttl"]["N"]) == (TODAY + 4) * 86_400


async def test_what_is_taken_back_may_be_sent_again(table: Table) -> None:
    codes, number = codes_in(table), some_number()
    await codes.add(number, TODAY, most=1)

    await codes.take_back(number, TODAY)

    assert await codes.add(number, TODAY, most=1) == 1


async def test_where_none_was_counted_none_is_taken_back(table: Table) -> None:
    codes, number = codes_in(table), some_number()
    await codes.take_back(number, TODAY)
    await codes.add(number, TODAY, most=1)

    await codes.take_back(number, TODAY - 1)

    assert await codes.add(number, TODAY, most=1) is None


async def test_of_a_thousand_at_once_as_many_are_counted_as_may(dynamodb: Any, resources: Resources) -> None:
    codes, number = codes_in(Table(dynamodb, resources.table)), some_number()

    counts = await asyncio.gather(*(codes.add(number, TODAY, most=15) for _ in range(1_000)))

    assert sorted(count for count in counts if count is not None) == list(range(1, 16))


async def test_a_write_whose_answer_gets_lost_counts_once(aws: EmbeddedAws, resources: Resources) -> None:
    async with (
        DroppingProxy.start(aws.endpoint) as proxy,
        aws_client("dynamodb", proxy.url, config=CONFIG) as client,
    ):
        codes, number = codes_in(Table(client, resources.table)), some_number()

        counts = [await codes.add(number, TODAY, most=3) for _ in range(4)]
        await codes.take_back(number, TODAY)

        assert counts == [1, 2, 3, None]
        assert await codes.add(number, TODAY, most=None) == 3
    assert len(proxy.lost) == 6
