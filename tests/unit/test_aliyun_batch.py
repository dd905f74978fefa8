"""Aliyun's many in one call: what is on the wire and how it is signed, and what its one answer says of each."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from functools import partial
from urllib.parse import parse_qsl, urlsplit

import aiohttp
import pytest
from aiohttp import web
from alibabacloud_openapi_util.client import Client as OfficialSdk
from hypothesis import given, settings
from hypothesis import strategies as st
from Tea.request import TeaRequest

from functions.domain.delivery import Message, Outcome, Scope, SendResult
from functions.domain.sensitive import Sensitive
from functions.providers.aliyun_batch import MOST_TOGETHER, RECEIPTS, _judge, open_provider
from functions.providers.transport import Answer
from tests.adapters import CHINESE, CODE, TOKEN, Asked, Vendor, a_message, a_push, says, sent_together
from tests.unit.test_aliyun import EVERY_CODE, NO_WORD, ROUTE, SECRET, TAKEN

__all__ = ["ROUTE", "SECRET"]

ACCEPTED = (TAKEN, 200)
"""To a message that goes out alone, and to many."""

send = partial(sent_together, open_provider, SECRET)


def messages(count: int, **more: str) -> list[Message]:
    return [
        a_message(f"+86138{place:08}", code=Sensitive(f"{place:06}"), **{**ROUTE, **more}) for place in range(count)
    ]


def lists(asked: Asked) -> dict[str, list[object]]:
    return {name: json.loads(value) for name, value in asked.form.items()}


def query(asked: Asked) -> dict[str, str]:
    return dict(parse_qsl(urlsplit(asked.path).query, strict_parsing=True))


def numbers(asked: Asked) -> list[object]:
    return lists(asked)["PhoneNumberJson"] if asked.body else [query(asked)["PhoneNumbers"]]


# The request


async def test_two_messages_on_the_wire(http: aiohttp.ClientSession) -> None:
    vendor = says(TAKEN)

    await send(http, vendor, messages(2))

    asked = vendor.request
    assert (asked.method, asked.path) == ("POST", "/?TemplateCode=SMS_154950909")
    assert asked.body == (
        b"PhoneNumberJson=%5B%2213800000000%22%2C%2213800000001%22%5D"
        b"&SignNameJson=%5B%22%E6%B5%8B%E8%AF%95%E7%AD%BE%E5%90%8D%22%2C%22%E6%B5%8B%E8%AF%95%E7%AD%BE%E5%90%8D%22%5D"
        b"&TemplateParamJson=%5B%7B%22code%22%3A%22000000%22%7D%2C%7B%22code%22%3A%22000001%22%7D%5D"
    )
    assert asked.headers["x-acs-action"] == "SendBatchSms"
    assert asked.headers["Content-Type"] == "application/x-www-form-urlencoded"


async def test_the_signature_is_the_official_sdks_and_covers_the_body(http: aiohttp.ClientSession) -> None:
    vendor = says(TAKEN)

    await send(http, vendor, messages(3))

    asked, request = vendor.request, TeaRequest()
    headers = {name.lower(): value for name, value in asked.headers.items()}
    request.method, request.pathname, request.query = asked.method, "/", query(asked)
    request.headers = {
        name: value for name, value in headers.items() if name in {"host", "content-type"} or name.startswith("x-acs-")
    }
    digest = hashlib.sha256(asked.body).hexdigest()
    key = SECRET["access_key_id"], SECRET["access_key_secret"]
    assert headers["x-acs-content-sha256"] == digest
    assert headers["authorization"] == OfficialSdk.get_authorization(request, "ACS3-HMAC-SHA256", digest, *key)


async def test_a_message_alone_goes_by_sendsms_and_names_its_reference(http: aiohttp.ClientSession) -> None:
    vendor = says(TAKEN)

    [result] = await send(http, vendor, messages(1))

    assert vendor.request.headers["x-acs-action"] == "SendSms"
    assert query(vendor.request)["OutId"] == a_message().reference
    assert (result.provider, result.outcome) == ("aliyun_batch", Outcome.ACCEPTED)


async def test_more_than_a_hundred_are_two_requests_and_each_message_is_in_one(http: aiohttp.ClientSession) -> None:
    vendor = says(TAKEN)

    results = await send(http, vendor, messages(MOST_TOGETHER + 5))

    assert {result.outcome for result in results} == {Outcome.ACCEPTED}
    assert sorted(len(numbers(asked)) for asked in vendor.asked) == [5, 100]
    assert len({number for asked in vendor.asked for number in numbers(asked)}) == 105


@pytest.mark.parametrize("other", [{"template": "SMS_2"}, {"signature": "另一个"}])
async def test_other_templates_and_signatures_have_a_request_of_their_own(
    http: aiohttp.ClientSession, other: dict[str, str]
) -> None:
    vendor = says(TAKEN)

    await send(http, vendor, [*messages(4)[:2], *messages(4, **other)[2:]])

    assert sorted(map(numbers, vendor.asked), key=str) == [
        ["13800000000", "13800000001"],
        ["13800000002", "13800000003"],
    ]


async def test_a_number_that_comes_twice_is_in_two_requests(http: aiohttp.ClientSession) -> None:
    vendor = says(TAKEN)

    await send(http, vendor, [*messages(2), *messages(1)])

    assert sorted(map(numbers, vendor.asked), key=len) == [["13800000000"], ["13800000000", "13800000001"]]


# The answer

OF_ONE_MESSAGE = {"rejected_number", "rejected_content", "throttled_recipient"}


@pytest.mark.parametrize(("code", "outcome", "scope"), [each for each in EVERY_CODE if each[1] not in OF_ONE_MESSAGE])
async def test_what_is_no_single_messages_fault_is_the_answer_to_each(
    http: aiohttp.ClientSession, code: str, outcome: str, scope: Scope
) -> None:
    vendor = says({"Code": code, "Message": "13800000000"})

    results = await send(http, vendor, messages(2))

    refused = SendResult(provider="aliyun_batch", outcome=Outcome(outcome), reason=f"aliyun_{code}", scope=scope)
    assert results == [refused, refused]
    assert len(vendor.asked) == 1


@pytest.mark.parametrize(("code", "outcome"), [each[:2] for each in EVERY_CODE if each[1] in OF_ONE_MESSAGE])
async def test_after_a_refusal_for_one_messages_fault_each_is_sent_by_itself_and_has_its_own_outcome(
    http: aiohttp.ClientSession, code: str, outcome: str
) -> None:
    async def answer(request: web.Request) -> web.Response:
        refused = "13800000000" in f"{request.query_string} {await request.text()}"
        return web.json_response({"Code": code} if refused else TAKEN)

    vendor = Vendor(answer)

    first, *others = await send(http, vendor, messages(3))

    assert (first.outcome, first.reason) == (Outcome(outcome), f"aliyun_{code}")
    assert [result.outcome for result in others] == [Outcome.ACCEPTED] * 2
    assert [asked.headers["x-acs-action"] for asked in vendor.asked] == ["SendBatchSms", *["SendSms"] * 3]


@pytest.mark.parametrize(("vendor", "outcome", "reason", "retry_after"), NO_WORD.values(), ids=NO_WORD)
async def test_an_answer_without_a_word_of_aliyuns_is_that_of_each(
    http: aiohttp.ClientSession, vendor: Vendor, outcome: Outcome, reason: str, retry_after: int | None
) -> None:
    results = await send(http, vendor, messages(2))

    each = SendResult(provider="aliyun_batch", outcome=outcome, reason=reason, retry_after=retry_after)
    assert results == [each, each]
    assert len(vendor.asked) == 1


@given(st.binary() | st.sampled_from(EVERY_CODE).map(lambda each: json.dumps({"Code": each[0]}).encode()))
@settings(deadline=None)
def test_any_answer_gives_each_message_one_outcome_or_is_a_refusal_of_all(body: bytes) -> None:
    results = _judge(messages(2), Answer(status=200, body=body, retry_after=None))

    assert results is None or [result.provider for result in results] == ["aliyun_batch"] * 2


# What must not be seen, and the receipts of those that went alone


async def test_no_code_key_or_number_is_in_a_log_or_a_result(
    http: aiohttp.ClientSession, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("DEBUG")
    sent = [a_message(number, **ROUTE) for number in (CHINESE, "+8613900000000")]

    vendor = says({"Code": "isp.SYSTEM_ERROR", "Message": CHINESE})
    shown = repr(await send(http, vendor, sent)) + caplog.text

    assert not [secret for secret in (*SECRET.values(), TOKEN, CODE, CHINESE[3:]) if secret in shown]
    assert all(secret in vendor.request.body.decode() for secret in (CODE, CHINESE[3:]))


def test_a_receipt_names_the_adapter_that_sent_and_one_without_a_reference_is_nobodys() -> None:
    report: Mapping[str, object] = {"success": True, "out_id": a_message().reference}
    body = json.dumps([report, {"success": True, "out_id": ""}]).encode()

    [receipt] = RECEIPTS.read(a_push(body, reference=None), SECRET, 1_704_070_000)

    assert (receipt.provider, receipt.reference) == ("aliyun_batch", a_message().reference)
