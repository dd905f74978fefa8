"""The edge of each ASGI app: turns every error into its problem, and says in the journal how each request ended."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable
from http import HTTPStatus

import msgspec
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Match, Route, Router
from starlette.types import Receive, Scope, Send

from functions.usecases.ports import Journal
from functions.web.problems import Internal, MethodNotAllowed, NoSuchRoute, as_problem, problem_response

_log = logging.getLogger(__name__)

Admit = Callable[[Request], Awaitable[None]]


class Boundary:
    """`admit` runs before routing and before the body is read; what it raises is the answer."""

    def __init__(self, router: Router, *, journal: Journal, admit: Admit | None = None) -> None:
        self._router = router
        self._journal = journal
        self._admit = admit

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        scope["app"] = self  # makes the router raise its 404 and 405 instead of answering them in plain text
        request = Request(scope, receive)
        try:
            if self._admit is not None:
                await self._admit(request)
            await self._router(scope, receive, send)
        except HTTPException as error:
            await self._answer(self._routing_problem(error, scope), scope, receive, send)
        except Exception as error:  # noqa: BLE001 - the last resort: without it a caller gets somebody else's 500 page
            await self._answer(error, scope, receive, send)

    def _routing_problem(self, error: HTTPException, scope: Scope) -> NoSuchRoute | MethodNotAllowed:
        if error.status_code == HTTPStatus.NOT_FOUND:
            return NoSuchRoute("there is nothing at this address")
        # The router names the methods of the first route of this path only.
        routes = [route for route in self._router.routes if isinstance(route, Route)]
        matching = [route for route in routes if route.matches(scope)[0] is not Match.NONE]
        return MethodNotAllowed(", ".join(sorted({method for route in matching for method in route.methods or ()})))

    async def _answer(self, error: Exception, scope: Scope, receive: Receive, send: Send) -> None:
        problem = as_problem(error)
        if isinstance(problem, Internal):
            _log.error("unexpected", exc_info=error)
        response = problem_response(problem)
        self._journal(
            "refused",
            method=scope["method"],
            status=response.status_code,
            code=problem.code,
            error=type(error).__name__,
        )
        await response(scope, receive, send)


def json_response(content: object, status: int = 200, **headers: str) -> Response:
    return Response(
        msgspec.json.encode(content),
        status,
        headers={"cache-control": "no-store", **headers},
        media_type="application/json",
    )
