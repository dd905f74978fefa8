"""Aliyun's wire format and signature, what its answers mean, and its status reports, over real sockets."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from functools import partial
from urllib.parse import parse_qsl, urlsplit

import aiohttp
import pytest
from alibabacloud_openapi_util.client import Client as OfficialSdk
from hypothesis import given, settings
from hypothesis import strategies as st
from Tea.request import TeaRequest

from functions.domain.delivery import DeliveryStatus, Outcome, Receipt, Scope, SendResult
from functions.domain.errors import InvalidRequest
from functions.domain.sensitive import Sensitive
from functions.providers import aliyun_api
from functions.providers.aliyun import RECEIPTS, open_provider
from functions.providers.aliyun_api import AliyunSecret
from functions.providers.transport import Timeouts
from functions.usecases.ports import Acknowledgement, KeysUnavailable
from tests.adapters import (
    CHINESE,
    CODE,
    GERMAN,
    RECEIPTS_URL,
    REFERENCE,
    TOKEN,
    Asked,
    Vendor,
    a_message,
    a_push,
    an_account,
    hangs_up,
    open_for_business,
    says,
    says_nothing,
    sent_by,
)

SECRET = {"access_key_id": "LTAI-made-up-access-key-id", "access_key_secret": "made-up-access-key-secret"}
ROUTE = {"template": "SMS_154950909", "signature": "测试签名"}
TAKEN = {"Message": "OK", "RequestId": "F655A8D5-B967-440B-8683", "Code": "OK", "BizId": "900619746936498440^0"}
ACCEPTED = (TAKEN, 200)

SHORT_WHOLE = Timeouts(connect=0.4, whole=0.5)
EMPTY = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"

send = partial(sent_by, open_provider, SECRET, {"to": CHINESE, **ROUTE}, receipts_url=RECEIPTS_URL)


def query(asked: Asked) -> dict[str, str]:
    return dict(parse_qsl(urlsplit(asked.path).query, strict_parsing=True))


# The request


async def test_a_message_to_china_on_the_wire(http: aiohttp.ClientSession) -> None:
    vendor = says(TAKEN)

    await send(http, vendor)

    asked = vendor.request
    assert (asked.method, asked.body) == ("POST", b"")
    assert asked.path == (
        "/?OutId=vfy_k1_abcdefghijklmnopqrstuvwxabcdefghijklmnop.1"
        "&PhoneNumbers=13800000000"
        "&SignName=%E6%B5%8B%E8%AF%95%E7%AD%BE%E5%90%8D"
        "&TemplateCode=SMS_154950909"
        "&TemplateParam=%7B%22code%22%3A%22481516%22%7D"
    )


async def test_the_headers_that_are_signed_and_no_content_type_which_is_not(http: aiohttp.ClientSession) -> None:
    vendor = says(TAKEN)

    await send(http, vendor)

    headers = {name.lower(): value for name, value in vendor.request.headers.items()}
    assert {name: value for name, value in headers.items() if name.startswith("x-acs-")} == {
        "x-acs-action": "SendSms",
        "x-acs-version": "2017-05-25",
        "x-acs-date": "2027-01-15T08:00:00Z",
        "x-acs-signature-nonce": "000102030405060708090a0b0c0d0e0f",
        "x-acs-content-sha256": EMPTY,
    }
    assert headers["host"] == vendor.url.removeprefix("http://")
    assert headers["accept"] == "application/json"
    assert "content-type" not in headers


async def test_a_number_abroad_has_its_country_code_and_no_plus(http: aiohttp.ClientSession) -> None:
    vendor = says(TAKEN)

    await send(http, vendor, to=GERMAN)

    assert query(vendor.request)["PhoneNumbers"] == "4915112345678"


async def test_a_number_of_hong_kong_is_one_abroad(http: aiohttp.ClientSession) -> None:
    vendor = says(TAKEN)

    await send(http, vendor, to="+85251234567")

    assert query(vendor.request)["PhoneNumbers"] == "85251234567"


async def test_each_request_has_a_nonce_of_its_own(http: aiohttp.ClientSession) -> None:
    vendor, nonces = says(TAKEN), iter([b"1" * 16, b"2" * 16])
    async with open_for_business(vendor):
        account = replace(an_account(SECRET, http, url=vendor.url), entropy=lambda _: next(nonces))
        provider = await open_provider(account)
        await provider.send(a_message(CHINESE, **ROUTE))
        await provider.send(a_message(CHINESE, **ROUTE))

    assert len({asked.headers["x-acs-signature-nonce"] for asked in vendor.asked}) == 2


# The signature

VECTOR = {
    "host": "dysmsapi.aliyuncs.com",
    "x-acs-action": "SendSms",
    "x-acs-version": "2017-05-25",
    "x-acs-date": "2024-01-01T00:00:00Z",
    "x-acs-signature-nonce": "9b7a44b03be111e58c7308002700c460",
    "x-acs-content-sha256": EMPTY,
}


def test_the_signature_of_the_documents_vector() -> None:
    """Its ACS3 one. The older signature of version 1 (HMAC-SHA1) is used by nothing here, and not implemented."""
    secret = AliyunSecret(
        receipt_token=Sensitive(TOKEN), access_key_id=Sensitive("testid"), access_key_secret=Sensitive("testsecret")
    )
    parameters = {
        "TemplateParam": '{"code":"123456"}',
        "PhoneNumbers": "13800000000",
        "SignName": "测试签名",
        "TemplateCode": "SMS_1",
    }

    authorization = aliyun_api._authorization("/", aliyun_api._encode(parameters), VECTOR, secret)

    assert authorization == (
        "ACS3-HMAC-SHA256 Credential=testid,"
        "SignedHeaders=host;x-acs-action;x-acs-content-sha256;x-acs-date;x-acs-signature-nonce;x-acs-version,"
        "Signature=e10761d80aa069449116c6176553bb0071634a75a4df264e5744499f265cc18d"
    )


def official_authorization(asked: Asked) -> str:
    """What the official SDK signs, given the parameters and headers that came in."""
    request = TeaRequest()
    request.method = asked.method
    request.pathname = urlsplit(asked.path).path
    request.query = query(asked)
    request.headers = {
        name.lower(): value
        for name, value in asked.headers.items()
        if name.lower() == "host" or name.lower().startswith("x-acs-")
    }
    key = SECRET["access_key_id"], SECRET["access_key_secret"]
    return str(OfficialSdk.get_authorization(request, "ACS3-HMAC-SHA256", EMPTY, *key))


@pytest.mark.parametrize("prefix", ["", "/aliyun"])
@pytest.mark.parametrize("signature", ["测试签名", "A&B+C = ~100 %/*'()!", "é\u0301 \U0001f600", "-_.~"])
async def test_the_signature_is_the_official_sdks(http: aiohttp.ClientSession, signature: str, prefix: str) -> None:
    vendor = says(TAKEN)

    await send(http, vendor, prefix=prefix, signature=signature)

    assert query(vendor.request)["SignName"] == signature
    assert vendor.request.headers["Authorization"] == official_authorization(vendor.request)


@pytest.mark.parametrize("signature", ["测试签名", "A&B+C = ~100 %/*'()!:@?", "-_.~"])
async def test_the_query_goes_out_byte_for_byte_as_it_was_signed(http: aiohttp.ClientSession, signature: str) -> None:
    vendor = says(TAKEN)

    await send(http, vendor, signature=signature)

    assert urlsplit(vendor.request.path).query == aliyun_api._encode(query(vendor.request))


# The answer


async def test_an_accepted_message_tells_its_id(http: aiohttp.ClientSession) -> None:
    vendor = says(TAKEN)

    result = await send(http, vendor)

    assert result == SendResult(provider="aliyun", outcome=Outcome.ACCEPTED, message_id="900619746936498440^0")
    assert len(vendor.asked) == 1


async def test_a_message_is_accepted_without_an_id_too(http: aiohttp.ClientSession) -> None:
    assert await send(http, says({"Code": "OK"})) == SendResult(provider="aliyun", outcome=Outcome.ACCEPTED)


# Every code of the contract, with its class; those of the second line are about the route.
CODES: dict[str, tuple[str, str]] = {
    "throttled_recipient": (
        (
            "isv.BUSINESS_LIMIT_CONTROL MOBILE_SEND_LIMIT BUSINESS_LIMIT_CONTROL_MINUTE BUSINESS_LIMIT_CONTROL_PHONE "
            "isv.BUSINESS_LIMIT_HOUR isv.BUSINESS_LIMIT_DAY"
        ),
        "",
    ),
    "throttled_account": ("Throttling Throttling.User Throttling.Api", ""),
    "rejected_number": ("isv.MOBILE_NUMBER_ILLEGAL", "isv.DOMESTIC_NUMBER_NOT_SUPPORTED"),
    "rejected_content": (
        "isv.BLACK_KEY_CONTROL_LIMIT isv.SMS_CONTENT_ILLEGAL",
        "isv.PARAM_NOT_SUPPORT_URL isv.PARAM_LENGTH_LIMIT",
    ),
    "config": (
        (
            "isv.DAY_LIMIT_CONTROL isv.MONTH_LIMIT_CONTROL isp.RAM_PERMISSION_DENY isv.OUT_OF_SERVICE "
            "isv.AMOUNT_NOT_ENOUGH isv.PRODUCT_UN_SUBSCRIPT isv.PRODUCT_UNSUBSCRIBE isv.ACCOUNT_NOT_EXISTS "
            "isv.ACCOUNT_ABNORMAL isv.EXTEND_CODE_ERROR isv.INVALID_JSON_PARAM isv.MOBILE_COUNT_OVER_LIMIT "
            "SignatureDoesNotMatch InvalidAccessKeyId.NotFound InvalidAccessKeyId.Inactive IncompleteSignature "
            "SignatureNonceUsed InvalidTimeStamp.Expired InvalidTimeStamp.Format"
        ),
        (
            "isv.DENY_IP_RANGE isv.SMS_TEMPLATE_ILLEGAL isv.SMS_SIGNATURE_ILLEGAL isv.SIGN_STATE_ILLEGAL "
            "isv.SMS_SIGN_ILLEGAL isv.SMS_SIGNATURE_SCENE_ILLEGAL isv.TEMPLATE_MISSING_PARAMETERS "
            "isv.INVALID_PARAMETERS isv.A_NEW_ONE"
        ),
    ),
    "transient": ("isp.SYSTEM_ERROR ServiceUnavailable InternalError", ""),
}
EVERY_CODE = [
    (code, outcome, scope)
    for outcome, lists in CODES.items()
    for scope, codes in zip((Scope.PROVIDER, Scope.ROUTE), lists, strict=True)
    for code in codes.split()
]


@pytest.mark.parametrize("status", [200, 400, 503])
@pytest.mark.parametrize(("code", "outcome", "scope"), EVERY_CODE)
async def test_every_code_has_its_class_and_scope_whatever_the_status(
    http: aiohttp.ClientSession, code: str, outcome: str, scope: Scope, status: int
) -> None:
    vendor = says({"Code": code, "Message": "13800000000", "RequestId": "F655A8D5"}, status)

    result = await send(http, vendor)

    assert result == SendResult(provider="aliyun", outcome=Outcome(outcome), reason=f"aliyun_{code}", scope=scope)
    assert len(vendor.asked) == 1


@pytest.mark.parametrize("code", ["isv.CUSTOMER_REFUSED", "MOBILE_IN_BLACK"])
async def test_nobody_sends_to_a_person_who_wants_no_messages(http: aiohttp.ClientSession, code: str) -> None:
    result = await send(http, says({"Code": code}))

    assert (result.outcome, result.scope) == (Outcome.REJECTED_NUMBER, Scope.FORBIDDEN)


@pytest.mark.parametrize("status", [202, 302, 400, 500])
async def test_a_success_that_its_status_contradicts_is_unknown(http: aiohttp.ClientSession, status: int) -> None:
    result = await send(http, says(TAKEN, status))

    assert result == SendResult(provider="aliyun", outcome=Outcome.UNKNOWN, reason=f"http_{status}")


NO_WORD: dict[str, tuple[Vendor, Outcome, str, int | None]] = {
    "429": (says(b"", 429), Outcome.THROTTLED_ACCOUNT, "http_429", None),
    "429 with Retry-After": (says(b"", 429, **{"Retry-After": "5"}), Outcome.THROTTLED_ACCOUNT, "http_429", 5),
    "500": (says(b"", 500), Outcome.UNKNOWN, "http_500", None),
    "a page": (says(b"<html>oops</html>", 502), Outcome.UNKNOWN, "http_502", None),
    "nothing": (says(b""), Outcome.UNKNOWN, "http_200", None),
    "rubbish": (says(b"\xff\xfe{"), Outcome.UNKNOWN, "http_200", None),
    "other JSON": (says([TAKEN]), Outcome.UNKNOWN, "http_200", None),
    "no code": (says({"Message": "OK"}), Outcome.UNKNOWN, "http_200", None),
    "a code that is no text": (says({"Code": 0}), Outcome.UNKNOWN, "http_200", None),
    "a code that nobody knows": (says({"Code": "isp.SOMETHING_ELSE"}), Outcome.UNKNOWN, "http_200", None),
    "a code with a number in it": (says({"Code": "isv.13800000000"}), Outcome.UNKNOWN, "http_200", None),
    "a well without bottom": (says(b'{"Code":"OK","x":' + b"[" * 50_000), Outcome.UNKNOWN, "http_200", None),
    "a broken connection": (hangs_up(), Outcome.UNKNOWN, "disconnected", None),
}


@pytest.mark.parametrize(("vendor", "outcome", "reason", "retry_after"), NO_WORD.values(), ids=NO_WORD)
async def test_an_answer_without_a_word_of_aliyuns(
    http: aiohttp.ClientSession, vendor: Vendor, outcome: Outcome, reason: str, retry_after: int | None
) -> None:
    result = await send(http, vendor)

    assert result == SendResult(provider="aliyun", outcome=outcome, reason=reason, retry_after=retry_after)
    assert len(vendor.asked) == 1


async def test_no_answer_in_time_is_unknown_and_is_not_asked_for_again(http: aiohttp.ClientSession) -> None:
    vendor = says_nothing()

    result = await send(http, vendor, timeouts=SHORT_WHOLE)

    assert result == SendResult(provider="aliyun", outcome=Outcome.UNKNOWN, reason="read_timeout")
    assert len(vendor.asked) == 1


async def test_a_send_from_abroad_has_eight_seconds_and_two_for_the_credentials(http: aiohttp.ClientSession) -> None:
    provider = await open_provider(an_account(SECRET, http))

    assert (provider.name, provider.timeout) == ("aliyun", 2 + 8)


# What must not be seen


@pytest.mark.parametrize("entry", SECRET)
@pytest.mark.parametrize("value", ["", 7, None, "a key\r\n"])
async def test_a_malformed_secret_is_told_with_the_provider_and_the_entry(
    http: aiohttp.ClientSession, entry: str, value: object
) -> None:
    provider = await open_provider(an_account({**SECRET, entry: value}, http))

    with pytest.raises(KeysUnavailable, match=f"aliyun.*{entry}"):
        await provider.prepare()


SECRETS = [*SECRET.values(), TOKEN, CODE, CHINESE, CHINESE[3:]]


@pytest.mark.parametrize("vendor", [says(TAKEN), says({"Code": "isv.13800000000"}), says(b"13800000000"), hangs_up()])
async def test_no_code_key_or_number_is_in_a_log_a_result_or_a_repr(
    http: aiohttp.ClientSession, vendor: Vendor, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("DEBUG")
    # aiohttp's server, the vendor here, logs the line of each request with its query.
    caplog.set_level("CRITICAL", "aiohttp.access")

    result = await send(http, vendor)

    provider = await open_provider(an_account(SECRET, http))
    await provider.prepare()
    shown = caplog.text + repr(result) + repr(provider)
    assert not [secret for secret in SECRETS if secret in shown]
    # They were there to be seen.
    assert all(secret in vendor.request.path for secret in (CODE, CHINESE[3:]))


# Receipts

NOW = 1_704_070_000
REPORT = {
    "phone_number": "13800000000",
    "send_time": "2024-01-01 08:00:00",
    "report_time": "2024-01-01 08:00:05",
    "success": True,
    "err_code": "DELIVERED",
    "err_msg": "用户接收成功",
    "sms_size": "1",
    "biz_id": "9006^0",
    "out_id": REFERENCE,
}
DELIVERED = Receipt(
    provider="aliyun", reference=REFERENCE, status=DeliveryStatus.DELIVERED, reason=None, at=1_704_067_205
)


def read(body: bytes, reference: str | None = None) -> tuple[Receipt, ...]:
    return RECEIPTS.read(a_push(body, reference=reference), SECRET, NOW)


def push(*reports: object) -> bytes:
    return json.dumps(reports).encode()


def test_a_delivered_message() -> None:
    assert read(push(REPORT)) == (DELIVERED,)


def test_a_push_can_bring_several_reports() -> None:
    failed = {**REPORT, "out_id": "another.2", "success": False, "err_code": "MK:0008"}
    foreign = {**REPORT, "out_id": None}

    first, second = read(push(REPORT, foreign, failed))

    assert first == DELIVERED
    assert (second.reference, second.status, second.reason) == ("another.2", DeliveryStatus.FAILED, "MK:0008")


def test_a_success_in_quotes_is_one() -> None:
    delivered, failed = read(push({**REPORT, "success": "true"}, {**REPORT, "success": "false"}))

    assert (delivered.status, failed.status) == (DeliveryStatus.DELIVERED, DeliveryStatus.FAILED)


def test_a_report_without_an_out_id_is_found_by_the_messages_own_address() -> None:
    assert read(push({**REPORT, "out_id": ""}), reference=REFERENCE) == (DELIVERED,)


@pytest.mark.parametrize("told", [None, "", "yesterday", "2024-13-01 08:00:05", "2999-01-01 00:00:00"])
def test_a_time_that_cannot_be_is_now(told: str | None) -> None:
    (receipt,) = read(push({**REPORT, "report_time": told}))

    assert receipt.at == NOW


@pytest.mark.parametrize("code", ["MOBILE_IN_BLACK", "isv.BLACK_KEY_CONTROL_LIMIT", "isv.CUSTOMER_REFUSED"])
def test_what_was_blocked_is_rejected_and_nobody_elses_to_send(code: str) -> None:
    (receipt,) = read(push({**REPORT, "success": False, "err_code": code}))

    assert (receipt.status.value, receipt.reason) == ("rejected", code)


@pytest.mark.parametrize(
    ("told", "reason"), [("MK:0008", "MK:0008"), ("停机", None), ("x" * 40, "x" * 32), (None, None)]
)
def test_a_failures_reason_is_reduced_to_a_word(told: str | None, reason: str | None) -> None:
    (receipt,) = read(push({**REPORT, "success": False, "err_code": told}))

    assert receipt.reason == reason


def test_aliyun_wants_to_hear_of_success_as_json() -> None:
    assert RECEIPTS.acknowledgement == Acknowledgement(
        '{"code":0,"msg":"接收成功"}'.encode(), media_type="application/json"
    )


MALFORMED = {
    "nothing": b"",
    "no text": b"\xff\xfe",
    "no list": json.dumps(REPORT).encode(),
    "a list of other things": push(1),
    "no success": push({"out_id": REFERENCE}),
    "an out_id that is no text": push({**REPORT, "out_id": 7}),
    "a well without bottom": b'[{"x":' + b"[" * 50_000,
}


@pytest.mark.parametrize("body", MALFORMED.values(), ids=MALFORMED)
def test_what_is_malformed_is_refused_and_not_repeated(body: bytes) -> None:
    with pytest.raises(InvalidRequest, match=re.escape("not a list of status reports")) as refusal:
        read(body)

    assert refusal.value.__suppress_context__


anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=8,
)
entries = st.lists(st.dictionaries(st.sampled_from(sorted(REPORT)), anything | st.sampled_from(["true", "a.1"])))


@given(st.binary() | (anything | entries).map(lambda value: json.dumps(value).encode()))
@settings(deadline=None)
def test_any_bytes_are_receipts_or_an_invalid_request(body: bytes) -> None:
    try:
        receipts = read(body)
    except InvalidRequest:
        return

    for receipt in receipts:
        assert receipt.reference
        assert receipt.status in {DeliveryStatus.DELIVERED, DeliveryStatus.FAILED}
        assert 0 <= receipt.at <= NOW
