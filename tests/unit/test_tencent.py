"""Tencent's wire format and signature, what its answers mean, and its status reports, over real sockets."""

from __future__ import annotations

import json
import re
from functools import partial
from typing import Any
from urllib.parse import urlsplit

import aiohttp
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tencentcloud.common.abstract_client import AbstractClient
from tencentcloud.common.credential import Credential
from tencentcloud.common.http.request import RequestInternal

from functions.domain.delivery import DeliveryStatus, Outcome, Receipt, Scope, SendResult
from functions.domain.errors import InvalidRequest
from functions.domain.sensitive import Sensitive
from functions.providers import tencent
from functions.providers.tencent import RECEIPTS, TencentSecret, open_provider
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
    a_push,
    an_account,
    hangs_up,
    says,
    says_nothing,
    sent_by,
)

SECRET = {"secret_id": "AKIDmade-up-id", "secret_key": "made-up-secret-key", "sdk_app_id": "1400006666"}
ROUTE = {"template": "449739", "signature": "测试"}
SENT = {
    "SerialNo": "5000:1045710669157053657849499619",
    "PhoneNumber": CHINESE,
    "Fee": 2,
    "SessionContext": REFERENCE,
    "Code": "Ok",
    "Message": "send success",
    "IsoCode": "CN",
}

SHORT_WHOLE = Timeouts(connect=0.4, whole=0.5)


def of_the_message(*statuses: object) -> dict[str, Any]:
    return {"Response": {"SendStatusSet": statuses, "RequestId": "a0aabda6-cf91"}}


def of_the_call(code: object) -> dict[str, Any]:
    return {"Response": {"Error": {"Code": code, "Message": f"{CHINESE} …"}, "RequestId": "a0aabda6-cf91"}}


TAKEN = of_the_message(SENT)
ACCEPTED = (TAKEN, 200)

send = partial(sent_by, open_provider, SECRET, {"to": CHINESE, **ROUTE}, receipts_url=RECEIPTS_URL)


# The request


async def test_a_message_to_china_on_the_wire(http: aiohttp.ClientSession) -> None:
    vendor = says(TAKEN)

    await send(http, vendor)

    assert (vendor.request.method, vendor.request.path) == ("POST", "/")
    assert vendor.request.body.decode() == (
        '{"PhoneNumberSet":["+8613800000000"],"SmsSdkAppId":"1400006666","SignName":"测试","TemplateId":"449739",'
        f'"TemplateParamSet":["481516"],"SessionContext":"{REFERENCE}"}}'
    )


async def test_the_headers_name_call_version_region_and_time(http: aiohttp.ClientSession) -> None:
    vendor = says(TAKEN)

    await send(http, vendor)

    headers = vendor.request.headers
    assert headers["Content-Type"] == "application/json"
    assert headers["Host"] == vendor.url.removeprefix("http://")
    assert (headers["X-TC-Action"], headers["X-TC-Version"]) == ("SendSms", "2021-01-11")
    assert (headers["X-TC-Region"], headers["X-TC-Timestamp"]) == ("ap-guangzhou", "1800000000")


async def test_a_message_abroad_can_have_a_sender_and_need_not_have_a_signature(http: aiohttp.ClientSession) -> None:
    vendor = says(TAKEN)

    await send(http, vendor, to=GERMAN, signature=None, sender="ACME")

    call = vendor.request.json
    assert (call["PhoneNumberSet"], call["SenderId"]) == ([GERMAN], "ACME")
    assert "SignName" not in call


async def test_another_region_stands_in_the_secret(http: aiohttp.ClientSession) -> None:
    vendor = says(TAKEN)

    await send(http, vendor, entries={"region": "ap-singapore"})

    assert vendor.request.headers["X-TC-Region"] == "ap-singapore"


@pytest.mark.parametrize(
    ("order", "values"),
    [(["code"], [CODE]), (["code", "minutes"], [CODE, "5"]), (["minutes", "code"], ["5", CODE])],
)
async def test_the_templates_variables_are_those_of_the_secret_in_its_order(
    http: aiohttp.ClientSession, order: list[str], values: list[str]
) -> None:
    vendor = says(TAKEN)

    await send(http, vendor, entries={"template_params": order})

    assert vendor.request.json["TemplateParamSet"] == values


@pytest.mark.parametrize(("seconds", "minutes"), [(600, "10"), (599, "9"), (61, "1"), (1, "1")])
async def test_no_more_minutes_are_promised_than_there_are_but_one(
    http: aiohttp.ClientSession, seconds: int, minutes: str
) -> None:
    vendor = says(TAKEN)

    await send(http, vendor, entries={"template_params": ["code", "minutes"]}, valid_for=seconds)

    assert vendor.request.json["TemplateParamSet"] == [CODE, minutes]


@pytest.mark.parametrize("code", ["1234567", "12345678", "AB12CD", "", "12 34", "١٢٣٤"])
async def test_a_code_that_no_template_takes_is_left_to_another_provider(
    http: aiohttp.ClientSession, code: str
) -> None:
    vendor = says(TAKEN)

    result = await send(http, vendor, code=Sensitive(code))

    assert result == SendResult(
        provider="tencent", outcome=Outcome.CONFIG, reason="tencent_code_format", scope=Scope.ROUTE
    )
    assert vendor.asked == []


# The signature


def test_the_signature_of_the_documents_vector() -> None:
    body = (
        b'{"PhoneNumberSet":["+8613800000000"],"SmsSdkAppId":"1400000000","SignName":"test","TemplateId":"1",'
        b'"TemplateParamSet":["123456","5"]}'
    )
    secret = TencentSecret(
        receipt_token=Sensitive(TOKEN),
        secret_id=Sensitive("testid"),
        secret_key=Sensitive("testsecret"),
        sdk_app_id="1400000000",
    )

    authorization = tencent._authorization("https://sms.tencentcloudapi.com/", body, 1_704_067_200, secret)

    assert authorization == (
        "TC3-HMAC-SHA256 Credential=testid/2024-01-01/sms/tc3_request, SignedHeaders=content-type;host, "
        "Signature=08ee845d59a17cad980dc0974ba1a30a5056a7f2885ac2fd5723ca85d445ab1d"
    )


def official_signature(asked: Asked) -> str:
    """What the official SDK signs, given the request that came in: on 15 January 2027, the day of the test's clock."""
    client = AbstractClient(Credential(SECRET["secret_id"], SECRET["secret_key"]), "ap-guangzhou")
    request = RequestInternal(
        asked.headers["Host"], asked.method, urlsplit(asked.path).path, dict(asked.headers), asked.body
    )
    return str(client._get_tc3_signature({}, request, "2027-01-15", "sms", SECRET["secret_key"]))


@pytest.mark.parametrize("prefix", ["", "/tencent"])
@pytest.mark.parametrize("signature", ["测试", 'A&B "C" \\ %', "é\u0301 \U0001f600"])
async def test_the_signature_is_the_official_sdks(http: aiohttp.ClientSession, signature: str, prefix: str) -> None:
    vendor = says(TAKEN)

    await send(http, vendor, prefix=prefix, signature=signature)

    assert vendor.request.json["SignName"] == signature
    assert vendor.request.headers["Authorization"] == (
        f"TC3-HMAC-SHA256 Credential={SECRET['secret_id']}/2027-01-15/sms/tc3_request, "
        f"SignedHeaders=content-type;host, Signature={official_signature(vendor.request)}"
    )


# The answer


async def test_an_accepted_message_tells_its_id_and_segments(http: aiohttp.ClientSession) -> None:
    vendor = says(TAKEN)

    result = await send(http, vendor)

    assert result == SendResult(
        provider="tencent", outcome=Outcome.ACCEPTED, message_id="5000:1045710669157053657849499619", segments=2
    )
    assert len(vendor.asked) == 1


async def test_a_message_is_accepted_without_an_id_too(http: aiohttp.ClientSession) -> None:
    result = await send(http, says(of_the_message({"Code": "Ok", "SerialNo": ""})))

    assert result == SendResult(provider="tencent", outcome=Outcome.ACCEPTED)


# Every code of the contract, with its class and whether it is about the route.
CODES: dict[tuple[str, Scope], str] = {
    ("throttled_recipient", Scope.PROVIDER): """
        LimitExceeded.PhoneNumberThirtySecondLimit LimitExceeded.PhoneNumberOneHourLimit
        LimitExceeded.PhoneNumberDailyLimit LimitExceeded.PhoneNumberSameContentDailyLimit
        LimitExceeded.DeliveryFrequencyLimit LimitExceeded.ANewOne""",
    ("throttled_account", Scope.PROVIDER): """
        RequestLimitExceeded RequestLimitExceeded.IPLimitExceeded RequestLimitExceeded.UinLimitExceeded
        LimitExceeded.GlobalSmsSendingRateLimit""",
    ("config", Scope.PROVIDER): """
        LimitExceeded.AppDailyLimit LimitExceeded.DailyLimit LimitExceeded.PhoneNumberCountLimit
        FailedOperation.FailResolvePacket FailedOperation.JsonParseFail FailedOperation.InsufficientBalanceInSmsPackage
        InvalidParameterValue.SdkAppIdNotExist UnauthorizedOperation.RequestIpNotInWhitelist
        UnauthorizedOperation.ServiceSuspendDueToArrears UnauthorizedOperation.SmsSdkAppIdVerifyFail
        UnauthorizedOperation.SdkAppIdIsDisabled UnauthorizedOperation.RequestPermissionDeny
        AuthFailure.SignatureFailure AuthFailure.SecretIdNotFound AuthFailure.SignatureExpire
        UnsupportedOperation.ContainDomesticAndInternationalPhoneNumber InternalError.RequestTimeException
        InternalError.SigFieldMissing InternalError.SigVerificationFail""",
    ("config", Scope.ROUTE): """
        LimitExceeded.AppMainlandChinaDailyLimit LimitExceeded.AppGlobalDailyLimit
        LimitExceeded.AppCountryOrRegionDailyLimit MissingParameter MissingParameter.EmptyPhoneNumberSet
        InvalidParameterValue.TemplateParameterFormatError InvalidParameterValue.TemplateParameterLengthLimit
        FailedOperation.SignatureIncorrectOrUnapproved FailedOperation.TemplateIncorrectOrUnapproved
        FailedOperation.TemplateParamSetNotMatchApprovedTemplate FailedOperation.TemplateUnapprovedOrNotExist
        FailedOperation.MarketingSendTimeConstraint UnsupportedOperation.ChineseMainlandTemplateToGlobalPhone
        UnsupportedOperation.GlobalTemplateToChineseMainlandPhone""",
    ("config", Scope.FORBIDDEN): "LimitExceeded.AppCountryOrRegionInBlacklist",
    ("rejected_number", Scope.PROVIDER): """
        InvalidParameterValue.IncorrectPhoneNumber FailedOperation.PhoneNumberParseFail
        FailedOperation.PhoneNumberInBlacklist""",
    ("rejected_number", Scope.ROUTE): "UnsupportedOperation.UnsupportedRegion",
    ("rejected_content", Scope.PROVIDER): "FailedOperation.ContainSensitiveWord InvalidParameter.DirtyWordFound",
    ("rejected_content", Scope.ROUTE): """
        InvalidParameterValue.ProhibitedUseUrlInTemplateParameter InvalidParameterValue.ContentLengthLimit""",
    ("unknown", Scope.PROVIDER): "InternalError.SendAndRecvFail InternalError.Timeout",
    ("transient", Scope.PROVIDER): """
        InternalError InternalError.JsonParseFail InternalError.OtherError InternalError.ParseBackendResponseFail
        InternalError.RestApiInterfaceNotExist InternalError.UnknownError""",
    ("transient", Scope.ROUTE): "FailedOperation.OtherError FailedOperation.ParametersOtherError",
}
EVERY_CODE = [(code, outcome, scope) for (outcome, scope), codes in CODES.items() for code in codes.split()]
WAIT = {
    "LimitExceeded.PhoneNumberThirtySecondLimit": 30,
    "LimitExceeded.PhoneNumberOneHourLimit": 3_600,
    "LimitExceeded.PhoneNumberDailyLimit": 86_400,
    "LimitExceeded.PhoneNumberSameContentDailyLimit": 86_400,
}


@pytest.mark.parametrize(("code", "outcome", "scope"), EVERY_CODE)
async def test_every_code_has_its_class_and_scope_in_both_places(
    http: aiohttp.ClientSession, code: str, outcome: str, scope: Scope
) -> None:
    status = {"SerialNo": "", "PhoneNumber": CHINESE, "Fee": 0, "Code": code, "Message": "…", "IsoCode": ""}
    for vendor in (says(of_the_call(code)), says(of_the_message(status)), says(of_the_call(code), 500)):
        result = await send(http, vendor)

        assert result == SendResult(
            provider="tencent",
            outcome=Outcome(outcome),
            reason=f"tencent_{code}",
            retry_after=WAIT.get(code),
            scope=scope,
        )
        assert len(vendor.asked) == 1


async def test_the_gateways_own_retry_after_comes_first(http: aiohttp.ClientSession) -> None:
    vendor = says(of_the_call("LimitExceeded.PhoneNumberOneHourLimit"), 200, **{"Retry-After": "7"})

    assert (await send(http, vendor)).retry_after == 7


@pytest.mark.parametrize("status", [202, 302, 400, 500])
async def test_a_success_that_its_status_contradicts_is_unknown(http: aiohttp.ClientSession, status: int) -> None:
    result = await send(http, says(TAKEN, status))

    assert result == SendResult(provider="tencent", outcome=Outcome.UNKNOWN, reason=f"http_{status}")


NO_WORD: dict[str, tuple[Vendor, Outcome, str, int | None]] = {
    "429": (says(b"", 429), Outcome.THROTTLED_ACCOUNT, "http_429", None),
    "429 with Retry-After": (says(b"", 429, **{"Retry-After": "5"}), Outcome.THROTTLED_ACCOUNT, "http_429", 5),
    "500": (says(b"", 500), Outcome.UNKNOWN, "http_500", None),
    "a page": (says(b"<html>oops</html>", 502), Outcome.UNKNOWN, "http_502", None),
    "nothing": (says(b""), Outcome.UNKNOWN, "http_200", None),
    "rubbish": (says(b"\xff\xfe{"), Outcome.UNKNOWN, "http_200", None),
    "other JSON": (says([TAKEN]), Outcome.UNKNOWN, "http_200", None),
    "no message": (says(of_the_message()), Outcome.UNKNOWN, "http_200", None),
    "two messages": (says(of_the_message(SENT, SENT)), Outcome.UNKNOWN, "http_200", None),
    "no code": (says(of_the_message({"SerialNo": "1"})), Outcome.UNKNOWN, "http_200", None),
    "a code that is no text": (says(of_the_call(0)), Outcome.UNKNOWN, "http_200", None),
    "a code that nobody knows": (says(of_the_call("SomethingElse.Happened")), Outcome.UNKNOWN, "http_200", None),
    "a code with a number in it": (says(of_the_call("InternalError.13800000000")), Outcome.UNKNOWN, "http_200", None),
    "an error that is none": (says(of_the_call("Ok")), Outcome.UNKNOWN, "http_200", None),
    "an error beside a success": (
        says({"Response": {"Error": {"Code": "Odd"}, "SendStatusSet": [SENT]}}),
        Outcome.UNKNOWN,
        "http_200",
        None,
    ),
    "a well without bottom": (says(b'{"Response":' + b"[" * 50_000), Outcome.UNKNOWN, "http_200", None),
    "a broken connection": (hangs_up(), Outcome.UNKNOWN, "disconnected", None),
}


@pytest.mark.parametrize(("vendor", "outcome", "reason", "retry_after"), NO_WORD.values(), ids=NO_WORD)
async def test_an_answer_without_a_word_of_tencents(
    http: aiohttp.ClientSession, vendor: Vendor, outcome: Outcome, reason: str, retry_after: int | None
) -> None:
    result = await send(http, vendor)

    assert result == SendResult(provider="tencent", outcome=outcome, reason=reason, retry_after=retry_after)
    assert len(vendor.asked) == 1


async def test_no_answer_in_time_is_unknown_and_is_not_asked_for_again(http: aiohttp.ClientSession) -> None:
    vendor = says_nothing()

    result = await send(http, vendor, timeouts=SHORT_WHOLE)

    assert result == SendResult(provider="tencent", outcome=Outcome.UNKNOWN, reason="read_timeout")
    assert len(vendor.asked) == 1


async def test_a_send_from_abroad_has_eight_seconds_and_two_for_the_credentials(http: aiohttp.ClientSession) -> None:
    provider = await open_provider(an_account(SECRET, http))

    assert (provider.name, provider.timeout) == ("tencent", 2 + 8)


# What must not be seen


@pytest.mark.parametrize(
    ("wrong", "named"),
    [
        ({"secret_id": ""}, "secret_id"),
        ({"secret_id": "AKIDmade-up-id\n"}, "secret_id"),
        ({"region": "ap-guangzhou\n"}, "region"),
        ({"secret_key": None}, "secret_key"),
        ({"sdk_app_id": 1_400_006_666}, "sdk_app_id"),
        ({"template_params": ["code", "hours"]}, "template_params"),
        ({"template_params": ["minutes"]}, "template_params"),
        ({"template_params": []}, "template_params"),
    ],
)
async def test_a_malformed_secret_is_told_with_the_provider_and_the_entry(
    http: aiohttp.ClientSession, wrong: dict[str, Any], named: str
) -> None:
    provider = await open_provider(an_account({**SECRET, **wrong}, http))

    with pytest.raises(KeysUnavailable, match=f"tencent.*{named}"):
        await provider.prepare()


KEYS = [SECRET["secret_id"], SECRET["secret_key"], TOKEN]
SECRETS = [*KEYS, CODE, CHINESE, CHINESE[3:]]


@pytest.mark.parametrize(
    "vendor", [says(TAKEN), says(of_the_call("FailedOperation.13800000000")), says(b"13800000000"), hangs_up()]
)
async def test_no_code_key_or_number_is_in_a_log_a_result_or_a_repr(
    http: aiohttp.ClientSession, vendor: Vendor, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("DEBUG")

    result = await send(http, vendor)

    provider = await open_provider(an_account(SECRET, http))
    await provider.prepare()
    shown = caplog.text + repr(result) + repr(provider)
    assert not [secret for secret in SECRETS if secret in shown]
    # They were there to be seen.
    assert all(secret in vendor.request.body.decode() for secret in (CODE, CHINESE[3:]))


# Receipts

NOW = 1_704_070_000
REPORT = {
    "user_receive_time": "2024-01-01 08:00:05",
    "nationcode": "86",
    "mobile": "13800000000",
    "report_status": "SUCCESS",
    "errmsg": "DELIVRD",
    "description": "用户短信送达成功",
    "sid": "5000:1045710669157053657849499619",
    "ext": REFERENCE,
}
DELIVERED = Receipt(
    provider="tencent", reference=REFERENCE, status=DeliveryStatus.DELIVERED, reason=None, at=1_704_067_205
)


def read(body: bytes, reference: str | None = None) -> tuple[Receipt, ...]:
    return RECEIPTS.read(a_push(body, reference=reference), SECRET, NOW)


def push(*reports: object) -> bytes:
    return json.dumps(reports).encode()


def test_a_delivered_message() -> None:
    assert read(push(REPORT)) == (DELIVERED,)


def test_a_push_can_bring_several_reports() -> None:
    failed = {**REPORT, "ext": "another.2", "report_status": "FAIL", "errmsg": "MK:0008"}
    foreign = {**REPORT, "ext": ""}

    first, second = read(push(REPORT, foreign, failed))

    assert first == DELIVERED
    assert (second.reference, second.status, second.reason) == ("another.2", DeliveryStatus.FAILED, "MK:0008")


def test_a_status_that_nobody_knows_is_no_news() -> None:
    assert read(push({**REPORT, "report_status": "PENDING"}, REPORT)) == (DELIVERED,)


def test_a_report_without_our_context_is_found_by_the_messages_own_address() -> None:
    assert read(push({**REPORT, "ext": None}), reference=REFERENCE) == (DELIVERED,)


@pytest.mark.parametrize("told", [None, "", "yesterday", "2024-13-01 08:00:05", "2999-01-01 00:00:00"])
def test_a_time_that_cannot_be_is_now(told: str | None) -> None:
    (receipt,) = read(push({**REPORT, "user_receive_time": told}))

    assert receipt.at == NOW


@pytest.mark.parametrize(
    ("told", "reason"), [("MK:0008", "MK:0008"), ("停机", None), ("x" * 40, "x" * 32), (None, None)]
)
def test_a_failures_reason_is_reduced_to_a_word(told: str | None, reason: str | None) -> None:
    (receipt,) = read(push({**REPORT, "report_status": "FAIL", "errmsg": told}))

    assert receipt.reason == reason


def test_tencent_wants_to_hear_of_success_as_json() -> None:
    assert RECEIPTS.acknowledgement == Acknowledgement(b'{"result":0,"errmsg":"OK"}', media_type="application/json")


MALFORMED = {
    "nothing": b"",
    "no text": b"\xff\xfe",
    "no list": json.dumps(REPORT).encode(),
    "a list of other things": push(1),
    "no status": push({"ext": REFERENCE}),
    "a context that is no text": push({**REPORT, "ext": 7}),
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
entries = st.lists(st.dictionaries(st.sampled_from(sorted(REPORT)), anything | st.sampled_from(["SUCCESS", "FAIL"])))


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
