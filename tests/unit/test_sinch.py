"""Sinch's wire format, what its answers mean, and its delivery reports."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from collections.abc import Mapping
from functools import partial

import aiohttp
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from functions.domain.delivery import DeliveryStatus, Outcome, Receipt, Scope, SendResult
from functions.domain.errors import InvalidRequest, InvalidSignature
from functions.providers.gateway import Request
from functions.providers.sinch import RECEIPTS, open_provider
from functions.usecases.ports import KeysUnavailable
from tests.adapters import (
    CODE,
    GERMAN,
    PATIENT,
    RECEIPTS_URL,
    REFERENCE,
    TOKEN,
    Vendor,
    a_message,
    a_push,
    an_account,
    hangs_up,
    open_for_business,
    says,
    sent_by,
)

API_TOKEN = "9b07c0e4d2f84d9fa1c4"
SECRET = {"service_plan_id": "plan-7", "api_token": API_TOKEN}
ROUTE = {"sender": "ACME"}
ACCEPTED = ({"id": "01FC66621XXXXX119Z8PMV1QPQ", "to": ["4915112345678"], "from": "ACME", "canceled": False}, 201)

answered = partial(sent_by, open_provider, SECRET, ROUTE)


# The request


async def test_a_batch_of_one_as_it_stands_on_the_wire(http: aiohttp.ClientSession) -> None:
    vendor = says(*ACCEPTED)

    result = await answered(http, vendor, prefix="/sinch", receipts_url=RECEIPTS_URL)

    asked = vendor.request
    assert (asked.method, asked.path) == ("POST", "/sinch/xms/v1/plan-7/batches")
    assert asked.headers["Authorization"] == f"Bearer {API_TOKEN}"
    assert asked.headers["Content-Type"] == "application/json"
    callback = asked.json.pop("callback_url")
    assert callback.startswith(f"{RECEIPTS_URL}/v1/receipts/sinch/{REFERENCE}.")
    assert {**asked.json, "callback_url": None} == {
        "from": "ACME",
        "to": [GERMAN],
        "body": f"{CODE} is your code.",
        "type": "mt_text",
        "client_reference": REFERENCE,
        "expire_at": "2027-01-15T08:05:00Z",
        "delivery_report": "per_recipient",
        "callback_url": None,
    }
    assert result == SendResult(provider="sinch", outcome=Outcome.ACCEPTED, message_id="01FC66621XXXXX119Z8PMV1QPQ")


async def test_without_an_address_no_reports_are_asked_for(http: aiohttp.ClientSession) -> None:
    vendor = says(*ACCEPTED)

    await answered(http, vendor)

    assert not {"callback_url", "delivery_report"} & set(vendor.request.json)


@pytest.mark.parametrize(("region", "host"), [({}, "us"), ({"region": "eu"}, "eu"), ({"region": "br"}, "br")])
async def test_each_region_has_its_own_host(http: aiohttp.ClientSession, region: dict[str, str], host: str) -> None:
    provider = await open_provider(an_account({**SECRET, **region}, http))

    request = provider.request(a_message(**ROUTE), await provider.credentials(), provider.account)

    assert isinstance(request, Request)
    assert request.url == f"https://{host}.sms.api.sinch.com/xms/v1/plan-7/batches"


@pytest.mark.parametrize(
    ("valid_for", "expiry"), [(0, "08:00:01Z"), (1, "08:00:01Z"), (600, "08:10:00Z"), (400_000, "08:00:00Z")]
)
async def test_the_message_dies_with_its_code(http: aiohttp.ClientSession, valid_for: int, expiry: str) -> None:
    vendor = says(*ACCEPTED)

    await answered(http, vendor, valid_for=valid_for)

    day = "2027-01-18" if valid_for == 400_000 else "2027-01-15"
    assert vendor.request.json["expire_at"] == f"{day}T{expiry}"


# The answers

# providers.md, section 8, and the vendor's own table of codes: status, code → class, scope.
CODES: dict[str, tuple[int, Outcome, Scope]] = {
    "syntax_invalid_json": (400, Outcome.CONFIG, Scope.PROVIDER),
    "syntax_invalid_parameter_format": (400, Outcome.CONFIG, Scope.ROUTE),
    "syntax_constraint_violation": (400, Outcome.CONFIG, Scope.ROUTE),
    "unknown_group": (403, Outcome.CONFIG, Scope.PROVIDER),
    "unknown_campaign": (403, Outcome.CONFIG, Scope.ROUTE),
    "missing_callback_url": (403, Outcome.CONFIG, Scope.PROVIDER),
    "blocked_account": (403, Outcome.CONFIG, Scope.PROVIDER),
    "illegal_number_type": (403, Outcome.REJECTED_NUMBER, Scope.ROUTE),
}


@pytest.mark.parametrize("code", CODES)
async def test_every_code_has_its_class_and_scope(http: aiohttp.ClientSession, code: str) -> None:
    status, outcome, scope = CODES[code]
    vendor = says({"code": code, "text": f"{GERMAN} will not do"}, status)

    result = await answered(http, vendor)

    assert result == SendResult(provider="sinch", outcome=outcome, reason=f"sinch_{code}", scope=scope)
    assert len(vendor.asked) == 1


@pytest.mark.parametrize("code", ["syntax_invalid_parameter_format", "syntax_constraint_violation"])
@pytest.mark.parametrize("text", ["field 'to[0]' is no MSISDN", 'The "to" is wrong', "to[0]: bad", "invalid recipient"])
async def test_a_field_that_is_the_numbers_makes_it_the_numbers_refusal(
    http: aiohttp.ClientSession, code: str, text: str
) -> None:
    result = await answered(http, says({"code": code, "text": text}, 400))

    assert (result.outcome, result.scope) == (Outcome.REJECTED_NUMBER, Scope.PROVIDER)


@pytest.mark.parametrize("text", ["field 'from' has to be shorter", "callback_url has to be an URL", "", None])
async def test_another_field_is_not_the_numbers(http: aiohttp.ClientSession, text: str | None) -> None:
    result = await answered(http, says({"code": "syntax_invalid_parameter_format", "text": text}, 400))

    assert result.outcome is Outcome.CONFIG


BY_STATUS: dict[str, tuple[Vendor, Outcome, int | None]] = {
    "http_400": (says({"error": {"code": 400, "status": "INVALID_ARGUMENT"}}, 400), Outcome.CONFIG, None),
    "http_401": (says(b"", 401), Outcome.CONFIG, None),
    "http_403": (says({"code": "something_new", "text": GERMAN}, 403), Outcome.CONFIG, None),
    "http_404": (says(b"<html>", 404), Outcome.CONFIG, None),
    "http_408": (says(b"", 408), Outcome.UNKNOWN, None),
    "http_429": (says({"code": "too_many_requests"}, 429, **{"Retry-After": "3"}), Outcome.THROTTLED_ACCOUNT, 3),
    "http_500": (says(b"", 500), Outcome.UNKNOWN, None),
    "http_502": (says({"code": "bad_gateway"}, 502), Outcome.UNKNOWN, None),
    "http_302": (says(b"", 302, Location="/elsewhere"), Outcome.UNKNOWN, None),
    "http_202": (says(ACCEPTED[0], 202), Outcome.UNKNOWN, None),
    "http_200": (says({"code": "syntax_invalid_json"}, 200), Outcome.UNKNOWN, None),
    "http_201": (says({"id": ""}, 201), Outcome.UNKNOWN, None),
}


@pytest.mark.parametrize("reason", BY_STATUS)
async def test_without_a_word_of_sinchs_the_status_speaks(http: aiohttp.ClientSession, reason: str) -> None:
    vendor, outcome, retry_after = BY_STATUS[reason]

    result = await answered(http, vendor)

    scope = Scope.ROUTE if reason in {"http_400", "http_403"} else Scope.PROVIDER
    assert result == SendResult(provider="sinch", outcome=outcome, reason=reason, retry_after=retry_after, scope=scope)
    assert len(vendor.asked) == 1


async def test_without_a_code_of_sinchs_403_is_about_the_token(http: aiohttp.ClientSession) -> None:
    result = await answered(http, says(b"", 403))

    assert (result.outcome, result.scope) == (Outcome.CONFIG, Scope.PROVIDER)


@pytest.mark.parametrize("body", [b"", b"\xff\xfe{", b"[]", b'{"id": 7}', b'{"id":"x","x":' + b"[" * 50_000])
async def test_a_success_that_cannot_be_read_is_unknown(http: aiohttp.ClientSession, body: bytes) -> None:
    assert (await answered(http, says(body, 201))).outcome is Outcome.UNKNOWN


# The secret


@pytest.mark.parametrize(
    ("secret", "entry"),
    [
        ({"api_token": API_TOKEN}, "service_plan_id"),
        ({"service_plan_id": "plan-7"}, "api_token"),
        ({**SECRET, "service_plan_id": f"../{API_TOKEN}"}, "service_plan_id"),
        ({**SECRET, "region": API_TOKEN}, "region"),
        ({**SECRET, "webhook_secret": ""}, "webhook_secret"),
    ],
)
async def test_a_secret_that_makes_no_sense_is_told_by_its_entry(
    http: aiohttp.ClientSession, secret: dict[str, str], entry: str
) -> None:
    provider = await open_provider(an_account(secret, http))

    with pytest.raises(KeysUnavailable) as told:
        await provider.prepare()

    assert str(told.value).startswith("sinch: ")
    assert entry in str(told.value)
    assert API_TOKEN not in str(told.value)


@pytest.mark.parametrize("vendor", [says(*ACCEPTED), says({"code": "x", "text": GERMAN}, 400), says(b""), hangs_up()])
async def test_no_code_key_or_number_is_in_a_log_or_a_result(
    http: aiohttp.ClientSession, vendor: Vendor, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("DEBUG")

    async with open_for_business(vendor):
        provider = await open_provider(an_account(SECRET, http, url=vendor.url), timeouts=PATIENT)
        result = await provider.send(a_message(**ROUTE))

    shown = caplog.text + repr(result) + repr(provider) + repr(await provider.credentials())
    assert not [secret for secret in (API_TOKEN, TOKEN, CODE, GERMAN, GERMAN[1:]) if secret in shown]


# Receipts

NOW = 1_704_067_300
KEY = "test_secret"
REPORT = {
    "type": "recipient_delivery_report_sms",
    "batch_id": "01FC66621XXXXX119Z8PMV1QPQ",
    "recipient": "4915112345678",
    "code": 0,
    "status": "Delivered",
    "at": "2024-01-01T00:00:07.123Z",
    "operator_status_at": "2024-01-01T00:00:05.000Z",
    "client_reference": REFERENCE,
    "applied_originator": "ACME",
    "encoding": "GSM",
    "number_of_message_parts": 1,
}
DELIVERED = Receipt(
    provider="sinch", reference=REFERENCE, status=DeliveryStatus.DELIVERED, reason=None, at=1_704_067_205
)


def whole(**more: str) -> dict[str, str]:
    return {"receipt_token": TOKEN, **SECRET, **more}


def read(report: object, *, reference: str | None = REFERENCE) -> tuple[Receipt, ...]:
    body = report if isinstance(report, bytes) else json.dumps(report).encode()
    return RECEIPTS.read(a_push(body, reference=reference), whole(), NOW)


def signed(body: bytes, key: str = KEY, *, nonce: str = "n-1", at: str = str(NOW)) -> dict[str, str]:
    digest = hmac.digest(key.encode(), body + f".{nonce}.{at}".encode(), hashlib.sha256)
    return {
        "x-sinch-webhook-signature": base64.b64encode(digest).decode(),
        "x-sinch-webhook-signature-nonce": nonce,
        "x-sinch-webhook-signature-timestamp": at,
        "x-sinch-webhook-signature-algorithm": "HmacSHA256",
    }


def test_a_delivered_message() -> None:
    assert read(REPORT) == (DELIVERED,)


# The vendor's two tables, of statuses and of codes: what it writes → what we make of it.
REPORTED: dict[tuple[str, int], tuple[DeliveryStatus, str | None] | None] = {
    ("Queued", 400): None,
    ("Dispatched", 401): (DeliveryStatus.SENT, None),
    ("Delivered", 0): (DeliveryStatus.DELIVERED, None),
    ("DELIVERED", 0): (DeliveryStatus.DELIVERED, None),
    ("Unknown", 403): (DeliveryStatus.SENT, None),
    ("Aborted", 402): (DeliveryStatus.FAILED, "402"),
    ("Failed", 403): (DeliveryStatus.FAILED, "403"),
    ("Failed", 404): (DeliveryStatus.FAILED, "404"),
    ("Aborted", 405): (DeliveryStatus.FAILED, "405"),
    ("Expired", 406): (DeliveryStatus.FAILED, "406"),
    ("Cancelled", 407): (DeliveryStatus.FAILED, "407"),
    ("Rejected", 408): (DeliveryStatus.FAILED, "408"),
    ("Aborted", 410): (DeliveryStatus.FAILED, "410"),
    ("Aborted", 411): (DeliveryStatus.FAILED, "411"),
    ("Rejected", 412): (DeliveryStatus.FAILED, "412"),
    ("Rejected", 413): (DeliveryStatus.FAILED, "413"),
    ("Deleted", 27): (DeliveryStatus.FAILED, "27"),
    ("Pondered", 500): None,
}


@pytest.mark.parametrize(("status", "code"), REPORTED)
def test_every_status_has_its_meaning(status: str, code: int) -> None:
    expected = REPORTED[status, code]

    receipts = read({**REPORT, "status": status, "code": code})

    assert [(receipt.status, receipt.reason) for receipt in receipts] == ([] if expected is None else [expected])


def test_a_report_without_our_reference_is_of_the_message_whose_address_it_came_to() -> None:
    report = {**REPORT, "client_reference": None}

    assert read(report) == (DELIVERED,)
    assert read(report, reference=None) == ()


@pytest.mark.parametrize("kind", ["delivery_report_sms", "mo_text", "recipient_delivery_report_mms"])
def test_what_else_comes_to_the_address_is_no_news(kind: str) -> None:
    assert read({**REPORT, "type": kind}) == ()


@pytest.mark.parametrize("at", [None, "", "yesterday", "2999-01-01T00:00:00Z", "0001-01-01T00:00:00", "1900-01-01"])
def test_a_time_that_cannot_be_is_now(at: str | None) -> None:
    (receipt,) = read({**REPORT, "operator_status_at": at, "at": at})

    assert receipt.at == NOW


def test_the_documents_signature() -> None:
    body = (
        b'{"type":"recipient_delivery_report_sms","batch_id":"01FC","recipient":"15551231234",'
        b'"code":0,"status":"Delivered"}'
    )
    headers = {
        "x-sinch-webhook-signature": "EVGFa8cN2awDBk7+lCNgWA3oxJL+2qalc7jLKQzKVxs=",
        "x-sinch-webhook-signature-nonce": "nonce1",
        "x-sinch-webhook-signature-timestamp": "1704067200",
    }

    (receipt,) = RECEIPTS.read(a_push(body, headers=headers), whole(webhook_secret=KEY), NOW)

    assert (receipt.reference, receipt.status) == (REFERENCE, DeliveryStatus.DELIVERED)


BODY = json.dumps(REPORT).encode()
UNSIGNED: dict[str, Mapping[str, str]] = {
    "none": {},
    "wrong": {**signed(BODY), "x-sinch-webhook-signature": "AAAA"},
    "no text": {**signed(BODY), "x-sinch-webhook-signature": "ÿ"},
    "another's": signed(BODY, "another_secret"),
    "of another body": signed(BODY + b" "),
    "of another time": {**signed(BODY), "x-sinch-webhook-signature-timestamp": str(NOW - 1)},
    "of another nonce": {**signed(BODY), "x-sinch-webhook-signature-nonce": "n-2"},
    "old": signed(BODY, at=str(NOW - 301)),
    "of tomorrow": signed(BODY, at=str(NOW + 301)),
    "of no time": signed(BODY, at="now"),
    "of half a second": signed(BODY, at=f"{NOW}.5"),
    "without a time": signed(BODY, at=""),
}


@pytest.mark.parametrize("headers", UNSIGNED.values(), ids=UNSIGNED)
def test_with_a_webhook_secret_an_unsigned_report_is_refused(headers: dict[str, str]) -> None:
    with pytest.raises(InvalidSignature):
        RECEIPTS.read(a_push(BODY, headers=headers), whole(webhook_secret=KEY), NOW)


@pytest.mark.parametrize("seconds", [-300, 0, 300])
def test_a_signature_is_good_for_five_minutes_either_way(seconds: int) -> None:
    push = a_push(BODY, headers=signed(BODY, at=str(NOW + seconds)))

    assert RECEIPTS.read(push, whole(webhook_secret=KEY), NOW) == (DELIVERED,)


def test_a_secret_without_what_is_needed_is_told() -> None:
    with pytest.raises(KeysUnavailable, match=r"sinch: .*api_token"):
        RECEIPTS.read(a_push(BODY), {"receipt_token": TOKEN, "service_plan_id": "plan-7"}, NOW)


def test_sinch_wants_to_hear_nothing() -> None:
    assert RECEIPTS.acknowledgement.body == b""


@pytest.mark.parametrize(
    "body", [b"", b"\xff", b"[]", b"{}", b'{"type":1}', b'{"type":"x","code":"y"}', b'{"x":' + b"[" * 50_000]
)
def test_what_is_malformed_is_refused(body: bytes) -> None:
    with pytest.raises(InvalidRequest) as refusal:
        read(body)

    assert refusal.value.__suppress_context__


anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=8,
)
reports = st.fixed_dictionaries(
    {},
    optional={
        **dict.fromkeys(REPORT, anything | st.text()),
        "type": st.just("recipient_delivery_report_sms"),
        "status": st.sampled_from(["Delivered", "Failed", "Unknown"]) | st.text(),
        "code": st.integers() | st.none(),
    },
)


@given(st.binary() | (anything | reports).map(lambda value: json.dumps(value).encode()), st.text(), st.text())
@settings(deadline=None)
def test_any_bytes_are_receipts_or_an_invalid_request(body: bytes, signature: str, timestamp: str) -> None:
    headers = {"x-sinch-webhook-signature": signature, "x-sinch-webhook-signature-timestamp": timestamp}
    with pytest.raises(InvalidSignature):
        RECEIPTS.read(a_push(body, headers=headers), whole(webhook_secret=KEY), NOW)
    try:
        receipts = read(body)
    except InvalidRequest:
        return

    for receipt in receipts:
        assert receipt.reference
        assert 0 <= receipt.at <= NOW
        assert receipt.reason is None or receipt.reason.lstrip("-").isdigit()
