"""The API: routes, and for each what goes in and what comes out. docs/api.md is its description for callers."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import field
from typing import Any

import msgspec
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route, Router

from functions.domain.binding import parse_binding
from functions.domain.caller import Caller, Scope
from functions.domain.errors import InvalidRequest
from functions.domain.guard.attempt import parse_address
from functions.domain.part import part
from functions.domain.phone import parse_phone_number
from functions.domain.sensitive import Sensitive
from functions.usecases.check import CheckCommand, CheckVerification
from functions.usecases.look_up import CancelVerification, LookUpVerification
from functions.usecases.make_challenge import MakeChallenge
from functions.usecases.ports import Journal
from functions.usecases.show_batch import ShowBatch
from functions.usecases.start import StartCommand, StartVerification
from functions.usecases.start_batch import BatchCommand, StartBatch
from functions.usecases.views import VerificationView
from functions.web.authentication import Authenticate
from functions.web.batches import read_item, shown_batch
from functions.web.bodies import (
    LARGEST_BATCH,
    LONGEST_KEY,
    BatchBody,
    ChallengeBody,
    CheckBody,
    StartBody,
    read,
    read_asked,
    read_code,
)
from functions.web.boundary import Boundary, json_response
from functions.web.problems import CHALLENGES, Forbidden

HEALTH = "/v1/health"
PUBLIC_KEYS = "/v1/jwks.json"
_OPEN = {HEALTH, PUBLIC_KEYS}
_KEYS_FRESH_FOR = 300
"""Seconds that a verifier may keep the public keys."""
_DEFAULT = "default"
"""The service of who names none."""


@part
class Api:
    start: StartVerification
    start_batch: StartBatch
    show_batch: ShowBatch
    check: CheckVerification
    look_up: LookUpVerification
    cancel: CancelVerification
    make_challenge: MakeChallenge
    public_keys: Callable[[], Awaitable[dict[str, Any]]] = field(repr=False)
    """The JWK set that verifies result tokens. Raises KeysUnavailable."""
    authenticate: Authenticate
    name_caller: Callable[[str], None] = field(repr=False)
    """Told who calls, before anything is done for them: it is for the log."""

    async def admit(self, request: Request) -> None:
        if request.scope["path"] not in _OPEN:  # request.url would also parse what the client wrote around the path
            request.state.caller = await self.authenticate(request)
            self.name_caller(request.state.caller.name)

    async def start_verification(self, request: Request) -> Response:
        caller = _caller(request, Scope.START)
        body = await read(request, StartBody)
        if not caller.is_for(body.service):
            raise Forbidden("this key is not for this service")
        respond_async = _prefers_async(request)
        verification = await self.start(_start_command(request, body, respond_async=respond_async))
        return json_response(
            {**_shown(verification), "to": body.to},
            202 if respond_async else 201,
            location=f"/v1/verifications/{verification.id}",
        )

    async def start_verifications(self, request: Request) -> Response:
        caller = _caller(request, Scope.START)
        body = await read(request, BatchBody, largest=LARGEST_BATCH)
        if body.service is not None and not caller.is_for(body.service):
            raise Forbidden("this key is not for this service")
        service, respond_async = body.service or _DEFAULT, _prefers_async(request)
        started = await self.start_batch(
            BatchCommand(
                items=[read_item(raw, service, caller) for raw in body.items],
                service=service,
                caller=caller.name,
                idempotency_key=_idempotency_key(request),
                fingerprint=f"{respond_async} {(await request.body()).decode()}",
                respond_async=respond_async,
            )
        )
        if started.batch is None:
            return json_response(shown_batch(started))
        return json_response(shown_batch(started), 202, location=f"/v1/batches/{started.batch}")

    async def get_batch(self, request: Request) -> Response:
        caller = _caller(request, Scope.READ)
        return json_response(await self.show_batch(request.path_params["batch"], caller.services))

    async def check_verification(self, request: Request) -> Response:
        caller = _caller(request, Scope.CHECK)
        body = await read(request, CheckBody)
        checked = await self.check(
            CheckCommand(
                id=request.path_params["id"],
                code=read_code(body.code),
                ip=None if body.ip is None else parse_address(body.ip),
                to=None if body.to is None else parse_phone_number(body.to),
                binding=None if body.binding is None else parse_binding(body.binding),
                caller=caller.name,
                services=caller.services,
                idempotency_key=_idempotency_key(request),
            )
        )
        token = {} if checked.token is None else {"token": checked.token}
        return json_response({**_shown(checked.verification), "valid": checked.valid, **token})

    async def get_verification(self, request: Request) -> Response:
        caller = _caller(request, Scope.READ)
        return json_response(_shown(await self.look_up(request.path_params["id"], caller.services)))

    async def cancel_verification(self, request: Request) -> Response:
        caller = _caller(request, Scope.START)
        return json_response(_shown(await self.cancel(request.path_params["id"], caller.services)))

    async def create_challenge(self, request: Request) -> Response:
        caller = _caller(request, Scope.START)
        body = await read(request, ChallengeBody)
        if not caller.is_for(body.service):
            raise Forbidden("this key is not for this service")
        return json_response(await self.make_challenge(parse_phone_number(body.to), body.service))

    async def tell_public_keys(self, _: Request) -> Response:
        fresh = {"cache-control": f"public, max-age={_KEYS_FRESH_FOR}"}
        return json_response(await self.public_keys(), 200, **fresh)


def create_app(api: Api, journal: Journal) -> Boundary:
    routes = [
        Route("/v1/verifications", api.start_verification, methods=["POST"]),
        Route("/v1/verifications/batch", api.start_verifications, methods=["POST"]),
        Route("/v1/batches/{batch}", api.get_batch, methods=["GET"]),
        Route("/v1/verifications/{id}/check", api.check_verification, methods=["POST"]),
        Route("/v1/verifications/{id}", api.get_verification, methods=["GET"]),
        Route("/v1/verifications/{id}", api.cancel_verification, methods=["DELETE"]),
        Route(CHALLENGES, api.create_challenge, methods=["POST"]),
        Route(HEALTH, _health, methods=["GET"]),
        Route(PUBLIC_KEYS, api.tell_public_keys, methods=["GET"]),
    ]
    return Boundary(Router(routes, redirect_slashes=False), journal=journal, admit=api.admit)


async def _health(_: Request) -> Response:
    return json_response({"status": "ok"})


def _caller(request: Request, scope: Scope) -> Caller:
    """Raises Forbidden."""
    caller: Caller = request.state.caller
    if not caller.may(scope):
        raise Forbidden(f"this key has no scope {scope}")
    return caller


def _start_command(request: Request, body: StartBody, *, respond_async: bool) -> StartCommand:
    return StartCommand(
        **read_asked(body),
        service=body.service,
        caller=request.state.caller.name,
        idempotency_key=_idempotency_key(request),
        fingerprint=msgspec.json.encode([body, respond_async], order="deterministic").decode(),
        respond_async=respond_async,
        challenge=None if body.challenge is None else Sensitive(body.challenge),
    )


def _idempotency_key(request: Request) -> str | None:
    key = request.headers.get("idempotency-key")
    if key is not None and not (0 < len(key) <= LONGEST_KEY and key.isascii() and key.isprintable()):
        raise InvalidRequest(f"an Idempotency-Key has 1 to {LONGEST_KEY} printable ASCII characters")
    return key


def _prefers_async(request: Request) -> bool:
    """RFC 7240, section 4.1."""
    preferences = ",".join(request.headers.getlist("prefer")).split(",")
    return any(preference.strip().lower() == "respond-async" for preference in preferences)


def _shown(verification: VerificationView) -> dict[str, Any]:
    shown: dict[str, Any] = msgspec.to_builtins(verification)
    return shown
