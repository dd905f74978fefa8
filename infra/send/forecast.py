"""What the guard will make of a campaign: many codes to a block of numbers look like pumping, and are stopped.

The rules count codes that nobody has typed in yet. So this is the most that they refuse: as if nobody typed one in.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator, Mapping

from functions.domain.guard.decision import Mode, Rule
from functions.domain.guard.policy import Policy
from functions.guard_file import MILLION, Spending
from functions.service_file import Configuration
from infra.send.numbers import Numbers
from infra.send.tally import Tally

_HOUR = 3_600


def warnings(tally: Tally, numbers: Numbers, configuration: Configuration, *, seconds: float) -> list[str]:
    """In sentences. `seconds` is how long it takes to send them all."""
    hours, spending = max(1, math.ceil(seconds / _HOUR)), configuration.spending
    found, everywhere = list[str](), Counter[str]()
    for name in tally.services:
        policy, by_region = configuration.services[name].guard, tally.of_service(name)
        everywhere.update(by_region)
        found += _of_rules(name, policy, _beyond(name, policy, by_region, numbers, hours))
        if policy.mode(Rule.BUDGET_SERVICE) is Mode.ENFORCE:
            found += _of_budget(f"{name}.guard.budget", policy.budget, by_region, spending)
    return [*found, *_of_budget("spending.budget", spending.budget, everywhere, spending)]


def _beyond(
    service: str, policy: Policy, by_region: Mapping[str, int], numbers: Numbers, hours: int
) -> Iterator[tuple[Rule, int | None, int]]:
    """Each rule, its limit in an hour, and how many are above it."""
    for rule, limit, above in (
        (Rule.NUMBERS_1K, policy.numbers_1k, numbers.above_1k),
        (Rule.UNCONVERTED_1K, policy.unconverted_1k, numbers.above_1k),
        (Rule.UNCONVERTED_10K, policy.unconverted_10k, numbers.above_10k),
    ):
        yield rule, limit, 0 if limit is None else above(service, limit * hours)
    limit = policy.unconverted_country
    abroad = [count for region, count in by_region.items() if not policy.is_home(region)]
    yield Rule.UNCONVERTED_COUNTRY, limit, 0 if limit is None else sum(max(0, n - limit * hours) for n in abroad)


def _of_rules(service: str, policy: Policy, beyond: Iterator[tuple[Rule, int | None, int]]) -> Iterator[str]:
    for rule, limit, above in beyond:
        if above and policy.mode(rule) is Mode.ENFORCE:
            yield f"{service}.guard.{rule.value} = {limit} (an hour): up to {above:,} of them would be refused"


def _of_budget(setting: str, budget: int | None, by_region: Mapping[str, int], spending: Spending) -> Iterator[str]:
    cost = sum(count * (spending.price(region) or 0) for region, count in by_region.items())
    if budget is not None and cost > budget:
        yield (
            f"{setting} = {budget / MILLION:,.2f} {spending.currency} a day: they cost {cost / MILLION:,.2f},"
            " and what is above the budget would be refused"
        )
