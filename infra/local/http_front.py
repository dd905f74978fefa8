"""API Gateway's HTTP API on this machine: each request becomes an event of payload format 2.0 for a function.

What AWS documents it does; where its documents are silent (which content types count as binary, what a time-out looks
like) it does what people have recorded from the real one.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import secrets
from base64 import b64decode, b64encode
from collections.abc import AsyncIterator, Iterable, Mapping
from datetime import UTC, datetime
from typing import Any, Protocol

import aiohttp
from aiohttp import web
from multidict import CIMultiDict
from yarl import URL

from infra.local.clock import now
from infra.local.execution_environment import FunctionError

_log = logging.getLogger(__name__)

LARGEST_REQUEST = 10 * 1024 * 1024
"""AWS's limit for a request's body."""
INTEGRATION_TIMEOUT = 30.0
"""AWS's limit, in seconds. The function goes on without anybody listening."""

_HOST = "127.0.0.1"
_API_ID = "local"
_ACCOUNT = "000000000000"

# Measured on AWS by ministack's authors (ministackorg/ministack#766). A form is not among them, nor is no type at all.
_TEXT_TYPES = frozenset({"application/json", "application/xml", "application/javascript"})
# Of the connection, not of the message: they are made anew for the client.
_NOT_PASSED_ON = frozenset({"connection", "content-length", "date", "keep-alive", "transfer-encoding"})
_OF_THE_CONNECTION = _NOT_PASSED_ON | {"host", "accept-encoding"}


class Invocable(Protocol):
    async def invoke(self, event: Any) -> Any:
        """Raises FunctionError."""


class MalformedAnswer(Exception):
    """The function's answer is none that API Gateway can turn into an HTTP response."""


@contextlib.asynccontextmanager
async def serve(
    routes: Mapping[str, Invocable],
    *,
    port: int = 0,
    mounted: Iterable[web.AbstractRouteDef] = (),
    integration_timeout: float = INTEGRATION_TIMEOUT,
) -> AsyncIterator[str]:
    """Runs until the block is left; gives the URL. The function of the longest prefix of the path gets the request.

    `mounted` are routes that no function has: they come first.
    """
    app = web.Application(client_max_size=LARGEST_REQUEST)
    app.add_routes(mounted)
    front = _Front(routes, integration_timeout)
    app.router.add_route("*", "/{path:.*}", front.handle)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=1)
    await runner.setup()
    try:
        await web.TCPSite(runner, _HOST, port).start()
        yield f"http://{_HOST}:{runner.addresses[0][1]}"
    finally:
        await runner.cleanup()
        await front.close()


def proxied(path: str, upstream: str) -> web.RouteDef:
    """A route that passes GET requests on to the same path of another server, such as the gateway's inbox."""

    async def pass_on(request: web.Request) -> web.Response:
        async with aiohttp.ClientSession() as http, http.get(f"{upstream}{request.path_qs}") as answer:
            return web.Response(body=await answer.read(), status=answer.status, content_type=answer.content_type)

    return web.get(path, pass_on)


def handed_over(path: str, function: Invocable) -> web.RouteDef:
    """A route that invokes the function with each body that is POSTed, as it is: AWS's events have no address."""

    async def invoke(request: web.Request) -> web.Response:
        try:
            await function.invoke(await request.json())
        except FunctionError as error:
            _log.warning("%s: %s", path, error)
            return web.Response(status=500)
        return web.Response(status=204)

    return web.post(path, invoke)


def forwarded(upstream: str, *, host: str) -> web.RouteDef:
    """A route that passes every request on to another server, which knows us by the name `host`."""

    async def pass_on(request: web.Request) -> web.Response:
        headers = [(name, value) for name, value in request.headers.items() if name.lower() not in _OF_THE_CONNECTION]
        async with (
            aiohttp.ClientSession(auto_decompress=False) as http,
            http.request(
                request.method,
                URL(f"{upstream}{request.raw_path}", encoded=True),
                headers=[*headers, ("Host", host)],
                data=await request.read(),
                allow_redirects=False,
            ) as answer,
        ):
            kept = [(name, value) for name, value in answer.headers.items() if name.lower() not in _NOT_PASSED_ON]
            return web.Response(body=await answer.read(), status=answer.status, headers=CIMultiDict(kept))

    return web.route("*", "/{everything:.*}", pass_on)


class _Front:
    def __init__(self, routes: Mapping[str, Invocable], integration_timeout: float) -> None:
        self._routes = sorted(routes.items(), key=lambda route: len(route[0]), reverse=True)
        self._integration_timeout = integration_timeout
        self._invocations: set[asyncio.Task[Any]] = set()

    async def handle(self, request: web.Request) -> web.Response:
        function = self._function_for(request.path)
        if function is None:
            return _message(404, "Not Found")
        try:
            body = await request.read()
        except web.HTTPRequestEntityTooLarge:
            return _message(413, "Request Entity Too Large")
        return await self._invoke(function, as_event(request, body))

    async def close(self) -> None:
        """Ends the invocations that nobody waits for any more."""
        for invocation in self._invocations:
            invocation.cancel()
        await asyncio.gather(*self._invocations, return_exceptions=True)

    def _function_for(self, path: str) -> Invocable | None:
        for prefix, function in self._routes:
            if path == prefix or path.startswith(prefix.rstrip("/") + "/"):
                return function
        return None

    async def _invoke(self, function: Invocable, event: dict[str, Any]) -> web.Response:
        invocation = asyncio.create_task(function.invoke(event))
        self._invocations.add(invocation)
        invocation.add_done_callback(self._invocations.discard)
        done, _ = await asyncio.wait({invocation}, timeout=self._integration_timeout)
        if not done:
            return _message(503, "Service Unavailable")
        try:
            return as_response(invocation.result())
        except (FunctionError, MalformedAnswer) as error:
            _log.warning("%s %s: %s", event["requestContext"]["http"]["method"], event["rawPath"], error)
            return _message(500, "Internal Server Error")


def as_event(request: web.Request, body: bytes) -> dict[str, Any]:
    """The request in payload format 2.0. What a request has not (cookies, a query, a body) its event has not either."""
    event: dict[str, Any] = {
        "version": "2.0",
        "routeKey": "$default",
        "rawPath": request.path,
        "rawQueryString": request.rel_url.raw_query_string,
    }
    if cookies := [pair.strip() for header in request.headers.getall("Cookie", ()) for pair in header.split(";")]:
        event["cookies"] = cookies
    event["headers"] = _headers(request)
    if query := _joined(request.query.items()):
        event["queryStringParameters"] = query
    event["requestContext"] = _request_context(request)
    if body:
        event |= _body(request, body)
    return {"isBase64Encoded": False, **event}


def _headers(request: web.Request) -> dict[str, str]:
    headers = _joined((name.lower(), value) for name, value in request.headers.items())
    headers.pop("cookie", None)
    return headers | {
        "x-amzn-trace-id": f"Root=1-{int(now()):08x}-{secrets.token_hex(12)}",
        "x-forwarded-for": request.remote or _HOST,
        "x-forwarded-port": str(request.url.port),
        "x-forwarded-proto": request.scheme,
    }


def _joined(pairs: Iterable[tuple[str, str]]) -> dict[str, str]:
    """Several values of a name, joined by commas."""
    joined: dict[str, str] = {}
    for name, value in pairs:
        joined[name] = f"{joined[name]},{value}" if name in joined else value
    return joined


def _request_context(request: web.Request) -> dict[str, Any]:
    moment = now()
    return {
        "accountId": _ACCOUNT,
        "apiId": _API_ID,
        "domainName": request.host,
        "domainPrefix": request.host.split(".", maxsplit=1)[0],
        "http": {
            "method": request.method,
            "path": request.path,
            "protocol": f"HTTP/{request.version.major}.{request.version.minor}",
            "sourceIp": request.remote or _HOST,
            "userAgent": request.headers.get("User-Agent", ""),
        },
        "requestId": secrets.token_urlsafe(11) + "=",
        "routeKey": "$default",
        "stage": "$default",
        "time": datetime.fromtimestamp(moment, UTC).strftime("%d/%b/%Y:%H:%M:%S +0000"),
        "timeEpoch": int(moment * 1000),
    }


def _body(request: web.Request, body: bytes) -> dict[str, Any]:
    declared = request.headers.get("Content-Type", "").partition(";")[0].strip().lower()
    if declared.startswith("text/") or declared in _TEXT_TYPES:
        with contextlib.suppress(UnicodeDecodeError):
            return {"body": body.decode(), "isBase64Encoded": False}
    return {"body": b64encode(body).decode(), "isBase64Encoded": True}


def as_response(answer: Any) -> web.Response:
    """Raises MalformedAnswer. An answer without a statusCode is taken for the body of a 200, in JSON."""
    if not isinstance(answer, Mapping) or "statusCode" not in answer:
        return web.json_response(answer)
    try:
        return _as_response(answer)
    except (TypeError, ValueError, AttributeError) as error:
        raise MalformedAnswer(f"no HTTP response: {error}") from None


def _as_response(answer: Mapping[str, Any]) -> web.Response:
    body = answer.get("body") or ""
    if not isinstance(body, str):
        raise MalformedAnswer("the body is no string")
    response = web.Response(
        status=int(answer["statusCode"]),
        body=b64decode(body, validate=True) if answer.get("isBase64Encoded") else body.encode(),
    )
    response.headers["Content-Type"] = "text/plain; charset=utf-8"
    for name, value in (answer.get("headers") or {}).items():
        if name.lower() not in _NOT_PASSED_ON:
            response.headers[name] = _one_line(str(value))
    for cookie in answer.get("cookies") or ():
        response.headers.add("Set-Cookie", _one_line(cookie))
    return response


def _one_line(value: Any) -> str:
    if not isinstance(value, str) or "\n" in value or "\r" in value:
        raise MalformedAnswer("a header is no line of text")
    return value


def _message(status: int, text: str) -> web.Response:
    """API Gateway's own answers."""
    return web.json_response({"message": text}, status=status)
