"""The queue's message: what goes in comes out, and whatever else comes in is none of ours (DEL-3)."""

from __future__ import annotations

import json
from ipaddress import IPv4Address
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from functions.domain.errors import InvalidRequest
from functions.domain.metadata import MOST_BYTES, MOST_ENTRIES, parse_metadata
from functions.domain.sensitive import Sensitive
from functions.queues.messages import decode_job, encode_job
from functions.usecases.ports import Job, SendJob

TO = "+4915112345678"
ID = "vfy_k1_aaaaaaaaaaaaaaaaaaaaaaaabbbbbbbbbbbbbbbb"
FULL: dict[str, Any] = {
    "v": 1,
    "to": TO,
    "service": "shop",
    "locale": "de",
    "key": "order 17",
    "batch": "monday",
    "send_by": 1_800_000_000,
    "domain": "example.com",
    "app_hash": "FA+9qCX9VSu",
    "metadata": {"order": "17"},
    "verification": ID,
    "ip": "192.0.2.7",
    "trusted": True,
    "challenge": "a solution",
    "place": 17,
    "announced": ID,
}


def decoded(**changes: Any) -> Job | None:
    """A full message with these fields otherwise."""
    return decode_job(json.dumps(FULL | changes))


def affordable(metadata: dict[str, str]) -> bool:
    try:
        parse_metadata(metadata)
    except InvalidRequest:
        return False
    return True


def nameable(*, longest: int) -> st.SearchStrategy[str]:
    return st.text(min_size=1, max_size=longest)


JOBS = st.builds(
    SendJob,
    to=st.text(max_size=20),
    service=nameable(longest=64),
    key=st.none() | nameable(longest=255),
    locale=st.none() | st.sampled_from(["de", "pt-BR", "zh_Hant", "en-US-x-1"]),
    batch=st.none() | nameable(longest=64),
    send_by=st.none() | st.integers(-(2**63), 2**63 - 1),
    domain=st.none() | st.sampled_from(["example.com", "a", "xn--bcher-kva.example"]),
    app_hash=st.none() | st.sampled_from(["FA+9qCX9VSu", "///////////"]),
    verification=st.none() | st.just(ID),
    place=st.none() | st.integers(0, 999),
    announced=st.none() | st.just(ID),
    metadata=st.dictionaries(st.text(max_size=20), st.text(max_size=20), max_size=MOST_ENTRIES)
    .filter(affordable)
    .map(parse_metadata),
)


@given(job=JOBS)
def test_a_job_comes_out_as_it_went_in(job: SendJob) -> None:
    assert decode_job(encode_job(job)) == job


@given(job=JOBS)
def test_a_job_is_one_json_object_that_names_its_version(job: SendJob) -> None:
    body = json.loads(encode_job(job))

    assert body["v"] == 1
    assert body.keys() <= FULL.keys()


def test_a_job_says_no_more_than_it_has_to() -> None:
    assert json.loads(encode_job(SendJob(to=TO, service="default"))) == {"v": 1, "to": TO}


def test_only_the_number_is_required() -> None:
    assert decode_job(f'{{"to": "{TO}"}}') == SendJob(to=TO, service="default")


def test_every_field_finds_its_place() -> None:
    assert decode_job(json.dumps(FULL)) == SendJob(
        to=TO,
        service="shop",
        key="order 17",
        locale="de",
        batch="monday",
        send_by=1_800_000_000,
        domain="example.com",
        app_hash="FA+9qCX9VSu",
        verification=ID,
        ip=IPv4Address("192.0.2.7"),
        trusted=True,
        challenge=Sensitive("a solution"),
        place=17,
        announced=ID,
        metadata=(("order", "17"),),
    )


@pytest.mark.parametrize(
    "name",
    [
        "locale",
        "key",
        "batch",
        "place",
        "send_by",
        "domain",
        "app_hash",
        "verification",
        "announced",
        "ip",
        "challenge",
    ],
)
def test_null_is_as_good_as_nothing_where_nothing_is_allowed(name: str) -> None:
    assert decoded(**{name: None}) == decode_job(json.dumps({key: value for key, value in FULL.items() if key != name}))


@pytest.mark.parametrize("name", ["locale", "domain", "app_hash", "verification", "announced"])
def test_an_empty_text_is_as_good_as_none(name: str) -> None:
    job = decoded(**{name: ""})

    assert job is not None
    assert not getattr(job, name)


@pytest.mark.parametrize("name", ["v", "to", "service", "metadata"])
def test_null_is_no_message_elsewhere(name: str) -> None:
    assert decoded(**{name: None}) is None


def test_whether_the_number_exists_is_not_asked_here() -> None:
    assert decoded(to="a number") is not None


@pytest.mark.parametrize(
    "body",
    [
        "",
        " ",
        "to",
        TO,
        "null",
        "true",
        "17",
        f'"{TO}"',
        "[]",
        f'["{TO}"]',
        f'[{{"to": "{TO}"}}]',
        "{}",
        '{"v": 1}',
        f"{{'to': '{TO}'}}",
        f'{{"to": "{TO}"',
        f'{{"to": "{TO}",}}',
        f'{{"to": "{TO}"}} {{}}',
        f'{{"to": "{TO}"}}\x00',
        f'\ufeff{{"to": "{TO}"}}',
        f'{{to: "{TO}"}}',
        f'{{"to": "{TO}", "send_by": NaN}}',
        '{"to": "\\ud800"}',
        '{"to": "\ud800"}',
        f'{{"to": "{TO}", "key": "\\udfff"}}',
        f'{{"to": "{TO}", "metadata": {{"\\ud800": ""}}}}',
        f'{{"to": "{TO}\n"}}',
        "to=%2B4915112345678",
        '<?xml version="1.0"?>',
    ],
    ids=ascii,
)
def test_what_is_no_json_object_with_a_number_is_no_message(body: str) -> None:
    assert decode_job(body) is None


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("v", 2),
        ("v", 0),
        ("v", "1"),
        ("v", 1.0),
        ("v", True),
        ("v", [1]),
        ("to", 4915112345678),
        ("to", [TO]),
        ("to", {"number": TO}),
        ("to", "+" + "1" * 20),
        ("service", ""),
        ("service", "s" * 65),
        ("service", ["shop"]),
        ("key", ""),
        ("key", "k" * 256),
        ("key", 17),
        ("batch", ""),
        ("batch", "b" * 65),
        ("batch", 1),
        ("send_by", "1800000000"),
        ("send_by", 1_800_000_000.0),
        ("send_by", True),
        ("send_by", [1_800_000_000]),
        ("locale", "not a locale"),
        ("locale", 1),
        ("domain", "https://example.com"),
        ("domain", "EXAMPLE.com"),
        ("app_hash", "FA+9qCX9VS"),
        ("verification", "17"),
        ("verification", f"{ID}\n"),
        ("verification", f"{ID}.1"),
        ("place", -1),
        ("place", 1000),
        ("place", "1"),
        ("announced", "17"),
        ("metadata", []),
        ("metadata", "order"),
        ("metadata", {"order": 17}),
        ("metadata", {"order": None}),
        ("metadata", {"order": {"number": "17"}}),
        ("metadata", {str(number): "" for number in range(MOST_ENTRIES + 1)}),
        ("metadata", {"order": "1" * MOST_BYTES}),
        ("code", "123456"),
        ("To", TO),
        ("", ""),
    ],
)
def test_a_field_that_is_not_as_it_should_be_makes_it_no_message(name: str, value: Any) -> None:
    assert decoded() is not None

    assert decoded(**{name: value}) is None


@pytest.mark.parametrize(
    "body",
    [
        "[" * 100_000,
        '{"to":' * 100_000,
        '{"to": "+49", "metadata": ' + '{"a":' * 100_000,
        '{"to": "+49", "other": ' + "[" * 100_000,
        '{"to": "' + "1" * 200_000 + '"}',
        '{"to": "+49", "send_by": ' + "9" * 10_000 + "}",
        '{"to": "+49", "send_by": 1e9999}',
        '{"to": "+49"' + ', "to": ""' * 10_000 + ', "x": 1}',
        "x" * 262_144,
    ],
    ids=lambda body: f"{body[:24]} ({len(body)})",
)
def test_a_huge_or_deep_body_is_no_message(body: str) -> None:
    assert decode_job(body) is None


JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text()
    | st.sampled_from([TO, ID, "de", "example.com", "FA+9qCX9VSu"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)
BODIES = st.one_of(
    st.text(st.characters()),
    JSON.map(json.dumps),
    st.dictionaries(st.sampled_from(sorted(FULL)), JSON).map(lambda fields: json.dumps({"to": TO, **fields})),
    st.text(st.characters()).map(lambda text: f'{{"to": "{text}"}}'),
    st.tuples(st.integers(0, 200), st.text(st.characters(), max_size=2)).map(
        lambda cut: json.dumps(FULL)[: cut[0]] + cut[1] + json.dumps(FULL)[cut[0] + 1 :]
    ),
)


@given(body=BODIES)
def test_any_text_is_a_message_or_none(body: str) -> None:
    job = decode_job(body)

    assert job is None or decode_job(encode_job(job)) == job


@pytest.mark.parametrize("metadata", [{"": "x"}, {"a": "x\n"}, {"a\x00": "x"}, {"a": "\ufffe"}])
def test_metadata_that_a_table_or_a_queue_would_refuse_is_refused(metadata: dict[str, str]) -> None:
    with pytest.raises(InvalidRequest):
        parse_metadata(metadata)
