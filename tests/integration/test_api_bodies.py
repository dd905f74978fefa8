"""What may come in: bodies and headers of every shape are answered with a problem, never with a failure or an SMS."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from functions.domain.errors import InvalidPhoneNumber
from functions.domain.phone import parse_phone_number
from functions.stores.dynamodb import Table
from functions.web.bodies import LARGEST
from infra.local.embedded_aws import Resources
from tests.harness import API_KEY, Harness, Response, assert_problem, call, fresh_number

PATH = "/v1/verifications"
CHECK = f"{PATH}/vfy_k1_{'a' * 40}/check"

NUMBER = "+4915112345678"
PLACE_OF_A_NUMBER = "+4915100000000"
"""Stands in drawn bodies for a number that is new with every try: a number that was served a moment ago is refused."""


async def start(harness: Harness, body: bytes) -> Response:
    return await call(harness.app, "POST", PATH, body)


def nested(opening: bytes, closing: bytes, depth: int) -> bytes:
    return b'{"to":"%s","code":%s1%s}' % (NUMBER.encode(), opening * depth, closing * depth)


SHAPES: dict[str, bytes] = {
    "nothing": b"",
    "blanks": b" \n",
    "a text": b'"+4915112345678"',
    "a number": b"4915112345678",
    "null": b"null",
    "true": b"true",
    "an array": b'["+4915112345678"]',
    "an array of requests": b'[{"to":"+4915112345678"}]',
    "an object without a number": b"{}",
    "a form": b"to=%2B4915112345678",
    "half an object": b'{"to":"+4915112345678"',
    "two objects": b'{"to":"+4915112345678"}{"to":"+4915112345679"}',
    "a comma too many": b'{"to":"+4915112345678",}',
    "single quotes": b"{'to':'+4915112345678'}",
    "a comment": b'{"to":"+4915112345678"/* me */}',
    "a field twice": b'{"to":"+4915112345678","to":"+4915112345679"}',
    "a field twice alike": b'{"to":"+4915112345678","to":"+4915112345678"}',
    "a field twice in other letters": b'{"to":"+4915112345678","\\u0074o":"+4915112345679"}',
    "a field twice further down": b'{"to":"+4915112345678","metadata":{"a":"1","a":"2"}}',
    "a number in an array": b'{"to":["+4915112345678","+4915112345679"]}',
    "a number in an object": b'{"to":{"0":"+4915112345678"}}',
    "a number that is one": b'{"to":4915112345678}',
    "a number that is null": b'{"to":null}',
    "metadata in an array": b'{"to":"+4915112345678","metadata":[["a","1"]]}',
    "metadata that is no text": b'{"to":"+4915112345678","metadata":{"a":1}}',
    "a service in an array": b'{"to":"+4915112345678","service":["default"]}',
    "an unknown field": b'{"to":"+4915112345678","admin":true}',
    "a field in capitals": b'{"To":"+4915112345678"}',
    "__proto__": b'{"to":"+4915112345678","__proto__":{}}',
    "NaN": b'{"to":"+4915112345678","code":NaN}',
    "Infinity": b'{"to":"+4915112345678","code":Infinity}',
    "-Infinity": b'{"to":"+4915112345678","code":-Infinity}',
    "a number beyond a float": b'{"to":"+4915112345678","code":1e999}',
    "a huge int": b'{"to":"+4915112345678","code":%s}' % (b"9" * 4000),
    "a huge exponent": b'{"to":"+4915112345678","code":1e%s}' % (b"9" * 4000),
    "invalid UTF-8": b'{"to":"+4915112345678\xff"}',
    "invalid UTF-8 in a field's name": b'{"to":"+4915112345678","\xff":1}',
    "an overlong slash": b'{"to":"+4915112345678","locale":"\xc0\xaf"}',
    "a surrogate in UTF-8": b'{"to":"+4915112345678","locale":"\xed\xa0\x80"}',
    "a lone surrogate": b'{"to":"+4915112345678","locale":"\\ud800"}',
    "a lone low surrogate": b'{"to":"+4915112345678","locale":"\\udc00x"}',
    "a lone surrogate in metadata": b'{"to":"+4915112345678","metadata":{"a":"\\udfff"}}',
    "a lone surrogate for a name": b'{"to":"+4915112345678","metadata":{"\\ud800":"a"}}',
    "a lone surrogate for a field": b'{"to":"+4915112345678","\\ud800":"a"}',
    "a lone surrogate for an address": b'{"to":"+4915112345678","ip":"\\ud800"}',
    "a byte order mark": b'\xef\xbb\xbf{"to":"+4915112345678"}',
    "UTF-16": '{"to":"+4915112345678"}'.encode("utf-16"),
    "UTF-16 without a mark": '{"to":"+4915112345678"}'.encode("utf-16-le"),
    "UTF-32": '{"to":"+4915112345678"}'.encode("utf-32"),
    "a NUL behind": b'{"to":"+4915112345678"}\x00',
    "a NUL within": b'{"to":"+4915112345678\x00"}',
    "a raw line break": b'{"to":"+4915112345678","locale":"a\nb"}',
    "nesting that fits": nested(b"[", b"]", 2000),
    "nesting of objects that fits": nested(b'{"a":', b"}", 600),
}


@pytest.mark.parametrize("body", SHAPES.values(), ids=SHAPES.keys())
async def test_a_body_of_another_shape_starts_nothing(harness: Harness, body: bytes) -> None:
    assert len(body) <= LARGEST

    response = await start(harness, body)

    assert_problem(response, 422, response.json["code"])
    assert response.json["code"] in {"invalid_request", "invalid_number", "invalid_code"}
    assert harness.provider.messages == []


@pytest.mark.parametrize("body", SHAPES.values(), ids=SHAPES.keys())
async def test_a_body_of_another_shape_checks_nothing(harness: Harness, body: bytes) -> None:
    response = await call(harness.app, "POST", CHECK, body.replace(b'"to"', b'"code"'))

    assert_problem(response, 422, response.json["code"])
    assert response.json["code"] in {"invalid_request", "invalid_code"}


async def test_no_depth_of_nesting_is_a_failure(harness: Harness) -> None:
    # Python's own limit is near a thousand, and depends on how deep the stack is where the parsing begins.
    for depth in range(900, 1000):
        assert (await start(harness, nested(b"[", b"]", depth))).status == 422
    for depth in range(400, 600):
        assert (await start(harness, nested(b'{"a":', b"}", depth))).status == 422


@pytest.mark.parametrize(
    "body",
    [
        b'{"to":"+4915112345678","locale":"%s"}' % (b"x" * 9000),
        b"{" + b" " * 1_000_000 + b"}",
        b"[" * 10_000 + b"]" * 10_000,
        b'{"a":' * 10_000 + b"1" + b"}" * 10_000,
        b"\xff" * (LARGEST + 1),
    ],
    ids=["a long field", "a megabyte", "ten thousand arrays", "ten thousand objects", "rubbish"],
)
async def test_a_body_beyond_the_limit_is_refused_unread(harness: Harness, body: bytes) -> None:
    for path in (PATH, CHECK):
        assert_problem(await call(harness.app, "POST", path, body), 413, "body_too_large")
    assert harness.provider.messages == []


async def test_the_limit_is_8192_bytes(harness: Harness) -> None:
    body = json.dumps({"to": fresh_number().e164}).encode()

    assert (await start(harness, body.ljust(8192))).status == 201
    assert_problem(await start(harness, body.ljust(8193)), 413, "body_too_large")


async def test_what_a_caller_sent_is_not_repeated_in_a_refusal(harness: Harness) -> None:
    secret = b"271828182845"

    for body in (b'{"to":"%s"}', b'{"to":"+4915112345678","code":"%s"}', b'{"to":"+4915112345678","locale":"%s"}'):
        response = await start(harness, body % secret)
        assert response.status == 422
        assert secret not in response.body


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(st.characters(), max_size=20),
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.text(st.characters(), max_size=8), inner, max_size=4)
    ),
    max_leaves=8,
)
TEXT = st.text(st.characters(), max_size=20)
# Bodies near the mark: our fields, with values that are right, nearly right, or anything.
START = st.fixed_dictionaries(
    {"to": st.sampled_from([PLACE_OF_A_NUMBER, PLACE_OF_A_NUMBER + "\n", "+49"]) | JSON},
    optional={
        "service": st.sampled_from(["default", "nobody"]) | JSON,
        "locale": st.sampled_from(["de", "zh-Hant", "de_AT", "-"]) | JSON,
        "code": st.from_regex(r"[0-9]{5,11}", fullmatch=True) | JSON,
        "ip": st.ip_addresses().map(str) | JSON,
        "app_hash": st.just("FA+9qCX9VSu") | JSON,
        "domain": st.just("acme.example") | TEXT | JSON,
        "metadata": st.dictionaries(TEXT, TEXT, max_size=6) | JSON,
        "other": JSON,
    },
)
MANY = settings(max_examples=200, deadline=None)


def as_json(value: Any) -> bytes:
    """With lone surrogates and constants as they come, escaped or in UTF-8."""
    return json.dumps(value, ensure_ascii=False).encode("utf-8", "surrogatepass")


def is_served(body: bytes) -> bool:
    """Whether there is a number in the body that an SMS could go to."""
    try:
        parse_phone_number(json.loads(body)["to"])
    except (ValueError, TypeError, KeyError, InvalidPhoneNumber):
        return False
    return True


async def assert_start_is_sound(harness: Harness, body: bytes) -> None:
    response = await start(harness, body)

    if response.status == 201:
        assert is_served(body)
        assert len(harness.provider.messages) == 1
    else:
        assert response.status in {413, 422}
        assert_problem(response, response.status, response.json["code"])
        assert harness.provider.messages == []


@MANY
@given(body=st.binary(max_size=200))
async def test_any_bytes_start_nothing(dynamodb: Any, resources: Resources, body: bytes) -> None:
    await assert_start_is_sound(Harness(Table(dynamodb, resources.table)), body)


@MANY
@given(body=JSON.map(as_json))
async def test_any_json_starts_nothing_but_what_it_should(dynamodb: Any, resources: Resources, body: bytes) -> None:
    await assert_start_is_sound(Harness(Table(dynamodb, resources.table)), body)


@MANY
@given(body=START.map(as_json), escaped=st.booleans())
async def test_anything_in_our_fields_starts_nothing_but_what_it_should(
    dynamodb: Any, resources: Resources, body: bytes, *, escaped: bool
) -> None:
    body = body.replace(PLACE_OF_A_NUMBER.encode(), fresh_number().e164.encode())
    if escaped:
        body = body.replace(b"+", b"\\u002b")
    await assert_start_is_sound(Harness(Table(dynamodb, resources.table)), body)


@MANY
@given(body=st.binary(max_size=200) | JSON.map(as_json) | JSON.map(lambda code: as_json({"code": code})))
async def test_any_check_is_answered(dynamodb: Any, resources: Resources, body: bytes) -> None:
    response = await call(Harness(Table(dynamodb, resources.table)).app, "POST", CHECK, body)

    assert response.status in {404, 413, 422}
    assert_problem(response, response.status, response.json["code"])


HEADER = st.text(st.characters(max_codepoint=255), max_size=300)


@MANY
@given(idempotency_key=HEADER, prefer=HEADER | st.just("respond-async"))
async def test_any_header_of_a_start_is_answered(
    dynamodb: Any, resources: Resources, idempotency_key: str, prefer: str
) -> None:
    harness = Harness(Table(dynamodb, resources.table))
    headers = {"idempotency-key": idempotency_key, "prefer": prefer}

    response = await call(harness.app, "POST", PATH, {"to": fresh_number().e164}, headers=headers)

    assert response.status in {201, 202, 422}
    assert len(harness.provider.messages) == (response.status == 201)
    assert len(harness.queue.jobs) == (response.status == 202)


@MANY
@given(authorization=HEADER | HEADER.map("Bearer {}".format))
async def test_any_authorization_that_is_none_of_ours_is_refused(
    dynamodb: Any, resources: Resources, authorization: str
) -> None:
    harness = Harness(Table(dynamodb, resources.table))

    response = await call(harness.app, "POST", PATH, {"to": NUMBER}, headers={"authorization": authorization}, key=None)

    assert API_KEY not in authorization
    assert_problem(response, 401, "unauthorized")
    assert harness.provider.messages == []


@MANY
@given(path=st.text(max_size=60), query=st.binary(max_size=60), host=HEADER)
async def test_any_path_query_and_host_are_answered(
    dynamodb: Any, resources: Resources, path: str, query: bytes, host: str
) -> None:
    app = Harness(Table(dynamodb, resources.table)).app
    for prefix in ("/", "/v1/verifications/", "/v1/health", "/v1/health/"):
        response = await call(app, "GET", prefix + path, headers={"host": host}, query=query)
        assert response.status in {200, 404, 405}
