"""ABU-8, by real starts of many sandboxes: providers are asked for what the budget pays, and never once more."""

from __future__ import annotations

import asyncio
import itertools
import secrets
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

import pytest

from functions.aws import CONFIG
from functions.domain.delivery import Message, Outcome, SendResult
from functions.domain.errors import BlockedByGuard, DeliveryUnavailable
from functions.domain.guard.budget import PORTIONS
from functions.domain.guard.policy import Policy
from functions.domain.service import OnUnknown, Service
from functions.stores.dynamodb import Table
from functions.stores.guard_budget import DynamoAccounts
from functions.usecases.guards.spending import Spending
from functions.usecases.ports import SendJob, StoreUnavailable
from functions.usecases.start import StartCommand
from infra.local.embedded_aws import Resources, aws_client
from tests.adapters import hangs_up, open_for_business
from tests.eventually import Eventually
from tests.harness import MORNING, Harness, RecordingJournal, accept, answer, call, fresh_number

PRICE = 75_000
BUDGET = 1_000
"""Messages."""
LEASE = BUDGET // PORTIONS
SANDBOXES = 50
SENDS = 200

_days = itertools.count(1)


@dataclass
class Day:
    """One that no other test of this run has, with a service and the sandboxes that send its codes."""

    table: Table
    messages: int = BUDGET
    in_all: int | None = None
    journal: RecordingJournal = field(default_factory=RecordingJournal)
    service: str = field(default_factory=lambda: f"shop-{secrets.token_hex(4)}")
    now: int = field(default_factory=lambda: MORNING + next(_days) * 86_400)
    harnesses: list[Harness] = field(default_factory=list)

    def sandbox(self) -> Harness:
        harness = Harness(self.table, **{self.service: Service(name=self.service)})
        self.set_budget(harness, self.messages)
        harness.clock.now = self.now
        in_all = None if self.in_all is None else self.in_all * PRICE
        harness.checks = [
            Spending(DynamoAccounts(self.table), {"DE": PRICE}.get, in_all, self.journal),
        ]
        self.harnesses.append(harness)
        return harness

    def set_budget(self, harness: Harness, messages: int) -> None:
        service = harness.services[self.service]
        harness.services[self.service] = replace(service, guard=Policy(budget=messages * PRICE))

    async def start(self, harness: Harness) -> str:
        """sent, or the rule that refused it."""
        try:
            await harness.start(StartCommand(to=fresh_number(), service=self.service, caller="test"))
        except BlockedByGuard as refusal:
            return refusal.reason or ""
        return "sent"

    async def send(self, harness: Harness, times: int, *, at_once: int = 1) -> None:
        for _ in range(times // at_once):
            await asyncio.gather(*(self.start(harness) for _ in range(at_once)))

    async def live_and_die(self, lives: int) -> int:
        """How many of them ended with a third message, which its provider takes, and others in hand."""
        deaths = 0
        for _ in range(lives):
            sandbox = self.sandbox()
            life = asyncio.create_task(self.send(sandbox, SENDS // lives, at_once=5))
            sandbox.provider.script = [accept, accept, _at_which(life)]
            await asyncio.wait([life])
            deaths += life.cancelled()
        return deaths

    @property
    def sent(self) -> int:
        """By the providers' count."""
        return sum(len(harness.provider.messages) for harness in self.harnesses)


def _at_which(life: asyncio.Task[None]) -> Callable[[Message], SendResult]:
    def end(message: Message) -> SendResult:
        life.cancel()
        return accept(message)

    return end


@pytest.fixture
def day(dynamodb: Any, resources: Resources) -> Day:
    return Day(Table(dynamodb, resources.table))


class TestFiftySandboxesThatWouldSendTenTimesTheBudget:
    @pytest.mark.parametrize("at_once", [1, 20])
    async def test_send_what_it_pays_and_leave_less_than_a_portion_each(self, day: Day, at_once: int) -> None:
        await asyncio.gather(*(day.send(day.sandbox(), SENDS, at_once=at_once) for _ in range(SANDBOXES)))

        assert BUDGET - SANDBOXES * (LEASE - 1) <= day.sent <= BUDGET
        assert [line["percent"] for line in day.journal.of("budget")] == [50, 80]
        assert max(line["percent"] for line in day.journal.of("spent")) == 100

    async def test_send_no_more_where_each_dies_with_its_third_message_and_begins_anew(self, day: Day) -> None:
        deaths = sum(await asyncio.gather(*(day.live_and_die(10) for _ in range(SANDBOXES))))

        assert deaths > SANDBOXES
        await day.send(day.sandbox(), BUDGET, at_once=100)
        assert BUDGET // 3 < day.sent <= BUDGET


async def test_all_services_together_end_at_their_budget_though_each_has_money_left(day: Day) -> None:
    day.in_all = 30
    other = replace(day, service=f"other-{secrets.token_hex(4)}")

    await asyncio.gather(*(each.send(each.sandbox(), 10) for each in (day, other) for _ in range(5)))

    assert day.sent == 30  # the harnesses of both
    assert await day.start(day.sandbox()) == "budget_total"


async def test_who_is_over_budget_hears_which_rule_it_was(day: Day) -> None:
    day.messages = 1
    sandbox = day.sandbox()

    outcomes = [await day.start(sandbox) for _ in range(2)]

    assert outcomes == ["sent", "budget_service"]
    assert [line["rule"] for line in sandbox.journal.of("decision")] == [None, "budget_service"]


async def test_over_http_it_is_a_403_that_says_when_there_is_money_again(day: Day) -> None:
    day.messages = 0
    sandbox = day.sandbox()

    response = await call(sandbox.app, "POST", "/v1/verifications", {"to": fresh_number().e164, "service": day.service})

    assert (response.status, response.json["code"]) == (403, "blocked_by_guard")
    assert response.json["retry_after"] == 16 * 3_600


async def test_a_message_that_no_provider_took_costs_nothing(day: Day) -> None:
    day.messages = 1
    sandbox = day.sandbox()
    sandbox.provider.script = [answer(Outcome.TRANSIENT)]
    with pytest.raises(DeliveryUnavailable):
        await day.start(sandbox)

    assert [await day.start(sandbox) for _ in range(2)] == ["sent", "budget_service"]


async def test_a_message_of_which_nobody_knows_whether_it_went_out_costs_its_price(
    day: Day, eventually: Eventually
) -> None:
    """Its sandbox ran out of time while the provider had it in hand."""
    day.messages = 1
    sandbox = day.sandbox()
    sandbox.provider.latency = 60
    start = asyncio.create_task(day.start(sandbox))

    async def has_it() -> bool:
        return sandbox.provider.at_once == 1

    await eventually(has_it)
    start.cancel()
    await asyncio.wait([start])
    sandbox.provider.latency = 0

    assert await day.start(sandbox) == "budget_service"


class TestAMessageOfTheQueueWhoseProviderDoesNotTell:
    @pytest.fixture
    def sandbox(self, day: Day) -> Harness:
        sandbox = day.sandbox()
        sandbox.services[day.service] = replace(sandbox.services[day.service], on_unknown=OnUnknown.ONCE)
        sandbox.provider.otherwise = answer(Outcome.UNKNOWN)
        sandbox.seconds_left = 2.0  # too few for two providers at once
        return sandbox

    async def deliver(self, day: Day, sandbox: Harness, times: int) -> None:
        """The same message of the queue so many times."""
        job = SendJob(to=fresh_number().e164, service=day.service)
        for _ in range(times):
            await sandbox.send(job, message_id="m1", queued_at=day.now)

    async def test_costs_its_price_for_each_time_that_it_may_have_gone_out(self, day: Day, sandbox: Harness) -> None:
        day.set_budget(sandbox, 3)

        await self.deliver(day, sandbox, 5)

        assert day.sent == 2
        assert [await day.start(sandbox) for _ in range(2)] == ["sent", "budget_service"]

    async def test_is_not_sent_again_where_there_is_no_money_for_it(self, day: Day, sandbox: Harness) -> None:
        day.set_budget(sandbox, 1)

        await self.deliver(day, sandbox, 5)

        assert day.sent == 1


async def test_a_repeat_of_a_request_costs_nothing(day: Day) -> None:
    day.messages = 2
    sandbox, to = day.sandbox(), fresh_number()
    command = StartCommand(to=to, service=day.service, caller="test", idempotency_key="once")

    await asyncio.gather(*(sandbox.start(command) for _ in range(10)), return_exceptions=True)

    outcomes = Counter([await day.start(sandbox) for _ in range(3)])
    assert outcomes == {"sent": 1, "budget_service": 2}


async def test_a_table_that_does_not_answer_lets_nothing_go_out(day: Day) -> None:
    sandbox = day.sandbox()
    async with open_for_business(hangs_up()) as vendor, aws_client("dynamodb", vendor.url, config=CONFIG) as client:
        sandbox.checks = [Spending(DynamoAccounts(Table(client, "nowhere")), {"DE": PRICE}.get, None, day.journal)]

        with pytest.raises(StoreUnavailable):
            await day.start(sandbox)

    assert sandbox.provider.messages == []
