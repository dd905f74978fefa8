"""The batch API, asked until it answers: what is for now is tried again, what is for good is told in a sentence."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, TypeVar

import aiohttp
import msgspec

from infra.send.problems import Unusable

PATIENCE = 300.0
"""Seconds that one call is tried again for."""
_POST_TIMEOUT = aiohttp.ClientTimeout(total=35, sock_connect=5)
"""API Gateway ends a request after 30."""
_GET_TIMEOUT = aiohttp.ClientTimeout(total=15, sock_connect=5)
_NOBODYS_BATCH = f"bat_{'a' * 24}"
_SHORTEST_WAIT, _LONGEST_WAIT = 0.5, 30.0
_OK, _ACCEPTED, _UNAUTHORIZED, _NOT_FOUND, _CONFLICT, _TOO_MANY, _SERVER = 200, 202, 401, 404, 409, 429, 500

_Answer = TypeVar("_Answer")


class NoAnswer(Exception):
    """For now. `after` is when the API wants to be asked again, in seconds, where it says so."""

    def __init__(self, why: str, after: float | None = None) -> None:
        super().__init__(why)
        self.after = after


class NoSuchBatch(Exception):
    """The API knows it no more: batches are kept for seven days."""


class Error(msgspec.Struct):
    code: str


class Result(msgspec.Struct):
    """Of one item, at once."""

    index: int
    id: str | None = None
    error: Error | None = None


class Taken(msgspec.Struct):
    batch: str
    results: list[Result]


class Settled(msgspec.Struct):
    """An item that was not sent, or whose id is another than was said at first."""

    index: int
    status: str
    code: str | None = None
    id: str | None = None


class Progress(msgspec.Struct):
    sent: int
    refused: int
    failed: int
    pending: int
    items: list[Settled] = []


class _Problem(msgspec.Struct):
    code: str = ""
    detail: str = ""


@dataclass(frozen=True, slots=True)
class Api:
    http: aiohttp.ClientSession
    url: str
    key: str = field(repr=False)
    patience: float = PATIENCE

    async def check(self) -> None:
        """Raises Unusable where nothing answers."""
        try:
            async with self.http.get(f"{self.url}/v1/health", timeout=_GET_TIMEOUT) as answer:
                if answer.status < _SERVER:
                    return
                why = f"answers {answer.status}"
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            why = f"does not answer ({type(error).__name__})"
        raise Unusable(f"{self.url} {why}: nothing was sent")

    async def check_key(self) -> None:
        """Raises Unusable where it is not known, or may not ask how a batch is doing."""
        with contextlib.suppress(NoSuchBatch):
            await self.progress(_NOBODYS_BATCH)

    async def post(self, body: bytes, idempotency_key: str) -> Taken:
        """Raises Unusable where it is refused as a whole, or nobody knows whether it was taken."""
        headers = {
            "Content-Type": "application/json",
            "Idempotency-Key": idempotency_key,
            "Prefer": "respond-async",
        }
        return await self._until_answered(
            "POST", "/v1/verifications/batch", Taken, data=body, headers=headers, timeout=_POST_TIMEOUT
        )

    async def progress(self, batch: str) -> Progress:
        """Raises NoSuchBatch and Unusable."""
        return await self._until_answered("GET", f"/v1/batches/{batch}", Progress, timeout=_GET_TIMEOUT)

    async def _until_answered(self, method: str, path: str, kind: type[_Answer], **request: Any) -> _Answer:
        loop = asyncio.get_running_loop()
        give_up, wait = loop.time() + self.patience, _SHORTEST_WAIT
        while True:
            try:
                return await self._ask(method, path, kind, **request)
            except NoAnswer as error:
                if loop.time() > give_up:
                    raise Unusable(f"{self.url} {error}, for {self.patience:.0f} seconds now") from None
                await asyncio.sleep(min(_LONGEST_WAIT, max(wait, error.after or 0)))
                wait *= 2

    async def _ask(self, method: str, path: str, kind: type[_Answer], **request: Any) -> _Answer:
        """Raises NoAnswer, NoSuchBatch and Unusable."""
        headers = {**request.pop("headers", {}), "Authorization": f"Bearer {self.key}"}
        try:
            async with self.http.request(method, self.url + path, headers=headers, **request) as answer:
                status, raw, about = answer.status, await answer.read(), answer.headers
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise NoAnswer(f"does not answer ({type(error).__name__})") from None
        if status not in {_OK, _ACCEPTED}:
            raise _failure(method, status, raw, about)
        try:
            return msgspec.json.decode(raw, type=kind)
        except (msgspec.DecodeError, UnicodeDecodeError):
            raise NoAnswer("answers something else than a batch") from None


def _failure(method: str, status: int, raw: bytes, headers: Mapping[str, str]) -> Exception:
    problem = _problem(raw)
    if status >= _SERVER or status in {_CONFLICT, _TOO_MANY}:
        return NoAnswer(f"answers {status}", _seconds(headers.get("Retry-After", "")))
    if status == _NOT_FOUND and method == "GET":
        return NoSuchBatch()
    if status == _NOT_FOUND:
        return Unusable("the API knows no batches: it is of an older version, which `./salvo deploy` renews")
    if status == _UNAUTHORIZED:
        return Unusable("the API does not know this key")
    return Unusable(f"the API refuses it: {problem.detail or status} ({problem.code or status})")


def _problem(raw: bytes) -> _Problem:
    try:
        return msgspec.json.decode(raw, type=_Problem)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return _Problem()


def _seconds(text: str) -> float | None:
    return float(text) if text.isascii() and text.isdigit() else None
