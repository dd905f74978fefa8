"""The guard's settings in services.toml, and every mistake in them by its key."""

from __future__ import annotations

import tomllib
from dataclasses import fields
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from functions.domain.guard.decision import Mode, Rule
from functions.domain.guard.policy import OnFailure, Policy, unguarded
from functions.guard_file import Spending
from functions.service_file import Configuration, ServiceFileError, parse_configuration
from functions.settings import SHIPPED_SERVICES

PRICED = {"spending": {"prices": {"*": 0.1}}}


def policy_of(**guard: Any) -> Policy:
    return parse_configuration({"shop": {"guard": guard}, **PRICED}).services["shop"].guard


def mistakes(document: dict[str, Any]) -> list[str]:
    with pytest.raises(ServiceFileError) as caught:
        parse_configuration(document)
    return caught.value.problems


def test_a_service_without_a_word_on_it_has_the_defaults() -> None:
    assert parse_configuration({"shop": {}}).services["shop"].guard == Policy()
    assert policy_of() == Policy()


def test_every_setting_is_explained_in_the_shipped_file() -> None:
    text = SHIPPED_SERVICES.read_text(encoding="utf-8")

    assert [
        field.name for field in fields(Policy) if field.name != "modes" and f"\n# {field.name} = " not in text
    ] == []
    assert "# [shop.guard.modes]" in text
    assert "# [spending]" in text


def test_what_the_shipped_file_says_of_defaults_is_so() -> None:
    """Each number there that is the default's is shown as it is."""
    shown = [line.removeprefix("# ") for line in SHIPPED_SERVICES.read_text(encoding="utf-8").splitlines()]
    begin, end = (
        next(place for place, line in enumerate(shown) if line.startswith(head))
        for head in ("[shop.guard]", "[shop.guard.modes]")
    )
    table = tomllib.loads("\n".join(shown[begin + 1 : end]))

    default = Policy()
    of_limits = [
        name for name in table if name.endswith(("_hour", "_day", "_1k", "_good", "_10k", "_country", "_minute"))
    ]
    assert {name: table[name] for name in of_limits} == {name: getattr(default, name) for name in of_limits}


def test_a_service_may_set_everything() -> None:
    policy = policy_of(
        modes={"ip": "monitor", "everywhere": "off"},
        countries=["DE", "AT"],
        home=["DE"],
        ip_hour=1,
        ip_day=2,
        unconverted_country=3,
        conversion_floor=0.5,
        budget=12.5,
        challenge=True,
        risk_url="https://risk.example/number",
        risk_on_failure="deny",
        sampled=1,
    )

    assert policy.modes == {Rule.IP: Mode.MONITOR, Rule.EVERYWHERE: Mode.OFF}
    assert (policy.mode(Rule.IP), policy.mode(Rule.NUMBERS_1K)) == (Mode.MONITOR, Mode.ENFORCE)
    assert (policy.countries, policy.home) == (frozenset({"DE", "AT"}), frozenset({"DE"}))
    assert (policy.ip_hour, policy.ip_day, policy.unconverted_country) == (1, 2, 3)
    assert (policy.budget, policy.conversion_floor, policy.sampled) == (12_500_000, 0.5, 1)
    assert (policy.challenge, policy.risk_on_failure) == (True, OnFailure.DENY)


def test_a_limit_of_nought_is_none() -> None:
    assert policy_of(ip_hour=0).ip_hour is None


def test_a_guard_that_is_not_enabled_has_every_rule_off() -> None:
    assert policy_of(enabled=False) == unguarded()


@pytest.mark.parametrize(
    ("guard", "problem"),
    [
        ({"countries": ["Germany"]}, "shop.guard.countries: Germany is no country's code, such as DE"),
        ({"countries": ["AT"], "home": ["DE"]}, "shop.guard.home: has countries that are not on the list of countries"),
        ({"modes": {"phone": "off"}}, "shop.guard.modes.phone: is no rule"),
        ({"modes": {"ip": "on"}}, "shop.guard.modes.ip: must be one of enforce, monitor, off"),
        ({"modes": {"number": "off"}}, "shop.guard.modes.number: is always enforced"),
        ({"risk_url": "http://risk.example"}, "shop.guard.risk_url: must be an https URL, without a password in it"),
    ],
)
def test_a_mistake_is_named_with_its_key(guard: dict[str, Any], problem: str) -> None:
    assert mistakes({"shop": {"guard": guard}}) == [problem]


@pytest.mark.parametrize("guard", [7, [], "on", {"ip_hour": -1}, {"ip_hour": "10"}, {"limit": 3}, {"sampled": 2}])
def test_what_makes_no_sense_is_refused(guard: Any) -> None:
    (problem,) = mistakes({"shop": {"guard": guard}})

    assert problem.startswith("shop.guard")


def test_money_is_counted_in_millionths_of_one_currency() -> None:
    spending = parse_configuration(
        {"spending": {"currency": "EUR", "prices": {"DE": 0.075, "*": 0.12}, "budget": 200}}
    ).spending

    assert spending == Spending(currency="EUR", prices={"DE": 75_000, "*": 120_000}, budget=200_000_000)
    assert (spending.price("DE"), spending.price("AT"), Spending().price("DE")) == (75_000, 120_000, None)


@pytest.mark.parametrize(
    "spending",
    [{"currency": "euro"}, {"prices": {"Germany": 1}}, {"prices": {"DE": -1}}, {"budget": 10}, {"limit": 1}, 7],
)
def test_money_that_makes_no_sense_is_refused(spending: Any) -> None:
    assert any(problem.startswith("spending") for problem in mistakes({"spending": spending}))


def test_a_budget_without_prices_would_count_nothing() -> None:
    assert mistakes({"shop": {"guard": {"budget": 10}}})


@given(
    guard=st.dictionaries(
        st.sampled_from(["modes", "countries", "home", "ip_hour", "budget", "sampled", "challenge"]) | st.text(),
        st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.lists(st.text(), max_size=2),
        max_size=5,
    )
)
def test_any_table_is_read_or_refused(guard: dict[str, Any]) -> None:
    try:
        found = parse_configuration({"shop": {"guard": guard}, **PRICED})
    except ServiceFileError:
        return
    assert isinstance(found, Configuration)
