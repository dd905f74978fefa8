"""POST /v1/verifications/batch: what becomes of each item, and that no repeat sends anybody a second SMS."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import pytest

from functions.domain.caller import Caller, Scope
from functions.domain.delivery import Message, Outcome, SendResult
from functions.domain.phone import PhoneNumber
from functions.domain.service import OnUnknown, Service
from functions.usecases.once import LEASE
from functions.usecases.ports import StoreUnavailable
from tests.harness import MORNING, Harness, RecordingProvider, Response, answer, assert_problem, call, fresh_number

PATH = "/v1/verifications/batch"
ASYNC = {"prefer": "respond-async"}
BAD: list[tuple[Any, str]] = [
    ({"to": "+1"}, "invalid_number"),
    ({"to": "+493012345678"}, "number_type_blocked"),
    ({"to": 4915112345678}, "invalid_request"),
    ({}, "invalid_request"),
    ("+4915112345678", "invalid_request"),
    (None, "invalid_request"),
    ({"to": "+4915112345678", "surprise": 1}, "invalid_request"),
    ({"to": "+4915112345678", "service": "nobody"}, "invalid_request"),
    ({"to": "+4915112345678", "locale": "!"}, "invalid_request"),
    ({"to": "+4915112345678", "key": ""}, "invalid_request"),
    ({"to": "+4915112345678", "key": "k" * 256}, "invalid_request"),
    ({"to": "+4915112345678", "metadata": {"a": "x" * 200}}, "invalid_request"),
    ({"to": "+4915112345678", "metadata": []}, "invalid_request"),
    ([], "invalid_request"),
    ({"to": "+4915112345678", "code": 123456}, "invalid_code"),
    ({"to": "+4915112345678", "code": "12345"}, "invalid_code"),
    ({"to": "+4915112345678", "ip": "nowhere"}, "invalid_request"),
    ({"to": "+4915112345678", "trusted": "yes"}, "invalid_request"),
]


async def post(
    harness: Harness, items: list[Any], *, headers: Mapping[str, str] | None = None, **fields: Any
) -> Response:
    return await call(harness.app, "POST", PATH, {"items": items, **fields}, headers=headers)


def numbers(count: int) -> list[PhoneNumber]:
    return [fresh_number() for _ in range(count)]


def items_for(to: list[PhoneNumber], **more: Any) -> list[dict[str, Any]]:
    return [{"to": number.e164, **more} for number in to]


def errors_of(response: Response) -> dict[int, str]:
    return {result["index"]: result["error"]["code"] for result in response.json["results"] if "error" in result}


async def test_a_batch_answers_for_each_item_in_their_order(harness: Harness) -> None:
    to = numbers(3)

    answered = await post(harness, items_for(to))

    assert answered.status == 200
    assert [message.to for message in harness.provider.messages] == to
    assert answered.json == {
        "results": [
            {
                "index": index,
                "id": answered.json["results"][index]["id"],
                "status": "pending",
                "expires_at": MORNING + 600,
                "resend_at": MORNING + 30,
            }
            for index in range(3)
        ]
    }


async def test_each_code_of_a_batch_is_right_once(harness: Harness) -> None:
    to = numbers(3)
    answered = await post(harness, items_for(to))

    for number, result in zip(to, answered.json["results"], strict=True):
        code = {"code": harness.provider.code_for(number)}
        checked = await call(harness.app, "POST", f"/v1/verifications/{result['id']}/check", code)
        assert checked.json["valid"]


async def test_a_hundred_are_sent_at_once(harness: Harness) -> None:
    harness.provider = _WaitsForAll(asyncio.Barrier(100))

    async with asyncio.timeout(30):
        answered = await post(harness, items_for(numbers(100)))

    assert (answered.status, errors_of(answered)) == (200, {})
    assert harness.bulk_queue.jobs == []


class _WaitsForAll(RecordingProvider):
    """Answers when as many messages are under way as the barrier waits for."""

    def __init__(self, barrier: asyncio.Barrier) -> None:
        super().__init__()
        self.barrier = barrier

    async def send(self, message: Message) -> SendResult:
        await self.barrier.wait()
        return await super().send(message)


async def test_wrong_items_between_right_ones_are_their_own_errors(harness: Harness) -> None:
    to = numbers(100 - len(BAD))
    items: list[Any] = items_for(to)
    places = range(3, 3 + 4 * len(BAD), 4)
    for place, (item, _) in zip(places, BAD, strict=True):
        items.insert(place, item)

    answered = await post(harness, items)

    assert answered.status == 200
    assert errors_of(answered) == dict(zip(places, [code for _, code in BAD], strict=True))
    assert [result["index"] for result in answered.json["results"]] == list(range(100))
    assert {message.to for message in harness.provider.messages} == set(to)


async def test_an_error_tells_what_a_problem_would(harness: Harness) -> None:
    number = fresh_number()

    answered = await post(harness, items_for([number, number]))

    (error,) = [result["error"] for result in answered.json["results"] if "error" in result]
    assert error == {"code": "rate_limited", "detail": "this number was sent a code a moment ago", "retry_after": 30}
    assert len(harness.provider.sent_to(number)) == 1


@pytest.mark.parametrize(
    ("outcome", "code"),
    [
        (Outcome.REJECTED_NUMBER, "delivery_rejected"),
        (Outcome.THROTTLED_RECIPIENT, "rate_limited"),
        (Outcome.TRANSIENT, "delivery_unavailable"),
    ],
)
async def test_what_the_provider_does_not_take_is_its_items_error(
    harness: Harness, outcome: Outcome, code: str
) -> None:
    refused, taken = numbers(2)
    harness.provider.otherwise = lambda message: answer(outcome if message.to == refused else Outcome.ACCEPTED)(message)

    answered = await post(harness, items_for([refused, taken]))

    assert errors_of(answered) == {0: code}


async def test_an_outage_in_the_middle_is_the_error_of_those_that_it_meets(harness: Harness) -> None:
    met, spared = numbers(2)
    harness.decisions = _BreakingDecisions(met)  # type: ignore[assignment] # it stands in for an adapter that breaks

    answered = await post(harness, items_for([met, spared]))

    assert errors_of(answered) == {0: "unavailable"}


@dataclass
class _BreakingDecisions:
    number: PhoneNumber

    async def keep(self, decision: Any, attempt: Any) -> None:
        if attempt.to == self.number:
            raise StoreUnavailable("the table is away")


async def test_an_item_names_another_service_than_its_batch(harness: Harness) -> None:
    harness.services |= {"shop": Service(name="shop", brand="Shop"), "bank": Service(name="bank", brand="Bank")}
    first, second, third = numbers(3)

    await post(
        harness,
        [{"to": first.e164}, {"to": second.e164, "service": "bank"}, {"to": third.e164, "service": "default"}],
        service="shop",
    )

    texts = [harness.provider.sent_to(number)[0].text.reveal() for number in (first, second, third)]
    assert ["Shop" in texts[0], "Bank" in texts[1]] == [True, True]
    assert not any(brand in texts[2] for brand in ("Shop", "Bank"))


async def test_an_item_is_started_with_all_that_it_says(harness: Harness) -> None:
    number = fresh_number()
    item = {"to": number.e164, "code": "27182818", "metadata": {"user": "7"}, "locale": "fr", "domain": "shop.example"}

    answered = await post(harness, [item])

    shown = await call(harness.app, "GET", f"/v1/verifications/{answered.json['results'][0]['id']}")
    text = harness.provider.messages[0].text.reveal()
    assert shown.json["metadata"] == {"user": "7"}
    assert "27182818" in text
    assert "@shop.example" in text


class TestTheWhole:
    @pytest.mark.parametrize(
        "body",
        [
            b"",
            b"no JSON",
            b"[]",
            b"{}",
            b'{"items": []}',
            b'{"items": {}}',
            b'{"items": "+4915112345678"}',
            b'{"items": [{"to": "+4915112345678"}], "surprise": 1}',
            b'{"items": [{"to": "+4915112345678"}], "service": 7}',
            b'{"items": [{"to": "+4915112345678"}], "service": "nobody"}',
            b'{"items": [{"to": "+4915112345678", "to": "+4915112345679"}]}',
            b'{"items": [{"to": "+4915112345678"}], "items": []}',
            b'{"items": [NaN]}',
            b'{"items": [{"to": "\\ud800"}]}',
            b'{"items": [' + b"{}," * 1000 + b"{}]}",
        ],
    )
    async def test_is_refused_where_it_makes_no_sense(self, harness: Harness, body: bytes) -> None:
        assert_problem(await call(harness.app, "POST", PATH, body), 422, "invalid_request")
        assert harness.provider.messages == []

    async def test_has_at_most_one_mebibyte(self, harness: Harness) -> None:
        fitting = json.dumps({"items": [{"to": "+1"}]}).encode()

        assert (await call(harness.app, "POST", PATH, fitting.ljust(1_048_576))).status == 200
        assert_problem(await call(harness.app, "POST", PATH, fitting.ljust(1_048_577)), 413, "body_too_large")

    async def test_needs_the_scope_to_start(self, harness: Harness) -> None:
        harness.callers = _Given(Caller(name="reader", scopes=frozenset({Scope.READ})))

        assert_problem(await post(harness, items_for(numbers(1))), 403, "forbidden")

    async def test_needs_the_right_to_its_service(self, harness: Harness) -> None:
        harness.services["shop"] = Service(name="shop")
        harness.callers = _Given(Caller(name="of the default", services=frozenset({"default"})))

        assert_problem(await post(harness, items_for(numbers(1)), service="shop"), 403, "forbidden")

    async def test_goes_on_without_the_items_of_other_services(self, harness: Harness) -> None:
        harness.services["shop"] = Service(name="shop")
        harness.callers = _Given(Caller(name="of the shop", services=frozenset({"shop"})))
        ours, other = numbers(2)

        answered = await post(harness, [{"to": other.e164}, {"to": ours.e164, "service": "shop"}])

        assert errors_of(answered) == {0: "forbidden"}
        assert [message.to for message in harness.provider.messages] == [ours]

    async def test_needs_a_key(self, harness: Harness) -> None:
        answered = await call(harness.app, "POST", PATH, {"items": items_for(numbers(1))}, key=None)

        assert_problem(answered, 401, "unauthorized")


@dataclass
class _Given:
    caller: Caller

    async def caller_of(self, key_digest: str) -> Caller | None:
        return self.caller


class TestARepeat:
    async def test_of_the_same_items_keys_sends_nobody_a_second_sms(self, harness: Harness) -> None:
        to = numbers(5)
        items = [{"to": number.e164, "key": f"user-{place}"} for place, number in enumerate(to)]
        first = await post(harness, items)
        harness.clock.advance(3600)

        again = await post(harness, [*items[:3], {"to": fresh_number().e164}])

        assert [result["id"] for result in again.json["results"][:3]] == [r["id"] for r in first.json["results"][:3]]
        assert [len(harness.provider.sent_to(number)) for number in to] == [1] * 5

    async def test_of_an_items_key_is_another_request_of_another_caller(self, harness: Harness) -> None:
        number = fresh_number()
        await post(harness, items_for([number], key="user-1"))
        harness.clock.advance(60)
        harness.callers = _Given(Caller(name="another"))

        await post(harness, items_for([number], key="user-1"))

        assert len(harness.provider.sent_to(number)) == 2

    async def test_without_any_key_is_a_resend(self, harness: Harness) -> None:
        number = fresh_number()
        first = await post(harness, items_for([number]))
        harness.clock.advance(60)

        again = await post(harness, items_for([number]))

        assert again.json["results"][0]["id"] == first.json["results"][0]["id"]
        assert len(harness.provider.sent_to(number)) == 2

    async def test_of_a_request_has_the_same_answer_and_sends_nobody_twice(self, harness: Harness) -> None:
        to = numbers(5)
        first = await post(harness, items_for(to), headers={"idempotency-key": f"k-{to[0].e164}"})

        again = await post(harness, items_for(to), headers={"idempotency-key": f"k-{to[0].e164}"})

        assert again.json == first.json
        assert len(harness.provider.messages) == 5

    async def test_of_what_the_provider_refused_is_refused_again_without_asking_it(self, harness: Harness) -> None:
        harness.provider.otherwise = answer(Outcome.REJECTED_NUMBER)
        (number,) = numbers(1)
        items = items_for([number], key=number.e164)

        first, again = await post(harness, items), await post(harness, items)

        assert errors_of(first) == errors_of(again) == {0: "delivery_rejected"}
        assert len(harness.provider.messages) == 1

    async def test_of_what_was_not_sent_is_sent(self, harness: Harness) -> None:
        harness.provider.script = [answer(Outcome.TRANSIENT)]
        (number,) = numbers(1)
        items = items_for([number], key=number.e164)

        first, again = await post(harness, items), await post(harness, items)

        assert errors_of(first) == {0: "delivery_unavailable"}
        assert (errors_of(again), len(harness.provider.messages)) == ({}, 2)

    async def test_is_not_sent_again_where_nobody_knows_how_it_went(self, harness: Harness) -> None:
        harness.change_service(on_unknown=OnUnknown.ONCE)
        harness.provider.otherwise = answer(Outcome.UNKNOWN)
        (number,) = numbers(1)
        items = items_for([number], key=number.e164)
        await post(harness, items)
        sent = len(harness.provider.messages)
        harness.clock.advance(90)

        again = await post(harness, items)

        assert again.json["results"][0]["status"] == "pending"
        assert len(harness.provider.messages) == sent

    @pytest.mark.parametrize("headers", [{}, ASYNC])
    async def test_with_other_items_is_a_mismatch(self, harness: Harness, headers: dict[str, str]) -> None:
        to = numbers(2)
        headers = {**headers, "idempotency-key": f"k-{to[0].e164}"}
        await post(harness, items_for(to[:1]), headers=headers)

        again = await post(harness, items_for(to), headers=headers)

        assert_problem(again, 422, "idempotency_mismatch")
        assert harness.provider.sent_to(to[1]) == []


class TestByTheQueue:
    async def test_more_than_a_hundred_wait(self, harness: Harness) -> None:
        to = numbers(101)

        answered = await post(harness, items_for(to))

        batch = answered.json["batch"]
        assert (answered.status, answered.json["accepted"]) == (202, 101)
        assert answered.headers["location"] == f"/v1/batches/{batch}"
        assert [job.to for job in harness.bulk_queue.jobs] == [number.e164 for number in to]
        assert harness.provider.messages == []
        assert answered.json["results"] == [
            {"index": index, "id": job.announced, "status": "queued"}
            for index, job in enumerate(harness.bulk_queue.jobs)
        ]

    async def test_as_few_wait_as_the_caller_wants(self, harness: Harness) -> None:
        answered = await post(harness, items_for(numbers(1)), headers=ASYNC)

        assert (answered.status, answered.json["accepted"]) == (202, 1)

    async def test_an_item_waits_with_all_that_it_says(self, harness: Harness) -> None:
        harness.services["shop"] = Service(name="shop", batch_send_within=7200)
        number = fresh_number()
        item = {
            "to": number.e164,
            "service": "shop",
            "locale": "fr",
            "domain": "shop.example",
            "app_hash": "FA+9qCX9VSu",
            "metadata": {"user": "7"},
            "ip": "192.0.2.7",
            "trusted": True,
        }

        answered = await post(harness, [item], headers=ASYNC)

        (job,) = harness.bulk_queue.jobs
        assert (job.to, job.service, job.locale, job.domain) == (number.e164, "shop", "fr", "shop.example")
        assert (job.app_hash, job.metadata, str(job.ip)) == ("FA+9qCX9VSu", (("user", "7"),), "192.0.2.7")
        assert (job.trusted, job.batch, job.place) == (True, answered.json["batch"], 0)
        assert job.send_by == MORNING + 7200

    @pytest.mark.parametrize("field", [{"code": "271828"}, {"binding": "500 EUR"}])
    async def test_a_code_of_the_callers_own_cannot_wait(self, harness: Harness, field: dict[str, str]) -> None:
        answered = await post(harness, [*items_for(numbers(1), **field), *items_for(numbers(1))], headers=ASYNC)

        assert errors_of(answered) == {0: "invalid_request"}
        assert (answered.json["accepted"], len(harness.bulk_queue.jobs)) == (1, 1)

    async def test_what_is_wrong_with_an_item_is_told_at_once_and_counted(self, harness: Harness) -> None:
        answered = await post(harness, [{"to": "+1"}, *items_for(numbers(2)), 7], headers=ASYNC)

        shown = await call(harness.app, "GET", answered.headers["location"])
        assert errors_of(answered) == {0: "invalid_number", 3: "invalid_request"}
        assert shown.json["items"] == [
            {"index": 0, "status": "refused", "code": "invalid_number"},
            {"index": 3, "status": "refused", "code": "invalid_request"},
        ]
        assert (shown.json["total"], shown.json["refused"], shown.json["pending"]) == (4, 2, 2)

    async def test_a_batch_with_nothing_right_in_it_waits_for_nothing(self, harness: Harness) -> None:
        answered = await post(harness, [{"to": "+1"}] * 101)

        shown = await call(harness.app, "GET", answered.headers["location"])
        assert (answered.status, answered.json["accepted"]) == (202, 0)
        assert (shown.json["refused"], shown.json["pending"]) == (101, 0)

    async def test_a_repeat_is_the_same_batch_with_the_same_ids_and_queues_nothing(self, harness: Harness) -> None:
        to = numbers(3)
        headers = {**ASYNC, "idempotency-key": f"k-{to[0].e164}"}
        first = await post(harness, items_for(to), headers=headers)
        harness.clock.advance(3600)

        again = await post(harness, items_for(to), headers=headers)

        assert (again.status, again.json) == (202, first.json)
        assert len(harness.bulk_queue.jobs) == 3

    async def test_two_batches_without_a_key_are_two(self, harness: Harness) -> None:
        items = items_for(numbers(1))

        first, second = await post(harness, items, headers=ASYNC), await post(harness, items, headers=ASYNC)

        assert first.json["batch"] != second.json["batch"]

    async def test_while_the_first_request_is_under_way_its_repeat_waits(self, harness: Harness) -> None:
        to = numbers(2)
        headers = {**ASYNC, "idempotency-key": f"k-{to[0].e164}"}
        harness.bulk_queue.refused = lambda _: True
        await post(harness, items_for(to), headers=headers)

        again = await post(harness, items_for(to), headers=headers)

        assert_problem(again, 409, "conflict")
        assert again.headers["retry-after"] == str(LEASE)

    async def test_the_repeat_of_a_request_that_died_queues_the_same(self, harness: Harness) -> None:
        to = numbers(2)
        headers = {**ASYNC, "idempotency-key": f"k-{to[0].e164}"}
        harness.bulk_queue.refused = lambda _: True
        assert_problem(await post(harness, items_for(to), headers=headers), 503, "unavailable")
        harness.clock.advance(LEASE)
        harness.bulk_queue.refused = lambda _: False

        again = await post(harness, items_for(to), headers=headers)

        assert (again.status, again.json["accepted"]) == (202, 2)
        assert [job.send_by for job in harness.bulk_queue.jobs] == [MORNING + 3600] * 2

    async def test_an_item_that_the_queue_does_not_take_is_told(self, harness: Harness) -> None:
        to = numbers(3)
        harness.bulk_queue.refused = lambda job: job.place == 1
        headers = {**ASYNC, "idempotency-key": f"k-{to[0].e164}"}

        answered, again = [await post(harness, items_for(to), headers=headers) for _ in range(2)]

        shown = await call(harness.app, "GET", answered.headers["location"])
        assert errors_of(answered) == errors_of(again) == {1: "delivery_unavailable"}
        assert answered.json["accepted"] == 2
        assert shown.json["items"] == [{"index": 1, "status": "failed", "code": "delivery_unavailable"}]

    async def test_nothing_in_the_queue_or_the_journal_names_a_key_or_a_code(self, harness: Harness) -> None:
        number = fresh_number()

        await post(harness, items_for([number], key="mail@example.com"), headers=ASYNC)

        assert "mail@example.com" not in repr(harness.bulk_queue.jobs[0].key)
        assert number.e164 not in repr(harness.journal.lines)
