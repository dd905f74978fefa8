"""How an adapter submits a request: once, with an honest answer to «can it have been taken?».

Whether a message may be sent again hangs on one question: had the request been written when the fault came? aiohttp's
exceptions tell where it was (3.14: `ClientSession._request`, `client_exceptions.py`). Whatever `Connector.connect`
raises comes before the first byte; everything else can come after it.

A connection that breaks later gives no proof. Whether it went before the write (a kept-alive one that the other side
had closed) or after it, aiohttp raises the same ServerDisconnectedError or ClientOSError; its
`UploadTracker.bytes_written` is a lower bound of what left. So a break is unknown, never «not sent».
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping
from dataclasses import field
from typing import TypeAlias

import aiohttp
from yarl import URL

from functions.domain.delivery import Outcome, SendResult
from functions.domain.frozen import frozen

Sessions: TypeAlias = Callable[[], aiohttp.ClientSession]
"""Gives the session of now. The runtime owns it and replaces it after a freeze: ask at each send, keep none."""

LARGEST_ANSWER = 65_536
"""Bytes. The gateways' answers to a message have a few hundred."""

_NO_GUESS = ("Content-Type",)
"""aiohttp would name a type of its own, which no signature knows of."""

_SECONDS = re.compile(r"[0-9]{1,5}")


@frozen(kw_only=True)
class Timeouts:
    """In seconds. Raises ValueError where `whole` could end while the connection is still being made.

    aiohttp reports the end of `whole` in the same way before and after the write: it has to be after.
    """

    connect: float
    """For a free place in the pool, DNS, TCP and TLS together."""
    whole: float
    """From the call to the answer's last byte."""

    def __post_init__(self) -> None:
        if not 0 < self.connect < self.whole:
            raise ValueError("a connection takes a part of the whole time")


@frozen(kw_only=True)
class Answer:
    """What the gateway said, whatever its status. A redirect is an answer too: it is not followed."""

    status: int
    body: bytes = field(repr=False)
    """Can name the number."""
    retry_after: int | None
    """Seconds. None for a date: no gateway is known to send one."""


@frozen()
class NotSent:
    """No byte of the request was written. `reason`: connect_timeout, dns, tls, refused, no_connection or url."""

    reason: str


@frozen()
class Unknown:
    """The request may have been taken. `reason`: read_timeout, disconnected, not_http or too_large."""

    reason: str


async def submit(
    session: aiohttp.ClientSession,
    url: str | URL,
    *,
    body: bytes,
    headers: Mapping[str, str],
    timeouts: Timeouts,
    largest: int = LARGEST_ANSWER,
) -> Answer | NotSent | Unknown:
    """POSTs the body, once: no second try (aiohttp makes none for a POST) and no redirect.

    A URL that was made with `encoded=True` goes out as it stands, byte for byte. An answer of more than `largest` bytes
    is read no further.

    Raises nothing for what the network or the gateway does; a cancellation goes through.
    """
    limits = aiohttp.ClientTimeout(
        total=timeouts.whole,
        connect=timeouts.connect,
        ceil_threshold=math.inf,  # else aiohttp rounds whatever is over 5 seconds up to a full second
    )
    try:
        async with session.post(
            url, data=body, headers=headers, timeout=limits, allow_redirects=False, skip_auto_headers=_NO_GUESS
        ) as response:
            return await _read(response, largest)
    except (aiohttp.ClientError, OSError) as fault:
        return classify(fault)


def without_answer(provider: str, fault: NotSent | Unknown) -> SendResult:
    """The result of a send that the gateway gave no answer to."""
    outcome = Outcome.TRANSIENT if isinstance(fault, NotSent) else Outcome.UNKNOWN
    return SendResult(provider=provider, outcome=outcome, reason=fault.reason)


async def _read(response: aiohttp.ClientResponse, largest: int) -> Answer | Unknown:
    body = bytearray()
    async for part in response.content.iter_any():
        body += part
        if len(body) > largest:
            return Unknown("too_large")
    return Answer(status=response.status, body=bytes(body), retry_after=_retry_after(response.headers))


def _retry_after(headers: Mapping[str, str]) -> int | None:
    stated = headers.get("Retry-After", "")
    return int(stated) if _SECONDS.fullmatch(stated) else None


# The first class that fits decides, so the narrower ones come first: ConnectionTimeoutError is a TimeoutError too, and
# every connector error an OSError. Without redirects, a bad URL can only be the one that was to be called.
_NOT_SENT: tuple[tuple[type[Exception], str], ...] = (
    (aiohttp.ConnectionTimeoutError, "connect_timeout"),
    (aiohttp.ClientConnectorDNSError, "dns"),
    (aiohttp.ClientSSLError, "tls"),
    (aiohttp.ClientConnectorError, "no_connection"),
    (aiohttp.InvalidURL, "url"),
    (aiohttp.NonHttpUrlClientError, "url"),
)
_UNKNOWN: tuple[tuple[type[Exception], str], ...] = (
    (TimeoutError, "read_timeout"),
    (aiohttp.ClientResponseError, "not_http"),
)


def classify(fault: Exception) -> NotSent | Unknown:
    if isinstance(fault, aiohttp.ClientConnectorError) and isinstance(fault.os_error, ConnectionRefusedError):
        return NotSent("refused")
    for kind, reason in _NOT_SENT:
        if isinstance(fault, kind):
            return NotSent(reason)
    for kind, reason in _UNKNOWN:
        if isinstance(fault, kind):
            return Unknown(reason)
    return Unknown("disconnected")
