"""The environment and services.toml: everything that is wrong is said at once, and by its name."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import fields
from datetime import UTC, date, datetime, time
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from functions.domain.service import REMEMBERED_SENDS, Limit, OnResend, OnUnknown, Service
from functions.service_file import Configuration, ServiceFileError, load_configuration, parse_configuration
from functions.settings import (
    MOST_IN_FLIGHT,
    SHIPPED_SERVICES,
    Common,
    Sending,
    SettingsError,
    api_settings,
    receipts_settings,
    sender_settings,
)

COMMON = {"STACK_NAME": "salvo", "TABLE_NAME": "records", "PROVIDER_SECRETS": "salvo-provider-"}
SENDING = COMMON | {"KEYS_SECRET": "salvo/keys", "QUEUE_URL": "https://sqs.test/sends"}
API = SENDING | {"BULK_QUEUE_URL": "https://sqs.test/bulk", "CALLERS_SECRET": "salvo/callers"}
SENDER = SENDING | {"DEAD_LETTER_QUEUE_URL": "https://sqs.test/dead"}

BASE_URLS = ["http://127.0.0.1:8000", "https://sms.yunpian.com", "https://[::1]:8443/base", "HTTPS://a.example/b/c"]
NO_BASE_URLS = [
    "sms.yunpian.com",
    "//sms.yunpian.com",
    "ftp://sms.yunpian.com",
    "file:///etc/passwd",
    "http://",
    "http:///path",
    "http://:8000",
    "https://a.example?",
    "https://a.example/?b=c",
    "https://a.example/#b",
    "https://a.example/#",
    "http://[::1",
    "http://[a.example]",
    "http://a.example:99999",
    "http://a.example:-1",
    "http://a.example:http",
    "https://a.example\n",
    " https://a.example",
    "https://a.example/b c",
]


def problems_of(settings: Callable[[dict[str, str]], object], environment: dict[str, str]) -> list[str]:
    with pytest.raises(SettingsError) as caught:
        settings(environment)
    return str(caught.value).splitlines()


def mistakes(document: dict[str, Any]) -> list[str]:
    with pytest.raises(ServiceFileError) as caught:
        parse_configuration(document)
    assert str(caught.value).splitlines() == "\n".join(caught.value.problems).splitlines()
    return caught.value.problems


def mistake(**setting: Any) -> str:
    """The one mistake of a service with this setting, behind its name."""
    (key,) = setting
    (problem,) = mistakes({"shop": setting})
    name, _, text = problem.partition(": ")
    assert name == f"shop.{key}"
    return text


# The environment


def test_what_is_not_set_has_its_default() -> None:
    api, sender = api_settings(API), sender_settings(SENDER)

    assert api.common == Common(
        stack="salvo",
        log_level="INFO",
        table="records",
        provider_secrets="salvo-provider-",
        providers_url=None,
        receipts_url=None,
        configuration_set=None,
        configuration=Configuration(services={"default": Service()}),
    )
    assert api.sending == Sending(keys_secret="salvo/keys", queue_url="https://sqs.test/sends", lane="single")
    assert sender.in_flight == MOST_IN_FLIGHT


def test_each_function_reads_what_it_needs_and_no_more() -> None:
    assert api_settings(API).callers_secret == "salvo/callers"
    assert api_settings(API).bulk_queue_url == "https://sqs.test/bulk"
    assert sender_settings(SENDER).dead_letter_queue_url == "https://sqs.test/dead"
    assert receipts_settings(COMMON).table == "records"


@pytest.mark.parametrize(("said", "read"), [({}, "keys"), ({"AUTHORIZER": "iam"}, "iam"), ({"AUTHORIZER": ""}, "keys")])
def test_callers_have_keys_unless_api_gateway_tells_them_apart(said: dict[str, str], read: str) -> None:
    assert api_settings(API | said).authorizer == read


def test_an_authorizer_that_there_is_not_is_a_mistake() -> None:
    assert problems_of(api_settings, API | {"AUTHORIZER": "none"}) == ["AUTHORIZER must be one of keys, iam, jwt"]


def test_a_sender_of_batches_is_in_a_lane_of_its_own() -> None:
    assert sender_settings(SENDER | {"LANE": "bulk"}).sending.lane == "bulk"


def test_a_lane_that_there_is_not_is_a_mistake() -> None:
    assert problems_of(sender_settings, SENDER | {"LANE": "fast"}) == ["LANE must be one of single, bulk"]


def test_the_stacks_own_configuration_set_is_read() -> None:
    assert sender_settings(SENDER | {"SMS_CONFIGURATION_SET": "salvo"}).common.configuration_set == "salvo"


def test_an_empty_variable_is_as_good_as_none() -> None:
    optional = ("LOG_LEVEL", "PROVIDERS_URL", "RECEIPTS_URL", "SERVICES_FILE", "MAX_IN_FLIGHT", "SMS_CONFIGURATION_SET")

    assert sender_settings(SENDER | dict.fromkeys(optional, "")) == sender_settings(SENDER)


@pytest.mark.parametrize(
    ("settings", "complete"), [(api_settings, API), (sender_settings, SENDER), (receipts_settings, COMMON)]
)
def test_everything_that_is_missing_is_said_at_once(
    settings: Callable[[dict[str, str]], object], complete: dict[str, str]
) -> None:
    assert sorted(problems_of(settings, {})) == sorted(f"{name} is not set" for name in complete)
    assert sorted(problems_of(settings, dict.fromkeys(complete, ""))) == sorted(
        f"{name} is not set" for name in complete
    )


@pytest.mark.parametrize("name", API)
def test_what_alone_is_missing_is_said_alone(name: str) -> None:
    rest = {key: value for key, value in API.items() if key != name}

    assert problems_of(api_settings, rest) == [f"{name} is not set"]


def test_all_kinds_of_mistakes_are_said_at_once(tmp_path: Path) -> None:
    services = tmp_path / "services.toml"
    services.write_text("[shop]\nlifetime = 601\ncode_length = 5\n", encoding="utf-8")
    wrong = {
        "KEYS_SECRET": "",
        "LOG_LEVEL": "LOUD",
        "PROVIDERS_URL": "yunpian",
        "RECEIPTS_URL": "receipts",
        "SERVICES_FILE": str(services),
        "MAX_IN_FLIGHT": "many",
    }

    problems = problems_of(sender_settings, SENDER | wrong)

    assert [problem.split(" ")[0] for problem in problems] == [
        "LOG_LEVEL",
        "PROVIDERS_URL",
        "RECEIPTS_URL",
        "shop.lifetime:",
        "shop.code_length:",
        "KEYS_SECRET",
        "MAX_IN_FLIGHT",
    ]


def test_a_problem_does_not_repeat_what_was_set() -> None:
    wrong = {"LOG_LEVEL": "s3cret", "PROVIDERS_URL": "s3cret", "MAX_IN_FLIGHT": "s3cret"}

    assert "s3cret" not in "".join(problems_of(sender_settings, SENDER | wrong))


@pytest.mark.parametrize("level", ["DEBUG", "INFO", "WARNING", "ERROR"])
def test_a_log_level_is_taken(level: str) -> None:
    assert receipts_settings(COMMON | {"LOG_LEVEL": level}).log_level == level


@pytest.mark.parametrize("level", ["debug", "TRACE", "10", "NOTSET", " INFO"])
def test_an_unknown_log_level_is_refused(level: str) -> None:
    assert problems_of(receipts_settings, COMMON | {"LOG_LEVEL": level}) == [
        "LOG_LEVEL must be one of DEBUG, INFO, WARNING, ERROR"
    ]


@pytest.mark.parametrize("number", ["1", "10", "1000"])
def test_a_number_is_taken(number: str) -> None:
    assert sender_settings(SENDER | {"MAX_IN_FLIGHT": number}).in_flight == int(number)


@pytest.mark.parametrize("number", ["0", "1001", "-1", "+1", "1.0", "1e2", " 1", "1_0", "ten", "١", "²", "0x10"])
def test_a_wrong_number_is_refused(number: str) -> None:
    assert problems_of(sender_settings, SENDER | {"MAX_IN_FLIGHT": number}) == [
        "MAX_IN_FLIGHT must be a number from 1 to 1000"
    ]


@pytest.mark.parametrize("url", BASE_URLS)
@pytest.mark.parametrize("end", ["", "/"])
def test_a_base_url_is_taken_without_its_last_slash(url: str, end: str) -> None:
    common = api_settings(API | {"PROVIDERS_URL": url + end, "RECEIPTS_URL": url + end}).common

    assert (common.providers_url, common.receipts_url) == (url, url)


@pytest.mark.parametrize("url", NO_BASE_URLS)
@pytest.mark.parametrize("name", ["PROVIDERS_URL", "RECEIPTS_URL"])
def test_what_is_no_base_url_is_refused(name: str, url: str) -> None:
    assert problems_of(api_settings, API | {name: url}) == [f"{name} must be an http(s) URL without a query"]


@given(text=st.text(st.sampled_from("a.:/@[]%?# \t0189-ä℀\u200b")) | st.text())
def test_any_text_is_a_base_url_or_refused(text: str) -> None:
    try:
        settings = api_settings(API | {"PROVIDERS_URL": f"http://{text}"})
    except SettingsError:
        return
    assert settings.common.providers_url == f"http://{text}".rstrip("/")


@given(text=st.text(st.sampled_from("0129-+. e_١²")) | st.text())
def test_any_text_is_a_number_or_refused(text: str) -> None:
    try:
        settings = sender_settings(SENDER | {"MAX_IN_FLIGHT": text})
    except SettingsError:
        return
    assert settings.in_flight == int(text or MOST_IN_FLIGHT)
    assert 1 <= settings.in_flight <= MOST_IN_FLIGHT


# Where services come from


def test_the_shipped_services_load() -> None:
    assert load_configuration(SHIPPED_SERVICES).services == {"default": Service(name="default")}


def test_every_setting_is_explained_in_the_shipped_file() -> None:
    text = SHIPPED_SERVICES.read_text(encoding="utf-8")
    settings = {field.name for field in fields(Service)} - {"name", "texts", "routes", "guard"}

    assert [name for name in sorted(settings) if f"\n# {name} = " not in text] == []
    assert "# [shop.texts]" in text
    assert "# [[shop.routes]]" in text
    assert "# [shop.guard]" in text


def test_what_the_shipped_file_shows_is_right_once_it_is_let_in(tmp_path: Path) -> None:
    shown = [line.removeprefix("# ") for line in SHIPPED_SERVICES.read_text(encoding="utf-8").splitlines()]
    path = tmp_path / "services.toml"
    path.write_text("\n".join(shown[shown.index("[shop]") :]), encoding="utf-8")

    configuration = load_configuration(path)
    services = configuration.services

    assert set(services) == {"shop", "default"}
    assert configuration.named == {"aliyun", "yunpian", "twilio", "vonage"}
    assert configuration.providers["twilio"].rate == 50
    assert services["shop"].texts.keys() == {"*"}
    assert services["shop"].limits == Service().limits


def test_the_services_file_can_be_named(tmp_path: Path) -> None:
    path = tmp_path / "mine.toml"
    path.write_text('[shop]\nbrand = "Käse"\n', encoding="utf-8")

    assert api_settings(API | {"SERVICES_FILE": str(path)}).common.configuration.services == {
        "shop": Service(name="shop", brand="Käse")
    }


@pytest.mark.parametrize(
    "content",
    [b"[shop", b"[shop]\nlifetime = \n", b"[shop]\n[shop]\n", b"a = 1\na = 2\n", b'[shop]\nbrand = "\xff"\n', b"\x00"],
)
def test_a_file_that_is_no_toml_is_named(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "mine.toml"
    path.write_bytes(content)

    (problem,) = problems_of(api_settings, API | {"SERVICES_FILE": str(path)})

    assert problem.startswith("mine.toml: ")


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    (problem,) = problems_of(api_settings, API | {"SERVICES_FILE": str(tmp_path / "mine.toml")})

    assert problem.startswith("mine.toml: ")


def test_a_folder_in_place_of_the_file_is_named(tmp_path: Path) -> None:
    (problem,) = problems_of(api_settings, API | {"SERVICES_FILE": str(tmp_path)})

    assert problem.startswith(f"{tmp_path.name}: ")


# Services


def test_a_service_may_set_everything() -> None:
    everything = {
        "brand": "Acme Shop",
        "code_length": 8,
        "lifetime": 300,
        "max_attempts": 3,
        "max_sends": 2,
        "cooldown": 60,
        "longest_cooldown": 240,
        "limits": [{"count": 2, "seconds": 60}, {"count": REMEMBERED_SENDS, "seconds": 86_400}],
        "failures_per_day": 10,
        "failures_in_a_row": 50,
        "send_within": 30,
        "batch_send_within": 7200,
        "on_unknown": "once",
        "on_resend": "new",
        "confirm_within": 45,
        "locale": "de",
        "texts": {"de": "Ihr Code: {code}", "*": "{code}"},
        "domain": "shop.example",
        "app_hash": "FA+9qCX9VSu",
    }

    services = parse_configuration({"shop": everything}).services

    as_given = everything | {
        "limits": (Limit(2, 60), Limit(REMEMBERED_SENDS, 86_400)),
        "on_unknown": OnUnknown.ONCE,
        "on_resend": OnResend.NEW,
    }
    assert {name: getattr(services["shop"], name) for name in everything} == as_given
    assert {field.name for field in fields(Service)} == {"name", "routes", "guard", *everything}  # of their own tests


def test_services_keep_their_order_and_their_names() -> None:
    services = parse_configuration({"b": {}, "a": {}, "A-1_x": {}}).services

    assert [(name, service.name) for name, service in services.items()] == [("b", "b"), ("a", "a"), ("A-1_x", "A-1_x")]


BOUNDS = {
    "code_length": (6, 10),
    "lifetime": (60, 600),
    "max_attempts": (3, 10),
    "max_sends": (1, 10),
    "cooldown": (0, 600),
    "failures_per_day": (1, 100),
    "failures_in_a_row": (1, 100),
    "send_within": (10, 600),
    "batch_send_within": (10, 43_200),
}


@pytest.mark.parametrize(("key", "bounds"), BOUNDS.items())
def test_a_number_is_taken_up_to_its_bounds(key: str, bounds: tuple[int, int]) -> None:
    for number in bounds:
        assert getattr(parse_configuration({"shop": {key: number}}).services["shop"], key) == number


@pytest.mark.parametrize(("key", "bounds"), BOUNDS.items())
def test_a_number_beyond_its_bounds_is_refused(key: str, bounds: tuple[int, int]) -> None:
    least, most = bounds

    assert mistake(**{key: least - 1}) == f"Expected `int` >= {least}"
    assert mistake(**{key: most + 1}) == f"Expected `int` <= {most}"


def test_a_code_that_lives_longer_than_ten_minutes_stops_the_start() -> None:
    assert mistake(lifetime=601) == "Expected `int` <= 600"


def test_a_code_of_five_digits_stops_the_start() -> None:
    assert mistake(code_length=5) == "Expected `int` >= 6"


@pytest.mark.parametrize("key", BOUNDS)
@pytest.mark.parametrize("value", ["6", 6.0, True, None, [6], {"a": 6}, float("nan"), 10**30, -(10**30)])
def test_a_number_has_to_be_a_whole_number(key: str, value: Any) -> None:
    assert mistake(**{key: value}).startswith("Expected `int`")


@pytest.mark.parametrize("key", ["brand", "locale", "domain", "app_hash", "on_unknown", "on_resend"])
@pytest.mark.parametrize("value", [1, 1.5, True, None, ["a"], {"a": "b"}, date(2027, 1, 15)])
def test_a_text_has_to_be_a_text(key: str, value: Any) -> None:
    assert mistake(**{key: value}).startswith("Expected `str`")


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("brand", "shop.example"),
        ("brand", "A" * 31),
        ("brand", " Acme"),
        ("locale", "english please"),
        ("locale", ""),
        ("domain", "https://shop.example"),
        ("domain", "Shop.Example"),
        ("app_hash", "FA+9qCX9VS"),
        ("app_hash", "FA+9qCX9VSu\n"),
        ("on_unknown", "always"),
        ("on_unknown", "NEVER"),
        ("on_resend", ""),
        ("texts", {"*": "no code"}),
        ("texts", {"de": "{code} {other}"}),
        ("texts", {"no locale": "{code}"}),
        ("texts", {"*": "{code} https://shop.example"}),
        ("texts", {"*": 1}),
        ("texts", ["{code}"]),
        ("limits", 3),
        ("limits", {"count": 3, "seconds": 600}),
        ("limits", [[3, 600]]),
        ("limits", [{"count": 3}]),
        ("limits", [{"count": "3", "seconds": 600}]),
        ("limits", [{"count": 0, "seconds": 600}]),
        ("limits", [{"count": REMEMBERED_SENDS + 1, "seconds": 600}]),
        ("limits", [{"count": 3, "seconds": 0}]),
        ("limits", [{"count": 3, "seconds": 86_401}]),
        ("limits", [{"count": 3, "seconds": 600}] * 6),
    ],
)
def test_a_mistake_is_named_with_its_key(key: str, value: Any) -> None:
    (problem,) = mistakes({"shop": {key: value}})

    assert re.match(rf"shop\.{key}(\.|: )", problem)


@pytest.mark.parametrize("key", ["name", "life_time", "Lifetime", "", "limit", "code length"])
def test_an_unknown_setting_is_named(key: str) -> None:
    assert mistake(**{key: 1}) == "is no setting of a service"


def test_every_mistake_of_every_service_is_named_at_once() -> None:
    document = {
        "shop": {"lifetime": 601, "brand": "Acme", "colour": "red"},
        "bank": {"limits": [{"count": 0, "seconds": 1}, {"count": 1, "seconds": 0}], "texts": {"de": "-", "*": "-"}},
        "a b": {},
        "top": 1,
    }

    assert [problem.split(": ")[0] for problem in mistakes(document)] == [
        "shop.lifetime",
        "shop.colour",
        "bank.limits",
        "bank.limits",
        "bank.texts.de",
        "bank.texts.*",
        "a b",
        "top",
    ]


@pytest.mark.parametrize("name", ["", "a b", "a.b", "ü", "a" * 33, "a\n", "a/b"])
def test_a_services_name_has_no_more_than_32_plain_characters(name: str) -> None:
    (problem,) = mistakes({name: {}})

    assert problem == f"{name}: a service's name has 1 to 32 of A-Z, a-z, 0-9, - and _"


@pytest.mark.parametrize("value", [1, "text", None, [], [{}], True, 1.5])
def test_a_service_has_to_be_a_table(value: Any) -> None:
    assert mistakes({"shop": value}) == ["shop: must be a table, such as [shop]"]


SETTINGS = st.sampled_from([field.name for field in fields(Service)])
SCALARS = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(),
    st.text(),
    st.sampled_from(["de", "*", "{code}", "once", "new", "count", "seconds"]),
    st.just(date(2027, 1, 15)),
    st.just(time(8)),
    st.just(datetime(2027, 1, 15, 8, tzinfo=UTC)),
)
VALUES = st.recursive(
    SCALARS,
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.text(max_size=5) | st.sampled_from(["de", "*", "count", "seconds"]), inner, max_size=3)
    ),
    max_leaves=6,
)
DOCUMENTS = st.dictionaries(
    st.text(max_size=5) | st.just("shop"),
    st.dictionaries(SETTINGS | st.text(max_size=5), VALUES | st.integers(0, 600), max_size=4) | VALUES,
    max_size=3,
)


@given(document=DOCUMENTS)
def test_any_document_is_services_or_a_list_of_mistakes(document: dict[str, Any]) -> None:
    try:
        services = parse_configuration(document).services
    except ServiceFileError as error:
        problems = error.problems
    else:
        problems = []
        assert services.keys() == document.keys()

    assert all(any(problem.startswith(name) for name in document) for problem in problems)
