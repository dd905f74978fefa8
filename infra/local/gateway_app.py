"""The simulated gateways' web application: the vendors' own calls, the phones' inbox, and the controls."""

from __future__ import annotations

import asyncio
import socket
import struct
import time
from collections import deque
from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Any

import aiohttp
import msgspec
from aiohttp import web

from infra.local.clock import now
from infra.local.faults import Caps, Change, Faults, Step
from infra.local.phones import MOST_KEPT, Phones, Received
from infra.local.pushes import Place, Pushes
from infra.local.requests import Asked, Request, as_call, as_response, noted
from infra.local.vendors.catalog import open_vendors
from infra.local.vendors.vendor import Account, Answer, Approved, Call, Refused, Report, Sent, Submission

_MOST_SHOWN = 1000
_HOUR = 3600.0
_CHINESE_DIGITS = 11
# Closed with this, a connection is reset: the other side gets an error and no orderly end.
_RESET_ON_CLOSE = struct.pack("ii", 1, 0)


class Gateway:
    def __init__(self, accounts: Mapping[str, Account], faults: Faults) -> None:
        self._vendors = open_vendors(accounts)
        self._faults = faults
        self._phones = Phones()
        self._asked: deque[Asked] = deque(maxlen=MOST_KEPT)
        self._pushes: Pushes | None = None
        self._requests = 0
        self._open = 0
        self._most_open = 0
        # Beyond 2^53, where numbers that went through a float come out changed.
        self._serial = time.time_ns()

    def application(self) -> web.Application:
        app = web.Application()
        app.router.add_get("/inbox.json", self._inbox)
        app.router.add_get("/inbox/count.json", self._count)
        app.router.add_delete("/inbox", self._clear)
        app.router.add_get("/control", self._control)
        app.router.add_put("/control", self._change)
        app.router.add_delete("/control", self._reset)
        app.router.add_get("/control/requests.json", self._all_asked)
        app.router.add_route("*", "/{provider}{path:(/.*)?}", self._call)

        async def pushes(_: web.Application) -> AsyncIterator[None]:
            async with aiohttp.ClientSession() as http:
                self._pushes = Pushes(http)
                yield
                await self._pushes.stop()

        app.cleanup_ctx.append(pushes)
        return app

    async def _call(self, request: web.Request) -> web.Response:
        provider = request.match_info["provider"]
        vendor = self._vendors.get(provider)
        if vendor is None:
            return _json({"error": f"there is no account at {provider}"}, status=404)
        call = await as_call(request, provider)
        taken: Sequence[Submission] | Approved | Answer | Refused
        try:
            taken = vendor.take(call)
        except Refused as refusal:
            taken = refusal
        match taken:
            case Answer():
                return as_response(taken)
            case Approved():
                (approval,) = self._note(provider, call)
                approval.outcome, approval.message_id = "approved", taken.message_id
                return as_response(taken.answer)
            case Refused():
                asked = self._note(provider, call)
            case _:
                asked = self._note(provider, call, taken)
        return await self._send(request, Request(provider, vendor, call, taken, asked))

    def _note(self, provider: str, call: Call, submissions: Sequence[Submission] = ()) -> list[Asked]:
        """What is to be remembered of a request: for each of its messages, or for itself where it has none."""
        self._requests += 1
        found = [noted(provider, self._requests, call.at, submission) for submission in submissions]
        found = found or [Asked(provider=provider, request=self._requests, received_at=call.at)]
        self._asked.extend(found)
        return found

    async def _send(self, http: web.Request, request: Request) -> web.Response:
        step = self._faults.next(request.provider)
        self._open += 1
        self._most_open = max(self._most_open, self._open)
        latency = self._faults.of(request.provider, "latency") if step.latency is None else step.latency
        try:
            await asyncio.sleep(latency)
        finally:
            self._open -= 1
        response = self._answer(http, request, step)
        if step.retry_after is not None:
            response.headers["Retry-After"] = str(step.retry_after)
        return response

    def _answer(self, http: web.Request, request: Request, step: Step) -> web.Response:
        """Nothing awaits from here on: a message is taken and answered in one step."""
        match step.answer:
            case "refuse":
                code = request.vendor.busy if step.code is None else step.code
                return request.refuse(Refused(code))
            case "drop":
                request.end("dropped")
                return _hang_up(http)
            case "rubbish":
                request.end("rubbish")
                return web.Response(body=b"<html>\xff\x00 it works!", content_type="text/html")
            case "status":
                request.end("status", step.status)
                return web.Response(text="upstream error", status=step.status)
        answer = self._accept(request)
        if step.answer == "drop_after_accept" and request.asked[0].outcome == "accepted":
            request.end("dropped_after_accept")
            return _hang_up(http)
        return answer

    def _accept(self, request: Request) -> web.Response:
        if isinstance(request.taken, Refused):
            return request.refuse(request.taken)
        sent = [self._sent(request, submission) for submission in request.taken]
        if len(sent) == 1 and sent[0].refusal is not None:
            return request.refuse(sent[0].refusal)
        for asked, one in zip(request.asked, sent, strict=True):
            if one.refusal is None:
                self._deliver(request, one)
                asked.outcome, asked.message_id = "accepted", one.message_id
            else:
                asked.outcome, asked.code = "refused", one.refusal.code
        return as_response(request.vendor.accepted(request.call, sent))

    def _sent(self, request: Request, submission: Submission) -> Sent:
        self._serial += 1
        refusal = submission.fault or self._over_the_caps(request, submission.to)
        return Sent(submission, request.vendor.message_id(submission, self._serial), refusal)

    def _deliver(self, request: Request, sent: Sent) -> None:
        submission, provider = sent.submission, request.provider
        self._phones.deliver(Received(submission.to, submission.text, provider, now()))
        console = self._faults.of(provider, "receipts_url")
        url = console if submission.receipts is None else submission.receipts
        if not url or self._pushes is None:
            return
        delay: float = self._faults.of(provider, "receipt_delay")
        for nth, state in enumerate(self._faults.of(provider, "receipts"), start=1):
            place = Place(provider, url, nth * delay)
            self._pushes.add(request.vendor, place, Report(submission, sent.message_id, state))

    def _over_the_caps(self, request: Request, number: str) -> Refused | None:
        caps: Caps | None = self._faults.of(request.provider, "caps")
        if caps is None or request.vendor.caps is None:
            return None
        too_soon, too_many = request.vendor.caps
        ages = [now() - message.received_at for message in self._phones.inbox(number)]
        if ages and ages[-1] < caps.interval:
            return Refused(too_soon)
        return Refused(too_many) if sum(age < _HOUR for age in ages) >= caps.hourly else None

    async def _inbox(self, request: web.Request) -> web.Response:
        asked_for = request.query.get("to")
        if asked_for is None:
            return _json(list(self._phones.newest(_MOST_SHOWN)))
        return _json(list(self._phones.inbox(_meant(asked_for))))

    async def _count(self, _: web.Request) -> web.Response:
        return _json(self._phones.count())

    async def _clear(self, _: web.Request) -> web.Response:
        self._phones.clear()
        self._asked.clear()
        return web.Response(status=204)

    async def _control(self, _: web.Request) -> web.Response:
        return _json({**self._faults.told(), "open": self._open, "most_open": self._most_open})

    async def _change(self, request: web.Request) -> web.Response:
        try:
            change = msgspec.json.decode(await request.read(), type=Change)
        except msgspec.DecodeError as error:
            return _json({"error": str(error)}, status=400)
        if isinstance(change.provider, str) and change.provider not in self._vendors:
            return _json({"error": f"there is no account at {change.provider}"}, status=400)
        self._faults.change(change)
        return await self._control(request)

    async def _reset(self, _: web.Request) -> web.Response:
        self._faults.reset()
        return web.Response(status=204)

    async def _all_asked(self, request: web.Request) -> web.Response:
        provider = request.query.get("provider")
        return _json([asked for asked in self._asked if provider in {None, asked.provider}])


def _meant(typed: str) -> str:
    """Lenient, other than the vendors: a person who types + into a browser's address line sends a space."""
    digits = typed.strip().removeprefix("+")
    bare_chinese = typed == digits and len(digits) == _CHINESE_DIGITS and digits.startswith("1")
    return f"+86{digits}" if bare_chinese else f"+{digits}"


def _json(content: Any, *, status: int = 200) -> web.Response:
    return web.Response(body=msgspec.json.encode(content), status=status, content_type="application/json")


def _hang_up(request: web.Request) -> web.Response:
    """Resets the connection. aiohttp finds nobody to give the response to, and leaves it at that."""
    if request.transport is not None:
        connection = request.transport.get_extra_info("socket")
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET_ON_CLOSE)
        request.transport.abort()
    return web.Response()
