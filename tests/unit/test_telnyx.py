"""Telnyx's wire format, what its answers mean, and its signed webhooks."""

from __future__ import annotations

import base64
import json
import logging
from functools import partial
from typing import Any

import aiohttp
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from hypothesis import given, settings
from hypothesis import strategies as st

from functions.domain.delivery import DeliveryStatus, Outcome, Receipt, Scope, SendResult
from functions.domain.errors import InvalidRequest, InvalidSignature
from functions.providers.gateway import Request
from functions.providers.telnyx import RECEIPTS, open_provider
from functions.usecases.ports import KeysUnavailable, Push
from tests.adapters import (
    CODE,
    GERMAN,
    RECEIPTS_URL,
    REFERENCE,
    TOKEN,
    a_message,
    a_push,
    an_account,
    hangs_up,
    says,
    sent_by,
)
from tests.harness import MORNING

API_KEY = "KEY0185A5C0F3"
KEY = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))
ANOTHERS_KEY = Ed25519PrivateKey.from_private_bytes(bytes(32))
SECRET = {"api_key": API_KEY, "public_key": "A6EHv/POEL4dcN0Y50vAmWfk1jCbpQ1fHdyGZBJVMbg="}
ROUTE = {"sender": "+14155550199"}
PROFILE = "3fa85f64-5717-4562-b3fc-2c963f66afa6"
MESSAGE_ID = "b0c7e8cb-6227-4c74-9f32-c7f80c30934b"
SENT: dict[str, Any] = {
    "record_type": "message",
    "direction": "outbound",
    "id": MESSAGE_ID,
    "type": "SMS",
    "from": {"phone_number": "+14155550199"},
    "to": [{"phone_number": GERMAN, "status": "queued", "carrier": "", "line_type": "Wireless"}],
    "text": f"{CODE} is your code.",
    "parts": 1,
    "encoding": "GSM-7",
    "cost": {"amount": "0.0040", "currency": "USD"},
    "errors": [],
}
ACCEPTED = ({"data": SENT}, 200)

answered = partial(sent_by, open_provider, SECRET, ROUTE)


# The request


async def test_a_message_as_it_stands_on_the_wire(http: aiohttp.ClientSession) -> None:
    vendor = says(*ACCEPTED)

    result = await answered(http, vendor, prefix="/telnyx", receipts_url=RECEIPTS_URL)

    asked = vendor.request
    assert (asked.method, asked.path) == ("POST", "/telnyx/v2/messages")
    assert asked.headers["Authorization"] == f"Bearer {API_KEY}"
    assert asked.headers["Content-Type"] == asked.headers["Accept"] == "application/json"
    assert asked.headers["Idempotency-Key"] == "vfy_k1_abcdefghijklmnopqrstuvwxabcdefghijklmnop-1"
    body = asked.json
    assert body.pop("webhook_url").startswith(f"{RECEIPTS_URL}/v1/receipts/telnyx/{REFERENCE}.")
    assert body == {
        "from": "+14155550199",
        "to": GERMAN,
        "text": f"{CODE} is your code.",
        "type": "SMS",
        "use_profile_webhooks": False,
    }
    assert result == SendResult(
        provider="telnyx", outcome=Outcome.ACCEPTED, message_id=MESSAGE_ID, segments=1, price="0.0040 USD"
    )


async def test_without_an_address_no_webhooks_are_asked_for(http: aiohttp.ClientSession) -> None:
    vendor = says(*ACCEPTED)

    await answered(http, vendor)

    assert "webhook_url" not in vendor.request.json
    assert vendor.request.json["use_profile_webhooks"] is False


async def test_telnyxs_address_is_asked(http: aiohttp.ClientSession) -> None:
    provider = await open_provider(an_account(SECRET, http))

    request = provider.request(a_message(**ROUTE), await provider.credentials(), provider.account)

    assert isinstance(request, Request)
    assert request.url == "https://api.telnyx.com/v2/messages"


@pytest.mark.parametrize(
    ("sender", "profile", "expected"),
    [
        ("+14155550199", None, {"from": "+14155550199"}),
        ("+14155550199", PROFILE, {"from": "+14155550199"}),
        ("ACME", PROFILE, {"from": "ACME", "messaging_profile_id": PROFILE}),
        ("ACME", None, {"from": "ACME"}),
        ("40404", PROFILE, {"from": "40404"}),
        (PROFILE, None, {"messaging_profile_id": PROFILE}),
    ],
)
async def test_who_sends_is_a_number_a_name_or_a_pool(
    http: aiohttp.ClientSession, sender: str, profile: str | None, expected: dict[str, str]
) -> None:
    vendor = says(*ACCEPTED)

    await answered(http, vendor, entries={"messaging_profile_id": profile}, sender=sender)

    assert {name: vendor.request.json.get(name) for name in ("from", "messaging_profile_id")} == {
        "from": None,
        "messaging_profile_id": None,
        **expected,
    }


@pytest.mark.parametrize("reference", ["a.1", "a.2", "b.1", "a/1:é"])
async def test_the_idempotency_key_has_the_letters_that_telnyx_allows(
    http: aiohttp.ClientSession, reference: str
) -> None:
    vendor = says(*ACCEPTED)

    await answered(http, vendor, reference=reference)

    assert vendor.request.headers["Idempotency-Key"] == {"a/1:é": "a-1--"}.get(reference, reference.replace(".", "-"))


# The answers


@pytest.mark.parametrize(
    ("told", "price"),
    [
        ({"amount": "0.0040", "currency": "USD"}, "0.0040 USD"),
        ({"amount": 0.004, "currency": "USD"}, "0.004 USD"),
        ({"amount": GERMAN, "currency": "USD"}, None),
        ({"amount": "0.0040", "currency": "no currency"}, None),
        ({"amount": None, "currency": None}, None),
        ({}, None),
        (None, None),
    ],
)
async def test_a_price_is_an_amount_and_a_currency(
    http: aiohttp.ClientSession, told: object, price: str | None
) -> None:
    result = await answered(http, says({"data": {**SENT, "cost": told}}))

    assert (result.outcome, result.price) == (Outcome.ACCEPTED, price)


# Telnyx's lists of codes, for whom each is: code → class, scope.
CODES: dict[int, tuple[str, str]] = {
    10001: ("config", "route"),
    10002: ("rejected_number", "provider"),
    10003: ("config", "provider"),
    10004: ("config", "provider"),
    10005: ("config", "provider"),
    10006: ("config", "provider"),
    10007: ("transient", "provider"),
    10008: ("unknown", "provider"),
    10009: ("config", "provider"),
    10010: ("config", "provider"),
    10011: ("throttled_account", "provider"),
    10015: ("config", "route"),
    10016: ("rejected_number", "provider"),
    20002: ("config", "provider"),
    20006: ("config", "provider"),
    20012: ("config", "provider"),
    20013: ("config", "provider"),
    20014: ("config", "provider"),
    20015: ("config", "provider"),
    20016: ("config", "provider"),
    20017: ("config", "provider"),
    20100: ("config", "provider"),
    40001: ("rejected_number", "provider"),
    40002: ("rejected_content", "provider"),
    40003: ("rejected_content", "provider"),
    40004: ("rejected_content", "provider"),
    40005: ("unknown", "provider"),
    40006: ("transient", "provider"),
    40008: ("rejected_number", "route"),
    40009: ("rejected_content", "provider"),
    40010: ("config", "route"),
    40011: ("throttled_account", "provider"),
    40012: ("rejected_number", "provider"),
    40013: ("config", "route"),
    40014: ("transient", "provider"),
    40015: ("rejected_content", "provider"),
    40016: ("throttled_account", "provider"),
    40017: ("rejected_content", "provider"),
    40018: ("throttled_account", "provider"),
    40100: ("config", "route"),
    40150: ("config", "route"),
    40151: ("config", "route"),
    40300: ("rejected_number", "provider"),
    40301: ("rejected_number", "route"),
    40302: ("config", "route"),
    40304: ("config", "route"),
    40305: ("config", "route"),
    40306: ("config", "route"),
    40309: ("config", "forbidden"),
    40310: ("rejected_number", "provider"),
    40311: ("config", "provider"),
    40312: ("config", "provider"),
    40313: ("config", "provider"),
    40314: ("config", "provider"),
    40315: ("config", "route"),
    40316: ("config", "route"),
    40318: ("throttled_account", "provider"),
    40319: ("rejected_number", "route"),
    40320: ("config", "route"),
    40321: ("config", "route"),
    40322: ("rejected_content", "provider"),
    40328: ("config", "route"),
    40329: ("config", "route"),
}


def problem(code: object, pointer: str | None = "/to") -> dict[str, Any]:
    source = {} if pointer is None else {"source": {"pointer": pointer}}
    return {"errors": [{"code": code, "title": "Invalid", "detail": f"{GERMAN} is wrong", **source}]}


@pytest.mark.parametrize("code", CODES)
@pytest.mark.parametrize("http_status", [422, 500])
async def test_every_code_has_its_class_and_scope(http: aiohttp.ClientSession, code: int, http_status: int) -> None:
    outcome, scope = CODES[code]
    vendor = says(problem(str(code)), http_status)

    result = await answered(http, vendor)

    assert result == SendResult(
        provider="telnyx", outcome=Outcome(outcome), reason=f"telnyx_{code}", scope=Scope(scope)
    )
    assert len(vendor.asked) == 1


@pytest.mark.parametrize("code", [10002, 10016])
async def test_a_number_that_is_wrong_can_be_the_senders(http: aiohttp.ClientSession, code: int) -> None:
    result = await answered(http, says(problem(str(code), "/from"), 422))

    assert (result.outcome, result.scope) == (Outcome.CONFIG, Scope.ROUTE)


async def test_another_refusal_is_what_it_is_wherever_it_points(http: aiohttp.ClientSession) -> None:
    result = await answered(http, says(problem("40300", "/from"), 422))

    assert (result.outcome, result.scope) == (Outcome.REJECTED_NUMBER, Scope.PROVIDER)


async def test_without_a_pointer_a_wrong_number_is_the_recipients(http: aiohttp.ClientSession) -> None:
    result = await answered(http, says(problem("10002", None), 422))

    assert (result.outcome, result.scope) == (Outcome.REJECTED_NUMBER, Scope.PROVIDER)


async def test_a_code_may_be_a_number(http: aiohttp.ClientSession) -> None:
    assert (await answered(http, says(problem(40300), 400))).reason == "telnyx_40300"


async def test_who_is_too_fast_is_told_when_to_come_back(http: aiohttp.ClientSession) -> None:
    result = await answered(http, says(problem("10011"), 429, **{"Retry-After": "3"}))

    assert (result.outcome, result.retry_after) == (Outcome.THROTTLED_ACCOUNT, 3)


BY_HTTP: dict[int, str] = {
    400: "config",
    401: "config",
    402: "config",
    403: "config",
    404: "config",
    422: "config",
    429: "throttled_account",
    409: "unknown",
    302: "unknown",
    500: "unknown",
    502: "unknown",
}


@pytest.mark.parametrize("code", BY_HTTP)
@pytest.mark.parametrize("body", [b"", b"<html>", {"errors": []}, {"errors": [{"title": GERMAN}]}, problem(GERMAN)])
async def test_without_a_code_the_status_speaks(http: aiohttp.ClientSession, code: int, body: object) -> None:
    vendor = says(body, code)

    result = await answered(http, vendor)

    scope = Scope.ROUTE if code in {400, 422} else Scope.PROVIDER
    assert result == SendResult(provider="telnyx", outcome=Outcome(BY_HTTP[code]), reason=f"http_{code}", scope=scope)
    assert len(vendor.asked) == 1


@pytest.mark.parametrize(
    ("code", "reason", "scope"),
    [
        (422, "telnyx_99999", Scope.ROUTE),
        (401, "telnyx_99999", Scope.PROVIDER),
        (409, "telnyx_99999", Scope.PROVIDER),
        (500, "http_500", Scope.PROVIDER),
        (502, "http_502", Scope.PROVIDER),
    ],
)
async def test_a_code_that_is_not_listed_says_no_more_than_its_status(
    http: aiohttp.ClientSession, code: int, reason: str, scope: Scope
) -> None:
    result = await answered(http, says(problem("99999"), code))

    assert (result.outcome.value, result.reason, result.scope) == (BY_HTTP[code], reason, scope)


@pytest.mark.parametrize(
    "body", [b"", b"<html>", {}, {"data": {}}, {"data": {"id": 7}}, problem("40300"), b"[" * 60_000]
)
async def test_a_success_that_cannot_be_read_is_unknown(http: aiohttp.ClientSession, body: object) -> None:
    result = await answered(http, says(body))

    assert (result.outcome, result.reason) == (Outcome.UNKNOWN, "http_200")


async def test_a_broken_connection_is_unknown_and_nothing_is_sent_twice(http: aiohttp.ClientSession) -> None:
    vendor = hangs_up()

    result = await answered(http, vendor)

    assert (result.outcome, len(vendor.asked)) == (Outcome.UNKNOWN, 1)


# The secret


@pytest.mark.parametrize(
    ("entry", "value"),
    [
        ("api_key", None),
        ("api_key", ""),
        ("public_key", None),
        ("public_key", "A6EHv/POEL4dcN0Y50vAmWfk1jCbpQ1fHdyGZBJVMbg"),
        ("public_key", "not base64, though it has forty-four letters"),
        ("messaging_profile_id", 7),
    ],
)
async def test_a_secret_that_makes_no_sense_is_told_by_its_entry(
    http: aiohttp.ClientSession, entry: str, value: object
) -> None:
    secret = {name: kept for name, kept in {**SECRET, entry: value}.items() if kept is not None}
    provider = await open_provider(an_account(secret, http))

    with pytest.raises(KeysUnavailable, match=f"telnyx.*{entry}") as refusal:
        await provider.prepare()

    assert API_KEY not in str(refusal.value)


async def test_no_code_key_or_number_is_in_a_log_or_a_result(
    http: aiohttp.ClientSession, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    vendors = [says(*ACCEPTED), says(problem("40300"), 400), says(problem(GERMAN), 422), says(GERMAN.encode(), 500)]

    shown = [repr(await answered(http, vendor)) for vendor in vendors]
    provider = await open_provider(an_account(SECRET, http))
    request = provider.request(a_message(**ROUTE), await provider.credentials(), provider.account)

    everything = "\n".join([*shown, caplog.text, repr(provider), repr(request)])
    assert not [secret for secret in (CODE, GERMAN.removeprefix("+"), API_KEY) if secret in everything]


# The webhooks

NOW = MORNING
STORED = {"receipt_token": TOKEN, **SECRET}


def event(to: object = "delivered", kind: str = "message.finalized", **payload: object) -> dict[str, Any]:
    recipients = [{"phone_number": GERMAN, "status": to}] if isinstance(to, str) else to
    return {
        "data": {
            "event_type": kind,
            "id": "8a0a9b0c",
            "occurred_at": "2027-01-15T07:59:30.123+00:00",
            "payload": {**SENT, "to": recipients, **payload},
            "record_type": "event",
        },
        "meta": {"attempt": 1, "delivered_to": "https://sms.example.com"},
    }


def signed(
    body: object, *, at: object = NOW, key: Ed25519PrivateKey = KEY, reference: str | None = REFERENCE, **headers: str
) -> Push:
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    signature = base64.b64encode(key.sign(f"{at}|".encode() + raw)).decode()
    given = {"telnyx-timestamp": str(at), "telnyx-signature-ed25519": signature}
    given |= {name.replace("_", "-"): value for name, value in headers.items()}
    return a_push(raw, headers=given, reference=reference)


def read(push: Push) -> tuple[Receipt, ...]:
    return RECEIPTS.read(push, STORED, NOW)


def test_a_delivered_message() -> None:
    expected = Receipt(
        provider="telnyx", reference=REFERENCE, status=DeliveryStatus.DELIVERED, reason=None, at=NOW - 30
    )

    assert read(signed(event())) == (expected,)


@pytest.mark.parametrize(
    ("status", "expected"),
    [
        ("queued", None),
        ("sending", None),
        ("sent", DeliveryStatus.SENT),
        ("delivered", DeliveryStatus.DELIVERED),
        ("expired", DeliveryStatus.FAILED),
        ("sending_failed", DeliveryStatus.FAILED),
        ("delivery_failed", DeliveryStatus.FAILED),
        ("delivery_unconfirmed", None),
        ("of tomorrow", None),
    ],
)
@pytest.mark.parametrize("kind", ["message.sent", "message.finalized"])
def test_every_status_has_its_meaning(status: str, expected: DeliveryStatus | None, kind: str) -> None:
    receipts = read(signed(event(status, kind)))

    assert [receipt.status for receipt in receipts] == ([] if expected is None else [expected])


@pytest.mark.parametrize(
    ("errors", "reason"),
    [
        (problem("40008")["errors"], "40008"),
        (problem(40008)["errors"], "40008"),
        (problem(GERMAN)["errors"], None),
        ([], None),
        (None, None),
    ],
)
def test_a_failures_reason_is_the_code(errors: object, reason: str | None) -> None:
    (receipt,) = read(signed(event("delivery_failed", errors=errors)))

    assert receipt.reason == reason


@pytest.mark.parametrize("code", [40002, 40003, 40004, 40009, 40015, 40017, 40300, 40322])
def test_what_was_blocked_is_rejected_and_nobody_elses_to_send(code: int) -> None:
    (receipt,) = read(signed(event("delivery_failed", errors=problem(code)["errors"])))

    assert (receipt.status, receipt.reason) == (DeliveryStatus.REJECTED, str(code))


def test_only_a_failure_has_a_reason() -> None:
    (receipt,) = read(signed(event("delivered", errors=problem("40008")["errors"])))

    assert receipt.reason is None


@pytest.mark.parametrize(
    "body",
    [
        event(kind="message.received"),
        event(kind="10dlc.campaign.update"),
        event(to=GERMAN),
        event(to=[]),
        {"data": {"event_type": "call.hangup", "payload": {"to": GERMAN, "from": "+1"}}},
    ],
)
def test_other_events_are_no_news(body: object) -> None:
    assert read(signed(body)) == ()


def test_a_webhook_of_the_accounts_address_is_of_no_message_of_ours() -> None:
    assert read(signed(event(), reference=None)) == ()


@pytest.mark.parametrize(
    ("told", "at"),
    [
        ("2027-01-15T07:59:30.123Z", NOW - 30),
        ("2027-01-15T08:59:30+01:00", NOW - 30),
        ("2027-01-15T07:59:30", NOW - 30),
        ("2999-01-01T00:00:00Z", NOW),
        ("1969-12-31T23:59:59Z", NOW),
        ("yesterday", NOW),
        (None, NOW),
    ],
)
def test_a_time_that_cannot_be_is_now(told: str | None, at: int) -> None:
    body = event()
    body["data"]["occurred_at"] = told

    (receipt,) = read(signed(body))

    assert receipt.at == at


# Their signatures


def test_the_public_key_is_that_of_the_private_one() -> None:
    raw = KEY.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)

    assert base64.b64encode(raw).decode() == SECRET["public_key"]


VECTOR = "9fyV+UHzRNDNv1v+bpqbCFl7DNgF3tA1lH3SBpol7j+4Nvi8qk5dF5Lkqf9X8TsN0+aEMR/W+yD6fSA6PsoWBQ=="


def test_a_signature_that_was_computed_elsewhere() -> None:
    headers = {"telnyx-timestamp": "1704067200", "telnyx-signature-ed25519": VECTOR}
    push = a_push(b'{"data":{"event_type":"message.finalized"}}', headers=headers)

    with pytest.raises(InvalidRequest):  # good, and without a message
        RECEIPTS.read(push, STORED, 1_704_067_200)


FORGERIES = {
    "of another": signed(event(), key=ANOTHERS_KEY),
    "of another body": a_push(json.dumps(event("sent")).encode(), headers=signed(event()).headers),
    "of another time": signed(event(), telnyx_timestamp=str(NOW + 1)),
    "unsigned": a_push(json.dumps(event()).encode()),
    "no signature": signed(event(), telnyx_signature_ed25519=""),
    "no base64": signed(event(), telnyx_signature_ed25519="?" * 88),
    "no ASCII": signed(event(), telnyx_signature_ed25519="é" * 88),
    "written in another way": signed(
        event(), telnyx_signature_ed25519=" " + signed(event()).headers["telnyx-signature-ed25519"]
    ),
    "half a signature": signed(event(), telnyx_signature_ed25519=VECTOR[:44]),
    "no time": signed(event(), telnyx_timestamp=""),
    "a time that is none": signed(event(), at="soon"),
    "a time before time": signed(event(), at="-1"),
    "a time of other digits": signed(event(), at="١٨٠٠٠٠٠٠٠٠"),
    "rubbish, unsigned": a_push(b"\xff"),
}


@pytest.mark.parametrize("push", FORGERIES.values(), ids=FORGERIES)
def test_what_the_account_did_not_sign_is_refused(push: Push) -> None:
    with pytest.raises(InvalidSignature) as refusal:
        read(push)

    assert GERMAN not in str(refusal.value)


@pytest.mark.parametrize("seconds", [-300, 300])
def test_a_signature_is_good_for_five_minutes_either_way(seconds: int) -> None:
    outside = NOW + seconds + (1 if seconds > 0 else -1)

    assert read(signed(event(), at=NOW + seconds))
    with pytest.raises(InvalidSignature):
        read(signed(event(), at=outside))


def test_a_secret_without_the_public_key_is_told() -> None:
    with pytest.raises(KeysUnavailable, match=r"telnyx.*public_key"):
        RECEIPTS.read(signed(event()), {"receipt_token": TOKEN, "api_key": API_KEY}, NOW)


def test_telnyx_wants_to_hear_nothing() -> None:
    assert RECEIPTS.acknowledgement.body == b""


@pytest.mark.parametrize(
    "body", [b"", b"\xff\xfe", b"[]", b"{}", b'{"data": {}}', b'{"data": {"event_type": 7}}', b"[" * 60_000]
)
def test_what_is_malformed_is_refused_though_it_is_signed(body: bytes) -> None:
    with pytest.raises(InvalidRequest) as refusal:
        read(signed(body))

    assert refusal.value.__suppress_context__


anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=8,
)
statuses = st.sampled_from(["sent", "delivered", "delivery_failed", "queued"])
events = st.builds(
    event,
    st.lists(st.fixed_dictionaries({"status": statuses | anything})) | statuses | anything,
    st.sampled_from(["message.sent", "message.finalized"]) | st.text(),
    errors=st.lists(st.fixed_dictionaries({"code": st.integers() | st.text()})) | anything,
)


@given(st.binary() | (anything | events).map(lambda value: json.dumps(value).encode()))
@settings(deadline=None)
def test_any_signed_bytes_are_receipts_or_an_invalid_request(body: bytes) -> None:
    try:
        receipts = read(signed(body))
    except InvalidRequest:
        return

    for receipt in receipts:
        assert receipt.reference == REFERENCE
        assert receipt.status in {DeliveryStatus.SENT, DeliveryStatus.DELIVERED, DeliveryStatus.FAILED}
        assert 0 <= receipt.at <= NOW


@given(st.binary(), st.text(), st.text() | st.integers(NOW - 400, NOW + 400).map(str))
@settings(deadline=None)
def test_any_unsigned_bytes_are_refused(body: bytes, signature: str, timestamp: str) -> None:
    headers = {"telnyx-signature-ed25519": signature, "telnyx-timestamp": timestamp}

    with pytest.raises(InvalidSignature):
        read(a_push(body, headers=headers))
