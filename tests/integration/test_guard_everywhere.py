"""A number's codes by all services together, each of which is within its own limits."""

from __future__ import annotations

import asyncio
import secrets
from collections import Counter

import pytest

from functions.domain.delivery import Outcome
from functions.domain.errors import DeliveryUnavailable, RateLimited
from functions.domain.guard.decision import Decision, Finding, Mode, Rule, Said
from functions.domain.guard.policy import Policy
from functions.domain.phone import PhoneNumber
from functions.domain.service import Service
from functions.stores.guard_everywhere import DynamoCodesToNumbers
from functions.usecases.guards.everywhere import Everywhere
from functions.usecases.start import StartCommand
from tests.harness import UNLIMITED, Harness, answer, fresh_number

SERVICES = [f"s{n}" for n in range(10)]


@pytest.fixture
def shops(harness: Harness) -> Harness:
    """Ten services, none of which would stop at fifteen."""
    harness.services = {name: Service(name=name, max_sends=10, **UNLIMITED) for name in SERVICES}
    harness.checks = [Everywhere(DynamoCodesToNumbers(harness.table, secrets.token_bytes))]
    return harness


def set_policy(shops: Harness, policy: Policy) -> None:
    shops.services = {name: Service(name=name, max_sends=10, guard=policy, **UNLIMITED) for name in SERVICES}


async def start(shops: Harness, to: PhoneNumber, service: str) -> str:
    """sent, or the refusal's code."""
    try:
        await shops.start(StartCommand(to=to, service=service, caller="test"))
    except RateLimited as refusal:
        return refusal.code
    return "sent"


async def starts(shops: Harness, to: PhoneNumber, times: int) -> Counter[str]:
    return Counter([await start(shops, to, SERVICES[n % 10]) for n in range(times)])


async def test_of_a_thousand_starts_at_once_through_ten_services_fifteen_send(shops: Harness) -> None:
    to = fresh_number()

    await asyncio.gather(*(start(shops, to, SERVICES[n % 10]) for n in range(1_000)))

    assert len(shops.provider.sent_to(to)) == 15


async def test_the_sixteenth_is_refused_until_the_day_is_over(shops: Harness) -> None:
    to = fresh_number()
    await starts(shops, to, 15)

    with pytest.raises(RateLimited) as refused:
        await shops.start(StartCommand(to=to, service="s0", caller="test"))

    assert refused.value.retry_after == 16 * 3_600
    shops.clock.advance(16 * 3_600 - 1)
    assert await start(shops, to, "s0") == "rate_limited"
    shops.clock.advance(1)
    assert await start(shops, to, "s0") == "sent"


async def test_what_the_services_own_limits_refuse_is_not_counted(shops: Harness) -> None:
    to = fresh_number()
    shops.services["s0"] = Service(name="s0")
    await starts(shops, to, 1)

    assert [await start(shops, to, "s0") for _ in range(30)] == ["rate_limited"] * 30
    assert (await starts(shops, to, 20))["sent"] == 14


async def test_what_no_provider_took_is_not_counted(shops: Harness) -> None:
    to = fresh_number()
    shops.provider.script = [answer(Outcome.TRANSIENT)] * 5
    for _ in range(5):
        with pytest.raises(DeliveryUnavailable):
            await start(shops, to, "s1")

    assert (await starts(shops, to, 20))["sent"] == 15


async def test_another_numbers_codes_are_not_counted(shops: Harness) -> None:
    await starts(shops, fresh_number(), 15)

    assert await start(shops, fresh_number(), "s0") == "sent"


async def test_a_rule_that_only_watches_says_how_many_there_are_and_stops_none(shops: Harness) -> None:
    set_policy(shops, Policy(everywhere_day=2, modes={Rule.EVERYWHERE: Mode.MONITOR}))
    to = fresh_number()

    assert await starts(shops, to, 3) == {"sent": 3}
    assert shops.decisions.kept[-1] == Decision(
        findings=(
            Finding(rule=Rule.EVERYWHERE, said=Said.DENY, mode=Mode.MONITOR, count=3, limit=2, retry_after=16 * 3_600),
        )
    )


@pytest.mark.parametrize("policy", [Policy(everywhere_day=None), Policy(modes={Rule.EVERYWHERE: Mode.OFF})])
async def test_without_a_limit_nothing_is_said_and_nothing_written(shops: Harness, policy: Policy) -> None:
    set_policy(shops, policy)
    to = fresh_number()

    assert await starts(shops, to, 20) == {"sent": 20}
    assert shops.decisions.kept == []
