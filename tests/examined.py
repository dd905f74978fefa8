"""What ./salvo doctor meets besides AWS, and a subject with something changed about it."""

from __future__ import annotations

import contextlib
import dataclasses
import time
from collections.abc import AsyncIterator
from email.utils import formatdate
from typing import Any

from aiohttp import web
from aiohttp.test_utils import BaseTestServer, TestServer

from infra.doctor.subject import Subject


@dataclasses.dataclass(slots=True)
class Api:
    """The API as the doctor meets it; a test makes it worse."""

    url: str = ""
    health: int = 200
    stranger: int = 401
    ahead: float = 0.0
    """Seconds of its clock."""

    def application(self) -> web.Application:
        app = web.Application()
        app.router.add_get("/v1/health", self._health)
        app.router.add_post("/v1/verifications", self._start)
        return app

    async def _health(self, _: web.Request) -> web.Response:
        return self._answer(self.health)

    async def _start(self, _: web.Request) -> web.Response:
        return self._answer(self.stranger)

    def _answer(self, status: int) -> web.Response:
        return web.Response(status=status, headers={"Date": formatdate(now() + self.ahead, usegmt=True)})


@contextlib.asynccontextmanager
async def served_api() -> AsyncIterator[Api]:
    served = Api()
    async with TestServer(served.application()) as server:
        served.url = base_url(server)
        yield served


def base_url(server: BaseTestServer) -> str:
    return str(server.make_url("")).rstrip("/")


def now() -> float:
    return time.time()  # noqa: TID251 - the embedded AWS goes by it


def with_stack(subject: Subject, **changes: Any) -> Subject:
    return dataclasses.replace(subject, stack=dataclasses.replace(subject.stack, **changes))


def with_parameter(subject: Subject, name: str, value: str) -> Subject:
    return with_stack(subject, parameters={**subject.stack.parameters, name: value})
