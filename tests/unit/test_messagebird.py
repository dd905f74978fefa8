"""MessageBird's wire format, what its answers mean, and its status reports."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from typing import Any
from urllib.parse import parse_qsl, urlencode

import aiohttp
import jwt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from functions.domain.delivery import DeliveryStatus, Outcome, Receipt, Scope, SendResult
from functions.domain.errors import InvalidRequest, InvalidSignature
from functions.providers.messagebird import BASE_URL, RECEIPTS, open_provider
from functions.usecases.ports import KeysUnavailable, Push
from tests.adapters import (
    CODE,
    GERMAN,
    RECEIPTS_URL,
    REFERENCE,
    TOKEN,
    Vendor,
    a_push,
    an_account,
    hangs_up,
    says,
    sent_by,
)

ACCESS_KEY = "w223tVQTcLO4ufBTuJxjvzwJ2"
SECRET = {"access_key": ACCESS_KEY}
ROUTE = {"sender": "ACME"}
ACCEPTED = (
    {
        "id": "e8077d803532c0b5937c639b60216938",
        "recipients": {
            "totalCount": 1,
            "totalSentCount": 1,
            "items": [
                {
                    "recipient": 4915112345678,
                    "status": "sent",
                    "statusDatetime": "2027-01-15T08:00:00+00:00",
                    "messagePartCount": 2,
                }
            ],
        },
    },
    201,
)

answered = partial(sent_by, open_provider, SECRET, ROUTE)


# The request


async def test_a_message_as_it_stands_on_the_wire(http: aiohttp.ClientSession) -> None:
    vendor = says(*ACCEPTED)

    result = await answered(http, vendor, receipts_url=RECEIPTS_URL)

    asked = vendor.request
    assert (asked.method, asked.path) == ("POST", "/messages")
    assert asked.headers["Authorization"] == f"AccessKey {ACCESS_KEY}"
    assert asked.headers["Content-Type"] == "application/json"
    assert asked.json.pop("reportUrl").startswith(f"{RECEIPTS_URL}/v1/receipts/messagebird/{REFERENCE}.")
    assert {name: value for name, value in asked.json.items() if name != "reportUrl"} == {
        "originator": "ACME",
        "body": f"{CODE} is your code.",
        "recipients": [4915112345678],
        "type": "sms",
        "datacoding": "auto",
        "reference": REFERENCE,
        "validity": 300,
    }
    assert result == SendResult(
        provider="messagebird",
        outcome=Outcome.ACCEPTED,
        message_id="e8077d803532c0b5937c639b60216938",
        segments=2,
    )


async def test_without_an_address_no_reports_are_asked_for(http: aiohttp.ClientSession) -> None:
    vendor = says(*ACCEPTED)

    await answered(http, vendor)

    assert "reportUrl" not in vendor.request.json


async def test_a_code_in_its_last_moment_makes_a_message_of_one_second(http: aiohttp.ClientSession) -> None:
    vendor = says(*ACCEPTED)

    await answered(http, vendor, valid_for=0)

    assert vendor.request.json["validity"] == 1


async def test_a_taken_message_that_tells_of_no_parts(http: aiohttp.ClientSession) -> None:
    result = await answered(http, says({"id": "e80", "recipients": {"items": []}}, 201))

    assert result == SendResult(provider="messagebird", outcome=Outcome.ACCEPTED, message_id="e80")


def test_the_address_is_messagebirds() -> None:
    assert BASE_URL == "https://rest.messagebird.com"


# The answers

# providers.md, section 10: code, the field that it names → class, scope.
CODES: dict[tuple[int, str | None], tuple[Outcome, Scope]] = {
    (2, "access_key"): (Outcome.CONFIG, Scope.PROVIDER),
    (2, "recipients"): (Outcome.CONFIG, Scope.PROVIDER),
    (9, "recipients"): (Outcome.REJECTED_NUMBER, Scope.PROVIDER),
    (9, "recipient"): (Outcome.REJECTED_NUMBER, Scope.PROVIDER),
    (9, "body"): (Outcome.CONFIG, Scope.ROUTE),
    (9, None): (Outcome.CONFIG, Scope.ROUTE),
    (9, "originator"): (Outcome.CONFIG, Scope.ROUTE),
    (10, "recipients"): (Outcome.REJECTED_NUMBER, Scope.PROVIDER),
    (10, "recipient"): (Outcome.REJECTED_NUMBER, Scope.PROVIDER),
    (10, "originator"): (Outcome.CONFIG, Scope.ROUTE),
    (10, "validity"): (Outcome.CONFIG, Scope.ROUTE),
    (20, None): (Outcome.CONFIG, Scope.PROVIDER),
    (25, None): (Outcome.CONFIG, Scope.PROVIDER),
}


@pytest.mark.parametrize(("code", "field"), CODES)
async def test_every_code_has_its_class_and_scope(http: aiohttp.ClientSession, code: int, field: str | None) -> None:
    outcome, scope = CODES[code, field]
    vendor = says({"errors": [{"code": code, "description": f"{GERMAN} will not do", "parameter": field}]}, 422)

    result = await answered(http, vendor)

    assert result == SendResult(provider="messagebird", outcome=outcome, reason=f"messagebird_{code}", scope=scope)
    assert len(vendor.asked) == 1


BY_STATUS: dict[str, tuple[Vendor, Outcome, int | None]] = {
    "http_400": (says({"errors": [{"code": 77, "description": GERMAN}]}, 400), Outcome.CONFIG, None),
    "http_401": (says(b"", 401), Outcome.CONFIG, None),
    "http_404": (says(b"<html>", 404), Outcome.CONFIG, None),
    "http_422": (says({"errors": []}, 422), Outcome.CONFIG, None),
    "http_408": (says(b"", 408), Outcome.UNKNOWN, None),
    "http_429": (says(b"", 429, **{"Retry-After": "3"}), Outcome.THROTTLED_ACCOUNT, 3),
    "http_500": (says({"errors": [{"code": 99}]}, 500), Outcome.UNKNOWN, None),
    "http_302": (says(b"", 302, Location="/elsewhere"), Outcome.UNKNOWN, None),
    "http_200": (says({"errors": [{"code": 2}]}, 200), Outcome.UNKNOWN, None),
    "http_201": (says({"id": None}, 201), Outcome.UNKNOWN, None),
}


@pytest.mark.parametrize("reason", BY_STATUS)
async def test_without_a_word_of_messagebirds_the_status_speaks(http: aiohttp.ClientSession, reason: str) -> None:
    vendor, outcome, retry_after = BY_STATUS[reason]

    result = await answered(http, vendor)

    scope = Scope.ROUTE if reason in {"http_400", "http_422"} else Scope.PROVIDER
    assert result == SendResult(
        provider="messagebird", outcome=outcome, reason=reason, retry_after=retry_after, scope=scope
    )
    assert len(vendor.asked) == 1


@pytest.mark.parametrize("body", [b"", b"\xff\xfe{", b"[]", b'{"id": 7}', b'{"id":"x","x":' + b"[" * 50_000])
async def test_a_success_that_cannot_be_read_is_unknown(http: aiohttp.ClientSession, body: bytes) -> None:
    assert (await answered(http, says(body, 201))).outcome is Outcome.UNKNOWN


# The secret


@pytest.mark.parametrize(
    ("secret", "entry"), [({}, "access_key"), ({"access_key": ACCESS_KEY, "signing_key": 7}, "signing_key")]
)
async def test_a_secret_that_makes_no_sense_is_told_by_its_entry(
    http: aiohttp.ClientSession, secret: dict[str, Any], entry: str
) -> None:
    provider = await open_provider(an_account(secret, http))

    with pytest.raises(KeysUnavailable) as told:
        await provider.prepare()

    assert str(told.value).startswith("messagebird: ")
    assert entry in str(told.value)
    assert ACCESS_KEY not in str(told.value)


@pytest.mark.parametrize(
    "vendor", [says(*ACCEPTED), says({"errors": [{"code": 9, "description": GERMAN}]}, 422), says(b""), hangs_up()]
)
async def test_no_code_key_or_number_is_in_a_log_or_a_result(
    http: aiohttp.ClientSession, vendor: Vendor, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("DEBUG")

    result = await answered(http, vendor)

    provider = await open_provider(an_account(SECRET, http))
    shown = caplog.text + repr(result) + repr(provider) + repr(await provider.credentials())
    assert not [secret for secret in (ACCESS_KEY, TOKEN, CODE, GERMAN, GERMAN[1:]) if secret in shown]


# Receipts

NOW = 1_704_067_300
KEY = "a-signing-key-of-thirty-two-bytes"
REPORT = {
    "id": "e8077d803532c0b5937c639b60216938",
    "reference": REFERENCE,
    "recipient": "4915112345678",
    "status": "delivered",
    "statusDatetime": "2024-01-01T01:00:05+01:00",
}
DELIVERED = Receipt(
    provider="messagebird", reference=REFERENCE, status=DeliveryStatus.DELIVERED, reason=None, at=1_704_067_205
)


def whole(**more: str) -> dict[str, str]:
    return {"receipt_token": TOKEN, **SECRET, **more}


def by_get(report: Mapping[str, str], reference: str | None = REFERENCE) -> Push:
    path = f"/v1/receipts/messagebird/token?{urlencode(report)}"
    return a_push(method="GET", path=path, query=report, reference=reference)


def by_post(report: Mapping[str, str]) -> Push:
    return a_push(urlencode(report).encode(), headers={"Content-Type": "application/x-www-form-urlencoded"})


def read(push: Push) -> tuple[Receipt, ...]:
    return RECEIPTS.read(push, whole(), NOW)


def signed(push: Push, key: str = KEY, **changed: object) -> Push:
    claims = {
        "iss": "MessageBird",
        "nbf": NOW - 1,
        "exp": NOW + 59,
        "jti": "93e55006-a0e8-4526-a190-fa5ff00ea116",
        "url_hash": hashlib.sha256(push.url.encode()).hexdigest(),
        "payload_hash": hashlib.sha256(push.body).hexdigest() if push.body else None,
    } | changed
    token = jwt.encode({name: value for name, value in claims.items() if value is not None}, key, "HS256")
    return replace(push, headers={**push.headers, "messagebird-signature-jwt": token})


@pytest.mark.parametrize("push", [by_get(REPORT), by_post(REPORT)], ids=["GET", "POST"])
def test_a_delivered_message(push: Push) -> None:
    assert read(push) == (DELIVERED,)


STATUSES: dict[str, DeliveryStatus | None] = {
    "scheduled": None,
    "buffered": None,
    "pondered": None,
    "": None,
    "sent": DeliveryStatus.SENT,
    "delivered": DeliveryStatus.DELIVERED,
    "expired": DeliveryStatus.FAILED,
    "delivery_failed": DeliveryStatus.FAILED,
}


@pytest.mark.parametrize("status", STATUSES)
def test_every_status_has_its_meaning(status: str) -> None:
    receipts = read(by_get({**REPORT, "status": status}))

    assert [receipt.status for receipt in receipts] == [found for found in [STATUSES[status]] if found]


@pytest.mark.parametrize(
    ("status", "told", "reason"),
    [
        ("delivery_failed", "5", "5"),
        ("delivery_failed", "not <b>", "notb"),
        ("delivery_failed", "1" * 40, "1" * 32),
        ("delivery_failed", "", None),
        ("expired", "27", "27"),
        ("delivered", "5", None),
    ],
)
def test_a_failure_tells_its_code(status: str, told: str, reason: str | None) -> None:
    (receipt,) = read(by_get({**REPORT, "status": status, "statusErrorCode": told, "statusReason": "unknown"}))

    assert receipt.reason == reason


def test_a_report_without_our_reference_is_of_the_message_whose_address_it_came_to() -> None:
    report = {**REPORT, "reference": ""}

    assert read(by_get(report)) == (DELIVERED,)
    assert read(by_get(report, reference=None)) == ()


@pytest.mark.parametrize("at", ["2024-01-01T01:00:05 01:00", "2024-01-01T00:00:05Z", "2024-01-01T00:00:05"])
def test_a_time_is_read_however_its_zone_was_written(at: str) -> None:
    assert read(by_get({**REPORT, "statusDatetime": at})) == (DELIVERED,)


@pytest.mark.parametrize("at", ["", "yesterday", "2999-01-01T00:00:00Z", "0001-01-01T00:00:00", "1900-01-01"])
def test_a_time_that_cannot_be_is_now(at: str) -> None:
    (receipt,) = read(by_get({**REPORT, "statusDatetime": at}))

    assert receipt.at == NOW


def test_the_vendors_own_example_of_a_signature() -> None:
    token = (
        "eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9.eyJpc3MiOiJNZXNzYWdlQmlyZCIsIm5iZiI6MTYyNTQ3OTIwMCwiZXhwIjoxNjI1NDc5MjYw"
        "LCJqdGkiOiI5M2U1NTAwNi1hMGU4LTQ1MjYtYTE5MC1mYTVmZjAwZWExMTYiLCJ1cmxfaGFzaCI6IjQxZjA1ZjBkZGQwYTIyYWIyMDlhYzQ2"
        "ZjQ3YzQ1NzJkOWNlZmEyNTdlZDc0YjI0MDA0YmFlNzUzZWNlNmMyNjAiLCJwYXlsb2FkX2hhc2giOiJkZmZkNjAyMWJiMmJkNWIwYWY2NzYy"
        "OTA4MDllYzNhNTMxOTFkZDgxYzdmNzBhNGIyODY4OGEzNjIxODI5ODZmIn0._H--TOuYFLpeEH39-rg5E3IHVkjHozBcaKVWPRC5m9I"
    )
    key = "36efdd1aace2e26cd490f0d951138253bef2f7c6d34d18981da781555cc4cebb"
    push = replace(
        a_push(b"Hello, World!", headers={"MessageBird-Signature-JWT": token}),
        url="https://example.com/path?bar=1&foo=2",
    )

    # It passes the signature, and is no report.
    with pytest.raises(InvalidRequest):
        RECEIPTS.read(push, whole(signing_key=key), 1_625_479_230)
    with pytest.raises(InvalidSignature):
        RECEIPTS.read(push, whole(signing_key=key), 1_625_479_280)


@pytest.mark.parametrize("push", [by_get(REPORT), by_post(REPORT)], ids=["GET", "POST"])
def test_a_signed_report(push: Push) -> None:
    assert RECEIPTS.read(signed(push), whole(signing_key=KEY), NOW) == (DELIVERED,)


GET, POST = by_get(REPORT), by_post(REPORT)
UNSIGNED = {
    "not at all": GET,
    "with rubbish": replace(GET, headers={"messagebird-signature-jwt": "ey.ÿ.x"}),
    "with another's key": signed(GET, "another-signing-key-of-32-bytes-and-more"),
    "by somebody else": signed(GET, iss="MessageDog"),
    "by nobody": signed(GET, iss=None),
    "long ago": signed(GET, nbf=NOW - 400, exp=NOW - 340),
    "for ever": signed(GET, exp=None),
    "since ever": signed(GET, nbf=None),
    "tomorrow": signed(GET, nbf=NOW + 340, exp=NOW + 400),
    "for another query": replace(signed(GET), url=GET.url.replace("delivered", "sent")),
    "for no address": signed(GET, url_hash=None),
    "for an address that is none": signed(GET, url_hash=7),
    "for another body": replace(signed(POST), body=POST.body + b"&x=1"),
    "for no body": replace(signed(GET), body=b"status=delivered"),
    "for a body that is gone": replace(signed(POST), body=b""),
}


@pytest.mark.parametrize("push", UNSIGNED.values(), ids=UNSIGNED)
def test_with_a_signing_key_a_report_is_refused_that_was_signed(push: Push) -> None:
    with pytest.raises(InvalidSignature):
        RECEIPTS.read(push, whole(signing_key=KEY), NOW)


def test_a_secret_without_what_is_needed_is_told() -> None:
    with pytest.raises(KeysUnavailable, match=r"messagebird: .*access_key"):
        RECEIPTS.read(GET, {"receipt_token": TOKEN}, NOW)


def test_messagebird_wants_to_hear_nothing() -> None:
    assert RECEIPTS.acknowledgement.body == b""


@pytest.mark.parametrize(
    "body", [b"", b"\xff\xfe", b"state=delivered", b"status=%FF", b"a=1&" * 1_000 + b"status=sent"]
)
def test_what_is_malformed_is_refused(body: bytes) -> None:
    with pytest.raises(InvalidRequest) as refusal:
        read(a_push(body))

    assert b"%FF" not in body or refusal.value.__suppress_context__


fields = st.dictionaries(st.sampled_from([*REPORT, "statusErrorCode"]), st.text() | st.sampled_from([*STATUSES]))


@given(fields, st.binary() | fields.map(lambda form: urlencode(form).encode()), st.text())
@settings(deadline=None)
def test_any_push_is_receipts_or_an_invalid_request(query: dict[str, str], body: bytes, token: str) -> None:
    push = a_push(body, query=query, headers={"messagebird-signature-jwt": token})
    with pytest.raises(InvalidSignature):
        RECEIPTS.read(push, whole(signing_key=KEY), NOW)
    try:
        receipts = read(push)
    except InvalidRequest:
        return

    for receipt in receipts:
        assert receipt.reference
        assert 0 <= receipt.at <= NOW
        assert receipt.reason is None or len(receipt.reason) <= 32


def test_the_query_of_the_tests_pushes_is_the_one_in_their_addresses() -> None:
    assert dict(parse_qsl(GET.url.partition("?")[2])) == GET.query
