from __future__ import annotations

import asyncio
import json
from base64 import b64decode, b64encode
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from infra.local.execution_environment import Function
from infra.local.gateway import GatewayProcess
from infra.local.http_front import forwarded, handed_over, proxied, serve

TOYS = "tests.local.toy_handlers"
DOCUMENTED = json.loads((Path(__file__).parents[1] / "events" / "http_v2.json").read_text())


@dataclass(frozen=True, slots=True)
class Response:
    status: int
    headers: Mapping[str, str]
    cookies: list[str]
    body: bytes

    def json(self) -> Any:
        return json.loads(self.body)


@dataclass(frozen=True, slots=True)
class Client:
    url: str
    http: aiohttp.ClientSession

    async def event(self, method: str = "GET", path: str = "/", **request: Any) -> dict[str, Any]:
        """What the function of `echo` was given."""
        async with self.http.request(method, f"{self.url}{path}", **request) as answer:
            assert answer.status == 200
            given: dict[str, Any] = await answer.json()
            return given

    async def ask(self, answer: Any) -> Response:
        """The response that the function's answer is turned into."""
        async with self.http.post(f"{self.url}/", json=answer) as response:
            cookies = response.headers.getall("Set-Cookie", [])
            return Response(response.status, response.headers, cookies, await response.read())


@asynccontextmanager
async def front(handlers: Mapping[str, str], *, limit: float = 30, **options: Any) -> AsyncIterator[Client]:
    functions = {
        prefix: Function(f"{TOYS}.{handler}", {}, timeout=limit, name=handler) for prefix, handler in handlers.items()
    }
    try:
        async with serve(functions, **options) as url, aiohttp.ClientSession() as http:
            yield Client(url, http)
    finally:
        for function in functions.values():
            await function.stop()


@pytest.fixture(scope="module")
async def echo() -> AsyncIterator[Client]:
    async with front({"/": "echo"}) as client:
        yield client


@pytest.fixture(scope="module")
async def responding() -> AsyncIterator[Client]:
    async with front({"/": "respond"}) as client:
        yield client


async def test_the_event_is_as_aws_documents_it(echo: Client) -> None:
    headers = [
        ("Header1", "value1"),
        ("Header2", "value1"),
        ("Header2", "value2"),
        ("Cookie", "cookie1; cookie2"),
        ("User-Agent", "agent"),
        ("Content-Type", "text/plain"),
    ]
    event = await echo.event(
        "POST", "/my/path?" + DOCUMENTED["rawQueryString"], headers=headers, data="Hello from Lambda"
    )

    context, documented = event["requestContext"], DOCUMENTED["requestContext"]
    same = ("version", "routeKey", "rawPath", "rawQueryString", "cookies", "queryStringParameters", "body")
    assert event.keys() == DOCUMENTED.keys()
    assert {key: event[key] for key in same} == {key: DOCUMENTED[key] for key in same}
    assert event["isBase64Encoded"] is False
    assert event["headers"].items() >= DOCUMENTED["headers"].items()
    assert "cookie" not in event["headers"]
    assert context.keys() == documented.keys()
    assert context["http"] == {**documented["http"], "sourceIp": "127.0.0.1"}
    assert {key: type(value) for key, value in context.items()} == {
        key: type(value) for key, value in documented.items()
    }


async def test_what_a_request_has_not_its_event_has_not(echo: Client) -> None:
    event = await echo.event()

    assert event["rawQueryString"] == ""
    assert not {"body", "cookies", "queryStringParameters"} & event.keys()


async def test_paths_and_queries_come_decoded_and_the_raw_query_as_it_was(echo: Client) -> None:
    event = await echo.event(path="/a%20path?to=%2B4915&empty=")

    assert event["rawPath"] == "/a path"
    assert event["rawQueryString"] == "to=%2B4915&empty="
    assert event["queryStringParameters"] == {"to": "+4915", "empty": ""}


@pytest.mark.parametrize(
    ("content_type", "body"),
    [
        ("application/x-www-form-urlencoded", b"sms_status=%5B%5D"),  # as on AWS, surprising as it is
        ("application/octet-stream", b"plain"),
        ("image/png", b"\x89PNG\xff"),
        ("application/json", b"\xff\xfe"),
    ],
)
async def test_what_is_no_text_comes_in_base64(echo: Client, content_type: str, body: bytes) -> None:
    event = await echo.event("POST", headers={"Content-Type": content_type}, data=body)

    assert event["isBase64Encoded"] is True
    assert b64decode(event["body"]) == body


@pytest.mark.parametrize("content_type", ["application/json", "Application/JSON; charset=utf-8", "text/plain"])
async def test_text_comes_as_it_is(echo: Client, content_type: str) -> None:
    event = await echo.event("POST", headers={"Content-Type": content_type}, data='{"ü": 1}'.encode())

    assert (event["body"], event["isBase64Encoded"]) == ('{"ü": 1}', False)


async def test_a_request_that_is_too_large_does_not_reach_the_function(echo: Client) -> None:
    async with echo.http.post(echo.url, data=BytesIO(b"x" * (10 * 1024 * 1024 + 1))) as answer:
        assert answer.status == 413
        assert await answer.json() == {"message": "Request Entity Too Large"}


async def test_the_longest_prefix_of_the_path_has_it() -> None:
    async with front({"/v1": "describe", "/v1/receipts": "echo"}) as client:
        assert (await client.event(path="/v1/receipts/yunpian"))["rawPath"] == "/v1/receipts/yunpian"
        assert (await client.event(path="/v1/receiptsanddeceits"))["name"] == "describe"
        async with client.http.get(f"{client.url}/other") as answer:
            assert (answer.status, await answer.json()) == (404, {"message": "Not Found"})


async def test_an_answer_becomes_a_response(responding: Client) -> None:
    response = await responding.ask(
        {
            "statusCode": 201,
            "headers": {"Content-Type": "application/problem+json", "Retry-After": 30, "Content-Length": "999"},
            "cookies": ["a=1; Secure", "b=2"],
            "body": "ünï",
        }
    )

    assert response.status == 201
    assert response.headers["Content-Type"] == "application/problem+json"
    assert response.headers["Retry-After"] == "30"
    assert response.cookies == ["a=1; Secure", "b=2"]
    assert response.body.decode() == "ünï"


async def test_a_body_in_base64_is_decoded(responding: Client) -> None:
    response = await responding.ask(
        {"statusCode": 200, "body": b64encode(b"\x00\xff").decode(), "isBase64Encoded": True}
    )

    assert response.body == b"\x00\xff"


@pytest.mark.parametrize("answer", ["a text", {"some": "thing"}, [1, 2]])
async def test_an_answer_without_a_status_is_a_body(responding: Client, answer: Any) -> None:
    response = await responding.ask(answer)

    assert (response.status, response.json()) == (200, answer)
    assert response.headers["Content-Type"].startswith("application/json")


@pytest.mark.parametrize(
    "answer",
    [
        {"statusCode": "many"},
        {"statusCode": None},
        {"statusCode": 200, "body": {"an": "object"}},
        {"statusCode": 200, "headers": ["a", "list"]},
        {"statusCode": 200, "body": "no base64!", "isBase64Encoded": True},
        {"statusCode": 200, "cookies": [1]},
        {"statusCode": 200, "headers": {"X": "a\r\nSet-Cookie: b=1"}},
    ],
)
async def test_a_malformed_answer_is_an_internal_server_error(responding: Client, answer: Any) -> None:
    response = await responding.ask(answer)

    assert (response.status, response.json()) == (500, {"message": "Internal Server Error"})


@pytest.mark.parametrize(("handler", "limit"), [("fail", 30.0), ("linger", 0.2)])
async def test_a_function_that_fails_is_an_internal_server_error(handler: str, limit: float) -> None:
    async with (
        front({"/": handler}, limit=limit) as client,
        client.http.get(client.url) as answer,
    ):
        assert (answer.status, await answer.json()) == (500, {"message": "Internal Server Error"})


async def test_a_function_that_takes_longer_than_the_gateway_waits_is_unavailable() -> None:
    async with (
        front({"/": "linger"}, integration_timeout=0.2) as client,
        client.http.get(client.url) as answer,
    ):
        assert (answer.status, await answer.json()) == (503, {"message": "Service Unavailable"})


async def test_requests_at_once_are_invocations_at_once(tmp_path: Path) -> None:
    async with front({"/": "meet"}) as client:
        url = f"{client.url}/?folder={tmp_path}&of=3"

        async def pid() -> int:
            async with client.http.get(url) as answer:
                return int(await answer.json())

        assert len(set(await asyncio.gather(pid(), pid(), pid()))) == 3


async def test_the_phones_inbox_can_be_mounted() -> None:
    async with (
        GatewayProcess.start({"yunpian": {"apikey": "k"}}) as gateway,
        front({"/": "echo"}, mounted=[proxied("/inbox.json", gateway.url)]) as client,
    ):
        form = {"apikey": "k", "mobile": "+4915112345678", "text": "hello"}
        async with client.http.post(f"{gateway.url}/yunpian/v2/sms/single_send.json", data=form):
            pass

        async with client.http.get(f"{client.url}/inbox.json", params={"to": "+4915112345678"}) as answer:
            assert [message["text"] for message in await answer.json()] == ["hello"]
        assert (await client.event(path="/inbox"))["rawPath"] == "/inbox"


@pytest.mark.parametrize(("handler", "status"), [("describe", 204), ("fail", 500)])
async def test_an_event_of_awss_own_is_handed_over_and_comes_again_where_that_failed(handler: str, status: int) -> None:
    function = Function(f"{TOYS}.{handler}", {}, timeout=30, name="events")
    try:
        async with (
            serve({}, mounted=[handed_over("/events", function)]) as url,
            aiohttp.ClientSession() as http,
            http.post(f"{url}/events", json={"Records": []}) as answer,
        ):
            assert answer.status == status
    finally:
        await function.stop()


@asynccontextmanager
async def forwarding(handler: str) -> AsyncIterator[Client]:
    async with (
        front({"/": handler}) as upstream,
        serve({}, mounted=[forwarded(upstream.url, host="api.example.com")]) as url,
    ):
        yield Client(url, upstream.http)


async def test_a_forwarded_request_arrives_as_it_was_sent() -> None:
    headers = {"X-Own": "1", "Content-Type": "text/plain"}

    async with forwarding("echo") as client:
        event = await client.event("POST", "/v1/a%2Fb?q=a+b&q=%2B1", data=b'{"a": 1}', headers=headers)

    assert event["requestContext"]["http"]["method"] == "POST"
    assert (event["rawPath"], event["rawQueryString"]) == ("/v1/a/b", "q=a+b&q=%2B1")
    assert event["headers"]["host"] == "api.example.com"
    assert event["headers"]["x-own"] == "1"
    assert event["body"] == '{"a": 1}'


async def test_a_forwarded_answer_comes_back_as_it_was_given() -> None:
    given = {"statusCode": 429, "headers": {"Retry-After": "30"}, "cookies": ["a=1", "b=2"], "body": "wait"}

    async with forwarding("respond") as client:
        response = await client.ask(given)

    assert (response.status, response.body) == (429, b"wait")
    assert response.headers["Retry-After"] == "30"
    assert response.cookies == ["a=1", "b=2"]
