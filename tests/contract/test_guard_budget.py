"""The contract of Accounts: on every engine, and with many sandboxes at once on the exact one."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Sequence
from typing import Any

import pytest

from functions.aws import CONFIG
from functions.domain.guard.budget import Account
from functions.domain.guard.decision import Rule
from functions.stores.dynamodb import Table
from functions.stores.guard_budget import DynamoAccounts
from functions.usecases.guard_ports import Lease
from functions.usecases.ports import StoreUnavailable
from infra.local.embedded_aws import EmbeddedAws, Resources, aws_client
from tests.adapters import hangs_up, open_for_business
from tests.dropping_proxy import DroppingProxy

TODAY = 20_833


def account(budget: int = 100, *, name: str | None = None, day: int = TODAY, home: bool = True) -> Account:
    """Of a service that nobody else in this run has."""
    return Account(
        rule=Rule.BUDGET_SERVICE, name=name or f"shop-{secrets.token_hex(4)}", day=day, budget=budget, home=home
    )


def granted(leases: Sequence[Lease]) -> int:
    return sum(lease.taken for lease in leases)


async def test_the_first_portion_is_taken_of_a_full_account(table: Table) -> None:
    assert await DynamoAccounts(table).take(account(), 10) == Lease(taken=True, used=10)


async def test_portions_add_up_to_the_limit_and_no_further(table: Table) -> None:
    accounts, shop = DynamoAccounts(table), account(100)

    leases = [await accounts.take(shop, 40) for _ in range(3)]

    assert leases == [Lease(taken=True, used=40), Lease(taken=True, used=80), Lease(taken=False, used=80)]
    assert await accounts.take(shop, 20) == Lease(taken=True, used=100)
    assert await accounts.take(shop, 1) == Lease(taken=False, used=100)


async def test_abroad_the_account_ends_at_four_fifths(table: Table) -> None:
    accounts, shop = DynamoAccounts(table), account(100)
    abroad = account(100, name=shop.name, home=False)
    await accounts.take(shop, 80)

    assert not (await accounts.take(abroad, 1)).taken
    assert (await accounts.take(shop, 20)).taken


async def test_each_day_and_each_service_has_its_own(table: Table) -> None:
    accounts, shop = DynamoAccounts(table), account(100)
    await accounts.take(shop, 100)

    assert (await accounts.take(account(100, name=shop.name, day=TODAY + 1), 100)).taken
    assert (await accounts.take(account(100), 100)).taken


async def test_an_account_is_kept_for_a_week_after_its_day(table: Table) -> None:
    shop = account()
    await DynamoAccounts(table).take(shop, 1)

    item = await table.get(f"m#{TODAY}#{shop.name}")

    assert item is not None
    assert int(item["ttl"]["N"]) == (TODAY + 8) * 86_400


async def test_a_thousand_who_would_take_portions_of_fifty_at_once_get_what_there_is(
    dynamodb: Any, resources: Resources
) -> None:
    accounts, shop = DynamoAccounts(Table(dynamodb, resources.table)), account(1_020)

    leases = await asyncio.gather(*(accounts.take(shop, 50) for _ in range(1_000)))

    assert granted(leases) == 20
    assert max(lease.used for lease in leases) == 1_000


async def test_a_portion_whose_answer_gets_lost_is_never_spent_twice(aws: EmbeddedAws, resources: Resources) -> None:
    """The SDK asks again, and that is another portion for the table: less goes out than might, never more."""
    async with (
        DroppingProxy.start(aws.endpoint) as proxy,
        aws_client("dynamodb", proxy.url, config=CONFIG) as client,
    ):
        accounts, shop = DynamoAccounts(Table(client, resources.table)), account(100)

        leases = [await accounts.take(shop, 10) for _ in range(10)]

    assert len(proxy.lost) == 10
    assert granted(leases) == 5
    assert leases[-1].used == 100


async def test_a_table_that_does_not_answer_says_so() -> None:
    async with open_for_business(hangs_up()) as vendor, aws_client("dynamodb", vendor.url, config=CONFIG) as client:
        with pytest.raises(StoreUnavailable):
            await DynamoAccounts(Table(client, "nowhere")).take(account(), 1)
