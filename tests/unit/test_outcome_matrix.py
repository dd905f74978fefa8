"""Every provider against every fault: the class of the fault each time, and never a second request.

A fault before the first byte of the request took nothing, and another provider may be asked. After it nobody knows. A
connection that is reset as soon as it stands belongs to the second kind: aiohttp cannot tell it from one that was reset
under the request (functions/providers/transport.py). Only within TLS's handshake is it known that nothing had left.
"""

from __future__ import annotations

import asyncio
import json
import ssl
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from importlib import import_module
from types import ModuleType
from typing import Any

import aiohttp
import pytest

from functions.domain.delivery import Outcome, SendResult
from functions.providers.catalog import PROVIDERS
from functions.providers.transport import Timeouts
from functions.usecases.ports import Provider
from tests.adapters import CHINESE, PATIENT, a_message, an_account
from tests.aws_accounts import an_aws_account, set_credentials
from tests.unit.test_transport import Behaviour, Line, Server, answering, page, self_signed, serving

__all__ = ["self_signed"]

NAMES = sorted(PROVIDERS)
HASTY = Timeouts(connect=5, whole=6)

_TESTS_OF = {"yunpian_multi": "yunpian"}
"""A message that comes alone it sends as Yunpian's other adapter does."""


@pytest.fixture(autouse=True)
def _credentials(monkeypatch: pytest.MonkeyPatch) -> None:
    set_credentials(monkeypatch)


def example_of(name: str) -> ModuleType:
    """Its tests, whose SECRET, ROUTE and ACCEPTED are the provider's."""
    return import_module(f"tests.unit.test_{_TESTS_OF.get(name, name)}")


@asynccontextmanager
async def opened(
    name: str, http: aiohttp.ClientSession, url: str, timeouts: Timeouts = PATIENT
) -> AsyncIterator[Provider]:
    """With the function's own clients, and nothing between it and the fault."""
    module = import_module(f"functions.providers.{name}")
    if PROVIDERS[name].secret is not None:
        yield await module.open_provider(an_account(example_of(name).SECRET, http, url=url), timeouts=timeouts)
        return
    async with an_aws_account(http, url) as account:
        yield await module.open_provider(account, timeouts=timeouts)


async def sent(name: str, http: aiohttp.ClientSession, url: str, timeouts: Timeouts = PATIENT) -> SendResult:
    async with opened(name, http, f"{url}/{name}", timeouts) as provider:
        return await provider.send(a_message(CHINESE, **example_of(name).ROUTE))


def accepted(name: str, status: str | None = None) -> bytes:
    body, code = example_of(name).ACCEPTED
    return page(status or f"{code} Whatever", body if isinstance(body, bytes) else json.dumps(body).encode())


def at(server: Server, scheme: str = "http") -> str:
    return f"{scheme}://127.0.0.1:{server.port}"


# Nothing was sent


@pytest.mark.parametrize("name", NAMES)
async def test_a_host_that_does_not_exist_took_nothing(name: str, http: aiohttp.ClientSession) -> None:
    result = await sent(name, http, "http://salvo.invalid")

    assert result == SendResult(provider=name, outcome=Outcome.TRANSIENT, reason="dns")


@pytest.mark.parametrize("name", NAMES)
async def test_a_host_that_refuses_the_connection_took_nothing(name: str, http: aiohttp.ClientSession) -> None:
    async with serving(Line.hold) as server:
        closed = at(server)

    result = await sent(name, http, closed)

    assert result == SendResult(provider=name, outcome=Outcome.TRANSIENT, reason="refused")


@pytest.mark.parametrize("name", NAMES)
async def test_a_host_that_does_not_prove_itself_took_nothing(
    name: str,
    http: aiohttp.ClientSession,
    self_signed: ssl.SSLContext,
) -> None:
    async with serving(Line.hold, tls=self_signed) as server:
        result = await sent(name, http, at(server, "https"))

    assert result == SendResult(provider=name, outcome=Outcome.TRANSIENT, reason="tls")
    assert server.requests == []


async def answer_in_clear(line: Line) -> None:
    await line.reader.read(1)
    await line.say(page("400 Bad Request", b"this is a plain port"))


async def reset_within_the_handshake(line: Line) -> None:
    await line.reader.read(1)
    line.reset()


@pytest.mark.parametrize("behave", [answer_in_clear, reset_within_the_handshake])
@pytest.mark.parametrize("name", NAMES)
async def test_a_host_that_has_no_tls_or_breaks_it_off_took_nothing(
    name: str, http: aiohttp.ClientSession, behave: Behaviour
) -> None:
    async with serving(behave) as server:
        result = await sent(name, http, at(server, "https"))

    assert (result.outcome, result.message_id) == (Outcome.TRANSIENT, None)
    assert (server.requests, server.connections) == ([], 1)


# Nobody knows


async def reset_at_once(line: Line) -> None:
    line.reset()


async def reset_under_the_request(line: Line) -> None:
    await line.reader.readuntil(b"\r\n\r\n")
    line.reset()


async def reset_after_the_request(line: Line) -> None:
    await line.receive()
    line.reset()


RUBBISH = {
    "nothing": b"",
    "no text": b"\xff\xfe{",
    "a page": b"<html><body>Welcome to our network</body></html>",
    "another's JSON": b'[{"hello":"world"}]',
    "half of some JSON": b'{"id":"x',
    "a well without bottom": b'{"x":' + b"[" * 30_000,
}
BREAKS: dict[str, tuple[Behaviour, int]] = {
    "reset at once": (reset_at_once, 0),
    "reset under the request": (reset_under_the_request, 0),
    "reset after the request": (reset_after_the_request, 1),
    "closed after the request": (Line.receive, 1),
    "no HTTP": (answering(b"220 mail.example.com ESMTP\r\n\r\n"), 1),
    "500": (answering(page("500 Oops", b"")), 1),
    "502 with a page": (answering(page("502 Bad Gateway", b"<html>nginx</html>")), 1),
    "503 with another's JSON": (answering(page("503 Down", b'{"message":"no healthy upstream"}')), 1),
    "503 with Retry-After": (answering(page("503 Down", b"", "Retry-After: 7")), 1),
    **{f"200 with {what}": (answering(page("200 OK", body)), 1) for what, body in RUBBISH.items()},
}


@pytest.mark.parametrize("fault", BREAKS)
@pytest.mark.parametrize("name", NAMES)
async def test_what_breaks_off_or_makes_no_sense_is_unknown_and_is_not_sent_again(
    name: str, http: aiohttp.ClientSession, fault: str
) -> None:
    behave, requests = BREAKS[fault]

    async with serving(behave) as server:
        result = await sent(name, http, at(server))

    assert (result.outcome, result.retry_after, result.message_id) == (Outcome.UNKNOWN, None, None)
    assert (len(server.requests), server.connections) == (requests, 1)


@pytest.mark.parametrize("status", [302, 307])
@pytest.mark.parametrize("name", NAMES)
async def test_whoever_sends_us_elsewhere_is_not_followed(name: str, http: aiohttp.ClientSession, status: int) -> None:
    async with serving(answering(page(f"{status} Over There", b"", "Location: /elsewhere"))) as server:
        result = await sent(name, http, at(server))

    assert result == SendResult(provider=name, outcome=Outcome.UNKNOWN, reason=f"http_{status}")
    assert (len(server.requests), server.connections) == (1, 1)


IN_THE_VENDORS_WORDS: dict[str, Callable[[str], bytes]] = {
    "cut off": lambda name: accepted(name)[:-4],
    "with a server's error": lambda name: accepted(name, "500 Oops"),
}


@pytest.mark.parametrize("fault", IN_THE_VENDORS_WORDS)
@pytest.mark.parametrize("name", NAMES)
async def test_a_success_that_is_cut_off_or_denied_by_its_status_is_unknown(
    name: str, http: aiohttp.ClientSession, fault: str
) -> None:
    async with serving(answering(IN_THE_VENDORS_WORDS[fault](name))) as server:
        result = await sent(name, http, at(server))

    assert (result.outcome, result.message_id) == (Outcome.UNKNOWN, None)
    assert (len(server.requests), server.connections) == (1, 1)


async def test_no_answer_in_time_is_unknown_and_is_not_asked_for_again(http: aiohttp.ClientSession) -> None:
    async def unanswered(name: str) -> tuple[SendResult, int, int]:
        async def receive_and_hold(line: Line) -> None:
            await line.receive()
            await line.hold()

        async with serving(receive_and_hold) as server:
            result = await sent(name, http, at(server), HASTY)
        return result, len(server.requests), server.connections

    # All at once: each takes the whole of its time.
    results = await asyncio.gather(*(unanswered(name) for name in NAMES))

    assert dict(zip(NAMES, results, strict=True)) == {
        name: (SendResult(provider=name, outcome=Outcome.UNKNOWN, reason="read_timeout"), 1, 1) for name in NAMES
    }


# It was turned away, or taken


@pytest.mark.parametrize(("header", "seconds"), [((), None), (("Retry-After: 7",), 7)])
@pytest.mark.parametrize("body", [b"", b"<html>slow down</html>"])
@pytest.mark.parametrize("name", NAMES)
async def test_too_many_requests_are_the_accounts_and_say_when_to_come_back(
    name: str, http: aiohttp.ClientSession, body: bytes, header: tuple[str, ...], seconds: int | None
) -> None:
    async with serving(answering(page("429 Too Many Requests", body, *header))) as server:
        result = await sent(name, http, at(server))

    assert result == SendResult(
        provider=name, outcome=Outcome.THROTTLED_ACCOUNT, reason="http_429", retry_after=seconds
    )
    assert (len(server.requests), server.connections) == (1, 1)


@pytest.mark.parametrize("name", NAMES)
async def test_without_a_fault_the_message_is_taken_by_one_request(name: str, http: aiohttp.ClientSession) -> None:
    async with serving(answering(accepted(name))) as server:
        result = await sent(name, http, at(server))

    assert result.outcome is Outcome.ACCEPTED
    assert (len(server.requests), server.connections) == (1, 1)


# Messages of one moment, which travel together

TOGETHER: dict[str, tuple[Behaviour, Any]] = {
    "429": (answering(page("429 Too Many Requests", b"", "Retry-After: 7")), (Outcome.THROTTLED_ACCOUNT, 7)),
    **{fault: (behave, (Outcome.UNKNOWN, None)) for fault, (behave, requests) in BREAKS.items() if requests},
}
IN_BULK = ("aliyun_batch", "infobip", "sinch_batch", "yunpian_multi")


@pytest.mark.parametrize("name", IN_BULK)
@pytest.mark.parametrize("fault", TOGETHER)
async def test_of_two_that_travel_together_each_has_the_class_and_there_is_one_request(
    http: aiohttp.ClientSession, name: str, fault: str
) -> None:
    behave, expected = TOGETHER[fault]
    route = example_of(name).ROUTE

    async with serving(behave) as server, opened(name, http, at(server)) as provider:
        results = await asyncio.gather(
            provider.send(a_message(CHINESE, **route)),
            provider.send(a_message("+8613900000000", **route, reference="another.1")),
        )

    assert [(result.outcome, result.retry_after) for result in results] == [expected, expected]
    assert (len(server.requests), server.connections) == (1, 1)
