"""The guard's part of services.toml: a service's policy, and what all services may spend together."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import field, replace
from typing import Annotated, Any

import msgspec
import phonenumbers
from msgspec import Meta

from functions.domain.frozen import frozen
from functions.domain.guard.decision import Mode, Rule
from functions.domain.guard.policy import OnFailure, Policy, unguarded
from functions.domain.service import REMEMBERED_SENDS
from functions.providers.address import is_safe

SPENDING_TABLE = "spending"
"""The one table of money: prices, and the budget of all services."""

MILLION = 1_000_000
ANY_COUNTRY = "*"
_NEEDS_PRICES = 'needs a price for any country, such as prices = { "*" = 0.1 } in [spending]'

_Share = Annotated[float, Meta(ge=0, le=1)]
_Money = Annotated[float, Meta(gt=0, le=1_000_000)]
_ALWAYS_ENFORCED = frozenset({Rule.NUMBER})
"""They are held by the write that stores a verification."""


@frozen(kw_only=True)
class Spending:
    """In millionths of one currency."""

    currency: str = "USD"
    prices: Mapping[str, int] = field(default_factory=dict)
    """Of one message, by region; `*` for all others."""
    budget: int | None = None
    """Of all services together, a day."""

    def price(self, region: str) -> int | None:
        """None where the file names no price, and the budgets count nothing."""
        return self.prices.get(region, self.prices.get(ANY_COUNTRY))


class _Policy(msgspec.Struct, forbid_unknown_fields=True):
    """As a service's table `guard` has it. 0 for a limit means that there is none."""

    enabled: bool = True
    modes: dict[str, str] = {}
    countries: list[str] = []
    home: list[str] = []
    ip_hour: Annotated[int, Meta(ge=0)] | None = None
    ip_day: Annotated[int, Meta(ge=0)] | None = None
    ip_prefix_hour: Annotated[int, Meta(ge=0)] | None = None
    numbers_1k: Annotated[int, Meta(ge=0, le=100)] | None = None
    unconverted_1k: Annotated[int, Meta(ge=0)] | None = None
    unconverted_1k_good: Annotated[int, Meta(ge=0)] | None = None
    unconverted_10k: Annotated[int, Meta(ge=0)] | None = None
    unconverted_country: Annotated[int, Meta(ge=0)] | None = None
    conversion_floor: _Share | None = None
    everywhere_day: Annotated[int, Meta(ge=0)] | None = None
    budget: _Money | None = None
    trusted_day: Annotated[int, Meta(ge=0, le=REMEMBERED_SENDS)] | None = None
    checks_minute: Annotated[int, Meta(ge=0)] | None = None
    challenge: bool = False
    challenge_url: str | None = None
    risk_url: str | None = None
    risk_on_failure: OnFailure = OnFailure.ALLOW
    sampled: _Share | None = None


class _Spending(msgspec.Struct, forbid_unknown_fields=True):
    currency: Annotated[str, Meta(pattern="^[A-Z]{3}$")] = "USD"
    prices: dict[str, _Money] = {}
    budget: _Money | None = None


_LIMITS = (
    "ip_hour",
    "ip_day",
    "ip_prefix_hour",
    "numbers_1k",
    "unconverted_1k",
    "unconverted_1k_good",
    "unconverted_10k",
    "unconverted_country",
    "everywhere_day",
    "checks_minute",
)
_OTHERS = ("conversion_floor", "trusted_day", "sampled")


def parse_policy(value: object, problems: list[str]) -> Policy:
    """Adds to `problems` what is wrong, each with its place below `guard`."""
    try:
        found = msgspec.convert(value, _Policy)
    except msgspec.ValidationError as error:
        problems.append(f": {error}")
        return Policy()
    problems += [f".{wrong}" for wrong in _policy_problems(found)]
    return _to_policy(found) if found.enabled else unguarded()


def parse_spending(value: object, problems: list[str]) -> Spending:
    """The file's table `spending`."""
    try:
        found = msgspec.convert(value, _Spending)
    except msgspec.ValidationError as error:
        problems.append(f"{SPENDING_TABLE}: {error}")
        return Spending()
    unknown = [region for region in found.prices if region != ANY_COUNTRY and not _is_region(region)]
    problems += [f"{SPENDING_TABLE}.prices: {region} is no country's code, such as DE" for region in unknown]
    if found.budget is not None and ANY_COUNTRY not in found.prices:
        problems.append(f"{SPENDING_TABLE}.budget: {_NEEDS_PRICES}")
    return Spending(
        currency=found.currency,
        prices={region: _millionths(price) for region, price in found.prices.items()},
        budget=None if found.budget is None else _millionths(found.budget),
    )


def unpriced(policies: Mapping[str, Policy], spending: Spending) -> list[str]:
    """What is wrong with services' budgets: one from which some countries' messages take nothing is none."""
    if ANY_COUNTRY in spending.prices:
        return []
    return [f"{name}.guard.budget: {_NEEDS_PRICES}" for name, policy in policies.items() if policy.budget is not None]


def _policy_problems(found: _Policy) -> list[str]:
    rules = {rule.value: rule for rule in Rule}
    problems = [f"modes.{name}: is no rule" for name in found.modes if name not in rules]
    problems += [f"modes.{rule}: is always enforced" for rule in _ALWAYS_ENFORCED if rule.value in found.modes]
    problems += [
        f"modes.{name}: must be one of {', '.join(Mode)}" for name, mode in found.modes.items() if mode not in set(Mode)
    ]
    for key in ("countries", "home"):
        unknown = [region for region in getattr(found, key) if not _is_region(region)]
        problems += [f"{key}: {region} is no country's code, such as DE" for region in unknown]
    if found.countries and not set(found.home) <= set(found.countries):
        problems.append("home: has countries that are not on the list of countries")
    for key in ("challenge_url", "risk_url"):
        url = getattr(found, key)
        if url is not None and not is_safe(url):
            problems.append(f"{key}: must be an https URL, without a password in it")
    return problems


def _to_policy(found: _Policy) -> Policy:
    limits: dict[str, Any] = {
        name: getattr(found, name) or None for name in _LIMITS if getattr(found, name) is not None
    }
    others: dict[str, Any] = {name: getattr(found, name) for name in _OTHERS if getattr(found, name) is not None}
    policy = Policy(
        modes={Rule(name): Mode(mode) for name, mode in found.modes.items() if name in set(Rule) and mode in set(Mode)},
        countries=frozenset(found.countries),
        home=frozenset(found.home),
        budget=None if found.budget is None else _millionths(found.budget),
        challenge=found.challenge,
        challenge_url=found.challenge_url,
        risk_url=found.risk_url,
        risk_on_failure=found.risk_on_failure,
    )
    return replace(policy, **limits, **others)


def _is_region(text: str) -> bool:
    return text in phonenumbers.SUPPORTED_REGIONS


def _millionths(amount: float) -> int:
    return round(amount * MILLION)
