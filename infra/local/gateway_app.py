"""The simulated gateway's web application: Yunpian's send, the phones' inbox, and the controls."""

from __future__ import annotations

import asyncio
import socket
import struct
import time
from collections import deque
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qsl

import aiohttp
import msgspec
from aiohttp import web

from infra.local import yunpian
from infra.local.faults import Change, Faults, Step
from infra.local.phones import MOST_KEPT, Phones, Received
from infra.local.status_push import StatusPush

_MOST_SHOWN = 1000
_HOUR = 3600.0
# Closed with this, a connection is reset: the other side gets an error and no orderly end.
_RESET_ON_CLOSE = struct.pack("ii", 1, 0)


@dataclass(slots=True)
class Asked:
    """A send that was asked for. The API key is not kept."""

    mobile: str
    uid: str | None
    received_at: float
    outcome: str = "pending"
    """Then accepted, refused, dropped, dropped_after_accept, rubbish or status."""
    code: int | None = None


class Gateway:
    def __init__(self, apikey: str, faults: Faults) -> None:
        self._apikey = apikey
        self._faults = faults
        self._phones = Phones()
        self._asked: deque[Asked] = deque(maxlen=MOST_KEPT)
        self._push: StatusPush | None = None
        self._open = 0
        self._most_open = 0
        # Beyond 2^53, where numbers that went through a float come out changed.
        self._last_sid = time.time_ns()

    def application(self, status_push_delay: float) -> web.Application:
        app = web.Application()
        app.router.add_post("/v2/sms/single_send.json", self._single_send)
        app.router.add_post("/v2/user/get.json", self._account)
        app.router.add_get("/inbox.json", self._inbox)
        app.router.add_get("/inbox/count.json", self._count)
        app.router.add_delete("/inbox", self._clear)
        app.router.add_get("/control", self._control)
        app.router.add_put("/control", self._change)
        app.router.add_get("/control/requests.json", self._requests)

        async def pushes(_: web.Application) -> AsyncIterator[None]:
            async with aiohttp.ClientSession() as http:
                self._push = StatusPush(http, status_push_delay)
                yield
                await self._push.stop()

        app.cleanup_ctx.append(pushes)
        return app

    async def _single_send(self, request: web.Request) -> web.Response:
        form = await _form(request)
        asked = Asked(form.get("mobile", ""), form.get("uid"), _now())
        self._asked.append(asked)
        step = self._faults.next()
        self._open += 1
        self._most_open = max(self._most_open, self._open)
        try:
            await asyncio.sleep(self._faults.latency if step.latency is None else step.latency)
        finally:
            self._open -= 1
        return self._answer(request, form, step, asked)

    def _answer(self, request: web.Request, form: dict[str, str], step: Step, asked: Asked) -> web.Response:
        """Nothing awaits from here on: a message is taken and answered in one step."""
        match step.answer:
            case "refuse":
                return _refuse(asked, step.code)
            case "drop":
                asked.outcome = "dropped"
                return _reset(request)
            case "rubbish":
                asked.outcome = "rubbish"
                return web.Response(body=b"<html>\xff\x00 it works!", content_type="text/html")
            case "status":
                asked.outcome, asked.code = "status", step.status
                return web.Response(text="upstream error", status=step.status)
        answer = self._accept(form, asked)
        if step.answer == "drop_after_accept" and asked.outcome == "accepted":
            asked.outcome = "dropped_after_accept"
            return _reset(request)
        return answer

    def _accept(self, form: dict[str, str], asked: Asked) -> web.Response:
        now = _now()
        try:
            submission = yunpian.parse(form, self._apikey)
            self._respect_caps(submission.to, now)
        except yunpian.Refused as refusal:
            return _refuse(asked, refusal.code, refusal.detail)
        self._last_sid += 1
        self._phones.deliver(Received(submission.to, submission.text, "yunpian", now))
        if submission.callback_url and self._push is not None:
            self._push.add(submission.callback_url, yunpian.report(submission, self._last_sid, now))
        asked.outcome, asked.code = "accepted", 0
        return _json(yunpian.accepted(submission, self._last_sid))

    def _respect_caps(self, number: str, now: float) -> None:
        """Raises Refused."""
        caps = self._faults.caps
        if caps is None:
            return
        ages = [now - message.received_at for message in self._phones.inbox(number)]
        if ages and ages[-1] < caps.interval:
            raise yunpian.Refused(yunpian.INTERVAL_CAP)
        if sum(age < _HOUR for age in ages) >= caps.hourly:
            raise yunpian.Refused(yunpian.HOURLY_CAP)

    async def _account(self, request: web.Request) -> web.Response:
        try:
            return _json(yunpian.account(await _form(request), self._apikey))
        except yunpian.Refused as refusal:
            return _json(yunpian.refused(refusal.code, refusal.detail), status=400)

    async def _inbox(self, request: web.Request) -> web.Response:
        asked_for = request.query.get("to")
        if asked_for is None:
            return _json(list(self._phones.newest(_MOST_SHOWN)))
        # Lenient, other than the API: a person who types + into a browser's address line sends a space.
        number = yunpian.e164(asked_for) or f"+{asked_for.strip().removeprefix('+')}"
        return _json(list(self._phones.inbox(number)))

    async def _count(self, _: web.Request) -> web.Response:
        return _json(self._phones.count())

    async def _clear(self, _: web.Request) -> web.Response:
        self._phones.clear()
        self._asked.clear()
        return web.Response(status=204)

    async def _control(self, _: web.Request) -> web.Response:
        faults = self._faults
        return _json(
            {
                "latency": faults.latency,
                "fail": faults.fail,
                "script": list(faults.script),
                "caps": faults.caps,
                "open": self._open,
                "most_open": self._most_open,
            }
        )

    async def _change(self, request: web.Request) -> web.Response:
        try:
            self._faults.change(msgspec.json.decode(await request.read(), type=Change))
        except msgspec.DecodeError as error:
            return _json({"error": str(error)}, status=400)
        return await self._control(request)

    async def _requests(self, _: web.Request) -> web.Response:
        return _json(list(self._asked))


def _now() -> float:
    return time.time()  # noqa: TID251 (the gateway is another system, with a clock of its own)


async def _form(request: web.Request) -> dict[str, str]:
    # aiohttp's own form parser costs a multiple of this.
    return dict(parse_qsl((await request.read()).decode(errors="replace"), keep_blank_values=True))


def _json(content: Any, *, status: int = 200) -> web.Response:
    return web.Response(body=msgspec.json.encode(content), status=status, content_type="application/json")


def _refuse(asked: Asked, code: int, detail: str = "") -> web.Response:
    asked.outcome, asked.code = "refused", code
    return _json(yunpian.refused(code, detail), status=400)


def _reset(request: web.Request) -> web.Response:
    """Resets the connection. aiohttp finds nobody to give the response to, and leaves it at that."""
    if request.transport is not None:
        connection = request.transport.get_extra_info("socket")
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET_ON_CLOSE)
        request.transport.abort()
    return web.Response()
