"""What the adapters' tests share: a vendor's place on this machine, an account there, and a message."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, TypeVar
from urllib.parse import parse_qsl

import aiohttp
from aiohttp import web

from functions.domain.delivery import Message, SendResult
from functions.domain.phone import parse_phone_number
from functions.domain.sensitive import Sensitive
from functions.providers.account import Account
from functions.providers.transport import Timeouts
from functions.usecases.ports import Provider, Push
from tests.harness import MORNING

P = TypeVar("P", bound=Provider)

CODE = "481516"
GERMAN = "+4915112345678"
CHINESE = "+8613800000000"
AMERICAN = "+12065550100"
REFERENCE = "vfy_k1_abcdefghijklmnopqrstuvwxabcdefghijklmnop.1"
TOKEN = "a-token-nobody-guesses-of-32-and-more-characters"
RECEIPTS_URL = "https://sms.example.com"

PATIENT = Timeouts(connect=30, whole=60)
"""For faults that come by themselves: a slow machine must not turn them into time-outs."""


@dataclass(frozen=True, slots=True)
class Asked:
    """A request as the vendor got it."""

    method: str
    path: str
    """With the query, as it stood on the wire."""
    headers: Mapping[str, str]
    body: bytes

    @property
    def form(self) -> dict[str, str]:
        return dict(parse_qsl(self.body.decode(), keep_blank_values=True, strict_parsing=True))

    @property
    def json(self) -> Any:
        return json.loads(self.body)


@dataclass(slots=True)
class Vendor:
    """A vendor's place on this machine, which does as the test says and remembers what it was asked."""

    answer: Callable[[web.Request], Awaitable[web.StreamResponse]]
    url: str = ""
    asked: list[Asked] = field(default_factory=list)
    over: asyncio.Event = field(default_factory=asyncio.Event)

    @property
    def request(self) -> Asked:
        """The only one."""
        (request,) = self.asked
        return request

    async def handle(self, request: web.Request) -> web.StreamResponse:
        self.asked.append(Asked(request.method, request.raw_path, dict(request.headers), await request.read()))
        return await self.answer(request)


def says(body: object, status: int = 200, **headers: str) -> Vendor:
    """Answers everything so; `body` is JSON, or bytes as they are."""
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()

    async def answer(_: web.Request) -> web.Response:
        return web.Response(status=status, body=raw, headers=headers)

    return Vendor(answer)


def hangs_up() -> Vendor:
    """Reads the request and breaks the connection off."""

    async def answer(request: web.Request) -> web.Response:
        assert request.transport is not None
        request.transport.abort()
        return web.Response()

    return Vendor(answer)


def says_nothing() -> Vendor:
    """Keeps the request open until the test is over."""

    async def answer(_: web.Request) -> web.Response:
        await vendor.over.wait()
        return web.Response()

    vendor = Vendor(answer)
    return vendor


@asynccontextmanager
async def open_for_business(vendor: Vendor) -> AsyncIterator[Vendor]:
    """Vendors given as parameters open once more where a test is run again: with nothing seen yet."""
    vendor.asked.clear()
    vendor.over.clear()
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", vendor.handle)
    runner = web.AppRunner(app)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        vendor.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
        yield vendor
    finally:
        vendor.over.set()
        await runner.cleanup()


async def _no_aws(service: str, url: str | None) -> Any:
    raise AssertionError(f"{service} at {url} was not to be used")


def an_account(
    secret: Mapping[str, Any], http: aiohttp.ClientSession, *, url: str | None = None, receipts_url: str | None = None
) -> Account:
    """With a clock that stands still and entropy that is none. `secret` gets a receipt_token where it has none."""
    whole = {"receipt_token": TOKEN, **secret}

    async def fetch() -> Mapping[str, Any]:
        return whole

    return Account(
        fetch_secret=fetch,
        session=lambda: http,
        open_aws=_no_aws,
        clock=lambda: MORNING,
        entropy=lambda size: bytes(range(size)),
        url=url,
        receipts_url=receipts_url,
    )


def a_message(to: str = GERMAN, text: str = f"{CODE} is your code.", **more: Any) -> Message:
    """To a German phone, valid for five minutes."""
    described = {"code": Sensitive(CODE), "reference": REFERENCE, "valid_for": 300, **more}
    return Message(to=parse_phone_number(to), text=Sensitive(text), **described)


async def opened_at(
    open_provider: Callable[[Account], Awaitable[P]],
    secret: Mapping[str, Any],
    prefix: str,
    vendor: Vendor,
    http: aiohttp.ClientSession,
    receipts_url: str | None = None,
    **entries: Any,
) -> P:
    """The provider at a vendor that is open. `entries` are the secret's that differ."""
    account = an_account({**secret, **entries}, http, url=f"{vendor.url}{prefix}", receipts_url=receipts_url)
    return await open_provider(account)


async def sent_by(
    open_provider: Callable[[Account, Timeouts], Awaitable[Provider]],
    secret: Mapping[str, Any],
    route: Mapping[str, Any],
    http: aiohttp.ClientSession,
    vendor: Vendor,
    *,
    prefix: str = "",
    receipts_url: str | None = None,
    timeouts: Timeouts = PATIENT,
    entries: Mapping[str, Any] | None = None,
    **message: Any,
) -> SendResult:
    """What becomes of one message at a vendor that is open for it alone. `entries` are the secret's that differ."""
    async with open_for_business(vendor):
        account = an_account(
            {**secret, **(entries or {})}, http, url=f"{vendor.url}{prefix}", receipts_url=receipts_url
        )
        provider = await open_provider(account, timeouts)
        return await provider.send(a_message(**{**route, **message}))


async def sent_together(
    open_provider: Callable[[Account, Timeouts], Awaitable[Provider]],
    secret: Mapping[str, Any],
    http: aiohttp.ClientSession,
    vendor: Vendor,
    messages: Sequence[Message],
    timeouts: Timeouts = PATIENT,
) -> list[SendResult]:
    """What becomes of messages that are sent in the same moment, in their order."""
    async with open_for_business(vendor):
        provider = await open_provider(an_account(secret, http, url=vendor.url, receipts_url=RECEIPTS_URL), timeouts)
        return await asyncio.gather(*(provider.send(message) for message in messages))


def a_push(
    body: bytes = b"",
    *,
    path: str = "/v1/receipts/vendor/token",
    headers: Mapping[str, str] | None = None,
    query: Mapping[str, str] | None = None,
    method: str = "POST",
    reference: str | None = REFERENCE,
) -> Push:
    """What came to the receipts address of REFERENCE; with reference=None to the account's."""
    return Push(
        method=method,
        url=f"{RECEIPTS_URL}{path}",
        query=query or {},
        headers={name.lower(): value for name, value in (headers or {}).items()},
        body=body,
        reference=reference,
    )
