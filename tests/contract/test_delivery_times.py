"""The contract of DeliveryTimes, on every engine."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import pytest
from botocore.config import Config

from functions.aws import CONFIG
from functions.stores.delivery_times import FEWEST, FRESH_FOR, DynamoDeliveryTimes
from functions.stores.dynamodb import Table
from infra.local.embedded_aws import Resources, aws_client
from tests.adapters import open_for_business, says_nothing
from tests.contract.conftest import Meter
from tests.harness import ManualClock

WEEK = 604_800
GENEROUS = 30.0
"""Seconds: a busy machine is no silent store."""


@dataclass
class Region:
    """One that nobody else in this run sends to."""

    table: Table
    clock: ManualClock = field(default_factory=ManualClock)
    name: str = field(default_factory=lambda: f"R{secrets.token_hex(4)}")

    def sandbox(self, *, patience: float = GENEROUS) -> DynamoDeliveryTimes:
        return DynamoDeliveryTimes(self.table, self.clock, patience)

    async def learn(self, seconds: Sequence[int]) -> None:
        sandbox = self.sandbox()
        for each in seconds:
            await sandbox.learn(self.name, each)

    async def usual(self) -> int | None:
        """As a sandbox sees it that has just begun."""
        return await self.sandbox().usual(self.name)


@pytest.fixture
def region(table: Table) -> Region:
    return Region(table)


@pytest.fixture
def exact_region(dynamodb: Any, resources: Resources) -> Region:
    return Region(Table(dynamodb, resources.table))


async def test_of_a_region_without_receipts_nothing_is_known(region: Region) -> None:
    assert await region.usual() is None


async def test_fifty_receipts_tell_something_and_forty_nine_do_not(region: Region) -> None:
    await region.learn([3] * (FEWEST - 1))
    assert await region.usual() is None

    await region.learn([3])
    assert await region.usual() == 5


async def test_it_is_the_time_within_which_nineteen_of_twenty_arrive(region: Region) -> None:
    await region.learn([4] * 50 + [28] * 45 + [200] * 5)
    assert await region.usual() == 30

    await region.learn([200])
    assert await region.usual() == 300


@pytest.mark.parametrize(
    ("seconds", "within"),
    [(-3, 5), (0, 5), (5, 5), (6, 10), (30, 30), (31, 45), (600, 600), (601, 900), (900, 900), (86_400, 900)],
)
async def test_the_end_of_its_bucket_is_a_times_measure(region: Region, seconds: int, within: int) -> None:
    await region.learn([seconds] * FEWEST)

    assert await region.usual() == within


async def test_regions_are_told_apart(region: Region) -> None:
    await region.learn([3] * FEWEST)

    assert await Region(region.table).usual() is None


async def test_the_week_before_counts_too_and_the_one_before_that_does_not(region: Region) -> None:
    await region.learn([25] * 40)
    region.clock.advance(WEEK)
    await region.learn([3] * 10)

    assert await region.usual() == 30

    region.clock.advance(WEEK)
    await region.learn([3] * 40)
    assert await region.usual() == 5


async def test_a_weeks_counters_expire_when_they_count_no_more(region: Region) -> None:
    await region.learn([3])

    week = region.clock() // WEEK
    item = await region.table.get(f"t#{region.name}#{week}")

    assert item is not None
    assert item["ttl"] == {"N": str((week + 2) * WEEK)}


async def test_an_answer_is_used_for_five_minutes(region: Region) -> None:
    sandbox = region.sandbox()
    assert await sandbox.usual(region.name) is None
    await region.learn([3] * FEWEST)

    region.clock.advance(FRESH_FOR - 1)
    assert await sandbox.usual(region.name) is None
    region.clock.advance(1)
    assert await sandbox.usual(region.name) == 5


async def test_many_at_once_are_all_counted_for_a_write_unit_each(exact_region: Region, meter: Meter) -> None:
    sandboxes = [exact_region.sandbox() for _ in range(10)]

    await asyncio.gather(*(sandbox.learn(exact_region.name, n % 60) for sandbox in sandboxes for n in range(50)))

    assert meter.units == [1.0] * 500
    item = await exact_region.table.get(f"t#{exact_region.name}#{exact_region.clock() // WEEK}")
    assert item is not None
    assert sum(int(value["N"]) for name, value in item.items() if name.startswith("within_")) == 500


async def test_a_thousand_who_ask_at_once_are_two_reads(exact_region: Region) -> None:
    reads: list[str] = []
    events = exact_region.table.client.meta.events

    def note(**_: Any) -> None:
        reads.append("GetItem")

    events.register("before-call.dynamodb.GetItem", note, "reads")
    sandbox = exact_region.sandbox()

    await asyncio.gather(*(sandbox.usual(exact_region.name) for _ in range(1000)))
    events.unregister("before-call.dynamodb.GetItem", note, "reads")

    assert reads == ["GetItem"] * 2


class TestAStoreThatDoesNotAnswer:
    @pytest.fixture
    async def silent(self) -> Any:
        async with (
            open_for_business(says_nothing()) as vendor,
            aws_client("dynamodb", vendor.url, config=CONFIG.merge(Config(read_timeout=60))) as client,
        ):
            yield Table(client, "nowhere", patience=0.1)

    async def test_is_waited_for_once_and_tells_nothing(self, silent: Table, caplog: pytest.LogCaptureFixture) -> None:
        region = Region(silent)
        sandbox = region.sandbox(patience=0.1)

        await sandbox.learn(region.name, 3)
        assert await asyncio.gather(*(sandbox.usual(region.name) for _ in range(100))) == [None] * 100

        assert [record.message for record in caplog.records] == [
            "a delivery's time is not learned from: DynamoDB did not answer within 0.1 s",
            "delivery times are not known anew: DynamoDB did not answer within 0.1 s",
        ]

    async def test_leaves_what_was_known(self, exact_region: Region, silent: Table) -> None:
        await exact_region.learn([3] * FEWEST)
        sandbox = exact_region.sandbox()
        assert await sandbox.usual(exact_region.name) == 5

        sandbox.table = silent
        exact_region.clock.advance(FRESH_FOR)

        assert await sandbox.usual(exact_region.name) == 5
