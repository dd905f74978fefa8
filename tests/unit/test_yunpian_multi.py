"""Yunpian's many in one call: who travels together, what is on the wire, and whose each entry of the answer is."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any
from urllib.parse import unquote, urlencode

import aiohttp
import pytest
from aiohttp import web
from hypothesis import given, settings
from hypothesis import strategies as st

from functions.domain.delivery import DeliveryStatus, Message, Outcome, Receipt, Scope, SendResult
from functions.domain.receipt_token import message_token
from functions.domain.sensitive import Sensitive
from functions.providers.transport import Answer, Timeouts
from functions.providers.yunpian_multi import MOST_TOGETHER, RECEIPTS, _judge, open_provider
from functions.usecases.ports import Acknowledgement, KeysUnavailable, Provider
from tests.adapters import (
    CHINESE,
    CODE,
    GERMAN,
    PATIENT,
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
    sent_together,
)
from tests.eventually import eventually

APIKEY = "0123456789abcdef0123456789abcdef"
SECRET = {"apikey": APIKEY}
ROUTE: dict[str, str] = {}
TAKEN = {"code": 0, "msg": "发送成功", "count": 1, "fee": 0.05, "unit": "RMB", "mobile": "13800000000", "sid": 7}
ACCEPTED = (TAKEN, 200)
"""To a message that goes out alone."""

SHORT_WHOLE = Timeouts(connect=0.4, whole=0.5)


def number(place: int) -> str:
    return f"+86138{place:08}"


def messages(count: int) -> list[Message]:
    return [a_message(number(place), f"【测试】您的验证码是{place:06}") for place in range(count)]


def sid(mobile: str) -> str:
    """No number is in it."""
    return f"7{mobile[3:]}"


def entry(mobile: str, code: int = 0, **more: object) -> dict[str, object]:
    return {"code": code, "count": 1, "fee": 0.05, "mobile": mobile, "msg": "发送成功", "sid": int(sid(mobile)), **more}


def batch(*entries: object) -> dict[str, object]:
    return {"total_count": len(entries), "total_fee": "0.1000", "unit": "RMB", "data": entries}


def yunpian(spelled: Callable[[str], str] = str, order: Callable[[list[Any]], Sequence[Any]] = list) -> Vendor:
    """Takes all: one, or many in an order and a spelling of its own."""

    async def answer(request: web.Request) -> web.Response:
        form = await request.post()
        if request.path.endswith("/single_send.json"):
            return web.json_response(TAKEN)
        mobiles = str(form["mobile"]).split(",")
        assert len(mobiles) == len(str(form["text"]).split(","))
        return web.json_response(batch(*order([{**entry(mobile), "mobile": spelled(mobile)} for mobile in mobiles])))

    return Vendor(answer)


async def opened(http: aiohttp.ClientSession, vendor: Vendor, timeouts: Timeouts = PATIENT) -> Provider:
    return await open_provider(an_account(SECRET, http, url=vendor.url, receipts_url=RECEIPTS_URL), timeouts)


send = partial(sent_together, open_provider, SECRET)


async def has_asked(vendor: Vendor) -> bool:
    return bool(vendor.asked)


def mobiles(asked: Asked) -> list[str]:
    return asked.form["mobile"].split(",")


# Who travels together


async def test_what_is_sent_in_the_same_moment_is_one_request(http: aiohttp.ClientSession) -> None:
    vendor = yunpian()

    results = await send(http, vendor, messages(25))

    assert [result.outcome for result in results] == [Outcome.ACCEPTED] * 25
    assert vendor.request.path == "/v2/sms/multi_send.json"
    assert mobiles(vendor.request) == [number(place)[3:] for place in range(25)]


async def test_more_than_a_thousand_are_two_requests_and_each_message_is_in_one(http: aiohttp.ClientSession) -> None:
    vendor = yunpian()

    results = await send(http, vendor, messages(MOST_TOGETHER + 5))

    assert sorted(len(mobiles(asked)) for asked in vendor.asked) == [5, 1_000]
    assert len({mobile for asked in vendor.asked for mobile in mobiles(asked)}) == MOST_TOGETHER + 5
    assert [result.message_id for result in results] == [sid(number(place)[3:]) for place in range(1_005)]


async def test_a_message_alone_goes_by_single_send_and_asks_for_its_receipts(http: aiohttp.ClientSession) -> None:
    vendor = yunpian()

    (result,) = await send(http, vendor, [a_message(CHINESE)])

    token = message_token(Sensitive(TOKEN), "yunpian_multi", REFERENCE)
    form = vendor.request.form
    assert vendor.request.path == "/v2/sms/single_send.json"
    assert (form["mobile"], form["uid"]) == ("13800000000", REFERENCE)
    assert form["callback_url"] == f"{RECEIPTS_URL}/v1/receipts/yunpian_multi/{token}"
    assert (result.provider, result.outcome) == ("yunpian_multi", Outcome.ACCEPTED)


async def test_numbers_abroad_go_by_themselves(http: aiohttp.ClientSession) -> None:
    vendor = yunpian()

    await send(http, vendor, [a_message(GERMAN), *messages(2), a_message("+85251234567")])

    paths = sorted((asked.path, asked.form["mobile"]) for asked in vendor.asked)
    assert paths == [
        ("/v2/sms/multi_send.json", "13800000000,13800000001"),
        ("/v2/sms/single_send.json", "+4915112345678"),
        ("/v2/sms/single_send.json", "+85251234567"),
    ]


async def test_a_number_that_comes_twice_is_not_mistaken_for_itself(http: aiohttp.ClientSession) -> None:
    vendor = yunpian()
    twice = a_message(number(0), "【测试】another text")

    results = await send(http, vendor, [*messages(2), twice])

    assert [result.outcome for result in results] == [Outcome.ACCEPTED] * 3
    assert sorted(len(mobiles(asked)) for asked in vendor.asked) == [1, 2]


async def test_one_after_the_other_they_go_alone(http: aiohttp.ClientSession) -> None:
    vendor = yunpian()
    async with open_for_business(vendor):
        provider = await opened(http, vendor)
        for message in messages(3):
            await provider.send(message)

    assert [asked.path for asked in vendor.asked] == ["/v2/sms/single_send.json"] * 3


# The request


async def test_two_messages_on_the_wire(http: aiohttp.ClientSession) -> None:
    vendor = yunpian()

    await send(http, vendor, [a_message(number(0), "【测试】1, 2"), a_message(number(1), "码+3")])

    # Each text is encoded by itself (a comma is %2C, in the form %252C), and between them stands one more (%2C).
    assert vendor.request.body == (
        b"apikey=0123456789abcdef0123456789abcdef"
        b"&mobile=13800000000%2C13800000001"
        b"&text=%25E3%2580%2590%25E6%25B5%258B%25E8%25AF%2595%25E3%2580%25911%252C%25202%2C%25E7%25A0%2581%252B3"
    )
    assert vendor.request.headers["Content-Type"] == "application/x-www-form-urlencoded;charset=utf-8"


@given(st.lists(st.text(), min_size=2, max_size=5))
@settings(deadline=None, max_examples=20)
async def test_every_text_reads_back_as_it_was_meant(texts: list[str]) -> None:
    vendor = yunpian()
    writable = [text.encode(errors="replace").decode() for text in texts]

    async with aiohttp.ClientSession() as http:
        await send(http, vendor, [a_message(number(place), text) for place, text in enumerate(writable)])

    assert [unquote(text) for text in vendor.request.form["text"].split(",")] == writable


# The answer


async def test_each_message_has_the_outcome_of_its_own_entry(http: aiohttp.ClientSession) -> None:
    answer = batch(
        entry("13800000000"),
        {"code": 22, "mobile": "13800000001", "msg": "验证码类短信1小时内同一手机号发送次数不能超过3次"},
        {"code": 10, "mobile": "13800000002"},
        {"code": -50, "mobile": "13800000003"},
    )

    taken, throttled, refused, failed = await send(http, says(answer), messages(4))

    assert taken == SendResult(
        provider="yunpian_multi", outcome=Outcome.ACCEPTED, message_id="700000000", segments=1, price=None
    )
    assert (throttled.outcome, throttled.reason, throttled.retry_after) == (
        Outcome.THROTTLED_RECIPIENT,
        "yunpian_22",
        3_600,
    )
    assert (refused.outcome, refused.reason) == (Outcome.REJECTED_NUMBER, "yunpian_10")
    assert (failed.outcome, failed.reason) == (Outcome.TRANSIENT, "yunpian_-50")


async def test_an_entry_with_a_unit_tells_the_price(http: aiohttp.ClientSession) -> None:
    answer = batch(entry("13800000000", unit="RMB", fee="0.0500"), entry("13800000001", unit="RMB"))

    first, second = await send(http, says(answer), messages(2))

    assert (first.price, second.price) == ("0.0500 RMB", "0.05 RMB")


SPELLINGS: dict[str, Callable[[str], str]] = {
    "bare": str,
    "with its country code": lambda mobile: f"+86{mobile}",
    "without its plus": lambda mobile: f"86{mobile}",
    "with zeros": lambda mobile: f"0086{mobile}",
    "with spaces": lambda mobile: f"+86 {mobile[:3]} {mobile[3:]}",
}


@pytest.mark.parametrize("spelled", SPELLINGS.values(), ids=SPELLINGS)
async def test_entries_are_found_by_number_in_any_order_and_spelling(
    http: aiohttp.ClientSession, spelled: Callable[[str], str]
) -> None:
    results = await send(http, yunpian(spelled, lambda entries: entries[::-1]), messages(10))

    assert [result.message_id for result in results] == [sid(number(place)[3:]) for place in range(10)]


UNTOLD = SendResult(provider="yunpian_multi", outcome=Outcome.UNKNOWN, reason="not_in_answer")
NO_ENTRY: dict[str, object] = {
    "none": batch(entry("13800000000")),
    "of another number": batch(entry("13800000000"), entry("13800000009")),
    "twice": batch(entry("13800000000"), entry("13800000001"), entry("13800000001", 22)),
    "without a number": batch(entry("13800000000"), {"code": 0, "sid": 8}),
    "without a code": batch(entry("13800000000"), {"mobile": "13800000001"}),
    "of another shape": batch(entry("13800000000"), 7, [], "13800000001"),
}


@pytest.mark.parametrize("answer", NO_ENTRY.values(), ids=NO_ENTRY)
async def test_a_message_without_an_entry_of_its_own_is_unknown_and_its_neighbour_is_not(
    http: aiohttp.ClientSession, answer: object
) -> None:
    first, second = await send(http, says(answer), messages(2))

    assert (first.outcome, second) == (Outcome.ACCEPTED, UNTOLD)


@pytest.mark.parametrize(
    ("code", "outcome", "scope"),
    [
        (-1, Outcome.CONFIG, Scope.PROVIDER),
        (-6, Outcome.CONFIG, Scope.PROVIDER),
        (25, Outcome.CONFIG, Scope.PROVIDER),
        (5, Outcome.CONFIG, Scope.ROUTE),
        (-5, Outcome.THROTTLED_ACCOUNT, Scope.PROVIDER),
        (-51, Outcome.TRANSIENT, Scope.PROVIDER),
    ],
)
async def test_a_refusal_of_the_whole_call_is_that_of_each_where_it_is_no_single_messages_fault(
    http: aiohttp.ClientSession, code: int, outcome: Outcome, scope: Scope
) -> None:
    vendor = says({"http_status_code": 400, "code": code, "msg": None, "detail": "13800000000"}, 400)

    results = await send(http, vendor, messages(2))

    refused = SendResult(provider="yunpian_multi", outcome=outcome, reason=f"yunpian_{code}", scope=scope)
    assert results == [refused, refused]
    assert len(vendor.asked) == 1


@pytest.mark.parametrize("code", [2, 4, 22])
async def test_after_a_refusal_for_one_messages_fault_each_is_sent_by_itself_and_has_its_own_outcome(
    http: aiohttp.ClientSession, code: int
) -> None:
    refusal = {"http_status_code": 400, "code": code, "msg": None, "detail": "13800000000"}

    async def answer(request: web.Request) -> web.Response:
        form = await request.post()
        refused = "13800000000" in str(form["mobile"])
        return web.json_response(refusal, status=400) if refused else web.json_response(TAKEN)

    vendor = Vendor(answer)

    first, *others = await send(http, vendor, messages(3))

    assert first.reason == f"yunpian_{code}"
    assert [result.outcome for result in others] == [Outcome.ACCEPTED] * 2
    assert [asked.path for asked in vendor.asked] == ["/v2/sms/multi_send.json", *["/v2/sms/single_send.json"] * 3]


NO_WORD: dict[str, tuple[Vendor, Outcome, str, int | None]] = {
    "429": (says(b"", 429), Outcome.THROTTLED_ACCOUNT, "http_429", None),
    "429 with Retry-After": (says(b"", 429, **{"Retry-After": "5"}), Outcome.THROTTLED_ACCOUNT, "http_429", 5),
    "500": (says(b"", 500), Outcome.UNKNOWN, "http_500", None),
    "503 with a page": (says(b"<html>oops</html>", 503), Outcome.UNKNOWN, "http_503", None),
    "rubbish": (says(b"\xff\xfe{"), Outcome.UNKNOWN, "http_200", None),
    "other JSON": (says([TAKEN]), Outcome.UNKNOWN, "http_200", None),
    "no list": (says({"data": TAKEN}), Outcome.UNKNOWN, "http_200", None),
    "a success under an error's status": (
        says(batch(entry("13800000000"), entry("13800000001")), 500),
        Outcome.UNKNOWN,
        "http_500",
        None,
    ),
    "a well without bottom": (says(b'{"data":' + b"[" * 50_000), Outcome.UNKNOWN, "http_200", None),
    "an endless answer": (says(b" " * 1_048_577), Outcome.UNKNOWN, "too_large", None),
    "a broken connection": (hangs_up(), Outcome.UNKNOWN, "disconnected", None),
}


@pytest.mark.parametrize(("vendor", "outcome", "reason", "retry_after"), NO_WORD.values(), ids=NO_WORD)
async def test_an_answer_without_a_word_of_yunpians_is_that_of_each(
    http: aiohttp.ClientSession, vendor: Vendor, outcome: Outcome, reason: str, retry_after: int | None
) -> None:
    results = await send(http, vendor, messages(2))

    each = SendResult(provider="yunpian_multi", outcome=outcome, reason=reason, retry_after=retry_after)
    assert results == [each, each]
    assert len(vendor.asked) == 1


async def test_a_single_messages_success_is_no_answer_to_many(http: aiohttp.ClientSession) -> None:
    results = await send(http, says(TAKEN), messages(2))

    each = SendResult(provider="yunpian_multi", outcome=Outcome.UNKNOWN, reason="no_data", scope=Scope.ROUTE)
    assert results == [each, each]


async def test_no_answer_in_time_is_unknown_for_each_and_is_not_asked_for_again(http: aiohttp.ClientSession) -> None:
    vendor = says_nothing()

    results = await send(http, vendor, messages(3), SHORT_WHOLE)

    assert results == [SendResult(provider="yunpian_multi", outcome=Outcome.UNKNOWN, reason="read_timeout")] * 3
    assert len(vendor.asked) == 1


async def test_a_gateway_that_is_down_took_none(http: aiohttp.ClientSession) -> None:
    async with open_for_business(yunpian()) as closed:
        pass

    provider = await opened(http, closed)
    results = await asyncio.gather(*(provider.send(message) for message in messages(2)))

    assert results == [SendResult(provider="yunpian_multi", outcome=Outcome.TRANSIENT, reason="refused")] * 2


async def test_refusals_of_a_thousand_messages_are_read_to_their_end(http: aiohttp.ClientSession) -> None:
    text = "验证码类短信1小时内同一手机号发送次数不能超过3次" * 2
    answer = batch(*({"code": 22, "mobile": number(place)[3:], "msg": text, "detail": text} for place in range(1_000)))

    results = await send(http, says(answer), messages(1_000))

    assert {result.reason for result in results} == {"yunpian_22"}


# The waiters


async def test_who_no_longer_waits_takes_nobodys_message_along(http: aiohttp.ClientSession) -> None:
    vendor = says_nothing()
    async with open_for_business(vendor):
        provider = await opened(http, vendor)
        first, *others = [asyncio.create_task(provider.send(message)) for message in messages(3)]
        await eventually(partial(has_asked, vendor))
        first.cancel()
        vendor.over.set()
        results = await asyncio.gather(*others)

    assert first.cancelled()
    assert [result.reason for result in results] == ["http_200"] * 2
    assert len(vendor.asked) == 1


async def test_who_goes_before_the_load_leaves_is_not_on_it(http: aiohttp.ClientSession) -> None:
    asked_for, given = asyncio.Event(), asyncio.Event()

    async def slowly() -> Mapping[str, Any]:
        asked_for.set()
        await given.wait()
        return {**SECRET, "receipt_token": TOKEN}

    vendor = yunpian()
    async with open_for_business(vendor):
        provider = await open_provider(replace(an_account({}, http, url=vendor.url), fetch_secret=slowly), PATIENT)
        first, *others = [asyncio.create_task(provider.send(message)) for message in messages(3)]
        await asked_for.wait()
        first.cancel()
        await asyncio.wait({first})
        given.set()
        results = await asyncio.gather(*others)

    assert [result.outcome for result in results] == [Outcome.ACCEPTED] * 2
    assert mobiles(vendor.request) == ["13800000001", "13800000002"]


async def test_when_all_have_gone_nothing_is_left_behind(http: aiohttp.ClientSession) -> None:
    before = asyncio.all_tasks()
    vendor = says_nothing()
    async with open_for_business(vendor):
        provider = await opened(http, vendor)
        waiting = [asyncio.create_task(provider.send(message)) for message in messages(3)]
        await eventually(partial(has_asked, vendor))
        for waiter in waiting:
            waiter.cancel()
        await asyncio.wait(waiting)

        ours = {task for task in asyncio.all_tasks() - before if "SentTogether" in repr(task.get_coro())}
        assert ours == set()
        vendor.over.set()


async def test_the_next_moment_has_a_load_of_its_own(http: aiohttp.ClientSession) -> None:
    vendor = yunpian()
    async with open_for_business(vendor):
        provider = await opened(http, vendor)
        for _ in range(3):
            await asyncio.gather(*(provider.send(message) for message in messages(2)))

    assert [len(mobiles(asked)) for asked in vendor.asked] == [2, 2, 2]


# The credentials


async def test_without_credentials_nothing_is_sent(http: aiohttp.ClientSession) -> None:
    async def unreadable() -> Mapping[str, Any]:
        raise KeysUnavailable("secret salvo-provider-yunpian: AccessDenied")

    vendor = yunpian()
    async with open_for_business(vendor):
        account = replace(an_account(SECRET, http, url=vendor.url), fetch_secret=unreadable)
        provider = await open_provider(account)
        results = await asyncio.gather(*(provider.send(message) for message in messages(2)))

    assert results == [SendResult(provider="yunpian_multi", outcome=Outcome.CONFIG, reason="no_credentials")] * 2
    assert vendor.asked == []


async def test_a_malformed_secret_is_told_with_the_provider_and_the_entry(http: aiohttp.ClientSession) -> None:
    provider = await open_provider(an_account({}, http))

    with pytest.raises(KeysUnavailable, match=r"yunpian_multi.*apikey"):
        await provider.prepare()


async def test_a_send_has_answered_within_its_two_parts(http: aiohttp.ClientSession) -> None:
    provider = await open_provider(an_account(SECRET, http))

    assert (provider.name, provider.timeout) == ("yunpian_multi", 2 + 8)


# What must not be seen

SECRETS = [APIKEY, TOKEN, CODE, CHINESE, CHINESE[3:]]


@pytest.mark.parametrize("vendor", [yunpian(), says({"code": 25, "detail": "13800000000"}, 400), hangs_up()])
async def test_no_code_key_or_number_is_in_a_log_a_result_or_a_repr(
    http: aiohttp.ClientSession, vendor: Vendor, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("DEBUG")
    sent = [a_message(number(0), f"【测试】{CODE}"), a_message(number(1), f"【测试】{CODE}")]

    async with open_for_business(vendor):
        provider = await opened(http, vendor)
        waiting = [asyncio.create_task(provider.send(message)) for message in sent]
        await asyncio.sleep(0)  # while they are on their way
        shown = repr(provider)
        results = await asyncio.gather(*waiting)

    shown += caplog.text + repr(results)
    assert not [secret for secret in SECRETS if secret in shown]
    # They were there to be seen.
    assert all(secret in vendor.request.body.decode() for secret in (APIKEY, CODE, CHINESE[3:]))


# Receipts, of those that went out alone: tests/unit/test_yunpian.py has the rest


def test_a_receipt_names_the_adapter_that_sent() -> None:
    report = {"uid": REFERENCE, "report_status": "SUCCESS", "user_receive_time": "2024-01-01 08:00:05"}
    body = urlencode({"sms_status": json.dumps([report])}).encode()

    assert RECEIPTS.read(a_push(body), SECRET, 1_704_070_000) == (
        Receipt(
            provider="yunpian_multi",
            reference=REFERENCE,
            status=DeliveryStatus.DELIVERED,
            reason=None,
            at=1_704_067_205,
        ),
    )
    assert RECEIPTS.acknowledgement == Acknowledgement(b"SUCCESS")


anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.sampled_from(["code", "mobile", "sid", "fee"]), inner),
    max_leaves=8,
)


@given(st.binary() | anything.map(lambda value: json.dumps({"data": value}).encode()), st.sampled_from([200, 400, 500]))
@settings(deadline=None)
def test_any_answer_gives_each_message_one_outcome(body: bytes, status: int) -> None:
    results = _judge(messages(2), Answer(status=status, body=body, retry_after=None))

    assert results is None or [result.provider for result in results] == ["yunpian_multi"] * 2
