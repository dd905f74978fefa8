"""Both lanes at one account, in simulated time: a login never waits behind a campaign, and the account's rate holds."""

from __future__ import annotations

import asyncio
import random  # noqa: TID251 - when codes are asked for, not which
import secrets
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field

import pytest

from functions.stores.rates import DynamoRates
from functions.usecases.lanes import AHEAD, BULK_SHARE, BulkRates
from functions.usecases.ports import Rates
from infra.local.embedded_aws import EmbeddedAws, Resources
from tests.harness import MORNING, GivenRates, RecordingJournal
from tests.simulated_time import ObservedTable, Simulate, most_in_a_second, simulation

GENEROUS = 30.0
"""Seconds of patience with the table: a busy machine is no silent store."""
A_BATCH = 100
"""Messages that a bulk sender has in hand."""
LONG = 52.0
"""Seconds that a bulk sender can wait."""


@dataclass
class Account:
    """Shared by sandboxes of both lanes."""

    table: ObservedTable
    rate: float
    provider: str = field(default_factory=lambda: f"p{secrets.token_hex(4)}")
    journal: RecordingJournal = field(default_factory=RecordingJournal)
    chance: random.Random = field(default_factory=lambda: random.Random(5))  # noqa: S311
    logins: list[float] = field(default_factory=list)
    """When each went out, and below how long it had waited."""
    waited: list[float] = field(default_factory=list)
    bulk: list[float] = field(default_factory=list)
    turned_away: int = 0
    """Messages of the campaign."""

    def single(self) -> DynamoRates:
        return self._rates(1)

    def campaign(self) -> BulkRates:
        return BulkRates(share=self._rates(BULK_SHARE, "#bulk"), account=self.single(), rated={self.provider})

    def _rates(self, share: float, lane: str = "") -> DynamoRates:
        rates = {self.provider: self.rate * share}
        return DynamoRates(self.table, _milliseconds, rates, self.journal, GENEROUS, lane=lane)

    async def log_in(self, sandbox: Rates, *, at: float) -> None:
        await asyncio.sleep(at - _now())
        wait = await sandbox.wait(self.provider, most=LONG)
        assert wait is not None
        await asyncio.sleep(wait)
        self.waited.append(_now() - at)
        self.logins.append(_now())

    async def send_batches(self, *, until: float, most: float = LONG) -> None:
        """As a bulk sender does: a hundred at once, and the next hundred when all are done."""
        sandbox = self.campaign()
        while _now() < until:
            await asyncio.gather(*(self._send(sandbox, most) for _ in range(A_BATCH)))

    async def _send(self, sandbox: Rates, most: float) -> None:
        wait = await sandbox.wait(self.provider, most=most)
        if wait is None:
            self.turned_away += 1
            await asyncio.sleep(sandbox.free_in(self.provider))
            return
        await asyncio.sleep(wait)
        self.bulk.append(_now())

    async def log_in_at(self, times: Sequence[float], sandboxes: int) -> None:
        singles = [self.single() for _ in range(sandboxes)]
        await asyncio.gather(*(self.log_in(self.chance.choice(singles), at=at) for at in times))


Scenario = Callable[[Account], Awaitable[None]]


@pytest.fixture
def simulate(aws: EmbeddedAws, resources: Resources) -> Simulate:
    return simulation(aws, resources)


async def account_after(simulate: Simulate, scenario: Scenario, *, rate: float) -> Account:
    accounts: list[Account] = []

    async def work(table: ObservedTable) -> None:
        accounts.append(Account(table, rate))
        await scenario(accounts[0])

    await simulate(work)
    assert accounts[0].journal.lines == []
    return accounts[0]


async def test_ten_sandboxes_of_each_lane_keep_to_the_rate_together_and_no_login_waits_behind_the_campaign(
    simulate: Simulate,
) -> None:
    async def rush(account: Account) -> None:
        logins = [account.chance.uniform(3, 30) for _ in range(20)]
        campaign = [account.send_batches(until=30) for _ in range(10)]
        await asyncio.gather(account.log_in_at(logins, sandboxes=10), *campaign)

    account = await account_after(simulate, rush, rate=10)

    assert len(account.logins) == 20
    assert most_in_a_second([*account.logins, *account.bulk]) <= 11
    # A place that the campaign has, those of other logins, and what it may be ahead.
    assert max(account.waited) <= AHEAD + 2 / 10
    assert sum(3 <= at < 30 for at in account.bulk) >= 0.85 * 10 * 27


async def test_without_logins_the_campaign_leaves_a_tenth_of_the_rate_alone(simulate: Simulate) -> None:
    async def campaign(account: Account) -> None:
        await asyncio.gather(*(account.send_batches(until=8) for _ in range(3)))

    account = await account_after(simulate, campaign, rate=20)

    assert sum(at < 8 for at in account.bulk) == pytest.approx(8 * 20 * BULK_SHARE, abs=3)


async def test_where_logins_need_more_than_a_tenth_the_campaign_makes_room(simulate: Simulate) -> None:
    async def rush(account: Account) -> None:
        logins = [3 + n / 8 for n in range(8 * 12)]
        campaign = [account.send_batches(until=15) for _ in range(3)]
        await asyncio.gather(account.log_in_at(logins, sandboxes=5), *campaign)

    account = await account_after(simulate, rush, rate=10)

    assert max(account.waited) <= AHEAD + 2 / 10
    assert most_in_a_second([*account.logins, *account.bulk]) <= 11
    assert sum(4 <= at < 14 for at in account.bulk) == pytest.approx(2 * 10, abs=3)  # what is left of ten


async def test_an_account_of_a_thousand_a_second_takes_no_write_for_each_message_of_a_campaign(
    simulate: Simulate,
) -> None:
    async def campaign(account: Account) -> None:
        await account.send_batches(until=2)

    account = await account_after(simulate, campaign, rate=1_000)

    assert len(account.bulk) >= 1_000
    # One for each hundred at its own schedule, and one for each step that some of them come in.
    assert len(account.table.asked) <= len(account.bulk) / A_BATCH * 5


async def test_a_campaign_knows_when_to_come_back(simulate: Simulate) -> None:
    free_in: list[float] = []

    async def campaign(account: Account) -> None:
        sandbox = account.campaign()
        waiting = [asyncio.create_task(sandbox.wait(account.provider, most=10)) for _ in range(A_BATCH)]
        await asyncio.sleep(0.5)
        free_in.append(sandbox.free_in(account.provider))
        await asyncio.gather(*waiting)

    await account_after(simulate, campaign, rate=1)

    # Nine of a hundred found a place in less than ten seconds, at nine tenths of the rate: there the next one is free.
    assert free_in == [pytest.approx(9 / BULK_SHARE - 0.5, abs=0.1)]


async def test_a_provider_without_a_rate_has_nobody_wait() -> None:
    nobody = GivenRates()

    assert await BulkRates(share=nobody, account=nobody, rated=frozenset()).wait("anybody", most=0) == 0
    assert nobody.asked == []


def _now() -> float:
    return asyncio.get_running_loop().time()


def _milliseconds() -> int:
    return MORNING * 1_000 + int(_now() * 1_000)
