"""How a verification stands: looked up, canceled, and moved on by the provider's receipts."""

from __future__ import annotations

import itertools
import json
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote, urlencode

import pytest
from botocore.exceptions import EndpointConnectionError
from hypothesis import given, settings
from hypothesis import strategies as st

from functions.domain.delivery import Message, Outcome, SendResult
from functions.domain.phone import PhoneNumber
from functions.domain.receipt_token import account_token
from functions.domain.sensitive import Sensitive
from functions.providers.yunpian import RECEIPTS
from functions.stores.dynamodb import Table
from functions.usecases.ports import KeysUnavailable
from functions.web.boundary import Boundary
from functions.web.receipts import LARGEST, Receipts, ReceiptSource, create_receipts_app
from infra.local.embedded_aws import Resources
from tests.harness import (
    MORNING,
    Harness,
    RecordingProvider,
    Response,
    another,
    answer,
    assert_problem,
    call,
    fresh_number,
)

PATH = "/v1/verifications"
UNKNOWN_ID = f"vfy_k1_{'a' * 40}"
TOKEN = account_token(Sensitive("a token that nobody guesses, of 32"), "yunpian")
"""Of the address for the receipts of all messages."""


@dataclass(frozen=True, slots=True)
class Started:
    id: str
    number: PhoneNumber
    code: str
    reference: str
    answer: Any = field(repr=False)


async def start(harness: Harness, number: PhoneNumber | None = None, **fields: Any) -> Started:
    number = number or fresh_number()
    response = await call(harness.app, "POST", PATH, {"to": number.e164, **fields})
    assert response.status == 201
    latest = harness.provider.sent_to(number)[-1]
    return Started(response.json["id"], number, harness.provider.code_for(number), latest.reference, response.json)


async def look_up(harness: Harness, verification: str) -> Response:
    return await call(harness.app, "GET", f"{PATH}/{verification}")


async def cancel(harness: Harness, verification: str) -> Response:
    return await call(harness.app, "DELETE", f"{PATH}/{verification}")


async def check(harness: Harness, verification: str, code: str) -> Response:
    return await call(harness.app, "POST", f"{PATH}/{verification}/check", {"code": code})


async def test_a_verification_is_shown_as_its_start_answered_it_without_the_number(harness: Harness) -> None:
    started = await start(harness, metadata={"order": "17"})

    response = await look_up(harness, started.id)

    shown, delivery = dict(started.answer), dict(started.answer["delivery"])
    assert shown.pop("to") == started.number.e164
    assert (shown["provider"], delivery["provider"]) == ("yunpian", "yunpian")
    assert response.status == 200
    assert response.json == {**shown, "delivery": delivery}
    assert response.headers["cache-control"] == "no-store"


async def test_a_verification_is_shown_in_each_of_its_states(harness: Harness) -> None:
    async def state_of(started: Started) -> object:
        return (await look_up(harness, started.id)).json["status"]

    pending, approved, canceled, exhausted, expired = [await start(harness) for _ in range(5)]
    await check(harness, approved.id, approved.code)
    await cancel(harness, canceled.id)
    for _ in range(5):
        await check(harness, exhausted.id, another(exhausted.code))
    states = [await state_of(one) for one in (pending, approved, canceled, exhausted)]
    harness.clock.advance(600)

    assert states == ["pending", "approved", "canceled", "attempts_exhausted"]
    assert await state_of(expired) == "expired"
    assert await state_of(approved) == "approved"


@pytest.mark.parametrize("verification", [UNKNOWN_ID, "x", f"{UNKNOWN_ID}\n", UNKNOWN_ID.upper(), "ä", "%2e%2e"])
async def test_what_is_not_there_is_neither_shown_nor_canceled(harness: Harness, verification: str) -> None:
    shown, canceled = await look_up(harness, verification), await cancel(harness, verification)

    assert_problem(shown, 404, "not_found")
    assert (canceled.status, canceled.body) == (404, shown.body)


async def test_an_older_verification_is_neither_shown_nor_canceled(harness: Harness) -> None:
    older = await start(harness)
    harness.clock.advance(600)
    newer = await start(harness, older.number)

    assert_problem(await look_up(harness, older.id), 404, "not_found")
    assert_problem(await cancel(harness, older.id), 404, "not_found")
    assert (await look_up(harness, newer.id)).json["status"] == "pending"


async def test_a_canceled_verification_is_not_checked_any_more(harness: Harness) -> None:
    started = await start(harness)

    response = await cancel(harness, started.id)

    assert (response.status, response.json["id"], response.json["status"]) == (200, started.id, "canceled")
    assert_problem(await check(harness, started.id, started.code), 409, "canceled")


async def test_to_cancel_twice_is_fine(harness: Harness) -> None:
    started = await start(harness)

    first, second = await cancel(harness, started.id), await cancel(harness, started.id)

    assert (first.status, first.body) == (second.status, second.body)
    assert first.status == 200


async def test_an_approved_verification_cannot_be_canceled(harness: Harness) -> None:
    started = await start(harness)
    await check(harness, started.id, started.code)

    assert_problem(await cancel(harness, started.id), 409, "already_approved")
    assert (await look_up(harness, started.id)).json["status"] == "approved"


async def test_an_expired_verification_cannot_be_canceled(harness: Harness) -> None:
    started = await start(harness)
    harness.clock.advance(600)

    assert_problem(await cancel(harness, started.id), 409, "expired")


async def test_a_verification_without_attempts_cannot_be_canceled(harness: Harness) -> None:
    started = await start(harness)
    for _ in range(5):
        await check(harness, started.id, another(started.code))

    assert_problem(await cancel(harness, started.id), 409, "attempts_exhausted")


async def test_a_canceled_verification_makes_room_for_a_new_one_after_the_cooldown(harness: Harness) -> None:
    started = await start(harness)
    await cancel(harness, started.id)

    refused = await call(harness.app, "POST", PATH, {"to": started.number.e164})
    harness.clock.advance(int(refused.headers["retry-after"]))
    again = await start(harness, started.number)

    assert refused.headers["retry-after"] == "30"
    assert again.id != started.id
    assert (await check(harness, again.id, again.code)).json["valid"]


async def secret() -> Mapping[str, Any]:
    return {"apikey": "0" * 32, "receipt_token": "a token that nobody guesses, of 32"}


async def no_secret() -> Mapping[str, Any]:
    raise KeysUnavailable("secret yunpian: ResourceNotFoundException")


def receipts_app(harness: Harness, source: ReceiptSource | None = None) -> Boundary:
    receipts = Receipts(
        sources={"yunpian": source or ReceiptSource(RECEIPTS, secret)},
        record=harness.receive,
        receipts_url="https://sms.example.com",
        clock=harness.clock,
    )
    return create_receipts_app(receipts, harness.journal)


def report(reference: str, status: str = "SUCCESS", **fields: str) -> dict[str, str]:
    return {
        "sid": "9527",
        "uid": reference,
        "user_receive_time": "2027-01-15 16:00:00",  # in China: our morning
        "error_msg": "",
        "mobile": "+4915112345678",
        "report_status": status,
        **fields,
    }


def push_body(*reports: dict[str, str]) -> bytes:
    return urlencode({"sms_status": quote(json.dumps(reports))}).encode()


async def push(harness: Harness, *reports: dict[str, str], path: str = f"/v1/receipts/yunpian/{TOKEN}") -> Response:
    return await call(receipts_app(harness), "POST", path, push_body(*reports), key=None)


async def delivery_of(harness: Harness, started: Started) -> tuple[str, str | None]:
    delivery = (await look_up(harness, started.id)).json["delivery"]
    return delivery["status"], delivery["reason"]


async def test_a_receipt_of_a_delivered_message_shows(harness: Harness) -> None:
    started = await start(harness)
    harness.clock.advance(9)

    response = await push(harness, report(started.reference, user_receive_time="2027-01-15 16:00:07"))

    shown = (await look_up(harness, started.id)).json
    assert shown["delivery"] == {"status": "delivered", "provider": "yunpian", "reason": None, "at": MORNING + 7}
    assert shown["provider"] == "yunpian"
    assert (response.status, response.body) == (200, b"SUCCESS")


async def test_a_receipt_of_a_failure_shows_with_its_reason(harness: Harness) -> None:
    started = await start(harness)

    await push(harness, report(started.reference, "FAIL", error_msg="DELIVRD:0108"))

    assert await delivery_of(harness, started) == ("failed", "DELIVRD:0108")


async def test_a_receipt_changes_nothing_but_the_delivery(harness: Harness) -> None:
    started = await start(harness)
    before = (await look_up(harness, started.id)).json

    await push(harness, report(started.reference))

    after = (await look_up(harness, started.id)).json
    assert {name for name in after if after[name] != before[name]} == {"delivery"}
    assert (await check(harness, started.id, started.code)).json["valid"]


async def test_one_push_brings_the_receipts_of_many(harness: Harness) -> None:
    many = [await start(harness) for _ in range(3)]

    await push(harness, *(report(one.reference) for one in many))

    assert [await delivery_of(harness, one) for one in many] == [("delivered", None)] * 3


async def test_a_receipt_that_comes_twice_is_acknowledged_twice_and_changes_nothing_more(harness: Harness) -> None:
    started = await start(harness)
    harness.clock.advance(20)
    await push(harness, report(started.reference, user_receive_time="2027-01-15 16:00:05"))
    first = (await look_up(harness, started.id)).json

    again = await push(harness, report(started.reference, user_receive_time="2027-01-15 16:00:15"))

    assert (again.status, again.body) == (200, b"SUCCESS")
    assert (await look_up(harness, started.id)).json == first


async def test_receipts_in_any_order_and_number_end_the_same(harness: Harness) -> None:
    for order in itertools.product(["SUCCESS", "FAIL"], repeat=3):
        started = await start(harness)
        for status in order:
            await push(harness, report(started.reference, status))

        status, _ = await delivery_of(harness, started)
        assert status == ("delivered" if "SUCCESS" in order else "failed"), order


async def test_a_receipt_settles_a_send_of_unknown_outcome(harness: Harness) -> None:
    harness.provider.script = [answer(Outcome.UNKNOWN)]
    started = await start(harness)

    await push(harness, report(started.reference))

    assert await delivery_of(harness, started) == ("delivered", None)


@dataclass(slots=True)
class QuickReceipts(RecordingProvider):
    """Pushes the receipt before it answers the send."""

    harness: Harness | None = None

    async def send(self, message: Message) -> SendResult:
        assert self.harness is not None
        await push(self.harness, report(message.reference))
        # Not super(): a dataclass with slots is another class than the one that its methods know.
        return await RecordingProvider.send(self, message)


@pytest.mark.parametrize("outcome", [Outcome.ACCEPTED, Outcome.UNKNOWN])
async def test_a_receipt_that_is_quicker_than_the_gateways_own_answer_stands(
    harness: Harness, outcome: Outcome
) -> None:
    harness.provider = QuickReceipts(harness=harness, script=[answer(outcome)])

    started = await start(harness)

    assert await delivery_of(harness, started) == ("delivered", None)


async def test_a_receipt_of_an_earlier_send_changes_nothing(harness: Harness) -> None:
    first = await start(harness)
    harness.clock.advance(30)
    second = await start(harness, first.number)
    assert (second.id, second.reference) == (first.id, reference_of(first, 2))

    response = await push(harness, report(first.reference, "FAIL"))

    assert response.status == 200
    assert await delivery_of(harness, second) == ("submitted", None)
    await push(harness, report(second.reference))
    assert await delivery_of(harness, second) == ("delivered", None)


def reference_of(started: Started, send: int) -> str:
    return f"{started.reference.rpartition('.')[0]}.{send}"


async def test_a_receipt_of_an_older_verification_changes_nothing(harness: Harness) -> None:
    older = await start(harness)
    harness.clock.advance(600)
    newer = await start(harness, older.number)

    response = await push(harness, report(older.reference, "FAIL"))

    assert response.status == 200
    assert await delivery_of(harness, newer) == ("submitted", None)


async def test_a_receipt_after_the_end_of_its_verification_still_shows(harness: Harness) -> None:
    started = await start(harness)
    await check(harness, started.id, started.code)
    harness.clock.advance(3600)

    await push(harness, report(started.reference))

    shown = (await look_up(harness, started.id)).json
    assert (shown["status"], shown["delivery"]["status"]) == ("approved", "delivered")


@pytest.mark.parametrize(
    "unknown",
    ["", ".", "x", "x.1", f"{UNKNOWN_ID}.1", UNKNOWN_ID, f"{UNKNOWN_ID}.", f"{UNKNOWN_ID}.1234", f"{UNKNOWN_ID}.-1"],
)
async def test_a_receipt_of_a_message_that_is_none_of_ours_is_acknowledged(harness: Harness, unknown: str) -> None:
    response = await push(harness, report(unknown))

    assert (response.status, response.body) == (200, b"SUCCESS")


async def test_a_strange_receipt_does_not_hold_its_neighbours_up(harness: Harness) -> None:
    started = await start(harness)

    await push(harness, report("none of ours"), report(started.reference, "PENDING"), report(started.reference))

    assert await delivery_of(harness, started) == ("delivered", None)


@pytest.mark.parametrize("wrong", ["x", TOKEN + "x", TOKEN[:-1], TOKEN.upper(), "ä", "\x00", TOKEN + "\n"])
async def test_a_wrong_token_gets_the_answer_of_an_unknown_provider(harness: Harness, wrong: str) -> None:
    started = await start(harness)

    refused = await push(harness, report(started.reference), path=f"/v1/receipts/yunpian/{wrong}")
    unknown = await push(harness, report(started.reference), path=f"/v1/receipts/nobody/{TOKEN}")

    assert_problem(refused, 404, "not_found")
    assert (refused.status, refused.body, refused.headers) == (unknown.status, unknown.body, unknown.headers)
    assert await delivery_of(harness, started) == ("submitted", None)


async def test_a_callers_key_opens_nothing_to_receipts(harness: Harness) -> None:
    started = await start(harness)

    response = await call(
        receipts_app(harness), "POST", "/v1/receipts/yunpian/wrong", push_body(report(started.reference))
    )

    assert_problem(response, 404, "not_found")


async def test_a_token_of_an_unknown_callers_body_is_checked_before_the_body_is_looked_at(harness: Harness) -> None:
    response = await call(receipts_app(harness), "POST", "/v1/receipts/yunpian/wrong", b"\xff" * (LARGEST + 1))

    assert_problem(response, 404, "not_found")


MALFORMED: dict[str, bytes] = {
    "nothing": b"",
    "bytes": b"\xff\xfe\x00",
    "JSON": b'[{"uid":"x","report_status":"SUCCESS"}]',
    "no list": urlencode({"sms_status": "{}"}).encode(),
    "no JSON": urlencode({"sms_status": "[{"}).encode(),
    "a list of texts": urlencode({"sms_status": '["SUCCESS"]'}).encode(),
    "no status": urlencode({"sms_status": '[{"uid":"x"}]'}).encode(),
    "a status that is a number": urlencode({"sms_status": '[{"uid":"x","report_status":0}]'}).encode(),
    "a reference in a list": urlencode({"sms_status": '[{"uid":["x"],"report_status":"SUCCESS"}]'}).encode(),
    "a lone surrogate": urlencode({"sms_status": r'[{"uid":"\ud800","report_status":"SUCCESS"}]'}).encode(),
    "another field": urlencode({"status": push_body(report("x")).decode()}).encode(),
    "too many fields": urlencode({f"f{number}": "" for number in range(100)}).encode(),
    "nested ten thousand deep": urlencode({"sms_status": "[" * 10_000 + "]" * 10_000}).encode(),
    "bad UTF-8 in the form": b"sms_status=%FF",
    "bad UTF-8 encoded twice": b"sms_status=%255B%25FF",
}


@pytest.mark.parametrize("body", MALFORMED.values(), ids=MALFORMED.keys())
async def test_a_malformed_push_is_refused(harness: Harness, body: bytes) -> None:
    response = await call(receipts_app(harness), "POST", f"/v1/receipts/yunpian/{TOKEN}", body, key=None)

    assert_problem(response, 422, "invalid_request")


async def test_a_push_that_is_too_large_is_refused(harness: Harness) -> None:
    body = push_body(report("x")).ljust(LARGEST + 1, b"x")

    response = await call(receipts_app(harness), "POST", f"/v1/receipts/yunpian/{TOKEN}", body, key=None)

    assert_problem(response, 413, "body_too_large")


async def test_a_persons_reply_is_acknowledged_and_left_alone(harness: Harness) -> None:
    body = urlencode({"sms_reply": '{"text":"STOP"}'}).encode()

    response = await call(receipts_app(harness), "POST", f"/v1/receipts/yunpian/{TOKEN}", body, key=None)

    assert (response.status, response.body) == (200, b"SUCCESS")


TEXT = st.text(st.characters(), max_size=30)
REPORT = st.fixed_dictionaries(
    {"report_status": st.sampled_from(["SUCCESS", "FAIL", "OTHER"]) | TEXT},
    optional={
        "uid": st.sampled_from([f"{UNKNOWN_ID}.1", "x.1", ""]) | TEXT,
        "error_msg": TEXT,
        "user_receive_time": st.datetimes().map(str) | st.just("0001-01-01 00:00:00") | TEXT,
        "other": TEXT | st.none() | st.integers(),
    },
)
PUSH = st.lists(REPORT, max_size=3).map(
    lambda reports: urlencode({"sms_status": json.dumps(reports, ensure_ascii=True)}).encode()
)
FORM = st.dictionaries(st.sampled_from(["sms_status", "sms_reply"]) | st.text(max_size=5), st.text(max_size=40)).map(
    lambda form: urlencode(form).encode()
)


@settings(max_examples=300, deadline=None)
@given(body=st.binary(max_size=300) | FORM | PUSH)
async def test_any_push_is_answered(dynamodb: Any, resources: Resources, body: bytes) -> None:
    harness = Harness(Table(dynamodb, resources.table))

    response = await call(receipts_app(harness), "POST", f"/v1/receipts/yunpian/{TOKEN}", body, key=None)

    if response.status == 200:
        assert response.body == b"SUCCESS"
    else:
        assert_problem(response, 422, "invalid_request")


@settings(max_examples=100, deadline=None)
@given(provider=st.text(min_size=1, max_size=20), presented=st.text(min_size=1, max_size=40))
async def test_no_other_token_or_provider_gets_in(
    dynamodb: Any, resources: Resources, provider: str, presented: str
) -> None:
    app = receipts_app(Harness(Table(dynamodb, resources.table)))

    for path in (f"/v1/receipts/yunpian/{presented}", f"/v1/receipts/{provider}/{TOKEN}"):
        assert (await call(app, "POST", path, push_body(report("x")), key=None)).status == 404


class DownDynamoDb:
    """A client whose every call fails as it does when nobody listens."""

    def __getattr__(self, operation: str) -> Any:
        async def fail(**_: Any) -> Any:
            raise EndpointConnectionError(endpoint_url="https://dynamodb.invalid")

        return fail


@pytest.fixture
def down() -> Harness:
    return Harness(Table(DownDynamoDb(), "down"))


async def test_while_the_store_is_away_a_receipt_is_not_acknowledged(down: Harness) -> None:
    response = await push(down, report(f"{UNKNOWN_ID}.1"))

    assert_problem(response, 503, "unavailable")
    assert response.headers["retry-after"] == "1"


async def test_while_the_token_cannot_be_read_a_receipt_is_not_acknowledged(harness: Harness) -> None:
    app = receipts_app(harness, ReceiptSource(RECEIPTS, no_secret))

    assert_problem(await call(app, "POST", f"/v1/receipts/yunpian/{TOKEN}", b"", key=None), 503, "unavailable")


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("POST", PATH, {"to": "+4915112345678"}),
        ("POST", f"{PATH}/{UNKNOWN_ID}/check", {"code": "123456"}),
        ("GET", f"{PATH}/{UNKNOWN_ID}", None),
        ("DELETE", f"{PATH}/{UNKNOWN_ID}", None),
    ],
)
async def test_while_the_store_is_away_every_call_is_told_to_come_back(
    down: Harness, method: str, path: str, body: Any
) -> None:
    response = await call(down.app, method, path, body)

    assert_problem(response, 503, "unavailable")
    assert response.headers["retry-after"] == "1"
    assert down.provider.messages == []


async def test_while_the_store_is_away_a_start_with_a_key_sends_nothing_either(down: Harness) -> None:
    headers = {"idempotency-key": secrets.token_hex(8)}

    assert_problem(await call(down.app, "POST", PATH, {"to": "+4915112345678"}, headers=headers), 503, "unavailable")
    assert down.provider.messages == []
