"""A proxy before the embedded AWS that loses answers: the work is done, and whoever asked for it never hears of it."""

from __future__ import annotations

import contextlib
import json
from collections.abc import AsyncIterator, Collection, Mapping
from dataclasses import dataclass, field
from typing import Any, Self

import aiohttp
from aiohttp import web

WRITES = frozenset({"PutItem", "UpdateItem", "BatchExecuteStatement"})

_HOST = "127.0.0.1"
_LARGEST = 1 << 20
# Of the connection, not of the message: they are made anew on each side.
_NOT_PASSED_ON = frozenset(
    {"connection", "content-length", "date", "host", "keep-alive", "server", "transfer-encoding"}
)


@dataclass(frozen=True, slots=True)
class Request:
    service: str
    """As AWS names it to itself: DynamoDB_20120810, AmazonSQS, secretsmanager."""
    operation: str
    body: Mapping[str, Any]
    call: str
    """The SDK's: the tries that it makes for one call carry one id."""
    status: int
    """Of the answer, whether it was passed on or not."""


@dataclass(slots=True)
class DroppingProxy:
    """Passes everything on. The first answer to each call of `lose` is thrown away, and its connection with it."""

    upstream: str
    lose: Collection[str]
    url: str = ""
    requests: list[Request] = field(default_factory=list)
    lost: list[Request] = field(default_factory=list)
    peers: set[tuple[str, int]] = field(default_factory=set)
    """The other ends of the connections that were made to it."""
    _calls: set[str] = field(default_factory=set)

    @classmethod
    @contextlib.asynccontextmanager
    async def start(cls, upstream: str, *, lose: Collection[str] = WRITES) -> AsyncIterator[Self]:
        proxy = cls(upstream, lose)
        async with aiohttp.ClientSession(auto_decompress=False) as http:
            app = web.Application(client_max_size=_LARGEST)

            async def handle(request: web.Request) -> web.StreamResponse:
                return await proxy._handle(request, http)

            app.router.add_route("*", "/{path:.*}", handle)
            runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
            await runner.setup()
            try:
                await web.TCPSite(runner, _HOST, 0).start()
                proxy.url = f"http://{_HOST}:{runner.addresses[0][1]}"
                yield proxy
            finally:
                await runner.cleanup()

    def of(self, operation: str) -> list[Request]:
        """How it was asked for, the SDK's repeats included."""
        return [request for request in self.requests if request.operation == operation]

    async def _handle(self, request: web.Request, http: aiohttp.ClientSession) -> web.StreamResponse:
        raw = await request.read()
        async with http.request(
            request.method, self.upstream + request.path_qs, data=raw, headers=_passed_on(request.headers)
        ) as answer:
            body = await answer.read()
        service, _, operation = request.headers["x-amz-target"].rpartition(".")
        asked = Request(
            service=service,
            operation=operation,
            body=json.loads(raw),
            call=request.headers["amz-sdk-invocation-id"],
            status=answer.status,
        )
        self.requests.append(asked)
        if request.transport is not None:
            self.peers.add(request.transport.get_extra_info("peername"))
        if asked.call not in self._calls and asked.operation in self.lose:
            self._calls.add(asked.call)
            self.lost.append(asked)
            _cut(request)
            return web.Response()  # nobody is there to get it
        return web.Response(body=body, status=answer.status, headers=_passed_on(answer.headers))


def _passed_on(headers: Mapping[str, str]) -> dict[str, str]:
    return {name: value for name, value in headers.items() if name.lower() not in _NOT_PASSED_ON}


def _cut(request: web.Request) -> None:
    if request.transport is not None:
        request.transport.abort()
