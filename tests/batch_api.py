"""A batch API in a test's hand: it tells each number how many SMS it has had, and misbehaves as it is told to."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections import Counter
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from typing import Any, Self

from aiohttp import web

KEY = "local"
Fault = Callable[[str], str]
"""Told POST or GET; gives what goes wrong this time, or nothing: see BatchApi.fault."""


def no_fault(_method: str) -> str:
    return ""


@dataclass(slots=True)
class _Batch:
    name: str
    body: bytes
    items: list[dict[str, Any]]
    settled: int = 0


@dataclass(slots=True)
class BatchApi:
    fault: Fault = no_fault
    """busy: 429; broken: 500; lost: done, but the answer gets lost; hang: no answer; killed: see `kill`, before and
    killed after: after what was asked for is done."""
    kill: Callable[[], None] = lambda: None
    at_once: int = 500
    """Items that each look at a batch finds settled more than the one before."""
    refused: frozenset[str] = frozenset()
    """Numbers that are refused at once."""
    failed: frozenset[str] = frozenset()
    """Numbers that come to nothing later."""
    renamed: frozenset[str] = frozenset()
    """Numbers that had a verification already: their ids are others than announced."""
    sms: Counter[str] = field(default_factory=Counter)
    asked: Counter[str] = field(default_factory=Counter)
    sizes: list[int] = field(default_factory=list)
    keys: set[str] = field(default_factory=set)
    """Idempotency-Keys."""
    bodies: list[dict[str, Any]] = field(default_factory=list)
    port: int = 0
    _batches: dict[str, _Batch] = field(default_factory=dict)

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator[Self]:
        app = web.Application(client_max_size=2**20)
        app.router.add_get("/v1/health", self._health)
        app.router.add_post("/v1/verifications/batch", self._post)
        app.router.add_get("/v1/batches/{batch}", self._get)
        runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
        await runner.setup()
        try:
            await web.TCPSite(runner, "127.0.0.1", self.port).start()
            self.port = runner.addresses[0][1]
            yield self
        finally:
            await runner.cleanup()

    async def _health(self, _request: web.Request) -> web.Response:
        return web.json_response({"status": "ok"})

    async def _post(self, request: web.Request) -> web.Response:
        return await self._answer(request, self._start)

    async def _get(self, request: web.Request) -> web.Response:
        return await self._answer(request, self._show)

    async def _answer(self, request: web.Request, work: Callable[[web.Request, bytes], web.Response]) -> web.Response:
        body = await request.read()
        if request.headers.get("Authorization") != f"Bearer {KEY}":
            return _problem(401, "unauthorized", "no such key")
        self.asked[request.method] += 1
        fault = self.fault(request.method)
        if fault == "busy":
            return web.json_response({"code": "rate_limited"}, status=429, headers={"Retry-After": "1"})
        if fault == "broken":
            return web.Response(status=500)
        if fault == "killed before":
            self.kill()
        answer = work(request, body)
        await self._lose(fault, request)
        return answer

    async def _lose(self, fault: str, request: web.Request) -> None:
        if fault == "killed after":
            self.kill()
        elif fault == "hang":
            await asyncio.sleep(600)
        elif fault == "lost" and request.transport is not None:
            request.transport.close()

    def _start(self, request: web.Request, body: bytes) -> web.Response:
        key = request.headers["Idempotency-Key"]
        assert request.headers["Prefer"] == "respond-async"
        self.keys.add(key)
        batch = self._batches.get(key)
        if batch is None:
            found = json.loads(body)
            batch = self._batches[key] = _Batch(f"bat_{key}", body, found["items"])
            self.bodies.append(found)
            self.sizes.append(len(batch.items))
            self.sms.update(item["to"] for item in batch.items if item["to"] not in self.refused)
        if batch.body != body:
            return _problem(422, "idempotency_mismatch", "another request")
        results = [{"index": place, **self._told(batch, place)} for place in range(len(batch.items))]
        return web.json_response({"batch": batch.name, "accepted": len(results), "results": results}, status=202)

    def _told(self, batch: _Batch, place: int) -> dict[str, Any]:
        if batch.items[place]["to"] in self.refused:
            return {"error": {"code": "number_type_blocked", "detail": "…"}}
        return {"id": _id(batch, place), "status": "queued"}

    def _show(self, request: web.Request, _body: bytes) -> web.Response:
        batch = self._batches.get(request.match_info["batch"].removeprefix("bat_"))
        if batch is None:
            return _problem(404, "not_found", "there is no such batch")
        batch.settled = min(len(batch.items), batch.settled + self.at_once)
        statuses = [self._status(item["to"]) for item in batch.items[: batch.settled]]
        return web.json_response(
            {
                "batch": batch.name,
                "total": len(batch.items),
                **{status: statuses.count(status) for status in ("sent", "refused", "failed")},
                "pending": len(batch.items) - batch.settled,
                "created_at": 1,
                "items": [news for place in range(batch.settled) if (news := self._news(batch, place))],
            }
        )

    def _status(self, number: str) -> str:
        if number in self.refused:
            return "refused"
        return "failed" if number in self.failed else "sent"

    def _news(self, batch: _Batch, place: int) -> dict[str, Any] | None:
        number = batch.items[place]["to"]
        status = self._status(number)
        if status != "sent":
            code = "number_type_blocked" if status == "refused" else "too_late"
            return {"index": place, "status": status, "code": code}
        return {"index": place, "status": status, "id": "vfy_other"} if number in self.renamed else None


def _id(batch: _Batch, place: int) -> str:
    return f"vfy_{batch.name}_{place}"


def _problem(status: int, code: str, detail: str) -> web.Response:
    return web.json_response({"code": code, "detail": detail}, status=status, content_type="application/problem+json")
