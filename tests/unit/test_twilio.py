"""Twilio's wire format, what its answers mean, its callbacks and their signatures, over real sockets."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import aiohttp
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from openapi_core import OpenAPI
from openapi_core.exceptions import OpenAPIError
from openapi_core.testing import MockRequest

from functions.domain.delivery import DeliveryStatus, Outcome, Receipt, SendResult
from functions.domain.errors import InvalidRequest, InvalidSignature
from functions.domain.receipt_token import message_token
from functions.domain.sensitive import Sensitive
from functions.providers.credentials import Credentials
from functions.providers.gateway import Request
from functions.providers.twilio import RECEIPTS, TwilioSecret, open_provider
from functions.usecases.ports import KeysUnavailable, LearningProvider, Push
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

ACCOUNT_SID = "AC" + "0" * 32
SERVICE = "MG" + "0" * 32
MESSAGE_SID = "SM" + "0" * 32
API_KEY = {"api_key_sid": "SK" + "1" * 32, "api_key_secret": "the-secret-of-the-api-key"}

SECRET: dict[str, Any] = {"account_sid": ACCOUNT_SID, "auth_token": "test_auth_token"}
ROUTE = {"sender": "ACME"}
CREATED = {
    "sid": MESSAGE_SID,
    "account_sid": ACCOUNT_SID,
    "status": "accepted",
    "to": GERMAN,
    "from": None,
    "messaging_service_sid": SERVICE,
    "body": f"{CODE} is your code.",
    "num_segments": "0",
    "num_media": "0",
    "direction": "outbound-api",
    "price": None,
    "price_unit": "USD",
    "error_code": None,
    "error_message": None,
    "api_version": "2010-04-01",
    "subresource_uris": {"media": "/Media.json"},
}
ACCEPTED = (CREATED, 201)


an_open_gateway = partial(opened_at, open_provider, SECRET, "/twilio")
send = partial(sent_by, open_provider, SECRET, ROUTE, prefix="/twilio")


# The request


async def test_a_message_on_the_wire(http: aiohttp.ClientSession) -> None:
    vendor = says(*ACCEPTED)

    async with open_for_business(vendor):
        gateway = await an_open_gateway(vendor, http, RECEIPTS_URL)
        await gateway.send(a_message(sender="+15005550006"))

    request = vendor.request
    assert (request.method, request.path) == ("POST", f"/twilio/2010-04-01/Accounts/{ACCOUNT_SID}/Messages.json")
    assert request.headers["Content-Type"] == "application/x-www-form-urlencoded"
    assert request.headers["Authorization"] == aiohttp.encode_basic_auth(ACCOUNT_SID, "test_auth_token")
    assert request.form == {
        "To": "+4915112345678",
        "From": "+15005550006",
        "Body": f"{CODE} is your code.",
        "ValidityPeriod": "300",
        "ProvideFeedback": "true",
        "StatusCallback": f"{RECEIPTS_URL}/v1/receipts/twilio/{message_token(Sensitive(TOKEN), 'twilio', REFERENCE)}",
    }


async def test_without_an_address_of_ours_no_callbacks_are_asked_for(http: aiohttp.ClientSession) -> None:
    vendor = says(*ACCEPTED)

    await send(http, vendor)

    assert "StatusCallback" not in vendor.request.form


async def test_twilios_own_address_is_called_where_no_other_is_named(http: aiohttp.ClientSession) -> None:
    gateway = await open_provider(an_account(SECRET, http))

    request = gateway.request(a_message(**ROUTE), await gateway.credentials(), gateway.account)

    assert isinstance(request, Request)
    assert request.url == f"https://api.twilio.com/2010-04-01/Accounts/{ACCOUNT_SID}/Messages.json"


@pytest.mark.parametrize(
    ("sender", "field"),
    [
        (SERVICE, "MessagingServiceSid"),
        ("MG0123456789abcdefABCDEF0123456789", "MessagingServiceSid"),
        ("+15005550006", "From"),
        ("ACME", "From"),
        ("MG Motors", "From"),
        ("MG" + "0" * 31, "From"),
    ],
)
async def test_a_sender_is_a_number_a_name_or_a_messaging_service(
    http: aiohttp.ClientSession, sender: str, field: str
) -> None:
    vendor = says(*ACCEPTED)

    await send(http, vendor, sender=sender)

    assert {name: value for name, value in vendor.request.form.items() if name in {"From", "MessagingServiceSid"}} == {
        field: sender
    }


@pytest.mark.parametrize(("left", "told"), [(-5, "1"), (0, "1"), (1, "1"), (36_000, "36000"), (36_001, "36000")])
async def test_the_codes_life_is_within_what_twilio_takes(http: aiohttp.ClientSession, left: int, told: str) -> None:
    vendor = says(*ACCEPTED)

    await send(http, vendor, valid_for=left)

    assert vendor.request.form["ValidityPeriod"] == told


async def test_a_text_of_any_script_arrives_as_it_is(http: aiohttp.ClientSession) -> None:
    vendor = says(*ACCEPTED)

    await send(http, vendor, text=f"Ihr Code: {CODE} & 您的验证码 👍+=%")

    assert vendor.request.form["Body"] == f"Ihr Code: {CODE} & 您的验证码 👍+=%"


async def test_an_api_key_signs_in_where_the_secret_has_one(http: aiohttp.ClientSession) -> None:
    vendor = says(*ACCEPTED)

    async with open_for_business(vendor):
        gateway = await an_open_gateway(vendor, http, **API_KEY)
        await gateway.send(a_message(**ROUTE))

    expected = aiohttp.encode_basic_auth(API_KEY["api_key_sid"], API_KEY["api_key_secret"])
    assert vendor.request.headers["Authorization"] == expected
    assert f"/Accounts/{ACCOUNT_SID}/" in vendor.request.path


CONTRACT = Path(__file__).parents[3] / "shared" / "contracts" / "twilio_messages.json"


@pytest.fixture(scope="module")
def contract() -> OpenAPI:
    if not CONTRACT.exists():
        pytest.skip("Twilio's OpenAPI description is not beside the clone (../shared/contracts/twilio_messages.json)")
    return OpenAPI.from_dict(json.loads(CONTRACT.read_text()))


def asked(form: dict[str, str], account: str = ACCOUNT_SID) -> MockRequest:
    return MockRequest(
        "https://api.twilio.com",
        "post",
        f"/2010-04-01/Accounts/{account}/Messages.json",
        headers={"Authorization": "Basic x"},
        data=urlencode(form).encode(),
        content_type="application/x-www-form-urlencoded",
    )


@pytest.mark.parametrize("receipts_url", [None, RECEIPTS_URL])
@pytest.mark.parametrize("valid_for", [-1, 300, 100_000])
@pytest.mark.parametrize("sender", ["ACME", "+15005550006", SERVICE])
async def test_what_is_asked_for_is_what_twilios_description_allows(
    contract: OpenAPI, http: aiohttp.ClientSession, sender: str, valid_for: int, receipts_url: str | None
) -> None:
    vendor = says(*ACCEPTED)

    async with open_for_business(vendor):
        gateway = await an_open_gateway(vendor, http, receipts_url)
        await gateway.send(a_message(sender=sender, valid_for=valid_for))

    form = vendor.request.form
    contract.validate_request(asked(form))
    # What the description's words say, and its schema does not.
    assert ("From" in form) != ("MessagingServiceSid" in form)
    assert 0 < len(form["Body"]) <= 1_600
    assert 1 <= int(form["ValidityPeriod"]) <= 36_000


@pytest.mark.parametrize("form", [{"Body": "x"}, {"To": GERMAN, "ValidityPeriod": "5 min"}])
def test_the_description_would_refuse_another_request(contract: OpenAPI, form: dict[str, str]) -> None:
    with pytest.raises(OpenAPIError):
        contract.validate_request(asked(form))


# The answer


async def test_an_accepted_message(http: aiohttp.ClientSession) -> None:
    vendor = says(*ACCEPTED)

    result = await send(http, vendor)

    assert result == SendResult(
        provider="twilio",
        outcome=Outcome.ACCEPTED,
        message_id=MESSAGE_SID,
        wants_feedback=True,
    )
    assert len(vendor.asked) == 1


@pytest.mark.parametrize(
    ("told", "segments", "price"),
    [
        ({"num_segments": "1"}, 1, None),
        ({"num_segments": "12", "price": "-0.00750", "price_unit": "USD"}, 12, "0.00750 USD"),
        ({"num_segments": None, "price": "-0.0075", "price_unit": None}, None, None),
        ({"num_segments": "many", "price": GERMAN, "price_unit": "USD"}, None, None),
        ({"price": "0.01", "price_unit": GERMAN}, None, None),
    ],
)
async def test_segments_and_price_where_they_are_told(
    http: aiohttp.ClientSession, told: dict[str, str | None], segments: int | None, price: str | None
) -> None:
    result = await send(http, says({**CREATED, **told}, 201))

    assert (result.outcome.value, result.segments, result.price) == ("accepted", segments, price)


# As Twilio's error dictionary and this project's rules have it, one line a code.
CODES: dict[int, tuple[str, str]] = {
    21211: ("rejected_number", "provider"),
    21214: ("rejected_number", "provider"),
    21217: ("rejected_number", "provider"),
    21401: ("rejected_number", "provider"),
    21604: ("rejected_number", "provider"),
    21614: ("rejected_number", "provider"),
    21635: ("rejected_number", "provider"),
    21612: ("rejected_number", "route"),
    21610: ("rejected_number", "forbidden"),
    21408: ("config", "forbidden"),
    21602: ("rejected_content", "provider"),
    21617: ("rejected_content", "provider"),
    21618: ("rejected_content", "provider"),
    21658: ("rejected_content", "provider"),
    21212: ("config", "route"),
    21603: ("config", "route"),
    21606: ("config", "route"),
    21607: ("config", "route"),
    21608: ("config", "route"),
    21609: ("config", "provider"),
    21624: ("config", "provider"),
    21654: ("config", "route"),
    21655: ("config", "route"),
    21656: ("config", "route"),
    21657: ("config", "route"),
    21701: ("config", "route"),
    21703: ("config", "route"),
    21704: ("config", "route"),
    21705: ("config", "route"),
    21711: ("config", "route"),
    21712: ("config", "route"),
    10001: ("config", "provider"),
    20003: ("config", "provider"),
    20005: ("config", "provider"),
    20008: ("config", "provider"),
    20404: ("config", "provider"),
    30002: ("config", "provider"),
    20429: ("throttled_account", "provider"),
    14107: ("throttled_account", "provider"),
    63017: ("throttled_account", "provider"),
    21611: ("throttled_account", "route"),
    30001: ("throttled_account", "route"),
    30022: ("throttled_account", "route"),
    30023: ("throttled_account", "route"),
    30027: ("throttled_account", "route"),
    20500: ("transient", "provider"),
    20503: ("transient", "provider"),
    # Of the callbacks, where an answer tells them already.
    30004: ("rejected_number", "forbidden"),
    30005: ("rejected_number", "provider"),
    30006: ("rejected_number", "provider"),
    30007: ("rejected_content", "forbidden"),
    30018: ("rejected_content", "forbidden"),
    30450: ("rejected_number", "forbidden"),
    60410: ("rejected_number", "forbidden"),
    30010: ("config", "route"),
    30024: ("config", "route"),
    30032: ("config", "route"),
    30033: ("config", "route"),
    30034: ("config", "route"),
    30035: ("config", "route"),
}


def refusal(code: int, status: int = 400) -> dict[str, object]:
    return {
        "code": code,
        "message": f"The number {GERMAN} …",
        "more_info": f"https://www.twilio.com/docs/errors/{code}",
        "status": status,
    }


@pytest.mark.parametrize("status", [400, 401, 404, 429, 500, 503])
@pytest.mark.parametrize("code", CODES)
async def test_every_code_has_its_class_and_scope_whatever_the_status(
    http: aiohttp.ClientSession, code: int, status: int
) -> None:
    vendor = says(refusal(code, status), status)

    result = await send(http, vendor)

    assert (result.outcome.value, result.scope.value) == CODES[code]
    assert (result.reason, result.message_id, result.wants_feedback) == (f"twilio_{code}", None, False)
    assert len(vendor.asked) == 1


async def test_the_newer_shape_of_an_error_is_understood(http: aiohttp.ClientSession) -> None:
    problem = {"type": "https://…/21610", "title": "…", "status": 400, "code": 21610, "detail": GERMAN, "errors": [{}]}

    assert (await send(http, says(problem, 400))).reason == "twilio_21610"


@pytest.mark.parametrize(
    ("status", "meaning"),
    [
        (400, ("config", "route")),
        (422, ("config", "route")),
        (401, ("config", "provider")),
        (403, ("config", "provider")),
        (429, ("throttled_account", "provider")),
    ],
)
async def test_a_code_that_is_not_in_the_table_is_judged_by_its_status(
    http: aiohttp.ClientSession, status: int, meaning: tuple[str, str]
) -> None:
    result = await send(http, says(refusal(29_999, status), status))

    assert (result.outcome.value, result.scope.value, result.reason) == (*meaning, "twilio_29999")


@pytest.mark.parametrize("state", ["failed", "undelivered", "canceled"])
async def test_a_message_that_failed_as_it_was_made_was_refused(http: aiohttp.ClientSession, state: str) -> None:
    result = await send(http, says({**CREATED, "status": state, "error_code": 21610}, 201))

    assert (result.outcome.value, result.reason, result.message_id) == ("rejected_number", "twilio_21610", None)


@pytest.mark.parametrize("code", [30003, 30008, 30017, 30410])
async def test_of_a_message_that_left_and_did_not_arrive_nobody_knows(http: aiohttp.ClientSession, code: int) -> None:
    result = await send(http, says({**CREATED, "status": "undelivered", "error_code": code}, 201))

    assert (result.outcome.value, result.scope.value) == ("unknown", "provider")


async def test_of_a_message_that_failed_for_no_reason_told_nobody_knows(http: aiohttp.ClientSession) -> None:
    result = await send(http, says({**CREATED, "status": "failed", "error_code": None}, 201))

    assert (result.outcome.value, result.scope.value, result.reason) == ("unknown", "provider", "http_201")


async def test_a_wait_is_as_long_as_twilio_says(http: aiohttp.ClientSession) -> None:
    assert (await send(http, says(refusal(20429, 429), 429, **{"Retry-After": "7"}))).retry_after == 7


NO_WORD: dict[str, tuple[Vendor, str, str]] = {
    "429": (says(b"", 429), "throttled_account", "http_429"),
    "500": (says(b"", 500), "unknown", "http_500"),
    "500 with a page": (says(b"<html>oops</html>", 500), "unknown", "http_500"),
    "502 with a code of nobody's": (says(refusal(502, 502), 502), "unknown", "http_502"),
    "403": (says(b"<html>WAF</html>", 403), "config", "http_403"),
    "302": (says(b"", 302, Location="/elsewhere"), "unknown", "http_302"),
    "202": (says(CREATED, 202), "unknown", "http_202"),
    "nothing": (says(b"", 201), "unknown", "http_201"),
    "rubbish": (says(b"\xff\xfe{", 201), "unknown", "http_201"),
    "other JSON": (says([CREATED], 201), "unknown", "http_201"),
    "no sid": (says({**CREATED, "sid": None}, 201), "unknown", "http_201"),
    "an empty sid": (says({**CREATED, "sid": ""}, 201), "unknown", "http_201"),
    "a code that is no number": (says({"code": "21211"}, 400), "unknown", "http_400"),
    "a well without bottom": (says(b'{"code":1,"x":' + b"[" * 50_000, 400), "unknown", "http_400"),
    "a broken connection": (hangs_up(), "unknown", "disconnected"),
}


@pytest.mark.parametrize(("vendor", "outcome", "reason"), NO_WORD.values(), ids=NO_WORD)
async def test_an_answer_without_a_word_of_twilios(
    http: aiohttp.ClientSession, vendor: Vendor, outcome: str, reason: str
) -> None:
    result = await send(http, vendor)

    assert (result.outcome.value, result.reason, result.message_id) == (outcome, reason, None)
    assert len(vendor.asked) == 1


# The feedback


async def test_an_approval_is_told_by_the_messages_id(http: aiohttp.ClientSession) -> None:
    vendor = says({"outcome": "confirmed"}, 201)

    async with open_for_business(vendor):
        provider: LearningProvider = await an_open_gateway(vendor, http)
        assert await provider.approved(MESSAGE_SID)

    path = f"/twilio/2010-04-01/Accounts/{ACCOUNT_SID}/Messages/{MESSAGE_SID}/Feedback.json"
    assert (vendor.request.method, vendor.request.path) == ("POST", path)
    assert vendor.request.headers["Authorization"] == aiohttp.encode_basic_auth(ACCOUNT_SID, "test_auth_token")
    assert vendor.request.form == {"Outcome": "confirmed"}


@pytest.mark.parametrize(
    "vendor", [says(refusal(20404, 404), 404), says(b"", 500), says(b"", 302, Location="/"), hangs_up()]
)
async def test_an_approval_that_is_not_taken_is_not_told_again(http: aiohttp.ClientSession, vendor: Vendor) -> None:
    async with open_for_business(vendor):
        gateway = await an_open_gateway(vendor, http)
        assert not await gateway.approved(MESSAGE_SID)

    assert len(vendor.asked) == 1


async def test_an_approval_without_credentials_is_not_told(http: aiohttp.ClientSession) -> None:
    vendor = says(b"", 201)

    async with open_for_business(vendor):
        gateway = await an_open_gateway(vendor, http, auth_token="")
        assert not await gateway.approved(MESSAGE_SID)

    assert vendor.asked == []


async def test_a_messages_id_stays_in_its_place_in_the_path(http: aiohttp.ClientSession) -> None:
    vendor = says(b"", 201)

    async with open_for_business(vendor):
        await (await an_open_gateway(vendor, http)).approved("../x?y")

    assert "/Messages/..%2Fx%3Fy/Feedback.json" in vendor.request.path


# The credentials


@pytest.mark.parametrize(
    ("entries", "named"),
    [
        ({"account_sid": "AC0"}, "account_sid"),
        ({"account_sid": f"{ACCOUNT_SID}/../x"}, "account_sid"),
        ({"account_sid": None}, "account_sid"),
        ({"auth_token": ""}, "auth_token"),
        ({"api_key_sid": API_KEY["api_key_sid"]}, "api_key_secret"),
        ({"api_key_secret": API_KEY["api_key_secret"]}, "api_key_sid"),
        ({**API_KEY, "api_key_sid": "key"}, "api_key_sid"),
        ({"shared_key": 7}, "shared_key"),
    ],
)
async def test_a_secret_that_makes_no_sense_is_told_by_provider_and_entry(
    http: aiohttp.ClientSession, entries: dict[str, Any], named: str
) -> None:
    gateway = await open_provider(an_account({**SECRET, **entries}, http))

    with pytest.raises(KeysUnavailable, match=rf"twilio.*{named}") as error:
        await gateway.prepare()

    assert not [value for value in {**SECRET, **API_KEY}.values() if value in str(error.value)]


async def test_without_credentials_nothing_is_sent(http: aiohttp.ClientSession) -> None:
    vendor = says(*ACCEPTED)

    async with open_for_business(vendor):
        gateway = await an_open_gateway(vendor, http, auth_token=None)
        result = await gateway.send(a_message(**ROUTE))

    assert result == SendResult(provider="twilio", outcome=Outcome.CONFIG, reason="no_credentials")
    assert vendor.asked == []


# What must not be seen

SEEN_NEVER = [SECRET["auth_token"], API_KEY["api_key_secret"], "the-shared-key", TOKEN, CODE, GERMAN, GERMAN[1:]]


@pytest.mark.parametrize("vendor", [says(*ACCEPTED), says(refusal(21211), 400), says(GERMAN.encode(), 400), hangs_up()])
async def test_no_code_key_or_number_is_in_a_log_or_a_result(
    http: aiohttp.ClientSession, vendor: Vendor, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("DEBUG")

    async with open_for_business(vendor):
        gateway = await an_open_gateway(vendor, http, RECEIPTS_URL, shared_key="the-shared-key", **API_KEY)
        result = await gateway.send(a_message(**ROUTE))
        secret = await gateway.credentials()
        request = gateway.request(a_message(**ROUTE), secret, gateway.account)

    shown = caplog.text + repr(result) + repr(gateway) + repr(secret) + repr(request)
    assert not [text for text in SEEN_NEVER if text in shown]
    # They were there to be seen, and the log was on.
    assert all(text in str(vendor.request.form) for text in (CODE, GERMAN))
    assert caplog.records


# Callbacks

NOW = 1_704_067_200
FIELDS = {
    "AccountSid": ACCOUNT_SID,
    "ApiVersion": "2010-04-01",
    "From": "+15005550001",
    "MessageSid": MESSAGE_SID,
    "MessageStatus": "delivered",
    "SmsSid": MESSAGE_SID,
    "SmsStatus": "delivered",
    "To": "+15005550006",
}
PATH = "/v1/receipts/twilio/token"
SHARED = {"shared_key": "the-shared-key"}
SHA256 = {"X-Twilio-Webhooks-Signature-Settings": "key=webhooks_sharedkey_1,algorithm=HMAC_SHA256"}
DELIVERED = Receipt(provider="twilio", reference=REFERENCE, status=DeliveryStatus.DELIVERED, reason=None, at=NOW)


def sign(text: str, key: str = "test_auth_token", digest: str = "sha1") -> str:
    return base64.b64encode(hmac.new(key.encode(), text.encode(), digest).digest()).decode()


def listed(fields: dict[str, str]) -> str:
    return "".join(name + fields[name] for name in sorted(fields))


def callback(fields: dict[str, str], signature: str | None = None, **more: Any) -> Push:
    """As Twilio would post it, signed with the auth token unless a signature is given."""
    path = more.pop("path", PATH)
    signed = sign(f"{RECEIPTS_URL}{path}{listed(fields)}") if signature is None else signature
    headers = {
        "Content-Type": "application/x-www-form-urlencoded; charset=UTF-8",
        "X-Twilio-Signature": signed,
        **more.pop("headers", {}),
    }
    return a_push(urlencode(fields).encode(), path=path, headers=headers, **more)


def read(push: Push, **secret: Any) -> tuple[Receipt, ...]:
    return RECEIPTS.read(push, {"receipt_token": TOKEN, **SECRET, **secret}, NOW)


VECTOR_URL = "https://sms.example.com/dlr/twilio?t=1"
VECTORS = {"HMAC_SHA1": "liea6R1HG9/y9xMmFfzl/UNQEcg=", "HMAC_SHA256": "aDNCT/CaUXGcrp90Rmss09swnN25pqTRQDO5Qh6KRQQ="}


@pytest.mark.parametrize("algorithm", VECTORS)
def test_the_vectors_of_twilios_own_library(algorithm: str) -> None:
    headers = {"X-Twilio-Webhooks-Signature-Settings": f"key=k,algorithm={algorithm}"}
    push = callback(FIELDS, VECTORS[algorithm], path="/dlr/twilio?t=1", headers=headers)

    assert push.url == VECTOR_URL
    assert read(push, shared_key="test_auth_token") == (DELIVERED,)


@pytest.mark.parametrize(
    ("status", "expected"),
    [
        ("sent", "sent"),
        ("delivered", "delivered"),
        ("read", "delivered"),
        ("undelivered", "failed"),
        ("failed", "failed"),
        ("canceled", "failed"),
        ("queued", None),
        ("sending", None),
        ("accepted", None),
        ("scheduled", None),
        ("receiving", None),
        ("received", None),
        ("partially_delivered", None),
        ("lost", None),
        ("", None),
    ],
)
def test_every_status(status: str, expected: str | None) -> None:
    receipts = read(callback({**FIELDS, "MessageStatus": status, "SmsStatus": status}))

    assert [receipt.status.value for receipt in receipts] == ([] if expected is None else [expected])


@pytest.mark.parametrize(
    ("told", "reason"),
    [("30003", "30003"), ("30 <b>号", "30b"), ("x" * 40, "x" * 32), ("", None), ("号", None)],
)
def test_a_failures_reason_is_reduced_to_a_word(told: str, reason: str | None) -> None:
    (receipt,) = read(callback({**FIELDS, "MessageStatus": "undelivered", "ErrorCode": told}))

    assert receipt.reason == reason


@pytest.mark.parametrize("code", ["21610", "30004", "30007", "30018", "30450", "60410"])
def test_what_was_blocked_is_rejected_and_nobody_elses_to_send(code: str) -> None:
    (receipt,) = read(callback({**FIELDS, "MessageStatus": "undelivered", "ErrorCode": code}))

    assert (receipt.status.value, receipt.reason) == ("rejected", code)


def test_a_delivered_message_has_no_reason() -> None:
    assert read(callback({**FIELDS, "ErrorCode": "0"})) == (DELIVERED,)


def test_fields_that_nobody_knows_are_signed_and_ignored() -> None:
    assert read(callback({**FIELDS, "RawDlrDoneDate": "2401020304", "New": "ä ö+&=", "Empty": ""})) == (DELIVERED,)


def test_a_field_that_comes_several_times_is_signed_with_each_value_once() -> None:
    body = urlencode([*FIELDS.items(), ("A", "2"), ("A", "1"), ("A", "2")]).encode()
    headers = {"X-Twilio-Signature": sign(f"{RECEIPTS_URL}{PATH}A1A2{listed(FIELDS)}")}

    assert read(a_push(body, path=PATH, headers=headers)) == (DELIVERED,)


@pytest.mark.parametrize("host", ["https://sms.example.com", "https://sms.example.com:443"])
def test_a_port_may_be_named_or_not(host: str) -> None:
    assert read(callback(FIELDS, sign(f"{host}{PATH}{listed(FIELDS)}"))) == (DELIVERED,)


def test_a_callback_to_the_accounts_address_finds_no_message() -> None:
    assert read(callback(FIELDS, reference=None)) == ()


def test_a_callback_signed_with_the_shared_key() -> None:
    text = f"{RECEIPTS_URL}{PATH}{listed(FIELDS)}"

    push = callback(FIELDS, sign(text, "the-shared-key", "sha256"), headers=SHA256)

    assert read(push, **SHARED) == (DELIVERED,)


def json_callback(body: bytes, told: bytes | None = None, kind: str = "application/json") -> Push:
    query = f"?bodySHA256={hashlib.sha256(body if told is None else told).hexdigest()}"
    signature = sign(f"{RECEIPTS_URL}{PATH}{query}")
    headers = {"Content-Type": kind, "X-Twilio-Signature": signature}
    return a_push(body, path=PATH + query, headers=headers)


def test_a_callback_in_json_is_signed_by_its_hash() -> None:
    body = json.dumps({**FIELDS, "Nested": {"a": [1]}, "Number": 1, "Nothing": None}).encode()

    assert read(json_callback(body)) == (DELIVERED,)


def test_json_that_is_not_what_was_signed_is_refused() -> None:
    body = json.dumps(FIELDS).encode()

    with pytest.raises(InvalidSignature):
        read(json_callback(body, told=b"{}"))


def test_json_whose_hash_nobody_signed_is_refused() -> None:
    headers = {"Content-Type": "application/json", "X-Twilio-Signature": sign(f"{RECEIPTS_URL}{PATH}")}

    with pytest.raises(InvalidSignature):
        read(a_push(json.dumps(FIELDS).encode(), path=PATH, headers=headers))


def test_a_form_is_not_taken_for_signed_by_a_hash_in_the_url() -> None:
    body = urlencode(FIELDS).encode()

    with pytest.raises(InvalidSignature):
        read(json_callback(body, kind="application/x-www-form-urlencoded"))


TEXT = f"{RECEIPTS_URL}{PATH}{listed(FIELDS)}"
REFUSED = {
    "no signature": callback(FIELDS, ""),
    "rubbish": callback(FIELDS, "\udcffé"),
    "another's key": callback(FIELDS, sign(TEXT, "another_auth_token")),
    "another's field": callback({**FIELDS, "MessageStatus": "failed"}, sign(TEXT)),
    "another address": callback(FIELDS, sign(TEXT), path="/v1/receipts/twilio/another"),
    "another host": callback(FIELDS, sign(TEXT.replace("sms.example.com", "example.com"))),
    "another port": callback(FIELDS, sign(TEXT.replace("example.com", "example.com:8443"))),
    "a longer hash, unannounced": callback(FIELDS, sign(TEXT, digest="sha256")),
    "a longer hash with the auth token": callback(FIELDS, sign(TEXT, digest="sha256"), headers=SHA256),
    "a shorter hash, announced as longer": callback(FIELDS, sign(TEXT, "the-shared-key"), headers=SHA256),
    "the shared key, unannounced": callback(FIELDS, sign(TEXT, "the-shared-key")),
    "an algorithm that nobody knows": callback(
        FIELDS, sign(TEXT), headers={"X-Twilio-Webhooks-Signature-Settings": "key=k,algorithm=NONE"}
    ),
}


@pytest.mark.parametrize("push", REFUSED.values(), ids=REFUSED)
def test_what_twilio_did_not_sign_is_refused(push: Push) -> None:
    with pytest.raises(InvalidSignature):
        read(push, **SHARED)


def test_a_shared_key_that_the_secret_lacks_is_no_key() -> None:
    push = callback(FIELDS, sign(TEXT, "the-shared-key", "sha256"), headers=SHA256)

    with pytest.raises(InvalidSignature, match="no key"):
        read(push)


def test_a_push_with_no_secret_to_check_it_names_the_provider() -> None:
    with pytest.raises(KeysUnavailable, match=r"twilio.*auth_token"):
        read(callback(FIELDS), auth_token=None)


MALFORMED = {
    "no UTF-8": b"\xff\xfe",
    "no UTF-8 inside": b"MessageSid=%FF",
    "too many fields": b"a=1&" * 1_000,
}


@pytest.mark.parametrize("body", MALFORMED.values(), ids=MALFORMED)
def test_what_is_no_form_is_refused(body: bytes) -> None:
    with pytest.raises(InvalidRequest) as error:
        read(a_push(body, path=PATH))

    assert error.value.__suppress_context__


@pytest.mark.parametrize("fields", [{}, {"CallSid": "CA1", "CallStatus": "completed"}])
def test_a_signed_callback_about_something_else_is_refused(fields: dict[str, str]) -> None:
    with pytest.raises(InvalidRequest):
        read(callback(fields))


def test_rubbish_in_json_is_refused() -> None:
    for body in (b"", b"[1]", b"\xff", b'{"a":' + b"[" * 50_000):
        with pytest.raises(InvalidRequest):
            read(json_callback(body))


def test_twilio_wants_to_hear_nothing() -> None:
    assert (RECEIPTS.acknowledgement.body, RECEIPTS.acknowledgement.media_type) == (b"", "text/plain")


names = st.sampled_from(sorted(FIELDS)) | st.text(max_size=5)
forms = st.dictionaries(names, st.sampled_from(["delivered", "failed"]) | st.text(max_size=8), max_size=8)


@given(st.binary() | forms.map(lambda fields: urlencode(fields, errors="replace").encode()), st.text(), st.booleans())
@settings(deadline=None)
def test_any_push_without_a_signature_is_refused(body: bytes, signature: str, in_json: bool) -> None:  # noqa: FBT001
    kind = "application/json" if in_json else "application/x-www-form-urlencoded"

    with pytest.raises((InvalidRequest, InvalidSignature)):
        read(a_push(body, path=PATH, headers={"Content-Type": kind, "X-Twilio-Signature": signature}))


@given(forms)
@settings(deadline=None)
def test_any_signed_form_is_a_receipt_or_none_or_an_invalid_request(fields: dict[str, str]) -> None:
    safe = {name.encode(errors="replace").decode(): value for name, value in fields.items()}

    try:
        receipts = read(callback(safe))
    except InvalidRequest:
        assert not {"MessageSid", "SmsSid"} & safe.keys()
        return

    assert all(receipt.reference == REFERENCE and receipt.at == NOW for receipt in receipts)


async def test_the_secret_is_read_into_twilios_own_type(http: aiohttp.ClientSession) -> None:
    account = an_account({**SECRET, **API_KEY, **SHARED}, http)

    secret = await Credentials("twilio", account.fetch_secret, TwilioSecret)()

    assert (secret.account_sid, secret.api_key_sid) == (ACCOUNT_SID, API_KEY["api_key_sid"])
    assert secret.shared_key == Sensitive("the-shared-key")
