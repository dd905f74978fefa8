"""Which providers a message may go by, and in which order."""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from functions.domain.message import locales_of
from functions.domain.phone import parse_phone_number
from functions.domain.routing import Route, Via, choose
from functions.domain.service import Service


def route(*names: str, countries: str = "", locales: str = "") -> Route:
    return Route(
        providers=tuple(Via(provider=name) for name in names),
        countries=frozenset(countries.split()),
        locales=frozenset(locales.split()),
    )


def weighted(**weights: float) -> Route:
    return Route(providers=tuple(Via(provider=name, weight=weight) for name, weight in weights.items()))


def names(routes: list[Route], region: str = "DE", *locales: str, seed: str = "request") -> list[str]:
    return [via.provider for via in choose(routes, region=region, locales=locales or ("de",), seed=seed)]


def test_the_first_route_that_fits_decides() -> None:
    routes = [route("aliyun", countries="CN HK"), route("twilio", countries="US"), route("vonage", "plivo")]

    assert names(routes, "HK") == ["aliyun"]
    assert names(routes, "US") == ["twilio"]
    assert names(routes, "DE") == ["vonage", "plivo"]


def test_a_route_can_be_for_a_language_in_all_its_forms() -> None:
    routes = [route("aliyun", locales="zh"), route("tencent", locales="en-gb"), route("twilio")]

    assert names(routes, "DE", "zh-hant-tw", "zh-hant", "zh") == ["aliyun"]
    assert names(routes, "DE", "en-gb", "en") == ["tencent"]
    assert names(routes, "DE", "en-us", "en") == ["twilio"]


def test_a_route_for_a_country_and_a_language_needs_both() -> None:
    routes = [route("aliyun", countries="CN", locales="zh"), route("twilio")]

    assert names(routes, "CN", "zh") == ["aliyun"]
    assert names(routes, "CN", "en") == ["twilio"]
    assert names(routes, "DE", "zh") == ["twilio"]


def test_where_no_route_fits_there_is_no_provider() -> None:
    assert names([route("aliyun", countries="CN")], "DE") == []


def test_without_weights_the_order_is_that_of_the_file() -> None:
    orders = {tuple(names([route("c", "a", "b")], seed=str(seed))) for seed in range(100)}

    assert orders == {("c", "a", "b")}


def test_providers_come_first_as_often_as_their_weights_say() -> None:
    drawn = Counter(names([weighted(twilio=70, vonage=20, plivo=10)], seed=str(seed))[0] for seed in range(10_000))

    # Five standard deviations of a binomial with 10,000 draws are at most 2.5 %.
    assert drawn["twilio"] / 10_000 == pytest.approx(0.7, abs=0.025)
    assert drawn["vonage"] / 10_000 == pytest.approx(0.2, abs=0.025)
    assert drawn["plivo"] / 10_000 == pytest.approx(0.1, abs=0.025)


def test_who_comes_second_is_drawn_by_weight_as_well() -> None:
    orders = [names([weighted(a=1, b=80, c=20)], seed=str(seed)) for seed in range(20_000)]
    after_b = Counter(order[1] for order in orders if order[0] == "b")

    assert after_b["c"] / after_b.total() == pytest.approx(20 / 21, abs=0.02)


@given(seed=st.text(), weights=st.dictionaries(st.text(max_size=5), st.floats(0.001, 1000), min_size=1, max_size=6))
def test_the_same_request_draws_the_same_order_of_all(seed: str, weights: dict[str, float]) -> None:
    drawn = names([weighted(**weights)], seed=seed)

    assert sorted(drawn) == sorted(weights)
    assert names([weighted(**weights)], seed=seed) == drawn


def test_the_senders_of_a_route_come_along() -> None:
    via = Via(provider="aliyun", template="SMS_1", signature="Acme", sender="x", entity="y")

    (chosen,) = choose([Route(providers=(via,))], region="CN", locales=["zh"], seed="")

    assert chosen is via


@pytest.mark.parametrize(
    ("wanted", "service", "found"),
    [
        ("zh_TW", "en", ["zh-tw", "zh-hant", "zh"]),
        (None, "en-GB", ["en-gb", "en"]),
        (None, None, ["de-de", "de"]),
    ],
)
def test_a_messages_language_is_the_callers_the_services_or_the_regions(
    wanted: str | None, service: str | None, found: list[str]
) -> None:
    assert list(locales_of(Service(locale=service), parse_phone_number("+4915112345678"), wanted)) == found
