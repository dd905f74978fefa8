"""Messages of one moment in one request, whoever the vendor is: who joins, who leaves, and how long it takes."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

import aiohttp
import pytest
from aiohttp import web

from functions.domain.delivery import Message, Outcome, SendResult
from functions.providers.account import Account
from functions.providers.credentials import Credentials, Secret
from functions.providers.gateway import Gateway, Request
from functions.providers.together import Bulk, SentTogether
from functions.providers.transport import Answer, Timeouts
from tests.adapters import PATIENT, TOKEN, Asked, Vendor, a_message, an_account, open_for_business, sent_together
from tests.eventually import eventually

ROOM = 3
"""Messages in a call of this vendor's."""


def request(messages: Sequence[Message], _: Secret, account: Account) -> Request:
    body = ",".join(message.to.e164 for message in messages).encode()
    return Request(url=f"{account.url}/{'many' if len(messages) > 1 else 'one'}", body=body, headers={})


def judge(messages: Sequence[Message], answer: Answer) -> Sequence[SendResult] | None:
    return None if answer.status == 400 else [judge_one(answer)] * len(messages)


def judge_one(answer: Answer) -> SendResult:
    outcome = Outcome.ACCEPTED if answer.status == 200 else Outcome.REJECTED_NUMBER
    return SendResult(provider="toy", outcome=outcome, message_id="id" if outcome is Outcome.ACCEPTED else None)


def kind(message: Message) -> str | None:
    return message.sender


async def open_toy(account: Account, timeouts: Timeouts = PATIENT) -> SentTogether[Secret]:
    single = Gateway(
        name="toy",
        account=account,
        credentials=Credentials("toy", account.fetch_secret, Secret),
        request=lambda message, secret, account: request([message], secret, account),
        judge=judge_one,
        feedback=lambda message_id, _, account: Request(url=f"{account.url}/{message_id}", body=b"", headers={}),
        timeouts=timeouts,
    )
    return SentTogether(single, Bulk(most=ROOM, kind=kind, request=request, judge=judge))


send = partial(sent_together, open_toy, {})


def message(place: int, sender: str | None = "A") -> Message:
    return a_message(f"+49151{place:08}", sender=sender)


def toy(refused: str = "", *, delay: float = 0) -> Vendor:
    """Refuses whatever names that number, in its own time."""

    async def answer(request: web.Request) -> web.Response:
        await asyncio.sleep(delay)
        bad = bool(refused) and refused in await request.text()
        return web.Response(status=400 if bad else 200)

    return Vendor(answer)


def travelled(asked: Sequence[Asked]) -> list[tuple[str, int]]:
    return sorted((each.path, each.body.count(b"+")) for each in asked)


# Who travels together


async def test_a_kind_travels_together_and_what_is_of_none_goes_alone(http: aiohttp.ClientSession) -> None:
    vendor = toy()

    await send(http, vendor, [message(0), message(1, "B"), message(2), message(3, "B"), message(4, None)])

    assert travelled(vendor.asked) == [("/many", 2), ("/many", 2), ("/one", 1)]


async def test_what_has_no_room_any_more_is_the_next_load(http: aiohttp.ClientSession) -> None:
    vendor = toy()

    await send(http, vendor, [message(place) for place in range(7)])

    assert travelled(vendor.asked) == [("/many", 3), ("/many", 3), ("/one", 1)]


async def test_the_next_moment_has_a_load_of_its_own(http: aiohttp.ClientSession) -> None:
    async with open_for_business(toy()) as vendor:
        provider = await open_toy(an_account({}, http, url=vendor.url))
        for _ in range(3):
            await asyncio.gather(*(provider.send(message(place)) for place in range(2)))

    assert travelled(vendor.asked) == [("/many", 2)] * 3


# The answer


async def test_each_result_says_that_the_vendor_wants_to_hear_of_approvals(http: aiohttp.ClientSession) -> None:
    results = await send(http, toy(), [message(0), message(1)])

    assert [result.wants_feedback for result in results] == [True, True]


async def test_an_approval_is_told_by_the_single_call(http: aiohttp.ClientSession) -> None:
    async with open_for_business(toy()) as vendor:
        provider = await open_toy(an_account({}, http, url=vendor.url))

        assert await provider.approved("of-this-id")

    assert vendor.request.path == "/of-this-id"


async def test_a_refusal_of_all_for_the_sake_of_one_is_that_ones_alone(http: aiohttp.ClientSession) -> None:
    vendor = toy(refused="+4915100000001")

    outcomes = [result.outcome for result in await send(http, vendor, [message(place) for place in range(3)])]

    assert outcomes == [Outcome.ACCEPTED, Outcome.REJECTED_NUMBER, Outcome.ACCEPTED]
    assert travelled(vendor.asked) == [("/many", 3), ("/one", 1), ("/one", 1), ("/one", 1)]


async def test_a_refusal_that_comes_too_late_for_single_sends_took_none_and_they_may_be_tried_again(
    http: aiohttp.ClientSession,
) -> None:
    vendor = toy(refused="+4915100000001", delay=0.2)

    results = await send(http, vendor, [message(0), message(1)], Timeouts(connect=59.9, whole=60))

    assert results == [SendResult(provider="toy", outcome=Outcome.TRANSIENT, reason="refused_together")] * 2
    assert len(vendor.asked) == 1


async def test_single_sends_after_a_refusal_end_with_the_time_of_the_whole(http: aiohttp.ClientSession) -> None:
    async def answer(request: web.Request) -> web.Response:
        if request.path == "/one":
            await vendor.over.wait()
        else:
            await asyncio.sleep(2.5)
        return web.Response(status=400)

    vendor = Vendor(answer)
    began = asyncio.get_running_loop().time()

    results = await send(http, vendor, [message(0), message(1)], Timeouts(connect=0.3, whole=3))

    assert {(result.outcome, result.reason) for result in results} == {(Outcome.UNKNOWN, "read_timeout")}
    assert asyncio.get_running_loop().time() - began < 5  # 5.5 if each had the whole time again


# Who no longer waits


async def test_who_goes_before_the_load_leaves_is_not_on_it(http: aiohttp.ClientSession) -> None:
    asked_for, given = asyncio.Event(), asyncio.Event()

    async def slowly() -> Mapping[str, Any]:
        asked_for.set()
        await given.wait()
        return {"receipt_token": TOKEN}

    async with open_for_business(toy()) as vendor:
        provider = await open_toy(replace(an_account({}, http, url=vendor.url), fetch_secret=slowly))
        first, *others = [asyncio.create_task(provider.send(message(place))) for place in range(3)]
        await asked_for.wait()
        first.cancel()
        await asyncio.wait({first})
        given.set()
        results = await asyncio.gather(*others)

    assert [result.outcome for result in results] == [Outcome.ACCEPTED] * 2
    assert vendor.request.body == b"+4915100000001,+4915100000002"


@pytest.mark.parametrize("leaving", [0, 1])
async def test_who_is_broken_off_while_they_are_sent_one_by_one_takes_nobody_along(
    http: aiohttp.ClientSession, leaving: int
) -> None:
    async def answer(request: web.Request) -> web.Response:
        if request.path == "/one":
            await vendor.over.wait()
            return web.Response()
        return web.Response(status=400)

    async def are_under_way() -> bool:
        return len(vendor.asked) == 3

    vendor = Vendor(answer)
    async with open_for_business(vendor):
        provider = await open_toy(an_account({}, http, url=vendor.url))
        sends: list[asyncio.Task[Any]] = [asyncio.create_task(provider.send(message(place))) for place in (0, 1)]
        await eventually(are_under_way)
        sends[leaving].cancel()
        vendor.over.set()
        result = await sends[1 - leaving]

    assert sends[leaving].cancelled()
    assert result.outcome is Outcome.ACCEPTED


async def test_when_all_are_broken_off_nothing_is_left_behind(http: aiohttp.ClientSession) -> None:
    async def is_under_way() -> bool:
        return bool(vendor.asked)

    async def answer(_: web.Request) -> web.Response:
        await vendor.over.wait()
        return web.Response()

    before = asyncio.all_tasks()
    vendor = Vendor(answer)
    async with open_for_business(vendor):
        provider = await open_toy(an_account({}, http, url=vendor.url))
        sends = [asyncio.create_task(provider.send(message(place))) for place in range(3)]
        await eventually(is_under_way)
        for each in sends:
            each.cancel()
        await asyncio.wait(sends)

        assert not [task for task in asyncio.all_tasks() - before if "SentTogether" in repr(task.get_coro())]
