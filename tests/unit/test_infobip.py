"""Infobip's wire format, what its answers mean, and its delivery reports."""

from __future__ import annotations

import json
import logging
from dataclasses import replace
from functools import partial
from typing import Any

import aiohttp
import pytest
from aiohttp import web
from hypothesis import given, settings
from hypothesis import strategies as st

from functions.domain.delivery import DeliveryStatus, Message, Outcome, Receipt, Scope, SendResult
from functions.domain.errors import InvalidRequest
from functions.providers.gateway import Request
from functions.providers.infobip import MOST_TOGETHER, RECEIPTS, open_provider
from functions.usecases.ports import KeysUnavailable, Push
from tests.adapters import (
    CODE,
    GERMAN,
    PATIENT,
    RECEIPTS_URL,
    REFERENCE,
    Vendor,
    a_message,
    a_push,
    an_account,
    hangs_up,
    open_for_business,
    says,
    sent_by,
    sent_together,
)
from tests.harness import MORNING

API_KEY = "8f1c0d6f7c1b4a7e-3c0e1f52"
SECRET = {"api_key": API_KEY, "base_url": "https://xxxxx.api.infobip.com"}
ROUTE = {"sender": "ACME"}
INDIAN = "+919876543210"


def status(number: int, group: int, name: str = "NAME_OF_IT") -> dict[str, Any]:
    return {"groupId": group, "groupName": "GROUP", "id": number, "name": name, "description": f"{GERMAN} is told"}


def answer(number: int, group: int) -> dict[str, Any]:
    message = {
        "messageId": REFERENCE,
        "status": status(number, group),
        "destination": "4915112345678",
        "details": {"messageCount": 1},
    }
    return {"bulkId": "2034072219640523072", "messages": [message]}


ACCEPTED = (answer(26, 1), 200)

answered = partial(sent_by, open_provider, SECRET, ROUTE)
together = partial(sent_together, open_provider, SECRET)


# The request


async def test_a_message_as_it_stands_on_the_wire(http: aiohttp.ClientSession) -> None:
    vendor = says(*ACCEPTED)

    result = await answered(http, vendor, prefix="/infobip", receipts_url=RECEIPTS_URL)

    asked = vendor.request
    assert (asked.method, asked.path) == ("POST", "/infobip/sms/3/messages")
    assert asked.headers["Authorization"] == f"App {API_KEY}"
    assert asked.headers["Content-Type"] == asked.headers["Accept"] == "application/json"
    body = asked.json
    address = body["messages"][0]["webhooks"].pop("delivery")["url"]
    assert address.startswith(f"{RECEIPTS_URL}/v1/receipts/infobip/{REFERENCE}.")
    assert body == {
        "messages": [
            {
                "sender": "ACME",
                "destinations": [{"to": "4915112345678", "messageId": REFERENCE}],
                "content": {"text": f"{CODE} is your code."},
                "options": {"validityPeriod": {"amount": 300, "timeUnit": "SECONDS"}},
                "webhooks": {"contentType": "application/json", "callbackData": REFERENCE},
            }
        ],
        "options": {
            "includeSmsCountInResponse": True,
            "conversionTracking": {"useConversionTracking": True, "conversionTrackingName": "ONE_TIME_PIN"},
        },
    }
    assert result == SendResult(
        provider="infobip", outcome=Outcome.ACCEPTED, message_id=REFERENCE, segments=1, wants_feedback=True
    )


async def test_without_an_address_no_reports_are_asked_for(http: aiohttp.ClientSession) -> None:
    vendor = says(*ACCEPTED)

    await answered(http, vendor)

    assert "delivery" not in vendor.request.json["messages"][0]["webhooks"]


async def test_the_accounts_own_address_is_asked(http: aiohttp.ClientSession) -> None:
    provider = await open_provider(an_account(SECRET, http))

    single = provider.single
    request = single.request(a_message(**ROUTE), await single.credentials(), single.account)

    assert isinstance(request, Request)
    assert request.url == "https://xxxxx.api.infobip.com/sms/3/messages"


@pytest.mark.parametrize(("valid_for", "amount"), [(0, 1), (1, 1), (599, 599), (1_000_000, 172_800)])
async def test_the_message_dies_with_its_code(http: aiohttp.ClientSession, valid_for: int, amount: int) -> None:
    vendor = says(*ACCEPTED)

    await answered(http, vendor, valid_for=valid_for)

    period = vendor.request.json["messages"][0]["options"]["validityPeriod"]
    assert period == {"amount": amount, "timeUnit": "SECONDS"}


@pytest.mark.parametrize(
    ("to", "named", "regional"),
    [
        (
            INDIAN,
            {"entity": "1101", "template": "1107"},
            {"indiaDlt": {"principalEntityId": "1101", "contentTemplateId": "1107"}},
        ),
        (INDIAN, {"entity": "1101"}, {"indiaDlt": {"principalEntityId": "1101"}}),
        (INDIAN, {"template": "1107"}, None),
        (INDIAN, {}, None),
        (GERMAN, {"entity": "1101", "template": "1107"}, None),
    ],
)
async def test_indias_register_is_told_of_indian_messages(
    http: aiohttp.ClientSession, to: str, named: dict[str, Any], regional: object
) -> None:
    vendor = says(*ACCEPTED)

    await answered(http, vendor, to=to, **named)

    assert vendor.request.json["messages"][0]["options"].get("regional") == regional


# The answers

# Infobip's own table of message statuses: id → group, class, scope.
STATUSES: dict[int, tuple[int, str, str]] = {
    4: (2, "rejected_number", "route"),
    6: (5, "rejected_number", "route"),
    8: (5, "rejected_number", "provider"),
    9: (2, "rejected_number", "provider"),
    10: (5, "rejected_number", "provider"),
    11: (5, "config", "route"),
    12: (5, "config", "provider"),
    13: (5, "config", "route"),
    14: (5, "rejected_number", "provider"),
    15: (4, "unknown", "route"),
    17: (5, "config", "provider"),
    18: (5, "config", "route"),
    19: (5, "config", "route"),
    20: (5, "throttled_recipient", "provider"),
    21: (5, "transient", "provider"),
    24: (5, "config", "route"),
    25: (5, "config", "route"),
    29: (4, "unknown", "route"),
    31: (2, "transient", "provider"),
    51: (5, "rejected_number", "provider"),
    52: (5, "rejected_number", "provider"),
    87: (5, "rejected_number", "provider"),
    99: (5, "config", "route"),
    100: (5, "config", "route"),
}
UNLISTED: dict[int, tuple[int, str, str]] = {
    777: (5, "config", "route"),
    778: (2, "unknown", "route"),
    779: (4, "unknown", "route"),
    780: (9, "unknown", "route"),
}


@pytest.mark.parametrize("number", [*STATUSES, *UNLISTED])
async def test_every_status_has_its_class_and_scope(http: aiohttp.ClientSession, number: int) -> None:
    group, outcome, scope = {**STATUSES, **UNLISTED}[number]
    vendor = says(answer(number, group))

    result = await answered(http, vendor)

    assert result == SendResult(
        provider="infobip",
        outcome=Outcome(outcome),
        reason=f"infobip_{number}",
        retry_after=3_600 if number == 20 else None,
        scope=Scope(scope),
    )
    assert len(vendor.asked) == 1


@pytest.mark.parametrize(("number", "group"), [(0, 0), (3, 1), (7, 1), (26, 1), (2, 3), (5, 3)])
async def test_accepted_pending_and_delivered_are_taken(http: aiohttp.ClientSession, number: int, group: int) -> None:
    vendor = says(answer(number, group))

    assert (await answered(http, vendor)).outcome is Outcome.ACCEPTED
    assert len(vendor.asked) == 1


async def test_a_message_that_is_there_already_was_taken(http: aiohttp.ClientSession) -> None:
    result = await answered(http, says(answer(23, 5)))

    assert (result.outcome, result.message_id, result.reason) == (Outcome.ACCEPTED, REFERENCE, None)


BY_HTTP: dict[int, tuple[str, str]] = {
    400: ("config", "route"),
    401: ("config", "provider"),
    403: ("config", "provider"),
    404: ("config", "provider"),
    429: ("throttled_account", "provider"),
    500: ("unknown", "provider"),
    502: ("unknown", "provider"),
    302: ("unknown", "provider"),
}


@pytest.mark.parametrize("code", BY_HTTP)
@pytest.mark.parametrize("told", [True, False])
async def test_what_the_status_alone_says(http: aiohttp.ClientSession, code: int, told: bool) -> None:  # noqa: FBT001
    outcome, scope = BY_HTTP[code]
    problem = {"errorCode": f"E{code}", "description": f"{GERMAN} is wrong", "violations": [], "resources": []}
    vendor = says(problem if told else b"", code, **{"Retry-After": "7"})

    result = await answered(http, vendor)

    assert result == SendResult(
        provider="infobip",
        outcome=Outcome(outcome),
        reason=f"http_{code}",
        retry_after=7 if code == 429 else None,
        scope=Scope(scope),
    )
    assert len(vendor.asked) == 1


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"<html>",
        {},
        {"messages": []},
        {"messages": [*answer(26, 1)["messages"] * 2]},
        {"messages": [{"status": {"id": 26}}]},
        b"[" * 60_000,
    ],
)
async def test_a_success_that_cannot_be_read_is_unknown(http: aiohttp.ClientSession, body: object) -> None:
    result = await answered(http, says(body))

    assert (result.outcome, result.reason) == (Outcome.UNKNOWN, "http_200")


async def test_a_broken_connection_is_unknown_and_nothing_is_sent_twice(http: aiohttp.ClientSession) -> None:
    vendor = hangs_up()

    result = await answered(http, vendor)

    assert (result.outcome, len(vendor.asked)) == (Outcome.UNKNOWN, 1)


# Approvals


async def test_an_approval_ends_the_messages_conversion(http: aiohttp.ClientSession) -> None:
    async with open_for_business(says({"processKey": "ONE_TIME_PIN"})) as vendor:
        provider = await open_provider(an_account(SECRET, http, url=f"{vendor.url}/infobip"), timeouts=PATIENT)
        noted = await provider.approved(REFERENCE)

    asked = vendor.request
    assert noted
    assert (asked.method, asked.path) == ("POST", f"/infobip/ct/1/log/end/{REFERENCE}")
    assert (asked.headers["Authorization"], asked.json) == (f"App {API_KEY}", {})


async def test_a_messages_id_stays_one_part_of_the_address(http: aiohttp.ClientSession) -> None:
    async with open_for_business(says({})) as vendor:
        provider = await open_provider(an_account(SECRET, http, url=vendor.url), timeouts=PATIENT)
        await provider.approved("../a?b")

    assert vendor.request.path.startswith("/ct/1/log/end/..%2F")
    assert "?" not in vendor.request.path


# The secret


@pytest.mark.parametrize(
    ("entry", "value"),
    [
        ("api_key", None),
        ("api_key", ""),
        ("base_url", None),
        ("base_url", "http://xxxxx.api.infobip.com"),
        ("base_url", "https://xxxxx.api.infobip.com/"),
        ("base_url", "https://user@xxxxx.api.infobip.com"),
    ],
)
async def test_a_secret_that_makes_no_sense_is_told_by_its_entry(
    http: aiohttp.ClientSession, entry: str, value: str | None
) -> None:
    secret = {name: kept for name, kept in {**SECRET, entry: value}.items() if kept is not None}
    provider = await open_provider(an_account(secret, http))

    with pytest.raises(KeysUnavailable, match=f"infobip.*{entry}") as refusal:
        await provider.prepare()

    assert API_KEY not in str(refusal.value)


async def test_no_code_key_or_number_is_in_a_log_or_a_result(
    http: aiohttp.ClientSession, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    vendors = [says(*ACCEPTED), says(answer(8, 5)), says({"description": GERMAN}, 400), says(GERMAN.encode(), 500)]

    shown = [repr(await answered(http, vendor)) for vendor in vendors]
    provider = await open_provider(an_account(SECRET, http))
    single = provider.single
    request = single.request(a_message(**ROUTE), await single.credentials(), single.account)

    everything = "\n".join([*shown, caplog.text, repr(provider), repr(request)])
    assert not [secret for secret in (CODE, GERMAN.removeprefix("+"), API_KEY) if secret in everything]


# Many in one request


def several(count: int) -> list[Message]:
    return [
        a_message(f"+49151{place:08}", f"{place:06} is your code.", reference=f"vfy_k1_{place}.1", **ROUTE)
        for place in range(count)
    ]


def entry(place: int, number: int = 26, group: int = 1) -> dict[str, Any]:
    return {"messageId": f"vfy_k1_{place}.1", "status": status(number, group), "details": {"messageCount": 1}}


async def test_what_is_sent_in_the_same_moment_is_one_request_with_all_that_is_each_ones_own(
    http: aiohttp.ClientSession,
) -> None:
    vendor = says({"messages": [entry(0), entry(1)]})
    first, second = several(2)

    await together(http, vendor, [first, replace(second, sender="OTHER", valid_for=60)])

    described = vendor.request.json["messages"]
    assert vendor.request.path == "/sms/3/messages"
    assert [each["sender"] for each in described] == ["ACME", "OTHER"]
    assert [each["destinations"] for each in described] == [
        [{"to": "4915100000000", "messageId": "vfy_k1_0.1"}],
        [{"to": "4915100000001", "messageId": "vfy_k1_1.1"}],
    ]
    assert [each["content"]["text"] for each in described] == ["000000 is your code.", "000001 is your code."]
    assert [each["options"]["validityPeriod"]["amount"] for each in described] == [300, 60]
    urls = [each["webhooks"]["delivery"]["url"] for each in described]
    assert [url.startswith(f"{RECEIPTS_URL}/v1/receipts/infobip/vfy_k1_{place}.1.") for place, url in enumerate(urls)]
    assert len(set(urls)) == 2


async def test_each_message_has_the_outcome_of_its_own_entry_in_any_order(http: aiohttp.ClientSession) -> None:
    vendor = says({"messages": [entry(2, 20, 5), entry(0), entry(1, 52, 5)]})

    taken, refused, throttled = await together(http, vendor, several(3))

    assert taken == SendResult(
        provider="infobip", outcome=Outcome.ACCEPTED, message_id="vfy_k1_0.1", segments=1, wants_feedback=True
    )
    assert (refused.outcome, refused.reason) == (Outcome.REJECTED_NUMBER, "infobip_52")
    assert (throttled.outcome, throttled.retry_after) == (Outcome.THROTTLED_RECIPIENT, 3_600)


NO_ENTRY: dict[str, list[Any]] = {
    "none": [entry(0)],
    "another's": [entry(0), entry(9)],
    "two": [entry(0), entry(1), entry(1, 52, 5)],
    "one without an id": [entry(0), {"status": status(26, 1)}],
}


@pytest.mark.parametrize("entries", NO_ENTRY.values(), ids=NO_ENTRY)
async def test_a_message_without_an_entry_of_its_own_is_unknown_and_its_neighbour_is_not(
    http: aiohttp.ClientSession, entries: list[Any]
) -> None:
    vendor = says({"messages": entries})

    first, second = await together(http, vendor, several(2))

    assert first.outcome is Outcome.ACCEPTED
    assert second == SendResult(provider="infobip", outcome=Outcome.UNKNOWN, reason="not_in_answer")
    assert len(vendor.asked) == 1


async def test_after_a_bad_request_each_is_sent_by_itself_and_has_its_own_outcome(http: aiohttp.ClientSession) -> None:
    async def answer(request: web.Request) -> web.Response:
        body = await request.json()
        (reference, *others) = [each["destinations"][0]["messageId"] for each in body["messages"]]
        bad = bool(others) or reference == "vfy_k1_0.1"
        return web.json_response({"errorCode": "E400"} if bad else {"messages": [entry(1)]}, status=400 if bad else 200)

    vendor = Vendor(answer)

    first, second = await together(http, vendor, several(2))

    assert (first.outcome, first.reason) == (Outcome.CONFIG, "http_400")
    assert second.outcome is Outcome.ACCEPTED
    assert len(vendor.asked) == 3


@pytest.mark.parametrize(
    ("code", "outcome"), [(401, Outcome.CONFIG), (429, Outcome.THROTTLED_ACCOUNT), (500, Outcome.UNKNOWN)]
)
async def test_what_is_said_of_the_request_is_said_of_each(
    http: aiohttp.ClientSession, code: int, outcome: Outcome
) -> None:
    vendor = says({"errorCode": "E"}, code)

    results = await together(http, vendor, several(2))

    assert [(result.outcome, result.reason) for result in results] == [(outcome, f"http_{code}")] * 2
    assert len(vendor.asked) == 1


async def test_more_than_a_hundred_are_two_requests_and_each_message_is_in_one(http: aiohttp.ClientSession) -> None:
    vendor = says({"messages": [entry(place) for place in range(MOST_TOGETHER + 5)]})

    results = await together(http, vendor, several(MOST_TOGETHER + 5))

    assert {result.outcome for result in results} == {Outcome.ACCEPTED}
    assert sorted(len(asked.json["messages"]) for asked in vendor.asked) == [5, 100]


async def test_of_many_no_code_key_or_number_is_in_a_log_or_a_result(
    http: aiohttp.ClientSession, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    messages = [a_message(GERMAN, reference="a.1"), a_message("+4915112345679", reference="b.1")]
    vendor = says({"messages": [{**entry(0), "messageId": "a.1", "to": GERMAN}]})

    shown = repr(await together(http, vendor, messages)) + caplog.text

    assert not [secret for secret in (CODE, GERMAN.removeprefix("+"), API_KEY) if secret in shown]
    assert CODE in vendor.request.body.decode()


# The reports

NOW = MORNING
DONE_AT = "2027-01-15T07:59:30.123+0000"
REPORT: dict[str, Any] = {
    "bulkId": "2034072219640523072",
    "messageId": REFERENCE,
    "to": "4915112345678",
    "sender": "ACME",
    "sentAt": "2027-01-15T07:59:00.000+0000",
    "doneAt": DONE_AT,
    "messageCount": 1,
    "mccMnc": "26201",
    "price": {"pricePerMessage": 0.01, "currency": "EUR"},
    "status": status(5, 3, "DELIVERED_TO_HANDSET"),
    "error": {"groupId": 0, "groupName": "OK", "id": 0, "name": "NO_ERROR", "permanent": False},
    "callbackData": REFERENCE,
}
TOLD = {DeliveryStatus.SENT, DeliveryStatus.DELIVERED, DeliveryStatus.FAILED, DeliveryStatus.REJECTED}
DELIVERED = Receipt(provider="infobip", reference=REFERENCE, status=DeliveryStatus.DELIVERED, reason=None, at=NOW - 30)


def reported(*reports: object, reference: str | None = REFERENCE) -> Push:
    return a_push(json.dumps({"results": reports}).encode(), reference=reference)


def read(push: Push) -> tuple[Receipt, ...]:
    return RECEIPTS.read(push, SECRET, NOW)


def test_a_delivered_message() -> None:
    assert read(reported(REPORT)) == (DELIVERED,)


def test_several_reports_in_one_push() -> None:
    failed = {**REPORT, "callbackData": "another.2", "status": status(9, 2, "UNDELIVERABLE_NOT_DELIVERED")}

    first, second = read(reported(REPORT, failed, reference=None))

    assert first == DELIVERED
    assert (second.reference, second.status) == ("another.2", DeliveryStatus.FAILED)


@pytest.mark.parametrize(
    ("number", "group", "expected"),
    [
        (2, 3, DeliveryStatus.SENT),
        (5, 3, DeliveryStatus.DELIVERED),
        (3, 1, DeliveryStatus.SENT),
        (7, 1, DeliveryStatus.SENT),
        (26, 1, None),
        (0, 0, None),
        (4, 2, DeliveryStatus.FAILED),
        (9, 2, DeliveryStatus.FAILED),
        (31, 2, DeliveryStatus.FAILED),
        (15, 4, DeliveryStatus.FAILED),
        (29, 4, None),
        (87, 4, DeliveryStatus.REJECTED),
        (10, 5, DeliveryStatus.REJECTED),
        (14, 2, DeliveryStatus.REJECTED),
        (8, 5, DeliveryStatus.FAILED),
        (23, 5, None),
        (777, 5, DeliveryStatus.FAILED),
        (778, 9, None),
    ],
)
def test_every_status_has_its_meaning(number: int, group: int, expected: DeliveryStatus | None) -> None:
    receipts = read(reported({**REPORT, "status": status(number, group)}))

    assert [receipt.status for receipt in receipts] == ([] if expected is None else [expected])


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        ({"id": 5, "name": "EC_ABSENT_SUBSCRIBER"}, "EC_ABSENT_SUBSCRIBER"),
        ({"id": 0, "name": "NO_ERROR"}, "REJECTED_PREFIX_MISSING"),
        (None, "REJECTED_PREFIX_MISSING"),
        ({"id": 5}, "5"),
        ({"id": 5, "name": "号码 <b>" + "x" * 40}, "b" + "x" * 31),
        ({"id": 5, "name": "用户"}, None),
    ],
)
def test_a_failures_reason_is_the_networks_or_infobips_own(error: object, reason: str | None) -> None:
    (receipt,) = read(reported({**REPORT, "status": status(8, 5, "REJECTED_PREFIX_MISSING"), "error": error}))

    assert receipt.reason == reason


def test_only_a_failure_has_a_reason() -> None:
    (receipt,) = read(reported({**REPORT, "error": {"id": 5, "name": "EC_ABSENT_SUBSCRIBER"}}))

    assert receipt.reason is None


@pytest.mark.parametrize(
    ("left_out", "address", "reference"),
    [
        (["callbackData"], "of-the-address.1", "of-the-address.1"),
        (["callbackData"], None, REFERENCE),
        (["messageId"], None, REFERENCE),
        (["callbackData", "messageId"], "of-the-address.1", "of-the-address.1"),
        (["callbackData", "messageId"], None, None),
    ],
)
def test_the_verification_is_found_by_data_address_or_id(
    left_out: list[str], address: str | None, reference: str | None
) -> None:
    report = {name: value for name, value in REPORT.items() if name not in left_out}

    receipts = read(reported(report, reference=address))

    assert [receipt.reference for receipt in receipts] == ([] if reference is None else [reference])


@pytest.mark.parametrize(
    ("told", "at"),
    [
        (DONE_AT, NOW - 30),
        ("2027-01-15T08:59:30.123+0100", NOW - 30),
        ("2027-01-15T07:59:30", NOW - 30),
        ("2999-01-01T00:00:00.000+0000", NOW),
        ("1969-12-31T23:59:59.000+0000", NOW),
        ("0001-01-01T00:00:00.000+2359", NOW),
        ("yesterday", NOW),
        ("", NOW),
        (None, NOW),
    ],
)
def test_a_time_that_cannot_be_is_now(told: str | None, at: int) -> None:
    (receipt,) = read(reported({**REPORT, "doneAt": told}))

    assert receipt.at == at


def test_infobip_wants_to_hear_nothing() -> None:
    assert RECEIPTS.acknowledgement.body == b""


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"\xff\xfe",
        b"[]",
        b"{}",
        b'{"results": {}}',
        b'{"results": [1]}',
        b'{"results": [{}]}',
        b'{"results": [{"status": {"id": "5", "groupId": 3}}]}',
        b'{"results": [{"status": {"id": 5, "groupId": 3}, "callbackData": 7}]}',
        b'{"results": ' + b"[" * 60_000,
    ],
)
def test_what_is_malformed_is_refused(body: bytes) -> None:
    with pytest.raises(InvalidRequest) as refusal:
        read(a_push(body))

    assert refusal.value.__suppress_context__


anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=8,
)
statuses = st.fixed_dictionaries(
    {"id": st.integers(0, 100), "groupId": st.integers(0, 9)}, optional={"name": st.text() | st.none()}
)
reports = st.fixed_dictionaries(
    {"status": statuses | anything},
    optional={
        "callbackData": st.text() | anything,
        "messageId": st.text() | anything,
        "doneAt": st.datetimes().map(str) | st.text() | anything,
        "error": st.fixed_dictionaries({"id": st.integers()}, optional={"name": st.text()}) | anything,
    },
)
bodies = st.binary() | (anything | st.fixed_dictionaries({"results": st.lists(reports)})).map(
    lambda value: json.dumps(value).encode()
)


@given(bodies)
@settings(deadline=None)
def test_any_bytes_are_receipts_or_an_invalid_request(body: bytes) -> None:
    try:
        receipts = read(a_push(body))
    except InvalidRequest:
        return

    for receipt in receipts:
        assert receipt.reference
        assert receipt.status in TOLD
        assert 0 <= receipt.at <= NOW
