"""Yunpian's wire format, what its answers mean, and its status reports, over real sockets."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from urllib.parse import parse_qs, quote, quote_plus, urlencode

import aiohttp
import pytest
from aiohttp import web
from hypothesis import given, settings
from hypothesis import strategies as st

from functions.domain.delivery import DeliveryStatus, Message, Outcome, Receipt, SendResult
from functions.domain.errors import InvalidRequest
from functions.domain.phone import parse_phone_number
from functions.domain.sensitive import Sensitive
from functions.providers.transport import LARGEST_ANSWER, Timeouts
from functions.providers.yunpian import FROM_ABROAD, Yunpian, YunpianCredentials, YunpianReceipts
from functions.usecases.ports import KeysUnavailable, Provider

APIKEY = "0123456789abcdef0123456789abcdef"
TOKEN = "a-token-nobody-guesses"
CODE = "481516"
GERMAN = "+4915112345678"
CHINESE = "+8613800000000"
REFERENCE = "vfy_k1_abcdefghijklmnopqrstuvwxabcdefghijklmnop.1"

PATIENT = Timeouts(connect=30, whole=60)
SHORT_WHOLE = Timeouts(connect=0.4, whole=0.5)

ACCEPTED = {
    "code": 0,
    "msg": "发送成功",
    "count": 1,
    "fee": 0.05,
    "unit": "RMB",
    "mobile": "13800000000",
    "sid": 74712264988,
}
REFUSED = {
    "http_status_code": 400,
    "code": 22,
    "msg": "验证码类短信1小时内同一手机号发送次数不能超过3次",
    "detail": "13800000000 验证码类短信1小时内同一手机号发送次数不能超过3次",
}


@dataclass
class Gateway:
    """Yunpian's place on this machine."""

    answer: Callable[[web.Request], Awaitable[web.StreamResponse]]
    url: str = ""
    requests: list[tuple[str, str, bytes]] = field(default_factory=list)
    over: asyncio.Event = field(default_factory=asyncio.Event)

    @property
    def form(self) -> dict[str, list[str]]:
        """The fields of the only request."""
        ((_, _, body),) = self.requests
        return parse_qs(body.decode(), strict_parsing=True)

    async def handle(self, request: web.Request) -> web.StreamResponse:
        content_type = request.headers["Content-Type"]
        self.requests.append((f"{request.method} {request.path_qs}", content_type, await request.read()))
        return await self.answer(request)


def says(body: object, status: int = 200, **headers: str) -> Gateway:
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()

    async def answer(_: web.Request) -> web.Response:
        return web.Response(status=status, body=raw, headers=headers)

    return Gateway(answer)


def hangs_up() -> Gateway:
    async def answer(request: web.Request) -> web.Response:
        assert request.transport is not None
        request.transport.abort()
        return web.Response()

    return Gateway(answer)


def says_nothing() -> Gateway:
    async def answer(_: web.Request) -> web.Response:
        await gateway.over.wait()
        return web.Response()

    gateway = Gateway(answer)
    return gateway


@asynccontextmanager
async def open_for_business(gateway: Gateway) -> AsyncIterator[Gateway]:
    """Parametrised gateways open once more where a test is run again: with nothing seen yet."""
    gateway.requests.clear()
    gateway.over.clear()
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", gateway.handle)
    runner = web.AppRunner(app)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        gateway.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
        yield gateway
    finally:
        gateway.over.set()
        await runner.cleanup()


@pytest.fixture
async def session() -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession() as session:
        yield session


@pytest.fixture
def yunpian(session: aiohttp.ClientSession) -> Yunpian:
    return Yunpian(credentials=credentials, session=lambda: session, timeouts=PATIENT)


async def credentials() -> YunpianCredentials:
    return YunpianCredentials(apikey=Sensitive(APIKEY), receipt_token=Sensitive(TOKEN))


def message(to: str = CHINESE, text: str = f"【测试】您的验证码是{CODE}") -> Message:
    return Message(to=parse_phone_number(to), text=Sensitive(text), reference=REFERENCE, valid_for=300)


async def send(yunpian: Yunpian, gateway: Gateway, what: Message | None = None) -> SendResult:
    async with open_for_business(gateway):
        return await replace(yunpian, base_url=gateway.url).send(what or message())


# The request


async def test_a_chinese_number_and_text_on_the_wire(yunpian: Yunpian) -> None:
    gateway = says(ACCEPTED)

    await send(yunpian, gateway)

    body = (
        b"apikey=0123456789abcdef0123456789abcdef"
        b"&mobile=13800000000"
        b"&text=%E3%80%90%E6%B5%8B%E8%AF%95%E3%80%91%E6%82%A8%E7%9A%84%E9%AA%8C%E8%AF%81%E7%A0%81%E6%98%AF481516"
        b"&uid=vfy_k1_abcdefghijklmnopqrstuvwxabcdefghijklmnop.1"
    )
    content_type = "application/x-www-form-urlencoded;charset=utf-8"
    assert gateway.requests == [("POST /v2/sms/single_send.json", content_type, body)]


async def test_a_german_number_and_text_on_the_wire(yunpian: Yunpian) -> None:
    gateway = says(ACCEPTED)

    await send(yunpian, gateway, message(GERMAN, "【Salvo】Dein Code für A&B+C: 481516"))

    assert gateway.requests[0][2] == (
        b"apikey=0123456789abcdef0123456789abcdef"
        b"&mobile=%2B4915112345678"
        b"&text=%E3%80%90Salvo%E3%80%91Dein+Code+f%C3%BCr+A%26B%2BC%3A+481516"
        b"&uid=vfy_k1_abcdefghijklmnopqrstuvwxabcdefghijklmnop.1"
    )


async def test_the_form_reads_back_as_it_was_meant(yunpian: Yunpian) -> None:
    gateway = says(ACCEPTED)

    await send(yunpian, gateway, message(GERMAN, "1 + 1 = 2 & 100 %"))

    assert gateway.form["mobile"] == [GERMAN]
    assert gateway.form["text"] == ["1 + 1 = 2 & 100 %"]


async def test_receipts_are_asked_for_at_the_url_with_the_token(yunpian: Yunpian) -> None:
    gateway = says(ACCEPTED)

    await send(replace(yunpian, receipts_url="https://api.example.com/prod"), gateway)

    assert gateway.form["callback_url"] == [f"https://api.example.com/prod/v1/receipts/yunpian/{TOKEN}"]


async def test_a_token_stays_one_part_of_the_url(yunpian: Yunpian) -> None:
    async def with_slash() -> YunpianCredentials:
        return YunpianCredentials(apikey=Sensitive(APIKEY), receipt_token=Sensitive("a/b?c"))

    gateway = says(ACCEPTED)
    await send(replace(yunpian, credentials=with_slash, receipts_url="https://api.example.com"), gateway)

    assert gateway.form["callback_url"] == ["https://api.example.com/v1/receipts/yunpian/a%2Fb%3Fc"]


async def test_without_a_url_no_receipts_are_asked_for(yunpian: Yunpian) -> None:
    gateway = says(ACCEPTED)

    await send(yunpian, gateway)

    assert set(gateway.form) == {"apikey", "mobile", "text", "uid"}


async def test_each_send_asks_for_the_session_of_now(yunpian: Yunpian, session: aiohttp.ClientSession) -> None:
    async with aiohttp.ClientSession() as frozen:
        sessions = iter([frozen, session])
        changing = replace(yunpian, session=lambda: next(sessions))
        await send(changing, says(ACCEPTED))

    assert (await send(changing, says(ACCEPTED))).outcome is Outcome.ACCEPTED


# The answer


async def test_an_accepted_message_tells_its_id_segments_and_price(yunpian: Yunpian) -> None:
    assert await send(yunpian, says(ACCEPTED)) == SendResult(
        provider="yunpian", outcome=Outcome.ACCEPTED, message_id="74712264988", segments=1, price="0.05 RMB"
    )


async def test_a_message_is_accepted_without_an_id_too(yunpian: Yunpian) -> None:
    assert await send(yunpian, says({"code": 0})) == SendResult(provider="yunpian", outcome=Outcome.ACCEPTED)


async def test_numbers_in_quotes_are_numbers(yunpian: Yunpian) -> None:
    result = await send(yunpian, says({"code": "0", "sid": "747", "count": "2", "fee": "0.1000", "unit": "RMB"}))

    assert (result.message_id, result.segments, result.price) == ("747", 2, "0.1000 RMB")


async def test_a_price_in_no_currency_is_left_out(yunpian: Yunpian) -> None:
    assert (await send(yunpian, says({**ACCEPTED, "unit": "13800000000"}))).price is None


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
OTHER_CODES = {99: "config", 100_000: "config", -7: "transient", -99: "transient"}


@pytest.mark.parametrize(("code", "outcome"), [*CODES.items(), *OTHER_CODES.items()])
async def test_every_code_has_its_class(yunpian: Yunpian, code: int, outcome: str) -> None:
    gateway = says({"http_status_code": 400, "code": code, "msg": None, "detail": "13800000000"}, status=400)

    result = await send(yunpian, gateway)

    assert (result.outcome.value, result.reason) == (outcome, f"yunpian_{code}")
    assert (result.message_id, result.segments, result.price) == (None, None, None)
    assert len(gateway.requests) == 1


@pytest.mark.parametrize("status", [200, 400, 500, 503])
@pytest.mark.parametrize("code", CODES)
async def test_a_code_of_the_table_means_the_same_whatever_the_status(yunpian: Yunpian, code: int, status: int) -> None:
    assert (await send(yunpian, says({"code": code}, status=status))).outcome.value == CODES[code]


@pytest.mark.parametrize("code", [502, -7])
async def test_a_code_that_is_not_in_the_table_proves_nothing_under_a_server_error(yunpian: Yunpian, code: int) -> None:
    result = await send(yunpian, says({"code": code}, status=502))

    assert (result.outcome, result.reason) == (Outcome.UNKNOWN, "http_502")


@pytest.mark.parametrize("status", [202, 302, 400, 500])
async def test_a_success_that_its_status_contradicts_is_unknown(yunpian: Yunpian, status: int) -> None:
    result = await send(yunpian, says(ACCEPTED, status=status))

    assert (result.outcome, result.reason) == (Outcome.UNKNOWN, f"http_{status}")


@pytest.mark.parametrize(
    ("code", "seconds"), [(8, 30), (33, 30), (9, 300), (22, 3_600), (17, 86_400), (43, 86_400), (53, None), (-5, None)]
)
async def test_a_code_that_speaks_of_a_period_tells_when_to_ask_again(
    yunpian: Yunpian, code: int, seconds: int | None
) -> None:
    assert (await send(yunpian, says({"code": code}, status=400))).retry_after == seconds


async def test_the_gateways_own_retry_after_comes_first(yunpian: Yunpian) -> None:
    gateway = says({"code": 22}, 400, **{"Retry-After": "7"})

    assert (await send(yunpian, gateway)).retry_after == 7


NO_WORD: dict[str, tuple[Gateway, Outcome, str, int | None]] = {
    "429": (says(b"", 429), Outcome.THROTTLED_ACCOUNT, "http_429", None),
    "429 with Retry-After": (says(b"", 429, **{"Retry-After": "5"}), Outcome.THROTTLED_ACCOUNT, "http_429", 5),
    "500": (says(b"", 500), Outcome.UNKNOWN, "http_500", None),
    "500 with a page": (says(b"<html>oops</html>", 500), Outcome.UNKNOWN, "http_500", None),
    "503 with Retry-After": (says(b"", 503, **{"Retry-After": "5"}), Outcome.UNKNOWN, "http_503", None),
    "403": (says(b"<html>WAF</html>", 403), Outcome.UNKNOWN, "http_403", None),
    "302": (says(b"", 302, Location="/elsewhere"), Outcome.UNKNOWN, "http_302", None),
    "nothing": (says(b""), Outcome.UNKNOWN, "http_200", None),
    "rubbish": (says(b"\xff\xfe{"), Outcome.UNKNOWN, "http_200", None),
    "other JSON": (says([ACCEPTED]), Outcome.UNKNOWN, "http_200", None),
    "no code": (says({"msg": "发送成功"}), Outcome.UNKNOWN, "http_200", None),
    "a batch's answer": (says({"total_count": 1, "data": [ACCEPTED]}), Outcome.UNKNOWN, "http_200", None),
    "a code that is no number": (says({"code": "ok"}), Outcome.UNKNOWN, "http_200", None),
    "a code without end": (says(b'{"code":' + b"9" * 5_000 + b"}"), Outcome.UNKNOWN, "http_200", None),
    "a well without bottom": (says(b'{"code":0,"x":' + b"[" * 50_000), Outcome.UNKNOWN, "http_200", None),
    "a huge body": (says(b" " * (LARGEST_ANSWER + 1)), Outcome.UNKNOWN, "too_large", None),
    "a broken connection": (hangs_up(), Outcome.UNKNOWN, "disconnected", None),
}


@pytest.mark.parametrize(("gateway", "outcome", "reason", "retry_after"), NO_WORD.values(), ids=NO_WORD)
async def test_an_answer_without_a_word_of_yunpians(
    yunpian: Yunpian, gateway: Gateway, outcome: Outcome, reason: str, retry_after: int | None
) -> None:
    result = await send(yunpian, gateway)

    assert result == SendResult(provider="yunpian", outcome=outcome, reason=reason, retry_after=retry_after)
    assert len(gateway.requests) == 1


async def test_no_answer_in_time_is_unknown_and_is_not_asked_for_again(yunpian: Yunpian) -> None:
    gateway = says_nothing()

    result = await send(replace(yunpian, timeouts=SHORT_WHOLE), gateway)

    assert result == SendResult(provider="yunpian", outcome=Outcome.UNKNOWN, reason="read_timeout")
    assert len(gateway.requests) == 1


async def test_a_gateway_that_does_not_exist_took_nothing(yunpian: Yunpian) -> None:
    result = await replace(yunpian, base_url="https://sms.yunpian.invalid").send(message())

    assert result == SendResult(provider="yunpian", outcome=Outcome.TRANSIENT, reason="dns")


async def test_a_gateway_that_is_down_took_nothing(yunpian: Yunpian) -> None:
    async with open_for_business(says(ACCEPTED)) as closed:
        pass

    result = await replace(yunpian, base_url=closed.url).send(message())

    assert result == SendResult(provider="yunpian", outcome=Outcome.TRANSIENT, reason="refused")


async def test_a_gateway_that_does_not_prove_itself_took_nothing(yunpian: Yunpian) -> None:
    async with open_for_business(says(ACCEPTED)) as gateway:
        result = await replace(yunpian, base_url=gateway.url.replace("http:", "https:")).send(message())

    assert result == SendResult(provider="yunpian", outcome=Outcome.TRANSIENT, reason="tls")
    assert gateway.requests == []


# The credentials


async def test_without_credentials_nothing_is_sent(yunpian: Yunpian) -> None:
    async def unreadable() -> YunpianCredentials:
        raise KeysUnavailable("secret salvo/yunpian: AccessDenied")

    gateway = says(ACCEPTED)
    result = await send(replace(yunpian, credentials=unreadable), gateway)

    assert result == SendResult(provider="yunpian", outcome=Outcome.CONFIG, reason="no_credentials")
    assert gateway.requests == []


async def test_credentials_are_waited_for_as_long_as_for_a_connection(yunpian: Yunpian) -> None:
    async def never() -> YunpianCredentials:
        await asyncio.Event().wait()
        raise AssertionError

    hasty = replace(yunpian, credentials=never, timeouts=Timeouts(connect=0.1, whole=60))

    assert (await hasty.send(message())).reason == "no_credentials"


def test_a_send_has_answered_within_its_two_parts(yunpian: Yunpian) -> None:
    provider: Provider = replace(yunpian, timeouts=FROM_ABROAD)

    assert (provider.name, provider.timeout) == ("yunpian", 2 + 8)


async def test_a_cancellation_goes_through(yunpian: Yunpian) -> None:
    gateway = says_nothing()
    async with open_for_business(gateway):
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.2):
                await replace(yunpian, base_url=gateway.url).send(message())


# What must not be seen

SECRETS = [APIKEY, TOKEN, CODE, CHINESE, CHINESE[3:]]


@pytest.mark.parametrize("gateway", [says(ACCEPTED), says(REFUSED, 400), says(b"13800000000"), hangs_up()])
async def test_no_code_key_or_number_is_in_a_log_or_a_result(
    yunpian: Yunpian, gateway: Gateway, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("DEBUG")

    result = await send(replace(yunpian, receipts_url="https://api.example.com"), gateway)

    shown = caplog.text + repr(result)
    assert not [secret for secret in SECRETS if secret in shown]
    # They were there to be seen, and the log was on.
    assert all(secret in str(gateway.form) for secret in (APIKEY, TOKEN, CODE, CHINESE[3:]))
    assert caplog.records


@dataclass
class Vault:
    """Shows what it holds, and so does a method bound to it."""

    apikey: str = APIKEY

    async def credentials(self) -> YunpianCredentials:
        return YunpianCredentials(apikey=Sensitive(self.apikey), receipt_token=Sensitive(TOKEN))


async def test_no_key_is_in_a_repr(yunpian: Yunpian) -> None:
    guarded = replace(yunpian, credentials=Vault().credentials)

    shown = repr(guarded) + repr(await guarded.credentials()) + str(await guarded.credentials())

    assert not [secret for secret in SECRETS if secret in shown]


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


def read(body: bytes) -> tuple[Receipt, ...]:
    return YunpianReceipts().read(body, NOW)


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


def test_a_persons_reply_is_acknowledged_and_ignored() -> None:
    assert read(urlencode({"sms_reply": '{"mobile":"13800000000","text":"T"}'}).encode()) == ()


def test_yunpian_wants_to_hear_of_success() -> None:
    assert (YunpianReceipts().name, YunpianReceipts().acknowledgement) == ("yunpian", b"SUCCESS")


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
