"""AWS clients, with time-outs that fit an invocation: botocore's own are a minute long."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from functools import partial
from typing import Any

from aiobotocore.config import AioConfig
from aiobotocore.httpsession import AIOHTTPSession
from aiobotocore.session import get_session
from botocore.config import Config

CONNECTIONS = 8
"""To DynamoDB. At its few milliseconds a call they carry more than a sandbox's CPU can ask for, and with 1,000 sends in
flight, the others' two and the runtime's own dozen they stay under a sandbox's 1,024 file descriptors."""
_OTHERS = 2
_SENDS = 1_000
"""What a sandbox has in flight at most, to all providers together: each has its connection at once, and keeps none."""

# Three tries of a second each, and the SDK's waits of up to 1 and 2 seconds between them: 6 seconds until the API tells
# its caller that the table does not answer. DynamoDB takes milliseconds; a lost answer should not cost two seconds.
CONFIG = Config(
    connect_timeout=1,
    read_timeout=1,
    retries={"mode": "standard", "total_max_attempts": 3},
    max_pool_connections=_OTHERS,
    # The shape of our own few calls is the tests' business; checking it again costs CPU in each of them.
    parameter_validation=False,
)
_OF_DYNAMODB = CONFIG.merge(Config(max_pool_connections=CONNECTIONS))


class _Unredirected:
    """aiohttp's session, as far as aiobotocore (3.10) uses it."""

    def __init__(self, session: Any) -> None:
        self._session = session

    async def request(self, method: str, **options: Any) -> Any:
        return await self._session.request(method, allow_redirects=False, **options)


class _SentOnce(AIOHTTPSession):  # type: ignore[misc] # it has no types
    """AWS sends nobody elsewhere. aiobotocore follows whoever does, and takes the code and the number there."""

    async def _get_session(self, proxy_url: str | None) -> _Unredirected:
        return _Unredirected(await super()._get_session(proxy_url))


# For calls that send: botocore would try again where nobody knows whether the message went out. A connection that sat
# through a freeze fails in just that way, and there is no second try to mend it: so each call makes its own.
ONCE = AioConfig(
    connect_timeout=2,
    read_timeout=5,
    retries={"mode": "standard", "total_max_attempts": 1},
    max_pool_connections=_SENDS,
    parameter_validation=False,
    connector_args={"force_close": True, "keepalive_timeout": None},  # the two exclude each other
    http_session_cls=_SentOnce,
)

_ADDRESS = re.compile(r"https://[a-z.-]+\.([a-z]+(?:-[a-z]+)+-[0-9])\.[a-z.]+")
"""Of a service of AWS, such as https://sms-voice.eu-central-1.amazonaws.com: with its region."""


class _Later:
    """A client that is made when it is first asked for something. Its operations are called as any other's."""

    def __init__(self, make: Callable[[], Awaitable[Any]]) -> None:
        self._make = make
        self._client: Any = None
        self._lock = asyncio.Lock()

    def __getattr__(self, operation: str) -> Callable[..., Awaitable[Any]]:
        async def call(**request: Any) -> Any:
            async with self._lock:
                if self._client is None:
                    self._client = await self._make()
            return await getattr(self._client, operation)(**request)

        return call


class Clients:
    """Opens clients that live as long as `resources`. Region, credentials and endpoint come from the environment."""

    def __init__(self, resources: AsyncExitStack) -> None:
        self._resources = resources
        self._session = get_session()  # one for all: it parses botocore's own tables once

    async def open(self, service: str) -> Any:
        config = _OF_DYNAMODB if service == "dynamodb" else CONFIG
        return await self._resources.enter_async_context(self._session.create_client(service, config=config))

    def later(self, service: str) -> Any:
        """For what most invocations never ask: making a client is a twentieth of a cold start."""
        return _Later(partial(self.open, service))

    async def open_once(self, service: str, url: str | None) -> Any:
        """One that never tries twice, for calls that send. At `url`, which may be in another region."""
        address = _ADDRESS.fullmatch(url or "")
        region = address.group(1) if address else None  # the request is signed for it
        client = self._session.create_client(service, region_name=region, endpoint_url=url, config=ONCE)
        return await self._resources.enter_async_context(client)
