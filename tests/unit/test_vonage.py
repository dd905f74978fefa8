"""Vonage's SMS API: its wire format, what its answers mean, its delivery receipts, over real sockets."""

from __future__ import annotations

import hashlib
import hmac
import json
from functools import partial
from typing import Any
from urllib.parse import urlencode

import aiohttp
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from functions.domain.delivery import DeliveryStatus, Outcome, Receipt, SendResult
from functions.domain.errors import InvalidRequest, InvalidSignature
from functions.domain.receipt_token import account_token
from functions.domain.sensitive import Sensitive
from functions.providers.gateway import Request
from functions.providers.vonage import LONGEST_CALLBACK, RECEIPTS, open_provider
from functions.providers.vonage_signature import Method, listed, sign
from functions.usecases.ports import KeysUnavailable, Push
from tests.adapters import (
    CODE,
    GERMAN,
    RECEIPTS_URL,
    REFERENCE,
    TOKEN,
    Vendor,
    a_message,
    a_push,
    an_account,
    hangs_up,
    open_for_business,
    opened_at,
    says,
    sent_by,
)

SECRET: dict[str, Any] = {"api_key": "abcd1234", "api_secret": "the-secret-of-the-api"}
ROUTE = {"sender": "ACME"}
SIGNED = {"signature_secret": "test_sig_secret", "signature_method": "sha256"}

PART = {
    "to": GERMAN[1:],
    "message-id": "0A0000000123ABCD1",
    "status": "0",
    "remaining-balance": "3.14159260",
    "message-price": "0.03330000",
    "network": "26201",
    "client-ref": REFERENCE,
}


def answered(*parts: dict[str, str]) -> dict[str, Any]:
    return {"message-count": str(len(parts)), "messages": list(parts)}


ACCEPTED = (answered(PART), 200)


an_open_gateway = partial(opened_at, open_provider, SECRET, "/vonage")
send = partial(sent_by, open_provider, SECRET, ROUTE, prefix="/vonage")


# The request


async def test_a_message_on_the_wire(http: aiohttp.ClientSession) -> None:
    vendor = says(*ACCEPTED)

    async with open_for_business(vendor):
        gateway = await an_open_gateway(vendor, http, RECEIPTS_URL)
        await gateway.send(a_message(**ROUTE))

    request = vendor.request
    assert (request.method, request.path) == ("POST", "/vonage/sms/json")
    assert request.headers["Content-Type"] == "application/x-www-form-urlencoded"
    assert request.headers["Authorization"] == aiohttp.encode_basic_auth("abcd1234", "the-secret-of-the-api")
    assert request.form == {
        "from": "ACME",
        "to": "4915112345678",
        "text": f"{CODE} is your code.",
        "type": "text",
        "ttl": "300000",
        "client-ref": REFERENCE,
        "callback": f"{RECEIPTS_URL}/v1/receipts/vonage/{account_token(Sensitive(TOKEN), 'vonage')}",
    }


async def test_vonages_own_address_is_called_where_no_other_is_named(http: aiohttp.ClientSession) -> None:
    gateway = await open_provider(an_account(SECRET, http))

    request = gateway.request(a_message(**ROUTE), await gateway.credentials(), gateway.account)

    assert isinstance(request, Request)
    assert request.url == "https://rest.nexmo.com/sms/json"


async def test_a_sender_that_is_a_number_goes_without_its_plus(http: aiohttp.ClientSession) -> None:
    vendor = says(*ACCEPTED)

    await send(http, vendor, sender="+447700900000")

    assert vendor.request.form["from"] == "447700900000"


async def test_a_countrys_register_is_told_sender_and_template(http: aiohttp.ClientSession) -> None:
    vendor = says(*ACCEPTED)

    await send(http, vendor, entity="1101456324675322134", template="1107457532145798767")

    assert (vendor.request.form["entity-id"], vendor.request.form["content-id"]) == (
        "1101456324675322134",
        "1107457532145798767",
    )


@pytest.mark.parametrize(
    ("text", "told"),
    [(f"{CODE} ist Ihr Code. @£€{{}}", "text"), (f"{CODE} — your code", "unicode"), (f"验证码{CODE} 👍", "unicode")],
)
async def test_a_text_is_unicode_where_it_has_to_be(http: aiohttp.ClientSession, text: str, told: str) -> None:
    vendor = says(*ACCEPTED)

    await send(http, vendor, text=text)

    assert (vendor.request.form["text"], vendor.request.form["type"]) == (text, told)


@pytest.mark.parametrize(
    ("left", "told"),
    [(-1, "20000"), (19, "20000"), (21, "21000"), (604_800, "604800000"), (604_801, "604800000")],
)
async def test_the_codes_life_in_milliseconds_is_within_what_vonage_takes(
    http: aiohttp.ClientSession, left: int, told: str
) -> None:
    vendor = says(*ACCEPTED)

    await send(http, vendor, valid_for=left)

    assert vendor.request.form["ttl"] == told


@pytest.mark.parametrize(("length", "told"), [(LONGEST_CALLBACK, True), (LONGEST_CALLBACK + 1, False)])
async def test_an_address_that_is_too_long_is_not_told(http: aiohttp.ClientSession, length: int, told: bool) -> None:  # noqa: FBT001
    vendor = says(*ACCEPTED)
    rest = len("https:///v1/receipts/vonage/") + len(account_token(Sensitive(TOKEN), "vonage"))

    async with open_for_business(vendor):
        gateway = await an_open_gateway(vendor, http, f"https://{'h' * (length - rest)}")
        await gateway.send(a_message(**ROUTE))

    assert [len(value) for name, value in vendor.request.form.items() if name == "callback"] == [length] * told


# The answer


async def test_an_accepted_message(http: aiohttp.ClientSession) -> None:
    vendor = says(*ACCEPTED)

    result = await send(http, vendor)

    assert result == SendResult(
        provider="vonage",
        outcome=Outcome.ACCEPTED,
        message_id="0A0000000123ABCD1",
        segments=1,
        price="0.03330000 EUR",
    )
    assert len(vendor.asked) == 1


async def test_a_message_of_several_parts(http: aiohttp.ClientSession) -> None:
    result = await send(http, says(answered(PART, {**PART, "message-id": "2"}, {**PART, "message-id": "3"})))

    assert (result.message_id, result.segments, result.price) == ("0A0000000123ABCD1", 3, "0.09990000 EUR")


async def test_a_message_that_was_taken_in_part_is_taken(http: aiohttp.ClientSession) -> None:
    result = await send(http, says(answered({"status": "9", "error-text": "Partner quota exceeded"}, PART)))

    assert (result.outcome, result.message_id, result.reason) == (Outcome.ACCEPTED, "0A0000000123ABCD1", None)


@pytest.mark.parametrize("price", [GERMAN, "", "1e5", "-1", "NaN"])
async def test_a_price_that_is_no_amount_is_not_told(http: aiohttp.ClientSession, price: str) -> None:
    assert (await send(http, says(answered({**PART, "message-price": price})))).price is None


# As Vonage's list of SMS errors and this project's rules have it, one line a status.
CODES: dict[str, tuple[str, str]] = {
    "1": ("throttled_account", "provider"),
    "2": ("config", "provider"),
    "3": ("config", "route"),
    "4": ("config", "provider"),
    "5": ("transient", "provider"),
    "6": ("rejected_number", "route"),
    "7": ("rejected_number", "provider"),
    "8": ("config", "provider"),
    "9": ("config", "provider"),
    "10": ("throttled_account", "provider"),
    "11": ("config", "provider"),
    "12": ("rejected_content", "provider"),
    "14": ("config", "provider"),
    "15": ("config", "route"),
    "17": ("rejected_content", "provider"),
    "22": ("config", "route"),
    "23": ("config", "provider"),
    "29": ("config", "route"),
    "32": ("config", "provider"),
    "33": ("config", "route"),
    # Of no list.
    "99": ("config", "route"),
}


@pytest.mark.parametrize("status", [200, 400, 429, 500])
@pytest.mark.parametrize("code", CODES)
async def test_every_code_has_its_class_and_scope_whatever_the_status(
    http: aiohttp.ClientSession, code: str, status: int
) -> None:
    vendor = says(answered({"status": code, "error-text": f"Not for {GERMAN}"}), status)

    result = await send(http, vendor)

    assert (result.outcome.value, result.scope.value) == CODES[code]
    assert (result.reason, result.message_id, result.segments) == (f"vonage_{code}", None, None)
    assert len(vendor.asked) == 1


@pytest.mark.parametrize(
    ("text", "outcome"),
    [
        ("Invalid to param", "rejected_number"),
        ("Invalid value for param: to", "rejected_number"),
        ("Invalid value for parameter :: `to`", "rejected_number"),
        ("Invalid from param", "config"),
        ("Invalid value for parameter: ttl, has to be one", "config"),
        ("Failed to parse", "config"),
        ("", "config"),
    ],
)
async def test_an_invalid_parameter_is_the_numbers_fault_where_it_is_named(
    http: aiohttp.ClientSession, text: str, outcome: str
) -> None:
    result = await send(http, says(answered({"status": "3", "error-text": text})))

    assert (result.outcome.value, result.reason) == (outcome, "vonage_3")


NO_WORD: dict[str, tuple[Vendor, str, str]] = {
    "429": (says(b"", 429), "throttled_account", "http_429"),
    "500": (says(b"", 500), "unknown", "http_500"),
    "500 with a page": (says(b"<html>oops</html>", 500), "unknown", "http_500"),
    "403": (says(b"<html>WAF</html>", 403), "config", "http_403"),
    "302": (says(b"", 302, Location="/elsewhere"), "unknown", "http_302"),
    "a success that its status contradicts": (says(answered(PART), 500), "unknown", "http_500"),
    "nothing": (says(b""), "unknown", "http_200"),
    "rubbish": (says(b"\xff\xfe{"), "unknown", "http_200"),
    "other JSON": (says([PART]), "unknown", "http_200"),
    "no message": (says(answered()), "unknown", "http_200"),
    "no status": (says({"messages": [{}]}), "unknown", "http_200"),
    "a status that is no number": (says(answered({"status": "ok"})), "unknown", "http_200"),
    "a well without bottom": (says(b'{"messages":[],"x":' + b"[" * 50_000), "unknown", "http_200"),
    "a broken connection": (hangs_up(), "unknown", "disconnected"),
}


@pytest.mark.parametrize(("vendor", "outcome", "reason"), NO_WORD.values(), ids=NO_WORD)
async def test_an_answer_without_a_word_of_vonages(
    http: aiohttp.ClientSession, vendor: Vendor, outcome: str, reason: str
) -> None:
    result = await send(http, vendor)

    assert (result.outcome.value, result.reason, result.message_id) == (outcome, reason, None)
    assert len(vendor.asked) == 1


# The conversions


async def test_an_approval_is_told_where_the_account_has_that_interface(http: aiohttp.ClientSession) -> None:
    vendor = says(b"OK")

    async with open_for_business(vendor):
        assert await (await an_open_gateway(vendor, http, conversions=True)).approved("0A00")

    request = vendor.request
    assert (request.method, request.path) == ("POST", "/vonage/conversions/sms")
    assert request.headers["Authorization"] == aiohttp.encode_basic_auth("abcd1234", "the-secret-of-the-api")
    # The tests' clock stands at that time.
    assert request.form == {"message-id": "0A00", "delivered": "true", "timestamp": "2027-01-15 08:00:00"}


async def test_conversions_have_a_host_of_their_own(http: aiohttp.ClientSession) -> None:
    gateway = await open_provider(an_account({**SECRET, "conversions": True}, http))

    request = gateway.feedback("0A00", await gateway.credentials(), gateway.account)

    assert request is not None
    assert request.url == "https://api.nexmo.com/conversions/sms"


async def test_an_account_without_that_interface_is_told_nothing(http: aiohttp.ClientSession) -> None:
    vendor = says(*ACCEPTED)

    async with open_for_business(vendor):
        assert not await (await an_open_gateway(vendor, http)).approved("0A00")

    assert vendor.asked == []


@pytest.mark.parametrize("conversions", [True, False])
async def test_a_result_says_whether_approvals_are_wanted(http: aiohttp.ClientSession, conversions: bool) -> None:  # noqa: FBT001
    vendor = says(*ACCEPTED)

    async with open_for_business(vendor):
        gateway = await an_open_gateway(vendor, http, conversions=conversions)
        result = await gateway.send(a_message(**ROUTE))

    assert result.wants_feedback is conversions


@pytest.mark.parametrize("vendor", [says(b"", 402), says(b"", 500), hangs_up()])
async def test_an_approval_that_is_not_taken_is_not_told_again(http: aiohttp.ClientSession, vendor: Vendor) -> None:
    async with open_for_business(vendor):
        assert not await (await an_open_gateway(vendor, http, conversions=True)).approved("0A00")

    assert len(vendor.asked) == 1


# The credentials


@pytest.mark.parametrize(
    ("entries", "named"),
    [
        ({"api_key": None}, "api_key"),
        ({"api_secret": ""}, "api_secret"),
        ({"signature_method": "sha256"}, "signature_secret"),
        ({**SIGNED, "signature_method": "md4"}, "signature_method"),
        ({"conversions": "yes"}, "conversions"),
    ],
)
async def test_a_secret_that_makes_no_sense_is_told_by_provider_and_entry(
    http: aiohttp.ClientSession, entries: dict[str, Any], named: str
) -> None:
    gateway = await open_provider(an_account({**SECRET, **entries}, http))

    with pytest.raises(KeysUnavailable, match=rf"vonage.*{named}") as error:
        await gateway.prepare()

    assert SECRET["api_secret"] not in str(error.value)


# What must not be seen

SEEN_NEVER = [SECRET["api_secret"], SIGNED["signature_secret"], TOKEN, CODE, GERMAN, GERMAN[1:]]


@pytest.mark.parametrize(
    "vendor",
    [says(*ACCEPTED), says(answered({"status": "3", "error-text": f"to {GERMAN}"})), says(GERMAN.encode()), hangs_up()],
)
async def test_no_code_key_or_number_is_in_a_log_or_a_result(
    http: aiohttp.ClientSession, vendor: Vendor, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("DEBUG")

    async with open_for_business(vendor):
        gateway = await an_open_gateway(vendor, http, RECEIPTS_URL, **SIGNED)
        result = await gateway.send(a_message(**ROUTE))
        secret = await gateway.credentials()
        request = gateway.request(a_message(**ROUTE), secret, gateway.account)

    shown = caplog.text + repr(result) + repr(gateway) + repr(secret) + repr(request)
    assert not [text for text in SEEN_NEVER if text in shown]
    # They were there to be seen, and the log was on.
    assert all(text in str(vendor.request.form) for text in (CODE, GERMAN[1:]))
    assert caplog.records


# The receipts

NOW = 1_704_164_700
REPORT = {
    "msisdn": GERMAN[1:],
    "to": "ACME",
    "network-code": "26201",
    "messageId": "0A0000000123ABCD1",
    "price": "0.03330000",
    "status": "delivered",
    "scts": "2401020304",
    "err-code": "0",
    "api-key": "abcd1234",
    "client-ref": REFERENCE,
    "message-timestamp": "2024-01-02 03:04:05",
}
AT = 1_704_164_645
DELIVERED = Receipt(provider="vonage", reference=REFERENCE, status=DeliveryStatus.DELIVERED, reason=None, at=AT)
FORM = {"Content-Type": "application/x-www-form-urlencoded"}
JSON = {"Content-Type": "application/json"}


def by_get(report: dict[str, Any]) -> Push:
    return a_push(method="GET", query=report, reference=None)


def by_form(report: dict[str, Any]) -> Push:
    return a_push(urlencode(report).encode(), headers=FORM, reference=None)


def by_json(report: dict[str, Any]) -> Push:
    return a_push(json.dumps(report).encode(), headers=JSON, reference=None)


WAYS = [by_get, by_form, by_json]


def read(push: Push, **secret: Any) -> tuple[Receipt, ...]:
    return RECEIPTS.read(push, {"receipt_token": TOKEN, **SECRET, **secret}, NOW)


@pytest.mark.parametrize("push", WAYS)
def test_a_receipt_comes_in_three_ways(push: Any) -> None:
    assert read(push(REPORT)) == (DELIVERED,)


@pytest.mark.parametrize(
    ("status", "expected"),
    [
        ("delivered", "delivered"),
        ("expired", "failed"),
        ("failed", "failed"),
        ("rejected", "failed"),
        ("accepted", None),
        ("buffered", None),
        ("unknown", None),
        ("lost", None),
        ("", None),
    ],
)
def test_every_status(status: str, expected: str | None) -> None:
    receipts = read(by_form({**REPORT, "status": status}))

    assert [receipt.status.value for receipt in receipts] == ([] if expected is None else [expected])


@pytest.mark.parametrize("code", ["4", "6", "14", "53"])
def test_what_was_blocked_is_rejected_and_nobody_elses_to_send(code: str) -> None:
    (receipt,) = read(by_form({**REPORT, "status": "rejected", "err-code": code}))

    assert (receipt.status.value, receipt.reason) == ("rejected", code)


@pytest.mark.parametrize(("told", "reason"), [("6", "6"), ("<b>号", "b"), ("x" * 40, "x" * 32), ("", None)])
def test_a_failures_reason_is_reduced_to_a_word(told: str, reason: str | None) -> None:
    (receipt,) = read(by_form({**REPORT, "status": "failed", "err-code": told}))

    assert receipt.reason == reason


@pytest.mark.parametrize("time", ["", "yesterday", "2024-13-01 08:00:05", "2999-01-01 00:00:00", "0001-01-01 00:00:00"])
def test_a_time_that_cannot_be_is_now(time: str) -> None:
    (receipt,) = read(by_form({**REPORT, "message-timestamp": time}))

    assert receipt.at == NOW


def test_a_receipt_at_a_messages_own_address_needs_no_reference() -> None:
    report = {name: value for name, value in REPORT.items() if name != "client-ref"}

    assert read(a_push(urlencode(report).encode(), headers=FORM)) == (DELIVERED,)


def test_a_receipt_of_no_message_of_ours_is_ignored() -> None:
    assert read(by_form({**REPORT, "client-ref": ""})) == ()


def test_vonage_wants_to_hear_nothing() -> None:
    assert (RECEIPTS.acknowledgement.body, RECEIPTS.acknowledgement.media_type) == (b"", "text/plain")


# The signature

VECTOR = {"api_key": "abcd1234", "from": "ACME", "text": "a&b=c", "timestamp": "1700000000", "to": "447700900000"}
LISTED = "&api_key=abcd1234&from=ACME&text=a_b_c&timestamp=1700000000&to=447700900000"
DIGESTS: dict[Method, str] = {
    "sha256": "ca2dd5c09fb9de4be0faa52171c590efc9babd9eb7b933c065b9e42cecae59cc",
    "md5hash": "7308d4f4bf735f9854cbb7e087d5b480",
}
METHODS: list[Method] = ["md5hash", "md5", "sha1", "sha256", "sha512"]


def test_what_is_signed_is_listed_as_vonages_library_lists_it() -> None:
    assert listed(VECTOR) == LISTED


@pytest.mark.parametrize("method", DIGESTS)
def test_the_vectors_of_vonages_own_library(method: Method) -> None:
    assert sign(LISTED, Sensitive("test_sig_secret"), method) == DIGESTS[method]


def signed(
    report: dict[str, Any], *, secret: str = SIGNED["signature_secret"], method: Method = "sha256"
) -> dict[str, Any]:
    """By hand, so that the adapter is not checked by itself."""
    text = "".join(f"&{name}={str(report[name]).replace('&', '_').replace('=', '_')}" for name in sorted(report))
    if method == "md5hash":
        return {**report, "sig": hashlib.md5((text + secret).encode()).hexdigest()}  # noqa: S324 - theirs
    return {**report, "sig": hmac.new(secret.encode(), text.encode(), method).hexdigest()}


def fresh(**more: Any) -> dict[str, Any]:
    return {**REPORT, "timestamp": str(NOW), "nonce": "aaaaaaaa-bbbb", **more}


@pytest.mark.parametrize("push", WAYS)
@pytest.mark.parametrize("method", METHODS)
def test_a_signed_receipt_by_every_method(push: Any, method: Method) -> None:
    report = signed(fresh(text="a&b=c ä"), method=method)

    assert read(push(report), signature_secret="test_sig_secret", signature_method=method) == (DELIVERED,)


def test_a_signature_in_capitals_is_the_same() -> None:
    report = signed(fresh())

    assert read(by_get({**report, "sig": report["sig"].upper()}), **SIGNED) == (DELIVERED,)


@pytest.mark.parametrize("age", [-300, 300])
def test_a_signature_is_good_for_five_minutes(age: int) -> None:
    assert read(by_get(signed(fresh(timestamp=str(NOW - age)))), **SIGNED) == (DELIVERED,)


UNSIGNED = {
    "no signature": fresh(),
    "an empty signature": fresh(sig=""),
    "rubbish": fresh(sig="\udcffé"),
    "another's secret": signed(fresh(), secret="another_secret"),
    "another method": signed(fresh(), method="sha512"),
    "another status": {**signed(fresh()), "status": "failed"},
    "another message": {**signed(fresh()), "client-ref": "another.1"},
    "a field more": {**signed(fresh()), "more": "1"},
    "a field less": {name: value for name, value in signed(fresh()).items() if name != "nonce"},
    "old": signed(fresh(timestamp=str(NOW - 301))),
    "of the future": signed(fresh(timestamp=str(NOW + 301))),
    "no time": signed(REPORT),
    "a time that is none": signed(fresh(timestamp="now")),
    "a time of other digits": signed(fresh(timestamp="¹²")),
    "a time without end": signed(fresh(timestamp="9" * 5_000)),
}


@pytest.mark.parametrize("report", UNSIGNED.values(), ids=UNSIGNED)
def test_what_vonage_did_not_sign_now_is_refused(report: dict[str, Any]) -> None:
    with pytest.raises(InvalidSignature):
        read(by_get(report), **SIGNED)


MALFORMED = {
    "nothing": a_push(headers=FORM),
    "no text": a_push(b"\xff\xfe", headers=FORM),
    "no UTF-8 inside": a_push(b"status=%FF&messageId=1", headers=FORM),
    "too many fields": a_push(b"a=1&" * 1_000, headers=FORM),
    "no JSON": a_push(b"{", headers=JSON),
    "no object": a_push(b"[1]", headers=JSON),
    "a well without bottom": a_push(b'{"status":"failed","x":' + b"[" * 50_000, headers=JSON),
    "a number without end": a_push(b'{"status":' + b"9" * 5_000 + b"}", headers=JSON),
    "no status": by_get({"messageId": "1"}),
    "no message": by_get({"status": "failed"}),
    "a person's reply": by_get({"msisdn": "1", "to": "ACME", "messageId": "1", "text": "STOP", "type": "text"}),
}


@pytest.mark.parametrize("push", MALFORMED.values(), ids=MALFORMED)
def test_what_is_no_receipt_is_refused(push: Push) -> None:
    with pytest.raises(InvalidRequest):
        read(push)


def test_a_push_with_no_secret_to_check_it_names_the_provider() -> None:
    with pytest.raises(KeysUnavailable, match=r"vonage.*signature_secret"):
        read(by_get(REPORT), signature_method="sha256")


names = st.sampled_from(sorted([*REPORT, "sig", "timestamp"])) | st.text(max_size=5)
reports = st.dictionaries(names, st.sampled_from(["delivered", "failed"]) | st.text(max_size=8), max_size=8)
pushes = (
    st.binary().map(lambda body: a_push(body, headers=FORM))
    | st.binary().map(lambda body: a_push(body, headers=JSON))
    | reports.map(by_get)
    | reports.map(by_json)
)


@given(pushes, st.booleans())
@settings(deadline=None)
def test_any_push_is_a_receipt_or_none_or_refused(push: Push, is_signed: bool) -> None:  # noqa: FBT001
    try:
        receipts = read(push, **(SIGNED if is_signed else {}))
    except (InvalidRequest, InvalidSignature):
        return

    assert not is_signed
    assert all(receipt.reference and 0 <= receipt.at <= NOW for receipt in receipts)
