"""One submit against servers that misbehave on purpose: what can have been sent, and how often they were asked."""

from __future__ import annotations

import asyncio
import socket
import ssl
import struct
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

import aiohttp
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from functions.domain.delivery import Outcome
from functions.providers.transport import (
    LARGEST_ANSWER,
    Answer,
    NotSent,
    Timeouts,
    Unknown,
    submit,
    without_answer,
)

PATIENT = Timeouts(connect=30, whole=60)
"""For faults that come by themselves: a slow machine must not turn them into time-outs."""
SHORT_CONNECT = Timeouts(connect=0.2, whole=60)
SHORT_WHOLE = Timeouts(connect=0.4, whole=0.5)
BODY = b"apikey=k&text=123456"


@dataclass
class Line:
    """One connection, as the server sees it."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter
    server: Server

    async def receive(self) -> None:
        """Takes one whole request."""
        head = await self.reader.readuntil(b"\r\n\r\n")
        (length,) = [line for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:")]
        body = await self.reader.readexactly(int(length.partition(b":")[2]))
        self.server.requests.append(head + body)
        self.server.received.set()

    async def say(self, raw: bytes) -> None:
        self.writer.write(raw)
        await self.writer.drain()

    async def hold(self) -> None:
        """Says nothing more until the test is over."""
        await self.server.over.wait()

    def reset(self) -> None:
        """An RST instead of an orderly end."""
        linger = struct.pack("ii", 1, 0)
        self.writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
        self.writer.transport.abort()


Behaviour = Callable[[Line], Awaitable[None]]


@dataclass
class Server:
    behave: Behaviour
    port: int = 0
    connections: int = 0
    requests: list[bytes] = field(default_factory=list)
    received: asyncio.Event = field(default_factory=asyncio.Event)
    over: asyncio.Event = field(default_factory=asyncio.Event)
    lines: list[asyncio.Task[None]] = field(default_factory=list)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/send"

    @property
    def tls_url(self) -> str:
        return f"https://127.0.0.1:{self.port}/send"

    def accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        self.lines.append(asyncio.ensure_future(self._serve(Line(reader, writer, self))))

    async def _serve(self, line: Line) -> None:
        # Some clients hang up on some answers before they are out.
        with suppress(ConnectionError):
            await self.behave(line)
        line.writer.close()


@asynccontextmanager
async def serving(behave: Behaviour, *, tls: ssl.SSLContext | None = None) -> AsyncIterator[Server]:
    server = Server(behave)
    listener = await asyncio.start_server(server.accept, "127.0.0.1", 0, ssl=tls)
    server.port = listener.sockets[0].getsockname()[1]
    try:
        yield server
    finally:
        server.over.set()
        listener.close()
        await asyncio.wait_for(asyncio.gather(*server.lines), 10)


@pytest.fixture
async def session() -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession() as session:
        yield session


@pytest.fixture(scope="session")
def self_signed(tmp_path_factory: pytest.TempPathFactory) -> ssl.SSLContext:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "127.0.0.1")])
    start = datetime(2026, 1, 1, tzinfo=UTC)
    certificate = (
        x509.CertificateBuilder(name, name, key.public_key(), 1, start, start + timedelta(days=36_500))
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    pem = tmp_path_factory.mktemp("tls") / "both.pem"
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    pem.write_bytes(private + certificate.public_bytes(serialization.Encoding.PEM))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(pem)
    return context


async def post(session: aiohttp.ClientSession, url: str, timeouts: Timeouts = PATIENT) -> Answer | NotSent | Unknown:
    return await submit(session, url, body=BODY, headers={"Content-Type": "text/plain"}, timeouts=timeouts)


def answering(raw: bytes) -> Behaviour:
    async def behave(line: Line) -> None:
        await line.receive()
        await line.say(raw)

    return behave


def page(status: str, body: bytes, *headers: str) -> bytes:
    lines = [f"HTTP/1.1 {status}", f"Content-Length: {len(body)}", *headers, "", ""]
    return "\r\n".join(lines).encode() + body


async def hold(line: Line) -> None:
    await line.hold()


async def receive_and_hold(line: Line) -> None:
    await line.receive()
    await line.hold()


# Not sent


async def test_a_host_that_does_not_exist_was_sent_nothing(session: aiohttp.ClientSession) -> None:
    assert await post(session, "http://salvo.invalid/send") == NotSent("dns")


async def test_a_refused_connection_was_sent_nothing(session: aiohttp.ClientSession) -> None:
    async with serving(hold) as server:
        closed = server.url

    assert await post(session, closed) == NotSent("refused")


async def test_a_server_without_tls_was_sent_nothing(session: aiohttp.ClientSession) -> None:
    async def answer_in_clear(line: Line) -> None:
        await line.reader.read(1)
        await line.say(page("400 Bad Request", b"this is a plain port"))

    async with serving(answer_in_clear) as server:
        assert await post(session, server.tls_url) == NotSent("tls")
        assert server.connections == 1


async def test_a_server_with_a_certificate_of_its_own_was_sent_nothing(
    session: aiohttp.ClientSession, self_signed: ssl.SSLContext
) -> None:
    async with serving(hold, tls=self_signed) as server:
        assert await post(session, server.tls_url) == NotSent("tls")
        assert server.requests == []


async def test_a_connection_that_ends_within_the_tls_handshake_was_sent_nothing(
    session: aiohttp.ClientSession,
) -> None:
    async def hang_up(line: Line) -> None:
        await line.reader.read(1)
        line.reset()

    async with serving(hang_up) as server:
        assert await post(session, server.tls_url) == NotSent("no_connection")
        assert server.connections == 1


async def test_a_connection_that_takes_too_long_to_come_about_was_sent_nothing(
    session: aiohttp.ClientSession,
) -> None:
    async with serving(hold) as server:
        assert await post(session, server.tls_url, SHORT_CONNECT) == NotSent("connect_timeout")
        assert server.connections == 1


async def test_a_wait_for_a_free_connection_that_takes_too_long_sent_nothing() -> None:
    async with (
        aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=1)) as narrow,
        serving(receive_and_hold) as server,
        asyncio.TaskGroup() as group,
    ):
        first = group.create_task(post(narrow, server.url))
        await server.received.wait()

        assert await post(narrow, server.url, SHORT_CONNECT) == NotSent("connect_timeout")
        assert len(server.requests) == 1
        server.over.set()
        assert await first == Unknown("disconnected")


@pytest.mark.parametrize("url", ["http://", "ftp://127.0.0.1/send", "http://[/send"])
async def test_an_address_that_makes_no_sense_was_sent_nothing(session: aiohttp.ClientSession, url: str) -> None:
    assert await post(session, url) == NotSent("url")


# Nobody knows


async def test_a_connection_closed_before_the_request_was_read_is_unknown(session: aiohttp.ClientSession) -> None:
    async def close(line: Line) -> None:
        """Returns, and that closes the line."""

    async with serving(close) as server:
        assert await post(session, server.url) == Unknown("disconnected")
        assert server.connections == 1


async def test_a_connection_closed_after_the_request_is_unknown(session: aiohttp.ClientSession) -> None:
    async with serving(Line.receive) as server:
        assert await post(session, server.url) == Unknown("disconnected")
        assert len(server.requests) == server.connections == 1


async def test_a_reset_after_the_request_is_unknown(session: aiohttp.ClientSession) -> None:
    async def reset(line: Line) -> None:
        await line.receive()
        line.reset()

    async with serving(reset) as server:
        assert await post(session, server.url) == Unknown("disconnected")
        assert len(server.requests) == server.connections == 1


async def test_a_kept_connection_that_breaks_is_not_tried_again_on_a_new_one(session: aiohttp.ClientSession) -> None:
    async def answer_once(line: Line) -> None:
        await line.receive()
        await line.say(page("200 OK", b"{}"))
        await line.receive()

    async with serving(answer_once) as server:
        await post(session, server.url)

        assert await post(session, server.url) == Unknown("disconnected")
        assert (server.connections, len(server.requests)) == (1, 2)


async def test_no_answer_in_time_is_unknown(session: aiohttp.ClientSession) -> None:
    async with serving(receive_and_hold) as server:
        assert await post(session, server.url, SHORT_WHOLE) == Unknown("read_timeout")
        assert len(server.requests) == server.connections == 1


async def test_an_answer_that_stops_midway_is_unknown_when_the_time_is_over(session: aiohttp.ClientSession) -> None:
    async def answer_half(line: Line) -> None:
        await line.receive()
        await line.say(b'HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{"code":0,')
        await line.hold()

    async with serving(answer_half) as server:
        assert await post(session, server.url, SHORT_WHOLE) == Unknown("read_timeout")
        assert len(server.requests) == 1


BROKEN_BODIES = {
    "cut off": b'HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{"code":0}',
    "bad gzip": b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 4\r\n\r\nrubb",
}


@pytest.mark.parametrize("raw", BROKEN_BODIES.values(), ids=BROKEN_BODIES)
async def test_a_body_that_breaks_off_is_unknown(session: aiohttp.ClientSession, raw: bytes) -> None:
    async with serving(answering(raw)) as server:
        assert await post(session, server.url) == Unknown("disconnected")
        assert len(server.requests) == server.connections == 1


NOT_HTTP = {
    "another protocol": b"220 mail.example.com ESMTP\r\n\r\n",
    "no length": b"HTTP/1.1 200 OK\r\nContent-Length: many\r\n\r\n",
    "endless header": b"HTTP/1.1 200 OK\r\nX: " + b"x" * 100_000,
}


@pytest.mark.parametrize("raw", NOT_HTTP.values(), ids=NOT_HTTP)
async def test_an_answer_that_is_not_http_is_unknown(session: aiohttp.ClientSession, raw: bytes) -> None:
    async with serving(answering(raw)) as server:
        assert await post(session, server.url) == Unknown("not_http")
        assert len(server.requests) == server.connections == 1


async def test_a_body_over_the_limit_is_unknown_and_not_read_to_its_end(session: aiohttp.ClientSession) -> None:
    async def answer_for_ever(line: Line) -> None:
        await line.receive()
        await line.say(b"HTTP/1.1 200 OK\r\n\r\n" + b" " * (LARGEST_ANSWER + 1))
        await line.hold()

    async with serving(answer_for_ever) as server:
        assert await post(session, server.url) == Unknown("too_large")
        assert len(server.requests) == server.connections == 1


# Answers


async def test_the_request_arrives_as_it_was_given(session: aiohttp.ClientSession) -> None:
    async with serving(answering(page("200 OK", b""))) as server:
        await post(session, server.url)

    head, _, body = server.requests[0].partition(b"\r\n\r\n")
    assert head.startswith(b"POST /send HTTP/1.1\r\n")
    assert b"\r\nContent-Type: text/plain\r\n" in head
    assert body == BODY


@pytest.mark.parametrize("status", [200, 400, 429, 500, 503])
async def test_every_status_is_an_answer(session: aiohttp.ClientSession, status: int) -> None:
    async with serving(answering(page(f"{status} Whatever", b"{}"))) as server:
        assert await post(session, server.url) == Answer(status=status, body=b"{}", retry_after=None)
        assert len(server.requests) == server.connections == 1


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
async def test_a_redirect_is_an_answer_and_is_not_followed(session: aiohttp.ClientSession, status: int) -> None:
    async with serving(answering(page(f"{status} Elsewhere", b"", "Location: /elsewhere"))) as server:
        assert await post(session, server.url) == Answer(status=status, body=b"", retry_after=None)
        assert len(server.requests) == server.connections == 1


async def test_a_body_as_large_as_the_limit_is_read_whole(session: aiohttp.ClientSession) -> None:
    async with serving(answering(page("200 OK", b"x" * LARGEST_ANSWER))) as server:
        answer = await post(session, server.url)

    assert isinstance(answer, Answer)
    assert len(answer.body) == LARGEST_ANSWER


@pytest.mark.parametrize(
    ("stated", "seconds"),
    [("0", 0), ("30", 30), ("Wed, 21 Oct 2026 07:28:00 GMT", None), ("-5", None), ("123456", None), ("", None)],
)
async def test_retry_after_is_read_where_it_is_a_number_of_seconds(
    session: aiohttp.ClientSession, stated: str, seconds: int | None
) -> None:
    async with serving(answering(page("429 Too Many Requests", b"", f"Retry-After: {stated}"))) as server:
        assert await post(session, server.url) == Answer(status=429, body=b"", retry_after=seconds)


# What surrounds them


async def test_a_cancellation_goes_through(session: aiohttp.ClientSession) -> None:
    async with serving(receive_and_hold) as server:
        sending = asyncio.ensure_future(post(session, server.url))
        await server.received.wait()
        sending.cancel()

        with pytest.raises(asyncio.CancelledError):
            await sending


async def test_a_callers_own_deadline_stays_the_callers(session: aiohttp.ClientSession) -> None:
    async with serving(receive_and_hold) as server:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.2):
                await post(session, server.url)


def test_what_was_not_sent_may_be_tried_again() -> None:
    result = without_answer("yunpian", NotSent("dns"))

    assert (result.provider, result.outcome, result.reason) == ("yunpian", Outcome.TRANSIENT, "dns")


def test_what_nobody_knows_may_not_be_tried_again() -> None:
    result = without_answer("yunpian", Unknown("disconnected"))

    assert (result.provider, result.outcome, result.reason) == ("yunpian", Outcome.UNKNOWN, "disconnected")


def test_an_answers_body_is_not_in_its_repr() -> None:
    assert "13800000000" not in repr(Answer(status=200, body=b"13800000000", retry_after=None))


@pytest.mark.parametrize(("connect", "whole"), [(2, 2), (3, 2), (0, 2)])
def test_a_whole_time_that_leaves_none_after_connecting_is_refused(connect: float, whole: float) -> None:
    with pytest.raises(ValueError, match="part of the whole"):
        Timeouts(connect=connect, whole=whole)
