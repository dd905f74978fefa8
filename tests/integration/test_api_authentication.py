"""Who may call: nothing is read, looked up or told before the key is known."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from typing import Any

import pytest

from functions.domain.caller import Caller
from functions.stores.dynamodb import Table
from functions.usecases.ports import KeysUnavailable
from functions.web.authentication import digest_key
from tests.harness import API_KEY, Harness, Response, assert_problem, call, fresh_number

ID = f"vfy_k1_{'a' * 40}"
CALLS = [
    ("POST", "/v1/verifications"),
    ("POST", f"/v1/verifications/{ID}/check"),
    ("GET", f"/v1/verifications/{ID}"),
    ("DELETE", f"/v1/verifications/{ID}"),
]
REFUSED: dict[str, str | None] = {
    "none": None,
    "empty": "",
    "the key alone": API_KEY,
    "another scheme": f"Basic {API_KEY}",
    "no space": f"Bearer{API_KEY}",
    "an empty key": "Bearer ",
    "an empty key without a space": "Bearer",
    "a wrong key": "Bearer wrong",
    "a key too long": f"Bearer {API_KEY}x",
    "a key too short": f"Bearer {API_KEY[:-1]}",
    "a key in capitals": f"Bearer {API_KEY.upper()}",
    "two keys": f"Bearer wrong {API_KEY}",
    "two schemes": f"Bearer Bearer {API_KEY}",
    "the digest": f"Bearer {digest_key(API_KEY)}",
    "not ASCII": "Bearer schlüssel",
    "a NUL": f"Bearer {API_KEY}\x00",
}


class Untouchable:
    """An AWS client that nobody may use."""

    def __getattr__(self, name: str) -> Any:
        raise AssertionError(f"{name} was called")


@pytest.fixture
def closed() -> Harness:
    """A deployment whose store fails whoever touches it."""
    return Harness(Table(Untouchable(), "untouchable"))


async def unread(app: Any, method: str, path: str, headers: list[tuple[bytes, bytes]]) -> Response:
    """Calls with a body that cannot be received."""
    answered: list[Any] = []

    async def receive() -> dict[str, Any]:
        raise AssertionError("the body was read")

    async def send(message: Any) -> None:
        answered.append(message)

    scope = {"type": "http", "method": method, "path": path, "query_string": b"", "headers": headers}
    await app(scope, receive, send)
    head = {name.decode(): value.decode() for name, value in answered[0]["headers"]}
    return Response(answered[0]["status"], head, answered[1]["body"])


@pytest.mark.parametrize(("method", "path"), CALLS)
@pytest.mark.parametrize("authorization", REFUSED.values(), ids=REFUSED.keys())
async def test_without_the_right_key_every_call_is_refused(
    closed: Harness, method: str, path: str, authorization: str | None
) -> None:
    headers = {} if authorization is None else {"authorization": authorization}

    response = await call(closed.app, method, path, b"\xff rubbish {", headers=headers, key=None)

    assert_problem(response, 401, "unauthorized")
    assert response.headers["www-authenticate"] == "Bearer"
    assert closed.provider.messages == []


@pytest.mark.parametrize(("method", "path"), CALLS)
async def test_a_refused_callers_body_is_not_even_received(closed: Harness, method: str, path: str) -> None:
    response = await unread(closed.app, method, path, [(b"authorization", b"Bearer wrong")])

    assert_problem(response, 401, "unauthorized")


@pytest.mark.parametrize(("method", "path"), CALLS[2:])
async def test_with_the_right_key_a_call_does_reach_the_store(closed: Harness, method: str, path: str) -> None:
    """What makes the tests above worth something: the store that nobody may touch is the one that is used."""
    assert_problem(await call(closed.app, method, path), 500, "internal")


async def test_a_missing_and_a_wrong_key_get_the_same_answer(closed: Harness) -> None:
    missing, wrong = [await call(closed.app, "GET", CALLS[2][1], key=key) for key in (None, "wrong")]

    assert (missing.body, missing.headers) == (wrong.body, wrong.headers)


@pytest.mark.parametrize("authorization", [f"Bearer {API_KEY}", f"bearer {API_KEY}", f"BEARER   {API_KEY} "])
async def test_the_right_key_is_taken_however_its_scheme_is_spelled(harness: Harness, authorization: str) -> None:
    body = {"to": fresh_number().e164}

    response = await call(
        harness.app, "POST", "/v1/verifications", body, headers={"authorization": authorization}, key=None
    )

    assert response.status == 201


async def test_health_needs_no_key(closed: Harness) -> None:
    response = await call(closed.app, "GET", "/v1/health", key=None)

    assert (response.status, response.json) == (200, {"status": "ok"})
    assert response.headers["cache-control"] == "no-store"


@pytest.mark.parametrize(
    ("method", "path", "status", "code"),
    [
        ("GET", "/", 404, "no_such_route"),
        ("GET", "/v1", 404, "no_such_route"),
        ("GET", "/v2/verifications", 404, "no_such_route"),
        ("GET", "/v1/health/", 404, "no_such_route"),
        ("GET", "//v1/health", 404, "no_such_route"),
        ("GET", "/v1/health/../verifications", 404, "no_such_route"),
        ("POST", "/v1/verifications/", 404, "no_such_route"),
        ("POST", f"/v1/verifications/{ID}/checks", 404, "no_such_route"),
        ("GET", "/v1/verifications", 405, "method_not_allowed"),
        ("PUT", f"/v1/verifications/{ID}", 405, "method_not_allowed"),
        ("GET", f"/v1/verifications/{ID}/check", 405, "method_not_allowed"),
        ("OPTIONS", "/v1/verifications", 405, "method_not_allowed"),
        ("TRACE", "/v1/verifications", 405, "method_not_allowed"),
        ("\r\n", "/v1/verifications", 405, "method_not_allowed"),
    ],
)
async def test_routes_that_there_are_not_are_told_to_those_with_a_key_only(
    closed: Harness, method: str, path: str, status: int, code: str
) -> None:
    assert_problem(await call(closed.app, method, path, key=None), 401, "unauthorized")
    assert_problem(await call(closed.app, method, path), status, code)


async def test_a_method_that_a_path_does_not_take_is_answered_with_those_that_it_takes(closed: Harness) -> None:
    refused = await call(closed.app, "PUT", f"/v1/verifications/{ID}")

    assert refused.headers["allow"] == "DELETE, GET, HEAD"


@pytest.mark.parametrize("host", ["a/v1/health", "a/v1/health?", "a/v1/health#", "@/v1/health?", "a/v1/health\\"])
async def test_no_host_header_makes_another_path_of_a_call(closed: Harness, host: str) -> None:
    assert_problem(await call(closed.app, *CALLS[2], headers={"host": host}, key=None), 401, "unauthorized")


async def test_a_query_that_is_no_text_does_not_get_in_the_way(closed: Harness) -> None:
    assert_problem(await call(closed.app, *CALLS[2], key=None, query=b"\xff"), 401, "unauthorized")
    assert (await call(closed.app, "GET", "/v1/health", key=None, query=b"\xff")).status == 200


@dataclass(frozen=True, slots=True)
class KeysAreAway:
    async def caller_of(self, key_digest: str) -> Caller | None:
        raise KeysUnavailable("secret callers: ResourceNotFoundException")


async def test_while_the_keys_cannot_be_read_nobody_is_let_in(closed: Harness) -> None:
    closed.callers = KeysAreAway()

    response = await call(closed.app, *CALLS[2])

    assert_problem(response, 503, "unavailable")
    assert response.headers["retry-after"] == "1"


@dataclass(frozen=True, slots=True)
class Digests:
    asked: list[str] = field(default_factory=list)

    async def caller_of(self, key_digest: str) -> Caller | None:
        self.asked.append(key_digest)
        await asyncio.sleep(0)
        return None


async def test_whoever_knows_the_callers_is_shown_a_digest_and_never_the_key(closed: Harness) -> None:
    digests = Digests()
    closed.callers = digests

    await call(closed.app, *CALLS[2])

    assert digests.asked == [digest_key(API_KEY)]


async def test_who_calls_is_told_to_the_log_before_anything_is_done_for_them(closed: Harness) -> None:
    response = await call(closed.app, "GET", CALLS[2][1])

    assert response.status == 500  # the store was touched
    assert closed.named == ["tester"]


async def test_whoever_is_refused_has_no_name(closed: Harness) -> None:
    await call(closed.app, "GET", CALLS[2][1], key="wrong")

    assert closed.named == []
