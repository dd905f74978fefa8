"""Plivo's wire format, what its answers mean, and its signed status callbacks."""

from __future__ import annotations

import base64
import hashlib
import hmac
import logging
from collections.abc import Sequence
from functools import partial
from typing import Any
from urllib.parse import urlencode

import aiohttp
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from functions.domain.delivery import DeliveryStatus, Outcome, Receipt, Scope, SendResult
from functions.domain.errors import InvalidRequest, InvalidSignature
from functions.providers.gateway import Request
from functions.providers.plivo import RECEIPTS, open_provider
from functions.usecases.ports import KeysUnavailable, Push
from tests.adapters import (
    CODE,
    GERMAN,
    PATIENT,
    RECEIPTS_URL,
    REFERENCE,
    TOKEN,
    a_message,
    a_push,
    an_account,
    hangs_up,
    open_for_business,
    says,
    sent_by,
)
from tests.harness import MORNING

AUTH_TOKEN = "test_token"
SECRET = {"auth_id": "MAXXXXXXXXXXXXXXXXXX", "auth_token": AUTH_TOKEN}
ROUTE = {"sender": "14155550199"}
POWERPACK = "5ec4c8c9-cd74-42b5-9e41-0d7670d6bb46"
UUID = "5b40a428-bfc7-4daf-9d06-726c558bf3b8"
ACCEPTED = ({"api_id": "948b0b2a", "message": "message(s) queued", "message_uuid": [UUID]}, 202)
INDIAN = "+919876543210"

answered = partial(sent_by, open_provider, SECRET, ROUTE)


# The request

BASIC = "Basic " + base64.b64encode(b"MAXXXXXXXXXXXXXXXXXX:test_token").decode()


async def test_a_message_as_it_stands_on_the_wire(http: aiohttp.ClientSession) -> None:
    vendor = says(*ACCEPTED)

    result = await answered(http, vendor, prefix="/plivo", receipts_url=RECEIPTS_URL)

    asked = vendor.request
    assert (asked.method, asked.path) == ("POST", "/plivo/v1/Account/MAXXXXXXXXXXXXXXXXXX/Message/")
    assert asked.headers["Authorization"] == BASIC
    assert asked.headers["Content-Type"] == asked.headers["Accept"] == "application/json"
    body = asked.json
    assert body.pop("url").startswith(f"{RECEIPTS_URL}/v1/receipts/plivo/{REFERENCE}.")
    assert body == {
        "src": "14155550199",
        "dst": "4915112345678",
        "text": f"{CODE} is your code.",
        "type": "sms",
        "log": "false",
        "trackable": True,
        "message_expiry": 300,
        "method": "POST",
    }
    assert result == SendResult(provider="plivo", outcome=Outcome.ACCEPTED, message_id=UUID, wants_feedback=True)


async def test_without_an_address_no_callbacks_are_asked_for(http: aiohttp.ClientSession) -> None:
    vendor = says(*ACCEPTED)

    await answered(http, vendor)

    assert not {"url", "method"} & set(vendor.request.json)


async def test_plivos_address_is_asked(http: aiohttp.ClientSession) -> None:
    provider = await open_provider(an_account(SECRET, http))

    request = provider.request(a_message(**ROUTE), await provider.credentials(), provider.account)

    assert isinstance(request, Request)
    assert request.url == "https://api.plivo.com/v1/Account/MAXXXXXXXXXXXXXXXXXX/Message/"


@pytest.mark.parametrize(
    ("sender", "src", "pool"),
    [
        ("14155550199", "14155550199", None),
        ("+14155550199", "14155550199", None),
        ("ACME", "ACME", None),
        (POWERPACK, None, POWERPACK),
    ],
)
async def test_who_sends_is_a_number_a_name_or_a_pool(
    http: aiohttp.ClientSession, sender: str, src: str | None, pool: str | None
) -> None:
    vendor = says(*ACCEPTED)

    await answered(http, vendor, sender=sender)

    assert (vendor.request.json.get("src"), vendor.request.json.get("powerpack_uuid")) == (src, pool)


@pytest.mark.parametrize(("valid_for", "expiry"), [(0, 5), (5, 5), (599, 599), (10_800, 10_799)])
async def test_the_message_leaves_the_queue_with_its_code(
    http: aiohttp.ClientSession, valid_for: int, expiry: int
) -> None:
    vendor = says(*ACCEPTED)

    await answered(http, vendor, valid_for=valid_for)

    assert vendor.request.json["message_expiry"] == expiry


@pytest.mark.parametrize(
    ("to", "named", "registered"),
    [
        (INDIAN, {"entity": "1101", "template": "1107"}, {"dlt_entity_id": "1101", "dlt_template_id": "1107"}),
        (INDIAN, {"template": "1107"}, {"dlt_template_id": "1107"}),
        (INDIAN, {}, {}),
        (GERMAN, {"entity": "1101", "template": "1107"}, {}),
    ],
)
async def test_indias_register_is_told_of_indian_messages(
    http: aiohttp.ClientSession, to: str, named: dict[str, Any], registered: dict[str, str]
) -> None:
    vendor = says(*ACCEPTED)

    await answered(http, vendor, to=to, **named)

    assert {name: value for name, value in vendor.request.json.items() if name.startswith("dlt_")} == registered


# The answers

# Plivo has no codes beside HTTP's: status → class, scope, of an error that names no number.
BY_HTTP: dict[int, tuple[str, str]] = {
    400: ("config", "route"),
    422: ("config", "route"),
    401: ("config", "provider"),
    403: ("config", "provider"),
    404: ("config", "provider"),
    405: ("config", "provider"),
    429: ("throttled_account", "provider"),
    500: ("unknown", "provider"),
    503: ("unknown", "provider"),
    200: ("unknown", "provider"),
    302: ("unknown", "provider"),
}


@pytest.mark.parametrize("code", BY_HTTP)
async def test_every_status_has_its_class_and_scope(http: aiohttp.ClientSession, code: int) -> None:
    outcome, scope = BY_HTTP[code]
    vendor = says({"api_id": "a1", "error": "invalid src number"}, code, **{"Retry-After": "7"})

    result = await answered(http, vendor)

    assert result == SendResult(
        provider="plivo",
        outcome=Outcome(outcome),
        reason=f"http_{code}",
        retry_after=7 if code == 429 else None,
        scope=Scope(scope),
    )
    assert len(vendor.asked) == 1


@pytest.mark.parametrize("code", [400, 422])
@pytest.mark.parametrize("text", ["invalid dst number", f"dst: {GERMAN} is invalid", '{"dst": ["wrong"]}'])
async def test_an_error_about_dst_is_the_numbers(http: aiohttp.ClientSession, code: int, text: str) -> None:
    result = await answered(http, says({"api_id": "a1", "error": text}, code))

    assert result == SendResult(provider="plivo", outcome=Outcome.REJECTED_NUMBER, reason=f"http_{code}")


@pytest.mark.parametrize("code", [401, 404, 500])
async def test_another_status_is_not_the_numbers_whatever_it_says(http: aiohttp.ClientSession, code: int) -> None:
    result = await answered(http, says({"error": "invalid dst number"}, code))

    assert result.outcome.value == BY_HTTP[code][0]


@pytest.mark.parametrize("text", ["", "invalid src", "text is needed", "dstance"])
async def test_another_field_is_not_the_numbers(http: aiohttp.ClientSession, text: str) -> None:
    result = await answered(http, says({"error": text}, 400))

    assert (result.outcome, result.scope) == (Outcome.CONFIG, Scope.ROUTE)


@pytest.mark.parametrize("body", [b"", b"<html>dst</html>", {"error": {"dst": "wrong"}}, b"[" * 60_000])
async def test_a_refusal_without_a_word_is_ours_to_mend(http: aiohttp.ClientSession, body: object) -> None:
    result = await answered(http, says(body, 400))

    assert (result.outcome, result.reason) == (Outcome.CONFIG, "http_400")


@pytest.mark.parametrize(
    "body", [b"", b"<html>", {}, {"message_uuid": []}, {"message_uuid": UUID}, {"message_uuid": [7]}, b"[" * 60_000]
)
async def test_a_success_that_cannot_be_read_is_unknown(http: aiohttp.ClientSession, body: object) -> None:
    result = await answered(http, says(body, 202))

    assert (result.outcome, result.reason) == (Outcome.UNKNOWN, "http_202")


async def test_a_broken_connection_is_unknown_and_nothing_is_sent_twice(http: aiohttp.ClientSession) -> None:
    vendor = hangs_up()

    result = await answered(http, vendor)

    assert (result.outcome, len(vendor.asked)) == (Outcome.UNKNOWN, 1)


# Approvals


async def test_an_approval_is_a_conversion(http: aiohttp.ClientSession) -> None:
    async with open_for_business(says({"message": "accepted"}, 202)) as vendor:
        provider = await open_provider(an_account(SECRET, http, url=f"{vendor.url}/plivo"), timeouts=PATIENT)
        noted = await provider.approved(UUID)

    asked = vendor.request
    assert noted
    assert (asked.method, asked.path) == (
        "POST",
        f"/plivo/v1/account/MAXXXXXXXXXXXXXXXXXX/message/{UUID}/conversion/",
    )
    assert asked.headers["Authorization"] == BASIC
    assert asked.json == {"status": "CONVERTED", "timestamp": "2027-01-15T08:00:00Z"}


async def test_a_messages_id_stays_one_part_of_the_address(http: aiohttp.ClientSession) -> None:
    async with open_for_business(says({})) as vendor:
        provider = await open_provider(an_account(SECRET, http, url=vendor.url), timeouts=PATIENT)
        await provider.approved("../a?b")

    assert "/message/..%2F" in vendor.request.path
    assert "?" not in vendor.request.path


# The secret


@pytest.mark.parametrize(
    ("entry", "value"),
    [("auth_id", None), ("auth_id", ""), ("auth_id", "MA/../SA"), ("auth_token", None), ("auth_token", "")],
)
async def test_a_secret_that_makes_no_sense_is_told_by_its_entry(
    http: aiohttp.ClientSession, entry: str, value: str | None
) -> None:
    secret = {name: kept for name, kept in {**SECRET, entry: value}.items() if kept is not None}
    provider = await open_provider(an_account(secret, http))

    with pytest.raises(KeysUnavailable, match=f"plivo.*{entry}") as refusal:
        await provider.prepare()

    assert AUTH_TOKEN not in str(refusal.value)


async def test_no_code_key_or_number_is_in_a_log_or_a_result(
    http: aiohttp.ClientSession, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    vendors = [
        says(*ACCEPTED),
        says({"error": f"dst {GERMAN}"}, 400),
        says({"error": GERMAN}, 422),
        says(GERMAN.encode(), 500),
    ]

    shown = [repr(await answered(http, vendor)) for vendor in vendors]
    provider = await open_provider(an_account(SECRET, http))
    request = provider.request(a_message(**ROUTE), await provider.credentials(), provider.account)

    everything = "\n".join([*shown, caplog.text, repr(provider), repr(request)])
    secrets = (CODE, GERMAN.removeprefix("+"), AUTH_TOKEN, BASIC)
    assert not [secret for secret in secrets if secret in everything]


# The callbacks

NOW = MORNING
STORED = {"receipt_token": TOKEN, **SECRET}
PATH = "/dlr/plivo"
NONCE = "12345"
SORTED = "From14155550199MessageUUID5b40a428StatusdeliveredTo14155550100"
FORM = {"From": "14155550199", "MessageUUID": "5b40a428", "Status": "delivered", "To": "14155550100"}
V2 = "y9u+AYsE/NgmSrdHYy2iDF4h1Z4VTdZaC8SvmF1aP3k="
V3 = "hll2tzbnoRMsLwM0w3LXEuGQvtO4GoDp20SMUMnFRbE="
DELIVERED = Receipt(provider="plivo", reference=REFERENCE, status=DeliveryStatus.DELIVERED, reason=None, at=NOW)


def signature(string: str, token: str = AUTH_TOKEN) -> str:
    return base64.b64encode(hmac.digest(token.encode(), string.encode(), hashlib.sha256)).decode()


def called(
    form: dict[str, str] | Sequence[tuple[str, str]] = FORM, *, path: str = PATH, reference: str | None = REFERENCE
) -> Push:
    """Signed by V3, as it is for a form and an address without a query."""
    pairs = sorted(form.items() if isinstance(form, dict) else form)
    string = f"{RECEIPTS_URL}{path}?{''.join(name + value for name, value in pairs)}.{NONCE}"
    headers = {"X-Plivo-Signature-V3": signature(string), "X-Plivo-Signature-V3-Nonce": NONCE}
    return a_push(urlencode(form).encode(), path=path, headers=headers, reference=reference)


def pushed(path: str = PATH, body: bytes | None = None, **headers: str) -> Push:
    """With these headers, whose names may have _ for -."""
    given = {name.replace("_", "-"): value for name, value in headers.items()}
    return a_push(urlencode(FORM).encode() if body is None else body, path=path, headers=given)


def read(push: Push) -> tuple[Receipt, ...]:
    return RECEIPTS.read(push, STORED, NOW)


def test_a_delivered_message() -> None:
    assert read(called()) == (DELIVERED,)


@pytest.mark.parametrize(
    ("status", "expected"),
    [
        ("queued", None),
        ("sent", DeliveryStatus.SENT),
        ("delivered", DeliveryStatus.DELIVERED),
        ("read", DeliveryStatus.DELIVERED),
        ("undelivered", DeliveryStatus.FAILED),
        ("failed", DeliveryStatus.FAILED),
        ("rejected", DeliveryStatus.FAILED),
        ("of tomorrow", None),
    ],
)
def test_every_status_has_its_meaning(status: str, expected: DeliveryStatus | None) -> None:
    receipts = read(called({**FORM, "Status": status}))

    assert [receipt.status for receipt in receipts] == ([] if expected is None else [expected])


@pytest.mark.parametrize(
    ("status", "code", "reason"),
    [
        ("failed", "200", "200"),
        ("undelivered", "000", None),
        ("rejected", "", None),
        ("failed", "号码 20 <b>" + "x" * 40, "20b" + "x" * 29),
        ("delivered", "200", None),
    ],
)
def test_a_failures_reason_is_the_error_code(status: str, code: str, reason: str | None) -> None:
    (receipt,) = read(called({**FORM, "Status": status, "ErrorCode": code}))

    assert receipt.reason == reason


@pytest.mark.parametrize(
    ("code", "status"), [("200", "rejected"), ("30", "rejected"), ("80", "failed"), ("000", "failed")]
)
def test_what_was_blocked_is_rejected_and_nobody_elses_to_send(code: str, status: str) -> None:
    (receipt,) = read(called({**FORM, "Status": "undelivered", "ErrorCode": code}))

    assert receipt.status.value == status


def test_each_part_of_a_message_tells_of_the_message_whose_address_it_is() -> None:
    parts = [called({**FORM, "MessageUUID": uuid, "ParentMessageUUID": "5b40a428"}) for uuid in ("5b40a428", "6c51")]

    assert [read(part) for part in parts] == [(DELIVERED,), (DELIVERED,)]


def test_a_callback_of_the_accounts_address_is_of_no_message_of_ours() -> None:
    assert read(called(reference=None)) == ()


# Their signatures


def test_the_vector_of_v3() -> None:
    assert read(pushed(X_Plivo_Signature_V3=V3, X_Plivo_Signature_V3_Nonce=NONCE)) == (DELIVERED,)


@pytest.mark.parametrize("query", ["", "?t=1"])
def test_the_vector_of_v2_which_leaves_the_query_out(query: str) -> None:
    push = pushed(f"{PATH}{query}", X_Plivo_Signature_V2=V2, X_Plivo_Signature_V2_Nonce=NONCE)

    assert read(push) == (DELIVERED,)


def test_v3_has_the_query_sorted_and_a_stop_before_the_form() -> None:
    string = f"{RECEIPTS_URL}{PATH}?a=2&b=1.{SORTED}.{NONCE}"

    push = pushed(f"{PATH}?b=1&a=2", X_Plivo_Signature_V3=signature(string), X_Plivo_Signature_V3_Nonce=NONCE)

    assert read(push) == (DELIVERED,)


def test_a_field_that_comes_twice_and_an_empty_one_are_signed_too() -> None:
    assert read(called([*FORM.items(), ("Extra", "b"), ("Extra", "a"), ("Empty", "")])) == (DELIVERED,)


@pytest.mark.parametrize("several", [f"AAAA,{V3}", f"{V3},AAAA", f"AAAA, {V3} "])
def test_one_good_signature_of_several_is_enough(several: str) -> None:
    assert read(pushed(X_Plivo_Signature_V3=several, X_Plivo_Signature_V3_Nonce=NONCE)) == (DELIVERED,)


FORGERIES = {
    "unsigned": pushed(),
    "no signature": pushed(X_Plivo_Signature_V3="", X_Plivo_Signature_V3_Nonce=NONCE),
    "no nonce": pushed(X_Plivo_Signature_V3=V3),
    "another nonce": pushed(X_Plivo_Signature_V3=V3, X_Plivo_Signature_V3_Nonce="12346"),
    "another address": pushed(f"{PATH}/x", X_Plivo_Signature_V3=V3, X_Plivo_Signature_V3_Nonce=NONCE),
    "another query": pushed(f"{PATH}?t=1", X_Plivo_Signature_V3=V3, X_Plivo_Signature_V3_Nonce=NONCE),
    "another form": pushed(
        body=urlencode({**FORM, "Status": "failed"}).encode(), X_Plivo_Signature_V3=V3, X_Plivo_Signature_V3_Nonce=NONCE
    ),
    "of another": pushed(
        X_Plivo_Signature_V3=signature(f"{RECEIPTS_URL}{PATH}?{SORTED}.{NONCE}", "another_token"),
        X_Plivo_Signature_V3_Nonce=NONCE,
    ),
    "V2 of another address": pushed(f"{PATH}/x", X_Plivo_Signature_V2=V2, X_Plivo_Signature_V2_Nonce=NONCE),
    "V2 of another": pushed(
        X_Plivo_Signature_V2=signature(f"{RECEIPTS_URL}{PATH}{NONCE}", "another_token"),
        X_Plivo_Signature_V2_Nonce=NONCE,
    ),
    "a good V2 beside a bad V3": pushed(
        X_Plivo_Signature_V2=V2,
        X_Plivo_Signature_V2_Nonce=NONCE,
        X_Plivo_Signature_V3="AAAA",
        X_Plivo_Signature_V3_Nonce=NONCE,
    ),
    "V2's in V3's place": pushed(X_Plivo_Signature_V3=V2, X_Plivo_Signature_V3_Nonce=NONCE),
    "no ASCII": pushed(X_Plivo_Signature_V3="é", X_Plivo_Signature_V3_Nonce="é"),
}


@pytest.mark.parametrize("push", FORGERIES.values(), ids=FORGERIES)
def test_what_the_account_did_not_sign_is_refused(push: Push) -> None:
    with pytest.raises(InvalidSignature):
        read(push)


def test_a_secret_without_the_token_is_told() -> None:
    with pytest.raises(KeysUnavailable, match=r"plivo.*auth_token"):
        RECEIPTS.read(called(), {"receipt_token": TOKEN, "auth_id": "MA1"}, NOW)


def test_plivo_wants_to_hear_nothing() -> None:
    assert RECEIPTS.acknowledgement.body == b""


@pytest.mark.parametrize("body", [b"\xff\xfe", b"Status=%FF", b"a=1&" * 100])
def test_what_is_no_form_is_refused(body: bytes) -> None:
    with pytest.raises(InvalidRequest) as refusal:
        read(pushed(body=body, X_Plivo_Signature_V3=V3, X_Plivo_Signature_V3_Nonce=NONCE))

    assert refusal.value.__suppress_context__


@pytest.mark.parametrize("left_out", ["Status", "MessageUUID"])
def test_what_is_no_status_is_refused_though_it_is_signed(left_out: str) -> None:
    form = {name: value for name, value in FORM.items() if name != left_out}

    with pytest.raises(InvalidRequest):
        read(called(form))


fields = st.sampled_from([*FORM, "ErrorCode"]) | st.text(max_size=5)
values = st.sampled_from(["sent", "failed", "delivered", "000", "20"]) | st.text(max_size=5)


@given(st.lists(st.tuples(fields, values), max_size=9), st.sampled_from([REFERENCE, None]))
@settings(deadline=None)
def test_any_signed_form_is_a_receipt_or_an_invalid_request(form: list[tuple[str, str]], reference: str | None) -> None:
    try:
        receipts = read(called([("Z", ""), *form], reference=reference))
    except InvalidRequest:
        return

    for receipt in receipts:
        assert receipt.reference == REFERENCE
        assert receipt.status in {DeliveryStatus.SENT, DeliveryStatus.DELIVERED, DeliveryStatus.FAILED}
        assert receipt.at == NOW


@given(st.binary(), st.text(), st.text(), st.sampled_from(["V2", "V3"]))
@settings(deadline=None)
def test_any_unsigned_bytes_are_refused(body: bytes, given_signature: str, nonce: str, version: str) -> None:
    headers = {f"X-Plivo-Signature-{version}": given_signature, f"X-Plivo-Signature-{version}-Nonce": nonce}

    with pytest.raises((InvalidSignature, InvalidRequest)):
        read(a_push(body, headers=headers))
