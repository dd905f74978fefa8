"""Sinch's many in one batch: whose texts are one but for the code, what is on the wire, and what its answer says."""

from __future__ import annotations

import json
from functools import partial
from typing import Any

import aiohttp
import pytest
from aiohttp import web
from hypothesis import given, settings
from hypothesis import strategies as st

from functions.domain.delivery import Message, Outcome, Scope, SendResult
from functions.domain.sensitive import Sensitive
from functions.providers.sinch_batch import MOST_TOGETHER, RECEIPTS, _judge, open_provider
from functions.providers.transport import Answer
from tests.adapters import (
    CODE,
    GERMAN,
    REFERENCE,
    TOKEN,
    Asked,
    Vendor,
    a_message,
    a_push,
    hangs_up,
    says,
    sent_together,
)
from tests.unit.test_sinch import ACCEPTED, API_TOKEN, CODES, ROUTE, SECRET

__all__ = ["ACCEPTED", "ROUTE", "SECRET"]

TEXT = "{code} is your code.\n@acme.example #{code}"
TOGETHER = ({"id": "01FC66621XXXXX119Z8PMV1QPQ", "to": ["4915100000000"], "from": "ACME", "canceled": False}, 201)

send = partial(sent_together, open_provider, SECRET)


def message(place: int, text: str = TEXT, **more: Any) -> Message:
    code = f"{place:06}"
    described = {**ROUTE, "code": Sensitive(code), **more}
    return a_message(f"+49151{place:08}", text.replace("{code}", code), **described)


def messages(count: int) -> list[Message]:
    return [message(place) for place in range(count)]


def recipients(asked: Asked) -> list[str]:
    return [str(number).removeprefix("+") for number in asked.json["to"]]


# The request


async def test_two_messages_on_the_wire(http: aiohttp.ClientSession) -> None:
    vendor = says(*TOGETHER)

    results = await send(http, vendor, messages(2))

    assert (vendor.request.method, vendor.request.path) == ("POST", "/xms/v1/plan-7/batches")
    assert vendor.request.headers["Authorization"] == f"Bearer {API_TOKEN}"
    assert vendor.request.json == {
        "from": "ACME",
        "to": ["4915100000000", "4915100000001"],
        "body": "${code} is your code.\n@acme.example #${code}",
        "parameters": {"code": {"4915100000000": "000000", "4915100000001": "000001"}},
        "type": "mt_text",
        "expire_at": "2027-01-15T08:05:00Z",
    }
    taken = SendResult(provider="sinch_batch", outcome=Outcome.ACCEPTED, message_id="01FC66621XXXXX119Z8PMV1QPQ")
    assert results == [taken, taken]


async def test_a_message_alone_is_a_batch_of_one_and_asks_for_its_receipts(http: aiohttp.ClientSession) -> None:
    vendor = says(*ACCEPTED)

    [result] = await send(http, vendor, messages(1))

    body = vendor.request.json
    assert (body["to"], body["client_reference"]) == (["+4915100000000"], REFERENCE)
    assert "/v1/receipts/sinch_batch/" in body["callback_url"]
    assert "parameters" not in body
    assert result.provider == "sinch_batch"


OTHERS: dict[str, dict[str, Any]] = {
    "text": {"text": "Your code: {code}"},
    "sender": {"sender": "OTHER"},
    "expiry in another minute": {"valid_for": 200},
}


@pytest.mark.parametrize("other", OTHERS.values(), ids=OTHERS)
async def test_messages_of_another_text_sender_or_expiry_are_a_batch_of_their_own(
    http: aiohttp.ClientSession, other: dict[str, Any]
) -> None:
    vendor = says(*TOGETHER)

    await send(http, vendor, [*messages(2), message(2, **other), message(3, **other)])

    assert sorted(map(recipients, vendor.asked)) == [
        ["4915100000000", "4915100000001"],
        ["4915100000002", "4915100000003"],
    ]


async def test_of_expiries_of_the_same_minute_the_first_one_is_that_of_all(http: aiohttp.ClientSession) -> None:
    vendor = says(*TOGETHER)

    await send(http, vendor, [message(0, valid_for=359), message(1, valid_for=301), message(2, valid_for=330)])

    assert vendor.request.json["expire_at"] == "2027-01-15T08:05:01Z"


async def test_a_text_that_might_be_read_as_a_parameter_goes_alone_and_as_it_is(http: aiohttp.ClientSession) -> None:
    vendor = says(*ACCEPTED)

    await send(http, vendor, [message(0, "${code} or ${name}"), message(1, "{code}, $5")])

    assert sorted(asked.json["body"] for asked in vendor.asked) == ["$000000 or ${name}", "000001, $5"]


@given(st.lists(st.text(max_size=40).filter(lambda text: "$" not in text), min_size=2, max_size=3))
@settings(deadline=None, max_examples=25)
async def test_the_text_filled_in_again_is_the_text_that_was_meant(parts: list[str]) -> None:
    text = "{code}".join(part.encode(errors="replace").decode() for part in parts)
    vendor, sent = says(*TOGETHER), [message(0, text), message(1, text)]

    async with aiohttp.ClientSession() as http:
        await send(http, vendor, sent)

    filled = [
        asked.json["body"].replace("${code}", asked.json.get("parameters", {}).get("code", {}).get(number, ""))
        for asked in vendor.asked
        for number in recipients(asked)
    ]
    assert sorted(filled) == sorted(each.text.reveal() for each in sent)


async def test_more_than_a_thousand_are_two_requests_and_each_message_is_in_one(http: aiohttp.ClientSession) -> None:
    vendor = says(*TOGETHER)

    await send(http, vendor, messages(MOST_TOGETHER + 5))

    assert sorted(len(recipients(asked)) for asked in vendor.asked) == [5, 1_000]


async def test_a_number_that_comes_twice_is_in_two_requests(http: aiohttp.ClientSession) -> None:
    vendor = says(*ACCEPTED)

    await send(http, vendor, [*messages(2), *messages(1)])

    assert sorted(map(recipients, vendor.asked), key=len) == [["4915100000000"], ["4915100000000", "4915100000001"]]


# The answer


@pytest.mark.parametrize("code", [code for code, (status, *_) in CODES.items() if status == 403])
async def test_what_is_no_single_messages_fault_is_the_answer_to_each(http: aiohttp.ClientSession, code: str) -> None:
    status, outcome, scope = CODES[code]
    vendor = says({"code": code, "text": f"{GERMAN} will not do"}, status)

    results = await send(http, vendor, messages(2))

    if outcome is Outcome.REJECTED_NUMBER:
        assert len(vendor.asked) == 3
    else:
        refused = SendResult(provider="sinch_batch", outcome=outcome, reason=f"sinch_{code}", scope=scope)
        assert (results, len(vendor.asked)) == ([refused, refused], 1)


@pytest.mark.parametrize("text", ["Invalid format on: 'to[0]'", "Invalid format on: 'parameters'"])
async def test_after_a_bad_request_each_is_sent_by_itself_and_has_its_own_outcome(
    http: aiohttp.ClientSession, text: str
) -> None:
    async def answer(request: web.Request) -> web.Response:
        refused = "4915100000000" in await request.text()
        refusal = {"code": "syntax_invalid_parameter_format", "text": text}
        return web.json_response(*((refusal,) if refused else (ACCEPTED[0],)), status=400 if refused else 201)

    vendor = Vendor(answer)

    first, *others = await send(http, vendor, messages(3))

    assert first.reason == "sinch_syntax_invalid_parameter_format"
    assert [result.outcome for result in others] == [Outcome.ACCEPTED] * 2
    assert sorted(len(recipients(asked)) for asked in vendor.asked) == [1, 1, 1, 3]


NO_WORD: dict[str, tuple[Vendor, Outcome, str]] = {
    "429": (says(b"", 429), Outcome.THROTTLED_ACCOUNT, "http_429"),
    "401": (says(b"", 401), Outcome.CONFIG, "http_401"),
    "500": (says(b"", 500), Outcome.UNKNOWN, "http_500"),
    "rubbish": (says(b"\xff{"), Outcome.UNKNOWN, "http_200"),
    "a success without an id": (says({}, 201), Outcome.UNKNOWN, "http_201"),
    "a broken connection": (hangs_up(), Outcome.UNKNOWN, "disconnected"),
}


@pytest.mark.parametrize(("vendor", "outcome", "reason"), NO_WORD.values(), ids=NO_WORD)
async def test_an_answer_without_a_word_of_sinchs_is_that_of_each_and_none_is_sent_again(
    http: aiohttp.ClientSession, vendor: Vendor, outcome: Outcome, reason: str
) -> None:
    results = await send(http, vendor, messages(2))

    each = SendResult(provider="sinch_batch", outcome=outcome, reason=reason, scope=Scope.PROVIDER)
    assert (results, len(vendor.asked)) == ([each, each], 1)


@given(st.binary() | st.sampled_from(sorted(CODES)).map(lambda code: json.dumps({"code": code}).encode()))
@settings(deadline=None)
def test_any_answer_gives_each_message_one_outcome_or_is_a_refusal_of_all(body: bytes) -> None:
    results = _judge(messages(2), Answer(status=403, body=body, retry_after=None))

    assert results is None or [result.provider for result in results] == ["sinch_batch"] * 2


# What must not be seen, and the receipts of those that went alone


async def test_no_code_key_or_number_is_in_a_log_or_a_result(
    http: aiohttp.ClientSession, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("DEBUG")
    sent = [a_message(number, **ROUTE) for number in (GERMAN, "+4915112345679")]

    vendor = says({"code": "blocked_account", "text": GERMAN}, 403)
    shown = repr(await send(http, vendor, sent)) + caplog.text

    assert not [secret for secret in (API_TOKEN, TOKEN, CODE, GERMAN[3:]) if secret in shown]
    assert all(secret in vendor.request.body.decode() for secret in (CODE, GERMAN[3:]))


def test_a_receipt_names_the_adapter_that_sent() -> None:
    report = {"type": "recipient_delivery_report_sms", "status": "Delivered", "client_reference": REFERENCE}

    [receipt] = RECEIPTS.read(a_push(json.dumps(report).encode()), {**SECRET, "receipt_token": TOKEN}, 1_704_070_000)

    assert (receipt.provider, receipt.reference) == ("sinch_batch", REFERENCE)
