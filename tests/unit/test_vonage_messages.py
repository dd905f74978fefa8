"""Vonage's Messages API: its wire format, what its answers mean, its status webhooks, over real sockets."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from functools import partial
from typing import Any

import aiohttp
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from functions.domain.delivery import DeliveryStatus, Outcome, Receipt, SendResult
from functions.domain.errors import InvalidRequest, InvalidSignature
from functions.domain.receipt_token import message_token
from functions.domain.sensitive import Sensitive
from functions.providers.gateway import Request
from functions.providers.vonage_messages import RECEIPTS, open_provider
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
SIGNED = {"signature_secret": "test_sig_secret"}

MESSAGE_UUID = "aaaaaaaa-bbbb-4ccc-8ddd-0123456789ab"
ACCEPTED = ({"message_uuid": MESSAGE_UUID}, 202)


an_open_gateway = partial(opened_at, open_provider, SECRET, "/vonage_messages")
send = partial(sent_by, open_provider, SECRET, ROUTE, prefix="/vonage_messages")


# The request


async def test_a_message_on_the_wire(http: aiohttp.ClientSession) -> None:
    vendor = says(*ACCEPTED)

    async with open_for_business(vendor):
        gateway = await an_open_gateway(vendor, http, RECEIPTS_URL)
        await gateway.send(a_message(**ROUTE))

    request = vendor.request
    token = message_token(Sensitive(TOKEN), "vonage_messages", REFERENCE)
    assert (request.method, request.path) == ("POST", "/vonage_messages/v1/messages")
    assert request.headers["Content-Type"] == "application/json"
    assert request.headers["Authorization"] == aiohttp.encode_basic_auth("abcd1234", "the-secret-of-the-api")
    assert request.json == {
        "message_type": "text",
        "channel": "sms",
        "to": "4915112345678",
        "from": "ACME",
        "text": f"{CODE} is your code.",
        "ttl": 300,
        "client_ref": REFERENCE,
        "webhook_url": f"{RECEIPTS_URL}/v1/receipts/vonage_messages/{token}",
        "webhook_version": "v1",
        "sms": {"encoding_type": "auto"},
    }


async def test_without_an_address_of_ours_no_webhooks_are_asked_for(http: aiohttp.ClientSession) -> None:
    vendor = says(*ACCEPTED)

    await send(http, vendor)

    assert not {"webhook_url", "webhook_version"} & vendor.request.json.keys()


async def test_vonages_own_address_is_called_where_no_other_is_named(http: aiohttp.ClientSession) -> None:
    gateway = await open_provider(an_account(SECRET, http))

    request = gateway.request(a_message(**ROUTE), await gateway.credentials(), gateway.account)

    assert isinstance(request, Request)
    assert request.url == "https://api.nexmo.com/v1/messages"


async def test_a_sender_that_is_a_number_goes_without_its_plus(http: aiohttp.ClientSession) -> None:
    vendor = says(*ACCEPTED)

    await send(http, vendor, sender="+447700900000")

    assert vendor.request.json["from"] == "447700900000"


async def test_a_countrys_register_is_told_sender_and_template(http: aiohttp.ClientSession) -> None:
    vendor = says(*ACCEPTED)

    await send(http, vendor, entity="1101456324675322134", template="1107457532145798767")

    assert vendor.request.json["sms"] == {
        "encoding_type": "auto",
        "entity_id": "1101456324675322134",
        "content_id": "1107457532145798767",
    }


@pytest.mark.parametrize(("left", "told"), [(-1, 20), (19, 20), (21, 21), (604_800, 604_800), (604_801, 604_800)])
async def test_the_codes_life_in_seconds_is_within_what_vonage_takes(
    http: aiohttp.ClientSession, left: int, told: int
) -> None:
    vendor = says(*ACCEPTED)

    await send(http, vendor, valid_for=left)

    assert vendor.request.json["ttl"] == told


# The answer


async def test_an_accepted_message(http: aiohttp.ClientSession) -> None:
    vendor = says(*ACCEPTED)

    result = await send(http, vendor)

    assert result == SendResult(provider="vonage_messages", outcome=Outcome.ACCEPTED, message_id=MESSAGE_UUID)
    assert len(vendor.asked) == 1


def problem(code: int, *parameters: str) -> dict[str, Any]:
    return {
        "type": f"https://developer.vonage.com/api-errors/messages#{code}",
        "title": f"Not for {GERMAN}",
        "detail": f"{GERMAN} …",
        "instance": "bf0ca0bf927b3b52e3cb03217e1a1ddf",
        "invalid_parameters": [{"name": name, "reason": f"{GERMAN} …"} for name in parameters],
    }


# As Vonage's list of errors and this project's rules have it, one line a number.
CODES: dict[int, tuple[str, str]] = {
    1000: ("throttled_account", "provider"),
    1010: ("config", "route"),
    1020: ("config", "route"),
    1030: ("transient", "provider"),
    1040: ("config", "route"),
    1050: ("rejected_number", "provider"),
    1060: ("config", "provider"),
    1070: ("config", "provider"),
    1080: ("config", "provider"),
    1090: ("rejected_content", "provider"),
    1100: ("transient", "provider"),
    1120: ("config", "route"),
    1130: ("config", "provider"),
}


@pytest.mark.parametrize("status", [401, 402, 422, 429])
@pytest.mark.parametrize("code", CODES)
async def test_every_code_has_its_class_and_scope(http: aiohttp.ClientSession, code: int, status: int) -> None:
    vendor = says(problem(code, "from"), status)

    result = await send(http, vendor)

    assert (result.outcome.value, result.scope.value) == CODES[code]
    assert (result.reason, result.message_id) == (f"vonage_messages_{code}", None)
    assert len(vendor.asked) == 1


@pytest.mark.parametrize("code", [1010, 1020, 1150])
async def test_a_parameter_is_the_numbers_fault_where_it_is_named(http: aiohttp.ClientSession, code: int) -> None:
    result = await send(http, says(problem(code, "ttl", "to"), 422))

    assert (result.outcome.value, result.scope.value) == ("rejected_number", "provider")


@pytest.mark.parametrize(("status", "scope"), [(401, "provider"), (402, "provider"), (404, "provider"), (422, "route")])
async def test_a_code_that_is_not_in_the_table_is_judged_by_its_status(
    http: aiohttp.ClientSession, status: int, scope: str
) -> None:
    result = await send(http, says(problem(1150, "from"), status))

    assert (result.outcome.value, result.scope.value, result.reason) == ("config", scope, "vonage_messages_1150")


async def test_a_wait_is_as_long_as_vonage_says(http: aiohttp.ClientSession) -> None:
    assert (await send(http, says(problem(1000), 429, **{"Retry-After": "7"}))).retry_after == 7


NO_WORD: dict[str, tuple[Vendor, str, str]] = {
    "401": (says(b"", 401), "config", "http_401"),
    "402": (says(b"", 402), "config", "http_402"),
    "404": (says(b"<html>not here</html>", 404), "config", "http_404"),
    "429": (says(b"", 429), "throttled_account", "http_429"),
    "403": (says(b"<html>WAF</html>", 403), "config", "http_403"),
    "422 without a number": (says({"type": "about:blank"}, 422), "unknown", "http_422"),
    "500": (says(b"", 500), "unknown", "http_500"),
    "500 with a problem": (says(problem(1030), 500), "unknown", "http_500"),
    "302": (says(b"", 302, Location="/elsewhere"), "unknown", "http_302"),
    "a success with another status": (says(ACCEPTED[0], 200), "unknown", "http_200"),
    "nothing": (says(b"", 202), "unknown", "http_202"),
    "rubbish": (says(b"\xff\xfe{", 202), "unknown", "http_202"),
    "other JSON": (says([ACCEPTED[0]], 202), "unknown", "http_202"),
    "no id": (says({"message_uuid": None}, 202), "unknown", "http_202"),
    "an empty id": (says({"message_uuid": ""}, 202), "unknown", "http_202"),
    "a problem with a success's status": (says(problem(1020), 202), "unknown", "http_202"),
    "a well without bottom": (says(b'{"type":"x#1020","x":' + b"[" * 50_000, 422), "unknown", "http_422"),
    "a broken connection": (hangs_up(), "unknown", "disconnected"),
}


@pytest.mark.parametrize(("vendor", "outcome", "reason"), NO_WORD.values(), ids=NO_WORD)
async def test_an_answer_without_a_word_of_vonages(
    http: aiohttp.ClientSession, vendor: Vendor, outcome: str, reason: str
) -> None:
    result = await send(http, vendor)

    assert (result.outcome.value, result.reason, result.message_id) == (outcome, reason, None)
    assert len(vendor.asked) == 1


# The credentials


@pytest.mark.parametrize(("entries", "named"), [({"api_key": None}, "api_key"), ({"api_secret": ""}, "api_secret")])
async def test_a_secret_that_makes_no_sense_is_told_by_provider_and_entry(
    http: aiohttp.ClientSession, entries: dict[str, Any], named: str
) -> None:
    gateway = await open_provider(an_account({**SECRET, **entries}, http))

    with pytest.raises(KeysUnavailable, match=rf"vonage_messages.*{named}") as error:
        await gateway.prepare()

    assert SECRET["api_secret"] not in str(error.value)


async def test_the_secret_may_have_what_the_other_interface_needs(http: aiohttp.ClientSession) -> None:
    account = an_account({**SECRET, **SIGNED, "signature_method": "md5hash", "conversions": True}, http)

    await (await open_provider(account)).prepare()


# What must not be seen

SEEN_NEVER = [SECRET["api_secret"], SIGNED["signature_secret"], TOKEN, CODE, GERMAN, GERMAN[1:]]


@pytest.mark.parametrize(
    "vendor", [says(*ACCEPTED), says(problem(1020, "to"), 422), says(GERMAN.encode(), 422), hangs_up()]
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
    assert all(text in str(vendor.request.json) for text in (CODE, GERMAN[1:]))
    assert caplog.records


# The webhooks

NOW = 1_704_164_700
AT = 1_704_164_645
STATUS = {
    "message_uuid": MESSAGE_UUID,
    "to": GERMAN[1:],
    "from": "ACME",
    "timestamp": "2024-01-02T03:04:05Z",
    "status": "delivered",
    "client_ref": REFERENCE,
    "channel": "sms",
    "usage": {"currency": "EUR", "price": "0.0333"},
    "destination": {"network_code": "26201"},
    "sms": {"count_total": "1"},
}
DELIVERED = Receipt(
    provider="vonage_messages", reference=REFERENCE, status=DeliveryStatus.DELIVERED, reason=None, at=AT
)


def encode(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).decode().rstrip("=")


def token(body: bytes, *, secret: str = SIGNED["signature_secret"], **claims: Any) -> str:
    """By hand (RFC 7515), so that the adapter is not checked by itself. A claim of None is left out."""
    said = {
        "iat": NOW,
        "jti": "c5ba8f24-1a14-4c10-bfdf-3fbe8ce511b5",
        "iss": "Vonage",
        "payload_hash": hashlib.sha256(body).hexdigest(),
        "api_key": "abcd1234",
        "application_id": "aaaaaaaa-bbbb-cccc-dddd-0123456789ab",
        **claims,
    }
    kept = {name: value for name, value in said.items() if value is not None}
    text = ".".join(encode(json.dumps(part).encode()) for part in ({"typ": "JWT", "alg": "HS256"}, kept))
    return f"{text}.{encode(hmac.digest(secret.encode(), text.encode(), 'sha256'))}"


def webhook(status: dict[str, Any], *, reference: str | None = None, **claims: Any) -> Push:
    body = json.dumps(status).encode()
    headers = {"Content-Type": "application/json", "Authorization": f"Bearer {token(body, **claims)}"}
    return a_push(body, headers=headers, reference=reference)


def read(push: Push, **secret: Any) -> tuple[Receipt, ...]:
    return RECEIPTS.read(push, {"receipt_token": TOKEN, **SECRET, **SIGNED, **secret}, NOW)


def test_a_delivered_message() -> None:
    assert read(webhook(STATUS)) == (DELIVERED,)


@pytest.mark.parametrize(
    ("status", "expected"),
    [
        ("submitted", "sent"),
        ("delivered", "delivered"),
        ("read", "delivered"),
        ("rejected", "failed"),
        ("undeliverable", "failed"),
        ("lost", None),
        ("", None),
    ],
)
def test_every_status(status: str, expected: str | None) -> None:
    receipts = read(webhook({**STATUS, "status": status}))

    assert [receipt.status.value for receipt in receipts] == ([] if expected is None else [expected])


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        ({"type": "https://developer.vonage.com/api-errors/messages#1260", "title": "1260", "detail": GERMAN}, "1260"),
        ({"type": "1260"}, "1260"),
        ({"type": "x#<b>号"}, "b"),
        ({"type": "#" + "x" * 40}, "x" * 32),
        ({}, None),
        (None, None),
    ],
)
def test_a_failures_reason_is_its_errors_number(error: dict[str, str] | None, reason: str | None) -> None:
    (receipt,) = read(webhook({**STATUS, "status": "undeliverable", "error": error}))

    assert receipt.reason == reason


@pytest.mark.parametrize("time", [None, "", "yesterday", "2999-01-01T00:00:00Z", "0001-01-01T00:00:00+23:59"])
def test_a_time_that_cannot_be_is_now(time: str | None) -> None:
    (receipt,) = read(webhook({**STATUS, "timestamp": time}))

    assert receipt.at == NOW


def test_a_time_may_have_thousandths_and_a_zone() -> None:
    (receipt,) = read(webhook({**STATUS, "timestamp": "2024-01-02T04:04:05.678+01:00"}))

    assert receipt.at == AT


def test_a_webhook_at_a_messages_own_address_needs_no_reference() -> None:
    status = {name: value for name, value in STATUS.items() if name != "client_ref"}

    assert read(webhook(status, reference=REFERENCE)) == (DELIVERED,)


def test_a_webhook_of_no_message_of_ours_is_ignored() -> None:
    assert read(webhook({**STATUS, "client_ref": None})) == ()


def test_vonage_wants_to_hear_nothing() -> None:
    assert (RECEIPTS.acknowledgement.body, RECEIPTS.acknowledgement.media_type) == (b"", "text/plain")


# The signature

EMPTY_HASH = "44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a"


def test_the_vector_of_a_bodys_hash() -> None:
    push = a_push(b"{}", headers={"Authorization": f"Bearer {token(b'', payload_hash=EMPTY_HASH)}"})

    # It is believed, and says nothing of a message.
    with pytest.raises(InvalidRequest):
        read(push)


@pytest.mark.parametrize("age", [-300, 300])
def test_a_token_is_good_for_five_minutes(age: int) -> None:
    assert read(webhook(STATUS, iat=NOW - age)) == (DELIVERED,)


def test_a_schemes_case_does_not_matter() -> None:
    body = json.dumps(STATUS).encode()

    assert read(a_push(body, headers={"Authorization": f"bearer  {token(body)} "})) == (DELIVERED,)


BODY = json.dumps(STATUS).encode()
UNSIGNED = {
    "no header": a_push(BODY),
    "no token": a_push(BODY, headers={"Authorization": "Bearer"}),
    "another scheme": a_push(BODY, headers={"Authorization": f"Basic {token(BODY)}"}),
    "rubbish": a_push(BODY, headers={"Authorization": "Bearer \udcffé.a.b"}),
    "another's secret": webhook(STATUS, secret="another_secret"),
    "another body": a_push(BODY, headers={"Authorization": f"Bearer {token(b'{}')}"}),
    "no hash": webhook(STATUS, payload_hash=None),
    "a hash that is none": webhook(STATUS, payload_hash=["a"]),
    "a hash of other letters": webhook(STATUS, payload_hash="é" * 64),
    "no time": webhook(STATUS, iat=None),
    "a time that is none": webhook(STATUS, iat="now"),
    "no number": webhook(STATUS, iat=float("nan")),
    "old": webhook(STATUS, iat=NOW - 301),
    "of the future": webhook(STATUS, iat=NOW + 301),
    "expired": webhook(STATUS, exp=NOW - 60),
}


@pytest.mark.parametrize("push", UNSIGNED.values(), ids=UNSIGNED)
def test_what_vonage_did_not_sign_now_is_refused(push: Push) -> None:
    with pytest.raises(InvalidSignature):
        read(push)


MALFORMED = {
    "nothing": b"",
    "no text": b"\xff\xfe",
    "no object": b"[1]",
    "no status": b'{"message_uuid":"1"}',
    "no message": b'{"status":"delivered"}',
    "a person's reply": json.dumps({"message_uuid": MESSAGE_UUID, "text": "STOP", "channel": "sms"}).encode(),
    "a reference that is no text": json.dumps({**STATUS, "client_ref": 7}).encode(),
    "a well without bottom": b'{"status":"delivered","x":' + b"[" * 50_000,
}


@pytest.mark.parametrize("body", MALFORMED.values(), ids=MALFORMED)
def test_what_is_no_status_is_refused(body: bytes) -> None:
    with pytest.raises(InvalidRequest):
        read(a_push(body, headers={"Authorization": f"Bearer {token(body)}"}))


def test_without_a_secret_to_check_it_nothing_is_believed() -> None:
    with pytest.raises(KeysUnavailable, match=r"vonage_messages.*signature_secret"):
        read(webhook(STATUS), signature_secret=None)


anything = st.none() | st.integers() | st.text(max_size=8) | st.dictionaries(st.text(max_size=3), st.text(max_size=3))
statuses = st.dictionaries(
    st.sampled_from([*STATUS, "error"]), anything | st.sampled_from(["delivered", "rejected"]), max_size=8
)
bodies = st.binary() | statuses.map(lambda status: json.dumps(status).encode())


@given(bodies, st.booleans())
@settings(deadline=None)
def test_any_push_is_a_receipt_or_none_or_refused(body: bytes, is_signed: bool) -> None:  # noqa: FBT001
    headers = {"Authorization": f"Bearer {token(body)}"} if is_signed else {}

    try:
        receipts = read(a_push(body, headers=headers))
    except InvalidRequest:
        assert is_signed
        return
    except InvalidSignature:
        assert not is_signed
        return

    assert all(receipt.reference and 0 <= receipt.at <= NOW for receipt in receipts)
