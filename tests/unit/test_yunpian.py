"""Yunpian's wire format, what its answers mean, and its status reports, over real sockets."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any
from urllib.parse import quote, quote_plus, urlencode

import aiohttp
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from functions.domain.delivery import DeliveryStatus, Message, Outcome, Receipt, Scope, SendResult
from functions.domain.errors import InvalidRequest
from functions.domain.receipt_token import message_token
from functions.domain.sensitive import Sensitive
from functions.providers.account import Account
from functions.providers.transport import LARGEST_ANSWER, Timeouts
from functions.providers.yunpian import RECEIPTS, open_provider
from functions.usecases.ports import Acknowledgement, KeysUnavailable
from tests.adapters import (
    CHINESE,
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
    says_nothing,
)

APIKEY = "0123456789abcdef0123456789abcdef"
SECRET = {"apikey": APIKEY}
ROUTE: dict[str, str] = {}

SHORT_WHOLE = Timeouts(connect=0.4, whole=0.5)

TAKEN = {
    "code": 0,
    "msg": "发送成功",
    "count": 1,
    "fee": 0.05,
    "unit": "RMB",
    "mobile": "13800000000",
    "sid": 74712264988,
}
ACCEPTED = (TAKEN, 200)
REFUSED = {
    "http_status_code": 400,
    "code": 22,
    "msg": "验证码类短信1小时内同一手机号发送次数不能超过3次",
    "detail": "13800000000 验证码类短信1小时内同一手机号发送次数不能超过3次",
}


def message(to: str = CHINESE, text: str = f"【测试】您的验证码是{CODE}") -> Message:
    return a_message(to, text)


async def send_from(account: Account, what: Message | None = None, timeouts: Timeouts = PATIENT) -> SendResult:
    provider = await open_provider(account, timeouts)
    return await provider.send(what or message())


async def send(
    http: aiohttp.ClientSession,
    vendor: Vendor,
    what: Message | None = None,
    *,
    timeouts: Timeouts = PATIENT,
    receipts_url: str | None = None,
) -> SendResult:
    async with open_for_business(vendor):
        account = an_account(SECRET, http, url=vendor.url, receipts_url=receipts_url)
        return await send_from(account, what, timeouts)


# The request


async def test_a_chinese_number_and_text_on_the_wire(http: aiohttp.ClientSession) -> None:
    vendor = says(TAKEN)

    await send(http, vendor)

    body = (
        b"apikey=0123456789abcdef0123456789abcdef"
        b"&mobile=13800000000"
        b"&text=%E3%80%90%E6%B5%8B%E8%AF%95%E3%80%91%E6%82%A8%E7%9A%84%E9%AA%8C%E8%AF%81%E7%A0%81%E6%98%AF481516"
        b"&uid=vfy_k1_abcdefghijklmnopqrstuvwxabcdefghijklmnop.1"
    )
    content_type = "application/x-www-form-urlencoded;charset=utf-8"
    asked = vendor.request
    assert (asked.method, asked.path, asked.body) == ("POST", "/v2/sms/single_send.json", body)
    assert (asked.headers["Content-Type"], asked.headers["Accept"]) == (content_type, "application/json;charset=utf-8")


async def test_a_german_number_and_text_on_the_wire(http: aiohttp.ClientSession) -> None:
    vendor = says(TAKEN)

    await send(http, vendor, message(GERMAN, "【Salvo】Dein Code für A&B+C: 481516"))

    assert vendor.request.body == (
        b"apikey=0123456789abcdef0123456789abcdef"
        b"&mobile=%2B4915112345678"
        b"&text=%E3%80%90Salvo%E3%80%91Dein+Code+f%C3%BCr+A%26B%2BC%3A+481516"
        b"&uid=vfy_k1_abcdefghijklmnopqrstuvwxabcdefghijklmnop.1"
    )


async def test_the_form_reads_back_as_it_was_meant(http: aiohttp.ClientSession) -> None:
    vendor = says(TAKEN)

    await send(http, vendor, message(GERMAN, "1 + 1 = 2 & 100 %"))

    assert vendor.request.form["mobile"] == GERMAN
    assert vendor.request.form["text"] == "1 + 1 = 2 & 100 %"


async def test_receipts_are_asked_for_at_the_messages_own_address(http: aiohttp.ClientSession) -> None:
    vendor = says(TAKEN)

    await send(http, vendor, receipts_url="https://api.example.com/prod")

    token = message_token(Sensitive(TOKEN), "yunpian", REFERENCE)
    assert vendor.request.form["callback_url"] == f"https://api.example.com/prod/v1/receipts/yunpian/{token}"


async def test_a_token_stays_one_part_of_the_url(http: aiohttp.ClientSession) -> None:
    vendor = says(TAKEN)

    async with open_for_business(vendor):
        secret = {**SECRET, "receipt_token": "a/b?c" * 7}
        await send_from(an_account(secret, http, url=vendor.url, receipts_url=RECEIPTS_URL))

    address = vendor.request.form["callback_url"]
    assert re.fullmatch(rf"{RECEIPTS_URL}/v1/receipts/yunpian/{REFERENCE}\.[A-Za-z0-9_-]{{22}}", address)


async def test_without_a_url_no_receipts_are_asked_for(http: aiohttp.ClientSession) -> None:
    vendor = says(TAKEN)

    await send(http, vendor)

    assert set(vendor.request.form) == {"apikey", "mobile", "text", "uid"}


async def test_each_send_asks_for_the_session_of_now(http: aiohttp.ClientSession) -> None:
    vendor = says(TAKEN)

    async with aiohttp.ClientSession() as frozen, open_for_business(vendor):
        sessions = iter([frozen, http])
        provider = await open_provider(
            replace(an_account(SECRET, http, url=vendor.url), session=lambda: next(sessions))
        )
        await provider.send(message())
        await frozen.close()

        assert (await provider.send(message())).outcome is Outcome.ACCEPTED


# The answer


async def test_an_accepted_message_tells_its_id_segments_and_price(http: aiohttp.ClientSession) -> None:
    assert await send(http, says(TAKEN)) == SendResult(
        provider="yunpian", outcome=Outcome.ACCEPTED, message_id="74712264988", segments=1, price="0.05 RMB"
    )


async def test_a_message_is_accepted_without_an_id_too(http: aiohttp.ClientSession) -> None:
    assert await send(http, says({"code": 0})) == SendResult(provider="yunpian", outcome=Outcome.ACCEPTED)


async def test_numbers_in_quotes_are_numbers(http: aiohttp.ClientSession) -> None:
    result = await send(http, says({"code": "0", "sid": "747", "count": "2", "fee": "0.1000", "unit": "RMB"}))

    assert (result.message_id, result.segments, result.price) == ("747", 2, "0.1000 RMB")


async def test_a_price_in_no_currency_is_left_out(http: aiohttp.ClientSession) -> None:
    assert (await send(http, says({**TAKEN, "unit": "13800000000"}))).price is None


# providers.md, section 1, copied as it stands: code → class.
CODES = {
    1: "config",
    2: "rejected_number",
    3: "config",
    4: "rejected_content",
    5: "config",
    6: "config",
    7: "config",
    8: "throttled_recipient",
    9: "throttled_recipient",
    10: "rejected_number",
    11: "rejected_number",
    12: "config",
    13: "config",
    14: "config",
    15: "config",
    16: "config",
    17: "throttled_recipient",
    18: "config",
    19: "config",
    20: "rejected_number",
    21: "config",
    22: "throttled_recipient",
    23: "config",
    24: "config",
    25: "config",
    26: "config",
    27: "config",
    28: "config",
    33: "throttled_recipient",
    43: "throttled_recipient",
    53: "throttled_recipient",
    55: "config",
    56: "rejected_number",
    58: "rejected_content",
    60: "config",
    -1: "config",
    -2: "config",
    -3: "config",
    -4: "throttled_account",
    -5: "throttled_account",
    -6: "config",
    -11: "config",
    -50: "transient",
    -51: "transient",
    -52: "config",
    -53: "transient",
    -54: "config",
    -55: "config",
    -56: "config",
    -57: "config",
    -62: "config",
}
ROUTE_CODES = {5, 6, 7, 13, 15, 16, 18, 20, 23, 28, 58, 60, -57}
"""Those of the table that are about a country, a carrier, a template or a signature."""
OTHER_CODES = {99: "config", 100_000: "config", -7: "transient", -99: "transient"}


@pytest.mark.parametrize(("code", "outcome"), [*CODES.items(), *OTHER_CODES.items()])
async def test_every_code_has_its_class(http: aiohttp.ClientSession, code: int, outcome: str) -> None:
    vendor = says({"http_status_code": 400, "code": code, "msg": None, "detail": "13800000000"}, status=400)

    result = await send(http, vendor)

    assert (result.outcome.value, result.reason) == (outcome, f"yunpian_{code}")
    assert result.scope is (Scope.ROUTE if code in ROUTE_CODES | {99, 100_000} else Scope.PROVIDER)
    assert (result.message_id, result.segments, result.price) == (None, None, None)
    assert len(vendor.asked) == 1


@pytest.mark.parametrize("status", [200, 400, 500, 503])
@pytest.mark.parametrize("code", CODES)
async def test_a_code_of_the_table_means_the_same_whatever_the_status(
    http: aiohttp.ClientSession, code: int, status: int
) -> None:
    assert (await send(http, says({"code": code}, status=status))).outcome.value == CODES[code]


@pytest.mark.parametrize("code", [502, -7])
async def test_a_code_that_is_not_in_the_table_proves_nothing_under_a_server_error(
    http: aiohttp.ClientSession, code: int
) -> None:
    result = await send(http, says({"code": code}, status=502))

    assert (result.outcome, result.reason) == (Outcome.UNKNOWN, "http_502")


@pytest.mark.parametrize("status", [202, 302, 400, 500])
async def test_a_success_that_its_status_contradicts_is_unknown(http: aiohttp.ClientSession, status: int) -> None:
    result = await send(http, says(TAKEN, status=status))

    assert (result.outcome, result.reason) == (Outcome.UNKNOWN, f"http_{status}")


@pytest.mark.parametrize(
    ("code", "seconds"), [(8, 30), (33, 30), (9, 300), (22, 3_600), (17, 86_400), (43, 86_400), (53, None), (-5, None)]
)
async def test_a_code_that_speaks_of_a_period_tells_when_to_ask_again(
    http: aiohttp.ClientSession, code: int, seconds: int | None
) -> None:
    assert (await send(http, says({"code": code}, status=400))).retry_after == seconds


async def test_the_gateways_own_retry_after_comes_first(http: aiohttp.ClientSession) -> None:
    vendor = says({"code": 22}, 400, **{"Retry-After": "7"})

    assert (await send(http, vendor)).retry_after == 7


NO_WORD: dict[str, tuple[Vendor, Outcome, str, int | None]] = {
    "429": (says(b"", 429), Outcome.THROTTLED_ACCOUNT, "http_429", None),
    "429 with Retry-After": (says(b"", 429, **{"Retry-After": "5"}), Outcome.THROTTLED_ACCOUNT, "http_429", 5),
    "500": (says(b"", 500), Outcome.UNKNOWN, "http_500", None),
    "500 with a page": (says(b"<html>oops</html>", 500), Outcome.UNKNOWN, "http_500", None),
    "503 with Retry-After": (says(b"", 503, **{"Retry-After": "5"}), Outcome.UNKNOWN, "http_503", None),
    "403": (says(b"<html>WAF</html>", 403), Outcome.CONFIG, "http_403", None),
    "302": (says(b"", 302, Location="/elsewhere"), Outcome.UNKNOWN, "http_302", None),
    "nothing": (says(b""), Outcome.UNKNOWN, "http_200", None),
    "rubbish": (says(b"\xff\xfe{"), Outcome.UNKNOWN, "http_200", None),
    "other JSON": (says([TAKEN]), Outcome.UNKNOWN, "http_200", None),
    "no code": (says({"msg": "发送成功"}), Outcome.UNKNOWN, "http_200", None),
    "a batch's answer": (says({"total_count": 1, "data": [TAKEN]}), Outcome.UNKNOWN, "http_200", None),
    "a code that is no number": (says({"code": "ok"}), Outcome.UNKNOWN, "http_200", None),
    "a code without end": (says(b'{"code":' + b"9" * 5_000 + b"}"), Outcome.UNKNOWN, "http_200", None),
    "a well without bottom": (says(b'{"code":0,"x":' + b"[" * 50_000), Outcome.UNKNOWN, "http_200", None),
    "a huge body": (says(b" " * (LARGEST_ANSWER + 1)), Outcome.UNKNOWN, "too_large", None),
    "a broken connection": (hangs_up(), Outcome.UNKNOWN, "disconnected", None),
}


@pytest.mark.parametrize(("vendor", "outcome", "reason", "retry_after"), NO_WORD.values(), ids=NO_WORD)
async def test_an_answer_without_a_word_of_yunpians(
    http: aiohttp.ClientSession, vendor: Vendor, outcome: Outcome, reason: str, retry_after: int | None
) -> None:
    result = await send(http, vendor)

    assert result == SendResult(provider="yunpian", outcome=outcome, reason=reason, retry_after=retry_after)
    assert len(vendor.asked) == 1


async def test_no_answer_in_time_is_unknown_and_is_not_asked_for_again(http: aiohttp.ClientSession) -> None:
    vendor = says_nothing()

    result = await send(http, vendor, timeouts=SHORT_WHOLE)

    assert result == SendResult(provider="yunpian", outcome=Outcome.UNKNOWN, reason="read_timeout")
    assert len(vendor.asked) == 1


async def test_a_gateway_that_does_not_exist_took_nothing(http: aiohttp.ClientSession) -> None:
    result = await send_from(an_account(SECRET, http, url="https://sms.yunpian.invalid"))

    assert result == SendResult(provider="yunpian", outcome=Outcome.TRANSIENT, reason="dns")


async def test_a_gateway_that_is_down_took_nothing(http: aiohttp.ClientSession) -> None:
    async with open_for_business(says(TAKEN)) as closed:
        pass

    result = await send_from(an_account(SECRET, http, url=closed.url))

    assert result == SendResult(provider="yunpian", outcome=Outcome.TRANSIENT, reason="refused")


async def test_a_gateway_that_does_not_prove_itself_took_nothing(http: aiohttp.ClientSession) -> None:
    async with open_for_business(says(TAKEN)) as vendor:
        result = await send_from(an_account(SECRET, http, url=vendor.url.replace("http:", "https:")))

    assert result == SendResult(provider="yunpian", outcome=Outcome.TRANSIENT, reason="tls")
    assert vendor.asked == []


# The credentials


async def test_without_credentials_nothing_is_sent(http: aiohttp.ClientSession) -> None:
    async def unreadable() -> Mapping[str, Any]:
        raise KeysUnavailable("secret salvo-provider-yunpian: AccessDenied")

    vendor = says(TAKEN)
    async with open_for_business(vendor):
        account = replace(an_account(SECRET, http, url=vendor.url), fetch_secret=unreadable)
        result = await send_from(account)

    assert result == SendResult(provider="yunpian", outcome=Outcome.CONFIG, reason="no_credentials")
    assert vendor.asked == []


async def test_credentials_are_waited_for_as_long_as_for_a_connection(http: aiohttp.ClientSession) -> None:
    async def never() -> Mapping[str, Any]:
        await asyncio.Event().wait()
        raise AssertionError

    account = replace(an_account(SECRET, http), fetch_secret=never)

    assert (await send_from(account, timeouts=Timeouts(connect=0.1, whole=60))).reason == "no_credentials"


@pytest.mark.parametrize(
    ("secret", "names"),
    [({}, "apikey"), ({"apikey": ""}, "apikey"), ({"apikey": 7}, "apikey"), ({"apikey": None}, "apikey")],
)
async def test_a_malformed_secret_is_told_with_the_provider_and_the_entry(
    http: aiohttp.ClientSession, secret: dict[str, Any], names: str
) -> None:
    provider = await open_provider(an_account(secret, http))

    with pytest.raises(KeysUnavailable, match=f"yunpian.*{names}"):
        await provider.prepare()


async def test_a_send_has_answered_within_its_two_parts(http: aiohttp.ClientSession) -> None:
    provider = await open_provider(an_account(SECRET, http))

    assert (provider.name, provider.timeout) == ("yunpian", 2 + 8)


async def test_a_cancellation_goes_through(http: aiohttp.ClientSession) -> None:
    vendor = says_nothing()
    async with open_for_business(vendor):
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.2):
                await send_from(an_account(SECRET, http, url=vendor.url))


# What must not be seen

SECRETS = [APIKEY, TOKEN, CODE, CHINESE, CHINESE[3:]]


@pytest.mark.parametrize("vendor", [says(TAKEN), says(REFUSED, 400), says(b"13800000000"), hangs_up()])
async def test_no_code_key_or_number_is_in_a_log_or_a_result(
    http: aiohttp.ClientSession, vendor: Vendor, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("DEBUG")

    result = await send(http, vendor, receipts_url=RECEIPTS_URL)

    shown = caplog.text + repr(result)
    assert not [secret for secret in SECRETS if secret in shown]
    # They were there to be seen, and the log was on.
    assert all(secret in str(vendor.request.form) for secret in (APIKEY, CODE, CHINESE[3:]))
    assert caplog.records


async def test_no_key_is_in_a_repr(http: aiohttp.ClientSession) -> None:
    """Nor after the credentials were read."""
    provider = await open_provider(an_account(SECRET, http))
    await provider.prepare()

    assert not [secret for secret in SECRETS if secret in repr(provider)]


# Receipts

NOW = 1_704_070_000
REPORT = {
    "sid": 74712264988,
    "uid": REFERENCE,
    "user_receive_time": "2024-01-01 08:00:05",
    "error_msg": "DELIVRD",
    "mobile": "13800000000",
    "report_status": "SUCCESS",
}
DELIVERED = Receipt(
    provider="yunpian", reference=REFERENCE, status=DeliveryStatus.DELIVERED, reason=None, at=1_704_067_205
)


def push(*reports: object) -> bytes:
    return urlencode({"sms_status": json.dumps(reports)}).encode()


def read(body: bytes, reference: str | None = None) -> tuple[Receipt, ...]:
    return RECEIPTS.read(a_push(body, reference=reference), SECRET, NOW)


def test_a_delivered_message() -> None:
    assert read(push(REPORT)) == (DELIVERED,)


def lowercase(text: str) -> str:
    return re.sub("%..", lambda escape: escape[0].lower(), quote(text))


@pytest.mark.parametrize("encode", [quote, quote_plus, lowercase])
def test_a_report_may_be_encoded_twice(encode: Callable[[str], str]) -> None:
    text = encode(json.dumps([REPORT]))

    assert read(urlencode({"sms_status": text}).encode()) == (DELIVERED,)


def test_the_documents_example_names_no_message_of_ours() -> None:
    text = (
        '[{"sid":74712264988,"uid":null,"user_receive_time":"2024-01-01 08:00:05","error_msg":"DELIVRD",'
        '"mobile":"13800000000","report_status":"SUCCESS"}]'
    )

    assert read(urlencode({"sms_status": text}).encode()) == ()


def test_a_push_can_bring_several_reports() -> None:
    failed = {**REPORT, "uid": "another.2", "report_status": "FAIL", "error_msg": "MK:0022"}
    foreign = {**REPORT, "uid": ""}

    first, second = read(push(REPORT, foreign, failed))

    assert first == DELIVERED
    assert (second.reference, second.status, second.reason) == ("another.2", DeliveryStatus.FAILED, "MK:0022")


@pytest.mark.parametrize(
    ("told", "reason"),
    [
        ("MK:0022", "MK:0022"),
        ("号码 -43 <b>", "-43b"),
        ("a.b", "a.b"),
        ("x" * 40, "x" * 32),
        ("用户关机", None),
        ("", None),
        (None, None),
    ],
)
def test_a_failures_reason_is_reduced_to_a_word(told: str | None, reason: str | None) -> None:
    (receipt,) = read(push({**REPORT, "report_status": "FAIL", "error_msg": told}))

    assert receipt.reason == reason


def test_a_status_that_nobody_knows_is_no_news() -> None:
    assert read(push({**REPORT, "report_status": "PENDING"}, REPORT)) == (DELIVERED,)


@pytest.mark.parametrize(
    "time", [None, "", "yesterday", "2024-13-01 08:00:05", "2999-01-01 00:00:00", "0001-01-01 00:00:00"]
)
def test_a_time_that_cannot_be_is_now(time: str | None) -> None:
    (receipt,) = read(push({**REPORT, "user_receive_time": time}))

    assert receipt.at == NOW


def test_a_report_without_a_uid_is_found_by_the_messages_own_address() -> None:
    assert read(push({**REPORT, "uid": None}), reference=REFERENCE) == (DELIVERED,)


def test_a_persons_reply_is_acknowledged_and_ignored() -> None:
    assert read(urlencode({"sms_reply": '{"mobile":"13800000000","text":"T"}'}).encode()) == ()


def test_yunpian_wants_to_hear_of_success() -> None:
    assert RECEIPTS.acknowledgement == Acknowledgement(b"SUCCESS", "text/plain")


MALFORMED = {
    "nothing": b"",
    "no text": b"\xff\xfe",
    "no UTF-8 inside": b'sms_status=[{"report_status":"FAIL","uid":"%FF"}]',
    "no UTF-8 inside twice": b'sms_status=%255B{"report_status":"FAIL","uid":"%25FF"}]',
    "another form": b"sms_state=%5B%5D",
    "too many fields": b"a=1&" * 1_000 + push(REPORT),
    "an empty value": b"sms_status=",
    "no JSON": b"sms_status=%5B",
    "no list": urlencode({"sms_status": json.dumps(REPORT)}).encode(),
    "a list of other things": push(1),
    "no status": push({"uid": REFERENCE}),
    "a uid that is no text": push({**REPORT, "uid": 7}),
    "half a character": b'sms_status=[{"report_status":"FAIL","uid":"\\ud800"}]',
    "a well without bottom": b'sms_status=[{"x":' + b"[" * 50_000,
    "encoded three times": urlencode({"sms_status": quote(quote(json.dumps([REPORT])))}).encode(),
}


@pytest.mark.parametrize("body", MALFORMED.values(), ids=MALFORMED)
def test_what_is_malformed_is_refused(body: bytes) -> None:
    with pytest.raises(InvalidRequest):
        read(body)


def test_a_refusal_repeats_nothing_of_what_was_pushed() -> None:
    with pytest.raises(InvalidRequest) as refusal:
        read(b"sms_status=13800000000")

    assert "13800000000" not in str(refusal.value)
    assert refusal.value.__suppress_context__


anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=8,
)
reports = st.lists(st.dictionaries(st.sampled_from(sorted(REPORT)), anything | st.sampled_from(["SUCCESS", "FAIL"])))
pushes = (
    st.binary()
    | st.binary().map(lambda value: b"sms_status=" + value)
    | st.builds(
        lambda value, encode: b"sms_status=" + encode(json.dumps(value)).encode(),
        anything | reports,
        st.sampled_from([str, quote, quote_plus, lambda text: quote(quote(text))]),
    )
)


@given(pushes)
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
