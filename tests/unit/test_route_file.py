"""Routes and providers in services.toml: what they come to, and every mistake by its key."""

from __future__ import annotations

import tomllib
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from functions.domain.routing import Route, Via
from functions.providers.catalog import PROVIDERS
from functions.route_file import ProviderSettings
from functions.service_file import Configuration, ServiceFileError, parse_configuration

CHINA_AND_THE_WORLD = """
[[shop.routes]]
countries = ["CN"]
locales = ["zh-Hans"]
providers = [ { name = "aliyun", template = "SMS_1", signature = "应用" }, { name = "yunpian" } ]

[[shop.routes]]
providers = [ { name = "twilio", sender = "MG1", weight = 3 }, { name = "vonage", sender = "ACME", weight = 0.5 } ]

[providers.twilio]
rate = 50
[providers.yunpian]
url = "https://us.yunpian.com/"
[providers.aws_sms]
configuration_set = "codes"
"""


def parsed(text: str) -> Configuration:
    return parse_configuration(tomllib.loads(text))


def mistakes(document: dict[str, Any]) -> list[str]:
    with pytest.raises(ServiceFileError) as caught:
        parse_configuration(document)
    return caught.value.problems


def mistakes_of(*routes: Any) -> list[str]:
    return mistakes({"shop": {"routes": list(routes)}})


def test_a_service_has_its_routes_in_order() -> None:
    first, second = parsed(CHINA_AND_THE_WORLD).services["shop"].routes

    assert first == Route(
        countries=frozenset({"CN"}),
        locales=frozenset({"zh-hans"}),
        providers=(Via(provider="aliyun", template="SMS_1", signature="应用"), Via(provider="yunpian")),
    )
    assert second == Route(
        providers=(
            Via(provider="twilio", sender="MG1", weight=3.0),
            Via(provider="vonage", sender="ACME", weight=0.5),
        )
    )


def test_a_provider_has_its_settings() -> None:
    assert parsed(CHINA_AND_THE_WORLD).providers == {
        "twilio": ProviderSettings(rate=50.0),
        "yunpian": ProviderSettings(url="https://us.yunpian.com"),
        "aws_sms": ProviderSettings(configuration_set="codes"),
    }


def test_a_service_without_routes_sends_by_yunpian() -> None:
    assert parsed("[shop]").services["shop"].routes == (Route(providers=(Via(provider="yunpian"),)),)


def test_the_providers_that_routes_name_are_those_that_are_needed() -> None:
    assert parsed(CHINA_AND_THE_WORLD).named == {"aliyun", "yunpian", "twilio", "vonage"}


YUNPIAN = {"name": "yunpian"}


@pytest.mark.parametrize(
    ("route", "problem"),
    [
        ({}, "shop.routes[0]: needs providers"),
        ("yunpian", "shop.routes[0]: must be a table, with providers, countries, locales"),
        ({"providers": []}, "shop.routes[0].providers: Expected `array` of length >= 1"),
        (
            {"providers": [YUNPIAN], "country": "DE"},
            "shop.routes[0].country: is no setting here; there are providers, countries, locales",
        ),
        (
            {"providers": [{**YUNPIAN, "from": "ACME"}]},
            (
                "shop.routes[0].providers[0].from: is no setting here; "
                "there are name, weight, entity, sender, signature, template"
            ),
        ),
        (
            {"providers": [{**YUNPIAN, "weight": 0}]},
            "shop.routes[0].providers[0].weight: Expected `float` > 0.0",
        ),
        (
            {"providers": [YUNPIAN], "countries": ["Germany"]},
            "shop.routes[0].countries: Germany is no country's code, such as DE",
        ),
        (
            {"providers": [YUNPIAN], "countries": ["de"]},
            "shop.routes[0].countries: de is no country's code, such as DE",
        ),
        (
            {"providers": [YUNPIAN, YUNPIAN]},
            "shop.routes[0].providers: yunpian is named twice",
        ),
        (
            {"providers": [{**YUNPIAN, "weight": 1}, {"name": "sns"}]},
            "shop.routes[0].providers: either each has a weight, or none: then they are tried in this order",
        ),
        ({"providers": [{"name": "twilio"}]}, "shop.routes[0].providers[0]: twilio needs a sender"),
        (
            {"providers": [{**YUNPIAN, "sender": "ACME"}]},
            "shop.routes[0].providers[0]: yunpian has no use for a sender",
        ),
    ],
)
def test_a_mistake_in_a_route_is_named_with_its_place(route: Any, problem: str) -> None:
    assert mistakes_of(route) == [problem]


def test_an_unknown_provider_is_told_which_there_are() -> None:
    (problem,) = mistakes_of({"providers": [{"name": "twillio"}]})

    assert problem.startswith("shop.routes[0].providers[0]: twillio: is no provider; there are aliyun, aliyun_batch, ")


def test_a_locale_that_is_none_is_named() -> None:
    (problem,) = mistakes_of({"providers": [YUNPIAN], "locales": ["chinese please"]})

    assert problem.startswith("shop.routes[0].locales: chinese please: ")


@pytest.mark.parametrize("value", [[], {}, "yunpian", 7])
def test_routes_that_are_no_list_are_refused(value: Any) -> None:
    (problem,) = mistakes({"shop": {"routes": value}})

    assert problem.startswith("shop.routes: must be a list of routes")


@pytest.mark.parametrize(
    ("earlier", "later"),
    [
        ({}, {}),
        ({}, {"countries": ["DE"]}),
        ({"countries": ["DE", "AT"]}, {"countries": ["AT"]}),
        ({"countries": ["DE"]}, {"countries": ["DE"], "locales": ["de"]}),
    ],
)
def test_a_route_that_nothing_can_come_to_is_a_mistake(earlier: dict[str, Any], later: dict[str, Any]) -> None:
    assert mistakes_of({"providers": [YUNPIAN], **earlier}, {"providers": [{"name": "sns"}], **later}) == [
        "shop.routes[1]: is never reached, for a route before it takes all of its messages"
    ]


def test_a_route_that_is_never_reached_is_told_by_its_place_in_the_file() -> None:
    found = mistakes_of("no route", {"providers": [YUNPIAN]}, {"providers": [{"name": "sns"}]})

    assert found[1:] == ["shop.routes[2]: is never reached, for a route before it takes all of its messages"]


@pytest.mark.parametrize("for_whom", [{"countries": "DE"}, {"locales": []}])
def test_a_route_for_nobody_knows_whom_hides_no_other(for_whom: dict[str, Any]) -> None:
    (problem,) = mistakes_of({"providers": [YUNPIAN], **for_whom}, {"providers": [YUNPIAN], "countries": ["DE"]})

    assert problem.startswith(f"shop.routes[0].{next(iter(for_whom))}: Expected `array`")


def test_a_narrower_route_before_a_wider_one_is_none() -> None:
    parse_configuration(
        {"shop": {"routes": [{"providers": [YUNPIAN], "countries": ["DE"]}, {"providers": [{"name": "sns"}]}]}}
    )


@pytest.mark.parametrize(
    ("table", "problem"),
    [
        ({"providers": 7}, "providers: must hold tables, such as [providers.twilio]"),
        ({"providers": {"twilio": 7}}, "providers.twilio: must be a table, with rate, url, configuration_set"),
        ({"providers": {"twilio": {"rate": 0}}}, "providers.twilio.rate: Expected `float` > 0.0"),
        ({"providers": {"twilio": {"rate": 501}}}, "providers.twilio.rate: Expected `float` <= 500.0"),
        (
            {"providers": {"twilio": {"key": "x"}}},
            "providers.twilio.key: is no setting here; there are rate, url, configuration_set",
        ),
        *(
            (
                {"providers": {"twilio": {"url": url}}},
                "providers.twilio.url: must be an https URL without a query or a password",
            )
            for url in (
                "twilio.com",
                "https://twilio.com?a=b",
                "http://api.twilio.com",
                "http://169.254.169.254/latest",
                "https://user:password@api.twilio.com",
                f"https://{'a' * 64}.twilio.com",
            )
        ),
        (
            {"providers": {"twilio": {"configuration_set": "x"}}},
            "providers.twilio.configuration_set: only aws_sms has one",
        ),
    ],
)
def test_a_mistake_in_a_providers_settings_is_named(table: dict[str, Any], problem: str) -> None:
    assert mistakes(table) == [problem]


def test_all_mistakes_are_listed_at_once() -> None:
    routes = [{"providers": [{"name": "twilio"}, {"name": "nobody"}], "countries": ["XX"]}]

    found = mistakes({"shop": {"routes": routes, "lifetime": 1}, "providers": {"nobody": {}}, "b": {"routes": []}})

    assert [problem.split(": ")[0] for problem in found] == [
        "providers.nobody",
        "shop.routes[0].countries",
        "shop.routes[0].providers[0]",
        "shop.routes[0].providers[1]",
        "shop.lifetime",
        "b.routes",
    ]


def test_one_mistake_of_a_route_does_not_hide_the_others() -> None:
    route = {
        "country": "DE",
        "locales": [7],
        "providers": [{"name": "vonage", "sender": "ACME", "wieght": 2}, {"sender": 7}, {"name": "aliyun"}],
    }

    found = mistakes({"shop": {"routes": [route]}, "providers": {"twilio": {"rate": -1, "urll": "x"}}})

    assert [problem.partition(": ")[::2] for problem in found] == [
        ("providers.twilio.rate", "Expected `float` > 0.0"),
        ("providers.twilio.urll", "is no setting here; there are rate, url, configuration_set"),
        ("shop.routes[0].country", "is no setting here; there are providers, countries, locales"),
        ("shop.routes[0].locales", "Expected `str`, got `int` - at `$[0]`"),
        (
            "shop.routes[0].providers[0].wieght",
            "is no setting here; there are name, weight, entity, sender, signature, template",
        ),
        ("shop.routes[0].providers[1].sender", "Expected `str`, got `int`"),
        ("shop.routes[0].providers[1]", "needs name"),
        ("shop.routes[0].providers[2]", "aliyun needs a signature"),
        ("shop.routes[0].providers[2]", "aliyun needs a template"),
    ]


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.sampled_from(["yunpian", "twilio", "DE"]),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["providers", "countries", "locales", "name", "weight", "sender"]) | st.text(), inner
        )
    ),
    max_leaves=12,
)


@given(routes=JSON, providers=JSON)
def test_any_file_is_read_or_refused_with_its_mistakes(routes: Any, providers: Any) -> None:
    try:
        configuration = parse_configuration({"shop": {"routes": routes}, "providers": providers})
    except ServiceFileError:
        return
    assert configuration.named <= PROVIDERS.keys()
