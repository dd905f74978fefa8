"""What a day may cost: the arithmetic, and what a sandbox makes of its portions."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import pytest

from functions.domain.guard.attempt import Attempt
from functions.domain.guard.budget import Account
from functions.domain.guard.decision import Finding, Mode, Rule, Said
from functions.domain.guard.policy import Policy
from functions.domain.phone import parse_phone_number
from functions.service_file import ServiceFileError, parse_configuration
from functions.usecases.guard_ports import Lease
from functions.usecases.guards.spending import Spending
from functions.usecases.ports import StoreUnavailable
from tests.harness import MORNING, RecordingJournal

PRICE = 75_000
GERMAN, FRENCH, AMERICAN = "+4915112345678", "+33612345678", "+12125550123"


@dataclass(slots=True)
class Bank:
    """Accounts in memory."""

    used: dict[tuple[int, str], int] = field(default_factory=dict)
    takes: list[int] = field(default_factory=list)
    silent: set[str] = field(default_factory=set)

    async def take(self, account: Account, amount: int) -> Lease:
        await asyncio.sleep(0)
        if account.name in self.silent:
            raise StoreUnavailable("no answer")
        before = self.used.get((account.day, account.name), 0)
        taken = before + amount <= account.limit
        if taken:
            self.used[account.day, account.name] = before + amount
            self.takes.append(amount)
        return Lease(taken=taken, used=before + amount if taken else before)


@dataclass(slots=True)
class Shop:
    """One sandbox, with a budget for so many messages of the service, and of all services."""

    messages: int | None = None
    in_all: int | None = None
    bank: Bank = field(default_factory=Bank)
    policy: Policy = field(default_factory=Policy)
    journal: RecordingJournal = field(default_factory=RecordingJournal)
    now: int = MORNING
    spending: Spending = field(init=False)

    def __post_init__(self) -> None:
        self.restart()

    def restart(self) -> None:
        in_all = None if self.in_all is None else self.in_all * PRICE
        self.spending = Spending(self.bank, {"DE": PRICE, "FR": PRICE}.get, in_all, self.journal)

    def attempt(self, to: str = GERMAN) -> Attempt:
        budget = None if self.messages is None else self.messages * PRICE
        return Attempt(
            to=parse_phone_number(to),
            service="shop",
            policy=replace(self.policy, budget=budget),
            request="a request",
            at=self.now,
            pseudonym=lambda kind, text: text,
        )

    async def ask(self, to: str = GERMAN) -> Sequence[Finding]:
        return await self.spending.look(self.attempt(to))

    async def passes(self, to: str = GERMAN) -> bool:
        return not any(finding.decides for finding in await self.ask(to))

    async def send(self, times: int, to: str = GERMAN) -> int:
        """How many may, one after the other."""
        return sum([await self.passes(to) for _ in range(times)])


class TestABudget:
    async def test_is_spent_to_its_last_message_and_no_further(self) -> None:
        shop = Shop(messages=7)

        assert await shop.send(20) == 7

    async def test_that_is_no_multiple_of_its_portions_is_spent_to_its_last_message(self) -> None:
        shop = Shop(messages=1_003)

        assert await shop.send(1_100) == 1_003

    async def test_is_taken_in_two_hundred_portions(self) -> None:
        shop = Shop(messages=1_000)

        await shop.send(1_000)

        assert shop.bank.takes == [5 * PRICE] * 200

    async def test_that_is_empty_is_not_asked_for_again(self) -> None:
        shop = Shop(messages=3)
        await shop.send(4)
        shop.bank.silent = {"shop"}

        assert await shop.send(100) == 0

    async def test_of_less_than_one_message_pays_none(self) -> None:
        shop = Shop(messages=0)

        assert not await shop.passes()
        assert shop.bank.used == {}

    async def test_says_what_it_counted_and_when_there_is_money_again(self) -> None:
        shop = Shop(messages=1)

        (first,) = await shop.ask()
        (second,) = await shop.ask()

        assert first == Finding(
            rule=Rule.BUDGET_SERVICE, said=Said.PASS, key="shop", count=PRICE, limit=PRICE, retry_after=None
        )
        assert second == Finding(
            rule=Rule.BUDGET_SERVICE, said=Said.DENY, key="shop", count=PRICE, limit=PRICE, retry_after=16 * 3_600
        )

    async def test_is_another_one_after_midnight_and_what_was_left_of_the_old_is_worth_nothing(self) -> None:
        shop = Shop(messages=400)
        await shop.send(1)

        shop.now += 86_400

        assert await shop.send(500) == 400
        assert len(shop.spending._purses) == 1

    async def test_outlives_its_sandbox(self) -> None:
        shop = Shop(messages=10)
        sent = await shop.send(4)

        shop.restart()

        assert sent + await shop.send(20) == 10

    async def test_of_a_country_without_a_price_says_nothing_and_costs_nothing(self) -> None:
        shop = Shop(messages=0, in_all=0)

        assert await shop.ask(AMERICAN) == []
        await shop.spending.give_back(shop.attempt(AMERICAN))
        assert shop.bank.used == {}

    async def test_that_nobody_set_says_nothing_and_costs_nothing(self) -> None:
        shop = Shop()

        assert await shop.ask() == []
        assert shop.bank.used == {}

    async def test_whose_rule_is_off_says_nothing_and_costs_nothing(self) -> None:
        shop = Shop(messages=0, in_all=5, policy=Policy(modes={Rule.BUDGET_SERVICE: Mode.OFF}))

        assert [finding.rule for finding in await shop.ask()] == [Rule.BUDGET_TOTAL]
        assert [name for _, name in shop.bank.used] == ["*"]

    async def test_that_is_only_watched_stops_nothing_and_says_what_it_would_have(self) -> None:
        shop = Shop(messages=2, policy=Policy(modes={Rule.BUDGET_SERVICE: Mode.MONITOR}))

        findings = [finding for _ in range(4) for finding in await shop.ask()]

        assert [finding.said for finding in findings] == [Said.PASS, Said.PASS, Said.DENY, Said.DENY]
        assert [(finding.count or 0) // PRICE for finding in findings] == [1, 2, 3, 4]
        assert not any(finding.decides for finding in findings)


class TestWhatIsGivenBack:
    async def test_is_there_for_the_next_message(self) -> None:
        shop = Shop(messages=3, in_all=3)
        await shop.send(3)

        await shop.spending.give_back(shop.attempt())

        assert await shop.send(5) == 1

    async def test_of_what_only_a_watching_rule_refused_is_no_money(self) -> None:
        shop = Shop(messages=1, policy=Policy(modes={Rule.BUDGET_SERVICE: Mode.MONITOR}))
        await shop.send(2)

        await shop.spending.give_back(shop.attempt())

        assert [finding.said for finding in await shop.ask()] == [Said.DENY]

    async def test_is_the_services_money_where_all_services_together_have_none(self) -> None:
        shop = Shop(messages=1, in_all=0)
        assert not await shop.passes()

        shop.spending.budget = PRICE

        assert await shop.passes()

    async def test_is_the_services_money_where_the_table_does_not_answer_for_all_services(self) -> None:
        shop = Shop(messages=1, in_all=1, bank=Bank(silent={"*"}))
        with pytest.raises(StoreUnavailable):
            await shop.ask()

        shop.bank.silent = set()

        assert await shop.passes()


class TestManyAtOnce:
    async def test_wait_for_one_portion_that_is_enough_for_all_who_came_too_late_for_the_first(self) -> None:
        shop = Shop(messages=1_000)

        assert all(await asyncio.gather(*(shop.passes() for _ in range(600))))
        assert shop.bank.takes == [5 * PRICE, 595 * PRICE]

    async def test_get_what_there_is(self) -> None:
        shop = Shop(messages=1_000, in_all=900)

        assert sum(await asyncio.gather(*(shop.passes() for _ in range(2_000)))) == 900

    async def test_of_whom_some_give_up_leave_none_of_the_others_without(self) -> None:
        shop = Shop(messages=10)
        waiting = [asyncio.create_task(shop.passes()) for _ in range(10)]
        await asyncio.sleep(0)

        waiting[0].cancel()
        rest = await asyncio.gather(*waiting[1:], return_exceptions=True)

        assert rest == [True] * 9


class TestTheEndOfABudget:
    async def test_after_four_fifths_only_home_gets_any_of_it(self) -> None:
        shop = Shop(messages=1_000, policy=Policy(home=frozenset({"DE"})))

        assert await shop.send(1_000, FRENCH) == 800
        assert await shop.send(1_000, GERMAN) == 200

    async def test_of_all_services_too(self) -> None:
        shop = Shop(in_all=1_000, policy=Policy(home=frozenset({"DE"})))

        assert await shop.send(1_000, FRENCH) == 800
        assert await shop.send(1_000, GERMAN) == 200

    async def test_no_money_that_another_sandbox_spent_at_home_is_there_for_abroad(self) -> None:
        policy, bank = Policy(home=frozenset({"DE"})), Bank()
        here, there = Shop(messages=100, policy=policy, bank=bank), Shop(messages=100, policy=policy, bank=bank)

        assert await here.send(85, GERMAN) == 85
        assert await there.send(50, FRENCH) == 0

    async def test_where_no_home_is_named_every_country_is(self) -> None:
        shop = Shop(messages=10)

        assert await shop.send(20, FRENCH) == 10

    async def test_half_and_four_fifths_are_told_once_a_day_by_whoever_gets_there(self) -> None:
        bank, journal = Bank(), RecordingJournal()
        sandboxes = [Shop(messages=1_000, bank=bank, journal=journal) for _ in range(10)]

        for _ in range(100):
            await asyncio.gather(*(shop.passes() for shop in sandboxes))

        assert journal.of("budget") == [
            {"event": "budget", "service": "shop", "percent": percent, "used": used * PRICE, "budget": 1_000 * PRICE}
            for percent, used in ((50, 500), (80, 800))
        ]

    async def test_a_portion_that_is_greater_than_that_tells_both(self) -> None:
        shop = Shop(messages=2)

        await shop.send(2)

        assert [line["percent"] for line in shop.journal.of("budget")] == [50, 80]


class TestPricesInTheFile:
    def test_are_a_countrys_own_or_those_of_any_other(self) -> None:
        spending = parse_configuration({"spending": {"prices": {"DE": 0.075, "*": 0.12}}}).spending

        assert [spending.price(region) for region in ("DE", "FR")] == [75_000, 120_000]

    @pytest.mark.parametrize(
        ("document", "where"),
        [
            ({"spending": {"budget": 100.0, "prices": {"DE": 0.075}}}, "spending.budget"),
            ({"spending": {"prices": {"DE": 0.075}}, "shop": {"guard": {"budget": 50.0}}}, "shop.guard.budget"),
            ({"shop": {"guard": {"budget": 50.0}}}, "shop.guard.budget"),
        ],
    )
    def test_are_needed_for_any_country_where_there_is_a_budget(self, document: dict[str, Any], where: str) -> None:
        with pytest.raises(ServiceFileError) as refused:
            parse_configuration(document)

        assert refused.value.problems == [
            f'{where}: needs a price for any country, such as prices = {{ "*" = 0.1 }} in [spending]'
        ]
