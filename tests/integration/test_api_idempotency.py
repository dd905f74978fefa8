"""One Idempotency-Key, one verification and at most one SMS: through repeats, races, refusals and deaths.

A death is a request that is cancelled while the gateway, or the queue, has not answered: nothing behind that point
runs, as in a sandbox that is gone.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import secrets
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any

import msgspec
import pytest

from functions.domain.caller import Caller
from functions.domain.delivery import Message, Outcome, SendResult
from functions.domain.identity import request_digest
from functions.domain.phone import PhoneNumber
from functions.usecases.disposition import Disposition
from functions.usecases.once import LEASE
from functions.usecases.ports import Job, QueueUnavailable
from functions.web.authentication import digest_key
from functions.web.bodies import StartBody
from tests.harness import (
    API_KEY,
    MORNING,
    UNLIMITED,
    Harness,
    RecordingProvider,
    RecordingQueue,
    Response,
    answer,
    assert_problem,
    call,
    fresh_number,
)

PATH = "/v1/verifications"
ASYNC = {"prefer": "respond-async"}
DAY = 86_400


def fresh_key() -> str:
    """The tests of a run share a table, and so the keys of a caller."""
    return secrets.token_hex(8)


async def start(
    harness: Harness, number: PhoneNumber, key: str, *, headers: dict[str, str] | None = None, **fields: Any
) -> Response:
    headers = {"idempotency-key": key, **(headers or {})}
    return await call(harness.app, "POST", PATH, {"to": number.e164, **fields}, headers=headers)


@dataclass(slots=True)
class SilentProvider(RecordingProvider):
    """Takes a message and never answers."""

    reached: asyncio.Event = field(default_factory=asyncio.Event)

    async def send(self, message: Message) -> SendResult:
        self.messages.append(message)
        self.reached.set()
        answer_of_the_gateway: asyncio.Future[SendResult] = asyncio.get_running_loop().create_future()
        return await answer_of_the_gateway


@dataclass(slots=True)
class SilentQueue(RecordingQueue):
    reached: asyncio.Event = field(default_factory=asyncio.Event)

    async def put(self, job: Job, *, delay: int = 0) -> None:
        self.reached.set()
        await asyncio.get_running_loop().create_future()


@contextlib.asynccontextmanager
async def under_way(harness: Harness, number: PhoneNumber, key: str, **fields: Any) -> AsyncIterator[None]:
    """A start that waits for an answer which never comes; dead when the block is left."""
    silent = SilentProvider()
    harness.provider, before = silent, harness.provider
    request = asyncio.create_task(start(harness, number, key, **fields))
    try:
        await silent.reached.wait()
        yield
    finally:
        request.cancel()
        await asyncio.wait([request])
        harness.provider = before
        before.messages += silent.messages


async def test_a_repeated_request_gets_the_same_answer_and_sends_one_sms(harness: Harness) -> None:
    number, key = fresh_number(), fresh_key()

    first = await start(harness, number, key, metadata={"order": "17"})
    harness.clock.advance(100)
    second = await start(harness, number, key, metadata={"order": "17"})

    assert (first.status, first.body, first.headers) == (second.status, second.body, second.headers)
    assert first.status == 201
    assert len(harness.provider.sent_to(number)) == 1


async def test_a_repeated_request_for_the_queue_gets_the_same_answer_and_is_queued_once(harness: Harness) -> None:
    number, key = fresh_number(), fresh_key()

    first, second = [await start(harness, number, key, headers=ASYNC) for _ in range(2)]

    assert (first.status, first.body, first.headers) == (second.status, second.body, second.headers)
    assert first.status == 202
    assert len(harness.queue.jobs) == 1


async def test_fifty_requests_at_once_with_one_key_send_one_sms(harness: Harness) -> None:
    harness.change_service(**UNLIMITED)  # so that nothing but the key stands in the way
    number, key = fresh_number(), fresh_key()

    responses = await asyncio.gather(*(start(harness, number, key) for _ in range(50)))

    assert len(harness.provider.sent_to(number)) == 1
    assert len({response.body for response in responses if response.status == 201}) == 1
    for refused in (response for response in responses if response.status != 201):
        assert_problem(refused, 409, "conflict")


async def test_an_answer_is_remembered_for_a_day(harness: Harness) -> None:
    number, key = fresh_number(), fresh_key()
    first = await start(harness, number, key)

    harness.clock.advance(DAY - 1)

    assert (await start(harness, number, key)).body == first.body
    assert len(harness.provider.sent_to(number)) == 1


async def test_a_key_is_free_again_after_a_day(harness: Harness) -> None:
    number, key = fresh_number(), fresh_key()
    first = await start(harness, number, key)
    harness.clock.advance(DAY)

    second = await start(harness, number, key)

    assert (second.status, second.json["sends"]) == (201, 1)
    assert second.json["id"] != first.json["id"]
    assert len(harness.provider.sent_to(number)) == 2


async def test_another_key_is_another_request(harness: Harness) -> None:
    harness.change_service(**UNLIMITED)
    number = fresh_number()

    first, second = [await start(harness, number, fresh_key()) for _ in range(2)]

    assert (first.json["sends"], second.json["sends"]) == (1, 2)
    assert len(harness.provider.sent_to(number)) == 2


@pytest.mark.parametrize(
    "fields",
    [
        {"locale": "fr"},
        {"code": "271828"},
        {"domain": "acme.example"},
        {"app_hash": "FA+9qCX9VSu"},
        {"ip": "192.0.2.1"},
        {"metadata": {"order": "18"}},
    ],
)
async def test_a_key_is_good_for_one_body(harness: Harness, fields: dict[str, Any]) -> None:
    harness.change_service(**UNLIMITED)
    number, key = fresh_number(), fresh_key()
    await start(harness, number, key)

    assert_problem(await start(harness, number, key, **fields), 422, "idempotency_mismatch")
    assert len(harness.provider.sent_to(number)) == 1


async def test_a_key_is_good_for_one_number(harness: Harness) -> None:
    number, key = fresh_number(), fresh_key()
    await start(harness, fresh_number(), key)

    assert_problem(await start(harness, number, key), 422, "idempotency_mismatch")
    assert harness.provider.sent_to(number) == []


async def test_a_key_is_good_for_one_way_of_sending(harness: Harness) -> None:
    number, key = fresh_number(), fresh_key()
    await start(harness, number, key)

    assert_problem(await start(harness, number, key, headers=ASYNC), 422, "idempotency_mismatch")
    assert harness.queue.jobs == []


async def test_the_order_and_the_spelling_of_a_body_do_not_make_it_another(harness: Harness) -> None:
    number, headers = fresh_number(), {"idempotency-key": fresh_key()}
    bodies = [
        {"to": number.e164, "metadata": {"a": "1", "b": "2"}, "locale": "de"},
        {"locale": "de", "metadata": {"b": "2", "a": "1"}, "to": number.e164},
        {"to": number.e164, "metadata": {"a": "1", "b": "2"}, "locale": "de", "service": "default", "code": None},
    ]
    raw = [json.dumps(body).encode() for body in bodies]
    raw.append(raw[0].replace(b"+", b"\\u002b").replace(b", ", b" ,\n"))

    answers = [await call(harness.app, "POST", PATH, body, headers=headers) for body in raw]

    assert {(one.status, one.body) for one in answers} == {(201, answers[0].body)}
    assert len(harness.provider.sent_to(number)) == 1


async def test_after_a_refusal_by_the_limits_the_same_key_may_try_again(harness: Harness) -> None:
    number, key = fresh_number(), fresh_key()
    await start(harness, number, fresh_key())

    refused = await start(harness, number, key)
    harness.clock.advance(int(refused.headers["retry-after"]))
    again = await start(harness, number, key)

    assert_problem(refused, 429, "rate_limited")
    assert (again.status, again.json["sends"]) == (201, 2)


@pytest.mark.parametrize("outcome", [Outcome.TRANSIENT, Outcome.CONFIG, Outcome.THROTTLED_ACCOUNT])
async def test_after_a_send_that_was_not_taken_the_same_key_may_try_again(harness: Harness, outcome: Outcome) -> None:
    number, key = fresh_number(), fresh_key()
    harness.provider.script = [answer(outcome)]

    refused, again = [await start(harness, number, key) for _ in range(2)]

    assert_problem(refused, 503, "delivery_unavailable")
    assert again.status == 201
    assert len(harness.provider.sent_to(number)) == 2


async def test_after_a_cap_of_the_gateway_the_same_key_may_try_again_when_it_was_told_to(harness: Harness) -> None:
    number, key = fresh_number(), fresh_key()
    harness.provider.script = [answer(Outcome.THROTTLED_RECIPIENT, retry_after=30)]
    refused = await start(harness, number, key)
    assert_problem(refused, 429, "rate_limited")
    assert refused.headers["retry-after"] == "30"

    harness.clock.advance(30)

    assert (await start(harness, number, key)).status == 201
    assert len(harness.provider.sent_to(number)) == 2


async def test_after_an_outage_of_the_queue_the_same_key_may_try_again(harness: Harness) -> None:
    number, key = fresh_number(), fresh_key()
    harness.queue.error = QueueUnavailable("down")

    refused = await start(harness, number, key, headers=ASYNC)
    harness.queue.error = None
    again = await start(harness, number, key, headers=ASYNC)

    assert_problem(refused, 503, "delivery_unavailable")
    assert again.status == 202
    assert len(harness.queue.jobs) == 1


async def test_after_a_final_refusal_the_same_key_is_refused_again_and_nothing_is_sent(harness: Harness) -> None:
    number, key = fresh_number(), fresh_key()
    harness.provider.script = [answer(Outcome.REJECTED_NUMBER)]

    for _ in range(2):
        assert_problem(await start(harness, number, key), 502, "delivery_rejected")
    assert len(harness.provider.sent_to(number)) == 1


async def test_a_malformed_request_does_not_use_its_key_up(harness: Harness) -> None:
    number, key = fresh_number(), fresh_key()

    assert_problem(await start(harness, number, key, service="nobody"), 422, "invalid_request")
    assert (await start(harness, number, key)).status == 201


async def test_while_a_request_is_under_way_its_repeat_is_told_to_wait(harness: Harness) -> None:
    number, key = fresh_number(), fresh_key()

    async with under_way(harness, number, key):
        harness.clock.advance(10)
        refused = await start(harness, number, key)

    assert_problem(refused, 409, "conflict")
    assert refused.headers["retry-after"] == str(LEASE - 10)
    assert len(harness.provider.sent_to(number)) == 1


async def test_while_a_request_is_under_way_its_key_is_refused_for_another_body(harness: Harness) -> None:
    number, key = fresh_number(), fresh_key()

    async with under_way(harness, number, key):
        assert_problem(await start(harness, number, key, locale="fr"), 422, "idempotency_mismatch")


async def test_a_request_that_died_after_its_reservation_is_taken_over_without_a_second_sms(harness: Harness) -> None:
    number, key = fresh_number(), fresh_key()
    async with under_way(harness, number, key):
        pass

    refused = await start(harness, number, key)
    harness.clock.advance(int(refused.headers["retry-after"]))
    heir = await start(harness, number, key)

    assert_problem(refused, 409, "conflict")
    assert heir.status == 201
    assert len(harness.provider.sent_to(number)) == 1
    checked = await call(
        harness.app, "POST", f"{PATH}/{heir.json['id']}/check", {"code": harness.provider.code_for(number)}
    )
    assert checked.json["valid"]


async def test_the_heir_of_a_request_that_died_hears_that_nobody_knows_of_its_send(harness: Harness) -> None:
    number, key = fresh_number(), fresh_key()
    async with under_way(harness, number, key):
        pass

    harness.clock.advance(LEASE)
    inherited = await start(harness, number, key)

    assert (inherited.status, inherited.json["delivery"]["status"]) == (201, "unknown")
    assert inherited.json["delivery"]["reason"] == "request_died"


async def test_fifty_heirs_of_a_request_that_died_send_no_second_sms(harness: Harness) -> None:
    harness.change_service(**UNLIMITED)
    number, key = fresh_number(), fresh_key()
    async with under_way(harness, number, key):
        pass
    harness.clock.advance(LEASE + 1)

    responses = await asyncio.gather(*(start(harness, number, key) for _ in range(50)))

    assert {response.status for response in responses} <= {201, 409}
    assert len(harness.provider.sent_to(number)) == 1


async def test_a_request_that_died_before_its_reservation_is_taken_over_and_sent(harness: Harness) -> None:
    number, key = fresh_number(), fresh_key()
    content = msgspec.json.encode([StartBody(to=number.e164), False], order="deterministic").decode()
    request = request_digest(harness.keys.ring, "http", "tester", key)
    fingerprint = request_digest(harness.keys.ring, "fingerprint", content)
    await harness.answers.take(request, fingerprint, now=MORNING, stale_before=MORNING - LEASE)

    refused = await start(harness, number, key)
    harness.clock.advance(int(refused.headers["retry-after"]))
    heir = await start(harness, number, key)

    assert_problem(refused, 409, "conflict")
    assert heir.status == 201
    assert len(harness.provider.sent_to(number)) == 1


async def test_a_request_that_died_before_the_queue_had_its_job_is_taken_over_and_queued(harness: Harness) -> None:
    number, key = fresh_number(), fresh_key()
    silent, working = SilentQueue(), harness.queue
    harness.queue = silent
    request = asyncio.create_task(start(harness, number, key, headers=ASYNC))
    await silent.reached.wait()
    request.cancel()
    await asyncio.wait([request])
    harness.queue = working
    harness.clock.advance(LEASE + 1)

    heir = await start(harness, number, key, headers=ASYNC)

    assert (heir.status, heir.json["delivery"]["status"]) == (202, "queued")
    (job,) = harness.queue.jobs
    assert (await harness.send(job, message_id="m1", queued_at=harness.clock.now)).disposition is Disposition.DONE
    assert len(harness.provider.sent_to(number)) == 1


@dataclass(frozen=True, slots=True)
class TwoCallers:
    async def caller_of(self, key_digest: str) -> Caller | None:
        names = {digest_key(API_KEY): "tester", digest_key("other-key"): "other"}
        return Caller(name=names[key_digest])


async def test_callers_do_not_share_their_keys(harness: Harness) -> None:
    harness.callers = TwoCallers()
    mine, theirs, headers = fresh_number(), fresh_number(), {"idempotency-key": fresh_key()}

    first = await call(harness.app, "POST", PATH, {"to": mine.e164}, headers=headers)
    second = await call(harness.app, "POST", PATH, {"to": theirs.e164}, headers=headers, key="other-key")

    assert (first.status, second.status) == (201, 201)
    assert first.json["id"] != second.json["id"]
    assert len(harness.provider.messages) == 2


async def test_a_stored_answer_holds_neither_number_nor_code_nor_key(harness: Harness) -> None:
    harness.change_service(code_length=10)
    number, key = fresh_number(), f"key-of-{fresh_key()}"
    started = await start(harness, number, key)

    item = await harness.table.get("a#" + request_digest(harness.keys.ring, "http", "tester", key))

    assert item is not None
    assert started.json["id"].encode() in item["answer"]["B"]
    for secret in (number.e164[1:], number.national, harness.provider.code_for(number), key):
        assert secret not in repr(item)


@pytest.mark.parametrize("key", ["", "x" * 256, "schlüssel", "a\tb", "a\r\nb", "a\x00b", "a\x7fb", "\xa0"])
async def test_a_key_that_is_not_up_to_255_printable_characters_is_refused(harness: Harness, key: str) -> None:
    assert_problem(await start(harness, fresh_number(), key), 422, "invalid_request")
    assert harness.provider.messages == []


async def test_a_key_of_255_characters_is_taken(harness: Harness) -> None:
    number, key = fresh_number(), fresh_key().ljust(255, "~")

    first, second = [await start(harness, number, key) for _ in range(2)]

    assert (first.status, first.body) == (201, second.body)
