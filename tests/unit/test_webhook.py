"""A team's own gateway: what it is sent, what its answers mean, and its receipts."""

from __future__ import annotations

import base64
import json
from typing import Any

import aiohttp
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from functions.domain.delivery import DeliveryStatus, Outcome, Receipt, Scope, SendResult
from functions.domain.errors import InvalidRequest, InvalidSignature
from functions.domain.sensitive import Sensitive
from functions.providers.standard_webhooks import check, sign
from functions.providers.webhook import RECEIPTS, open_provider
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
)
from tests.harness import MORNING

KEY = "a-key-of-the-gateway"
SIGNING = "whsec_" + base64.b64encode(b"signs what we send, 24 bytes or more").decode()
RECEIPTS_SECRET = "whsec_" + base64.b64encode(b"signs what we receive, 24 bytes or more").decode()
SECRET = {"headers": {"Authorization": f"Bearer {KEY}"}}
ROUTE: dict[str, str] = {}
ACCEPTED = ({"id": "m-4711"}, 202)


async def answered(
    http: aiohttp.ClientSession, vendor: Vendor, secret: dict[str, Any] | None = None, **message: Any
) -> SendResult:
    """By a gateway whose address is in services.toml."""
    async with open_for_business(vendor):
        account = an_account({**SECRET, **(secret or {})}, http, url=f"{vendor.url}/sms", receipts_url=RECEIPTS_URL)
        provider = await open_provider(account, timeouts=PATIENT)
        return await provider.send(a_message(**message))


# The request


async def test_a_message_as_it_stands_on_the_wire(http: aiohttp.ClientSession) -> None:
    vendor = says(*ACCEPTED)

    result = await answered(http, vendor, sender="ACME", template="t-1", signature="Acme", entity="e-1")

    asked = vendor.request
    assert (asked.method, asked.path) == ("POST", "/sms")
    assert asked.headers["Content-Type"] == "application/json"
    assert asked.headers["Authorization"] == f"Bearer {KEY}"
    assert asked.json.pop("receipts").startswith(f"{RECEIPTS_URL}/v1/receipts/webhook/{REFERENCE}.")
    assert {name: value for name, value in asked.json.items() if name != "receipts"} == {
        "to": GERMAN,
        "text": f"{CODE} is your code.",
        "code": CODE,
        "reference": REFERENCE,
        "valid_for": 300,
        "sender": "ACME",
        "template": "t-1",
        "signature": "Acme",
        "entity": "e-1",
    }
    assert result == SendResult(provider="webhook", outcome=Outcome.ACCEPTED, message_id="m-4711")


async def test_what_a_route_does_not_name_is_left_out(http: aiohttp.ClientSession) -> None:
    vendor = says(*ACCEPTED)

    await answered(http, vendor)

    assert set(vendor.request.json) == {"to", "text", "code", "reference", "valid_for", "receipts"}


async def test_a_form_with_the_gateways_own_names_and_its_key_among_them(http: aiohttp.ClientSession) -> None:
    vendor = says(*ACCEPTED)
    secret = {
        "format": "form",
        "numbers": "digits",
        "fields": {"to": "msisdn", "text": "message", "valid_for": "ttl", "sender": "from"},
        "extra": {"user": "acme", "msisdn": "is ours to say"},
    }

    await answered(http, vendor, secret)

    assert vendor.request.headers["Content-Type"] == "application/x-www-form-urlencoded"
    assert vendor.request.form == {
        "user": "acme",
        "msisdn": GERMAN[1:],
        "message": f"{CODE} is your code.",
        "ttl": "300",
    }


async def test_a_gateway_can_tell_our_requests_from_others(http: aiohttp.ClientSession) -> None:
    vendor = says(*ACCEPTED)

    await answered(http, vendor, {"signing_secret": SIGNING})

    headers = {name.lower(): value for name, value in vendor.request.headers.items()}
    check(Sensitive(SIGNING), headers, vendor.request.body, MORNING)
    assert headers["webhook-id"] == REFERENCE.replace(".", "_")


async def test_without_a_signing_secret_nothing_is_signed(http: aiohttp.ClientSession) -> None:
    vendor = says(*ACCEPTED)

    await answered(http, vendor)

    assert "webhook-signature" not in {name.lower() for name in vendor.request.headers}


async def test_the_address_may_be_in_the_secret_with_a_query(http: aiohttp.ClientSession) -> None:
    async with open_for_business(says(*ACCEPTED)) as vendor:
        provider = await open_provider(an_account({"url": f"{vendor.url}/sms/?key=1"}, http), timeouts=PATIENT)
        await provider.send(a_message())

    assert vendor.request.path == "/sms/?key=1"
    assert "receipts" not in vendor.request.json


# The answers


@pytest.mark.parametrize(
    ("vendor", "told"),
    [
        (says({}, 200), {}),
        (says(b"", 204), {}),
        (says({"outcome": None, "ok": True}, 201), {}),
        (says({"outcome": "accepted", "message_id": 4711}, 202), {"message_id": "4711"}),
        (
            says({"id": "m", "segments": 3, "price": "0.05 EUR"}),
            {"message_id": "m", "segments": 3, "price": "0.05 EUR"},
        ),
        (says({"id": "x" * 65, "segments": -1, "price": f"{GERMAN} EUR"}), {}),
        (says({"id": {"of": "it"}, "segments": "3", "price": 0.05}), {}),
    ],
)
async def test_a_message_that_was_taken(http: aiohttp.ClientSession, vendor: Vendor, told: dict[str, Any]) -> None:
    result = await answered(http, vendor)

    assert result == SendResult(provider="webhook", outcome=Outcome.ACCEPTED, **told)
    assert len(vendor.asked) == 1


REFUSALS = ["rejected_number", "rejected_content", "throttled_recipient", "throttled_account", "config", "transient"]


@pytest.mark.parametrize("status", [200, 400, 409, 429, 500, 503])
@pytest.mark.parametrize("outcome", [*REFUSALS, "unknown"])
async def test_an_outcome_in_its_words_counts_with_every_status(
    http: aiohttp.ClientSession, outcome: str, status: int
) -> None:
    result = await answered(http, says({"outcome": outcome, "detail": GERMAN}, status))

    assert result == SendResult(provider="webhook", outcome=Outcome(outcome), reason=f"webhook_{outcome}")


async def test_a_refusal_tells_why_how_far_and_how_long(http: aiohttp.ClientSession) -> None:
    said = {"outcome": "rejected_number", "reason": "no_route_to_DE", "scope": "route", "retry_after": 30}

    result = await answered(http, says(said, 422))

    assert result == SendResult(
        provider="webhook",
        outcome=Outcome.REJECTED_NUMBER,
        reason="webhook_no_route_to_DE",
        retry_after=30,
        scope=Scope.ROUTE,
    )


@pytest.mark.parametrize("scope", list(Scope))
async def test_every_scope_is_understood(http: aiohttp.ClientSession, scope: Scope) -> None:
    assert (await answered(http, says({"outcome": "config", "scope": scope.value}))).scope is scope


@pytest.mark.parametrize("reason", [GERMAN, GERMAN[1:], f"code.{CODE}", "a sentence", "", "x" * 33, None, ["x"]])
@pytest.mark.parametrize(("scope", "retry_after"), [("world", -1), (None, "30"), (["route"], 90_000)])
async def test_what_is_no_word_no_scope_and_no_time_is_left_out(
    http: aiohttp.ClientSession, reason: object, scope: object, retry_after: object
) -> None:
    said = {"outcome": "config", "reason": reason, "scope": scope, "retry_after": retry_after}

    result = await answered(http, says(said, 400, **{"Retry-After": "7"}))

    assert result == SendResult(provider="webhook", outcome=Outcome.CONFIG, reason="webhook_config", retry_after=7)


BY_STATUS: dict[int, tuple[Outcome, Scope]] = {
    400: (Outcome.CONFIG, Scope.ROUTE),
    401: (Outcome.CONFIG, Scope.PROVIDER),
    402: (Outcome.CONFIG, Scope.PROVIDER),
    403: (Outcome.CONFIG, Scope.PROVIDER),
    404: (Outcome.CONFIG, Scope.PROVIDER),
    405: (Outcome.CONFIG, Scope.PROVIDER),
    408: (Outcome.UNKNOWN, Scope.PROVIDER),
    409: (Outcome.UNKNOWN, Scope.PROVIDER),
    415: (Outcome.CONFIG, Scope.PROVIDER),
    422: (Outcome.CONFIG, Scope.ROUTE),
    302: (Outcome.UNKNOWN, Scope.PROVIDER),
    500: (Outcome.UNKNOWN, Scope.PROVIDER),
    503: (Outcome.UNKNOWN, Scope.PROVIDER),
}


@pytest.mark.parametrize(
    "body", [b"", b"<html>", b"{}", b'{"outcome":"accepted"}', b'{"outcome":"maybe"}', b'{"outcome":7}']
)
@pytest.mark.parametrize("status", BY_STATUS)
async def test_without_an_outcome_the_status_speaks(http: aiohttp.ClientSession, status: int, body: bytes) -> None:
    outcome, scope = BY_STATUS[status]

    result = await answered(http, says(body, status))

    assert result == SendResult(provider="webhook", outcome=outcome, reason=f"http_{status}", scope=scope)


async def test_too_fast_is_the_accounts(http: aiohttp.ClientSession) -> None:
    result = await answered(http, says(b"", 429, **{"Retry-After": "5"}))

    assert (result.outcome, result.reason, result.retry_after) == (Outcome.THROTTLED_ACCOUNT, "http_429", 5)


RUBBISH = [b"", b"OK 4711", b"[]", b"\xff\xfe{", b'{"outcome":"queued"}', b'{"x":' + b"[" * 50_000]


@pytest.mark.parametrize("body", RUBBISH)
async def test_a_success_without_json_is_unknown(http: aiohttp.ClientSession, body: bytes) -> None:
    result = await answered(http, says(body))

    assert result == SendResult(provider="webhook", outcome=Outcome.UNKNOWN, reason="unreadable")


@pytest.mark.parametrize("body", RUBBISH)
async def test_or_is_a_success_where_any_answer_is_one(http: aiohttp.ClientSession, body: bytes) -> None:
    vendor = says(body)

    result = await answered(http, vendor, {"any_answer": True})

    assert result == SendResult(provider="webhook", outcome=Outcome.ACCEPTED)
    assert len(vendor.asked) == 1


async def test_a_refusal_is_one_even_where_any_answer_is_a_success(http: aiohttp.ClientSession) -> None:
    any_answer = {"any_answer": True}

    assert (await answered(http, says({"outcome": "config"}), any_answer)).outcome is Outcome.CONFIG
    assert (await answered(http, says(b"no", 500), any_answer)).outcome is Outcome.UNKNOWN
    assert (await answered(http, hangs_up(), any_answer)).outcome is Outcome.UNKNOWN


# The secret

WRONG: dict[str, dict[str, Any]] = {
    "url": {"url": f"http://sms.example.com/{KEY}"},
    "url ": {"url": f"https:///{KEY}"},
    "url  ": {"url": f"ftp://127.0.0.1/{KEY}"},
    "url   ": {"url": f"https://[{KEY}"},
    "url    ": {"url": f"https://user:{KEY}@sms.example.com"},
    "url     ": {"url": f"https://{KEY * 3}{'a' * 64}.example.com"},
    "headers": {"headers": {"Authorization": f"{KEY}\n"}},
    "headers ": {"headers": {KEY + " ": KEY}},
    "headers  ": {"headers": {"Content-Type": KEY}},
    "headers   ": {"headers": {"webhook-id": KEY}},
    "headers    ": {"headers": {"X": ""}},
    "signing_secret": {"signing_secret": KEY},
    "receipts_secret": {"receipts_secret": f"whsec_{KEY}"},
    "format": {"format": KEY},
    "numbers": {"numbers": KEY},
    "fields": {"fields": {"to": KEY}},
    "fields ": {"fields": {"text": KEY}},
    "fields  ": {"fields": {"to": KEY, "text": KEY}},
    "fields   ": {"fields": {"to": "to", "text": "text", KEY: "x"}},
    "extra": {"extra": {"user": 7}},
    "any_answer": {"any_answer": KEY},
}


@pytest.mark.parametrize("entry", WRONG)
async def test_a_secret_that_makes_no_sense_is_told_by_its_entry(http: aiohttp.ClientSession, entry: str) -> None:
    provider = await open_provider(an_account(WRONG[entry], http, url="https://sms.example.com"))

    with pytest.raises(KeysUnavailable) as told:
        await provider.prepare()

    assert str(told.value).startswith("webhook: ")
    assert entry.strip() in str(told.value)
    assert KEY not in str(told.value)


@pytest.mark.parametrize(
    "url", ["https://sms.example.com/x?y=z", "http://localhost:8080", "http://127.0.0.1/", "http://[::1]/"]
)
async def test_an_address_that_nobody_on_the_way_can_read_along_with(http: aiohttp.ClientSession, url: str) -> None:
    await (await open_provider(an_account({"url": url}, http))).prepare()


async def test_a_gateway_without_an_address_is_told_before_a_message_needs_it(http: aiohttp.ClientSession) -> None:
    provider = await open_provider(an_account({}, http))

    with pytest.raises(KeysUnavailable, match="webhook: neither its secret nor"):
        await provider.prepare()
    assert (await provider.send(a_message())).reason == "no_credentials"


@pytest.mark.parametrize(
    "vendor", [says(*ACCEPTED), says({"outcome": "config", "reason": GERMAN}, 400), says(CODE.encode()), hangs_up()]
)
async def test_no_code_key_or_number_is_in_a_log_or_a_result(
    http: aiohttp.ClientSession, vendor: Vendor, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("DEBUG")
    secret = {**SECRET, "extra": {"key": KEY}, "signing_secret": SIGNING, "receipts_secret": RECEIPTS_SECRET}

    result = await answered(http, vendor, secret)

    provider = await open_provider(an_account({**secret, "url": f"https://x/{KEY}"}, http))
    shown = caplog.text + repr(result) + repr(provider) + repr(await provider.credentials())
    hidden = (KEY, SIGNING, RECEIPTS_SECRET, TOKEN, CODE, GERMAN, GERMAN[1:])
    assert not [secret for secret in hidden if secret in shown]


# Receipts

NOW = 1_704_067_300
REPORT = {"reference": REFERENCE, "status": "delivered", "at": 1_704_067_205}
DELIVERED = Receipt(
    provider="webhook", reference=REFERENCE, status=DeliveryStatus.DELIVERED, reason=None, at=1_704_067_205
)


def read(report: object, *, reference: str | None = REFERENCE) -> tuple[Receipt, ...]:
    body = report if isinstance(report, bytes) else json.dumps(report).encode()
    return RECEIPTS.read(a_push(body, reference=reference), {"receipt_token": TOKEN, **SECRET}, NOW)


def test_a_delivered_message() -> None:
    assert read(REPORT) == (DELIVERED,)


def test_several_at_once() -> None:
    sent = {"reference": "another.1", "status": "sent", "at": "2024-01-01T00:00:05Z"}

    first, second = read([REPORT, {"status": "pondered"}, sent])

    assert first == DELIVERED
    assert (second.reference, second.status, second.at) == ("another.1", DeliveryStatus.SENT, 1_704_067_205)


@pytest.mark.parametrize(
    ("told", "reason"),
    [("absent", "absent"), (27, "27"), ("no such <b>", "nosuchb"), ("x" * 40, "x" * 32), (None, None)],
)
def test_a_failure_tells_why_in_a_word(told: object, reason: str | None) -> None:
    (receipt,) = read({**REPORT, "status": "failed", "reason": told})

    assert (receipt.status, receipt.reason) == (DeliveryStatus.FAILED, reason)


def test_what_did_not_fail_has_no_reason() -> None:
    assert read({**REPORT, "reason": "ok"}) == (DELIVERED,)


@pytest.mark.parametrize("status", ["queued", "DELIVERED", ""])
def test_a_status_that_nobody_knows_is_no_news(status: str) -> None:
    assert read({**REPORT, "status": status}) == ()


def test_a_report_without_our_reference_is_of_the_message_whose_address_it_came_to() -> None:
    report = {"status": "delivered", "at": 1_704_067_205}

    assert read(report) == (DELIVERED,)
    assert read(report, reference=None) == ()


@pytest.mark.parametrize("at", [None, "", "yesterday", -1, 0.5 - 1e300, 1e300, NOW + 1, "2999-01-01T00:00:00Z"])
def test_a_time_that_cannot_be_is_now(at: object) -> None:
    (receipt,) = read({**REPORT, "at": at})

    assert receipt.at == NOW


def test_with_a_secret_for_them_receipts_have_to_be_signed() -> None:
    body = json.dumps(REPORT).encode()
    secret = {"receipt_token": TOKEN, "receipts_secret": RECEIPTS_SECRET, "signing_secret": SIGNING}

    def received(headers: dict[str, str], at: int = NOW) -> tuple[Receipt, ...]:
        return RECEIPTS.read(a_push(body, headers=headers), secret, at)

    signed = sign(Sensitive(RECEIPTS_SECRET), name="r-1", at=NOW, body=body)
    assert received(signed) == (DELIVERED,)
    for headers, at in [
        ({}, NOW),
        (sign(Sensitive(SIGNING), name="r-1", at=NOW, body=body), NOW),
        (sign(Sensitive(RECEIPTS_SECRET), name="r-1", at=NOW, body=body + b" "), NOW),
        (signed, NOW + 301),
        (signed, NOW - 301),
    ]:
        with pytest.raises(InvalidSignature):
            received(headers, at)


def test_a_gateway_hears_that_it_was_understood() -> None:
    assert (RECEIPTS.acknowledgement.body, RECEIPTS.acknowledgement.media_type) == (b"{}", "application/json")


MALFORMED = [
    b"",
    b"\xff",
    b"{}",
    b"7",
    b"[1]",
    b'{"status":1}',
    b'{"status":"sent","at":{}}',
    b'{"status":"failed","reason":' + b"9" * 5_000 + b"}",
    b'{"status":"sent","x":' + b"[" * 50_000,
]


@pytest.mark.parametrize("body", MALFORMED)
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
    {"status": st.sampled_from(["sent", "delivered", "failed"]) | st.text()},
    optional={
        "reference": st.text() | st.none(),
        "reason": st.text() | st.integers(),
        "at": st.integers() | st.floats() | st.text(),
    },
)


@given(st.binary() | (anything | reports | st.lists(reports)).map(lambda value: json.dumps(value).encode()))
@settings(deadline=None)
def test_any_bytes_are_receipts_or_an_invalid_request(body: bytes) -> None:
    try:
        receipts = read(body)
    except InvalidRequest:
        return

    for receipt in receipts:
        assert receipt.reference
        assert 0 <= receipt.at <= NOW
        assert receipt.reason is None or len(receipt.reason) <= 32
