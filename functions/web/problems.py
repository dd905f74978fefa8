"""Errors on the wire: application/problem+json (RFC 9457) with a stable `code`, and Retry-After where waiting helps."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec
from starlette.responses import Response

from functions.domain import errors
from functions.domain.guard.policy import ChallengeKind
from functions.usecases.ports import HookUnavailable, KeysUnavailable, QueueUnavailable, StoreUnavailable

MEDIA_TYPE = "application/problem+json"
CHALLENGES = "/v1/challenges"
"""The address that makes them."""


class Unauthorized(errors.Refused):
    code = "unauthorized"


class Forbidden(errors.Refused):
    code = "forbidden"


class BodyTooLarge(errors.Refused):
    code = "body_too_large"


class NoSuchRoute(errors.Refused):
    code = "no_such_route"


class MethodNotAllowed(errors.Refused):
    code = "method_not_allowed"

    def __init__(self, allow: str) -> None:
        super().__init__(f"this address takes {allow}")
        self.allow = allow


class Unavailable(errors.VerificationError):
    """Something that we stand on does not answer; the request may be repeated."""

    code = "unavailable"


class Internal(errors.VerificationError):
    code = "internal"


STATUS: Mapping[type[errors.VerificationError], int] = {
    errors.InvalidRequest: 422,
    errors.InvalidPhoneNumber: 422,
    errors.InvalidCode: 422,
    errors.IdempotencyMismatch: 422,
    errors.InvalidSignature: 401,
    errors.NumberTypeBlocked: 403,
    errors.CountryBlocked: 403,
    errors.BlockedByGuard: 403,
    errors.ChallengeRequired: 403,
    errors.RateLimited: 429,
    errors.NotFound: 404,
    errors.Conflict: 409,
    errors.Expired: 409,
    errors.AlreadyApproved: 409,
    errors.Canceled: 409,
    errors.AttemptsExhausted: 409,
    errors.DeliveryRejected: 502,
    errors.DeliveryUnavailable: 503,
    Unauthorized: 401,
    Forbidden: 403,
    BodyTooLarge: 413,
    NoSuchRoute: 404,
    MethodNotAllowed: 405,
    Unavailable: 503,
    Internal: 500,
}

_OUTAGES = (StoreUnavailable, QueueUnavailable, KeysUnavailable, HookUnavailable)
_OUTAGE_RETRY = 1
"""Seconds."""


class _Challenge(msgspec.Struct, omit_defaults=True, rename={"made_at": "from"}):
    """What is to be solved before the start is repeated."""

    kind: str
    made_at: str | None = None
    """Where one is to be had: POST to and service."""


class _Problem(msgspec.Struct, omit_defaults=True):
    type: str
    title: str
    status: int
    code: str
    detail: str
    retry_after: int | None = None
    reason: str | None = None
    """The rule of the guard that decided."""
    challenge: _Challenge | None = None


def as_problem(error: Exception) -> errors.VerificationError:
    """The error as a caller may see it: nothing of an unexpected one gets out."""
    if isinstance(error, errors.VerificationError):
        return error
    if isinstance(error, _OUTAGES):
        return Unavailable("a service that this one needs does not answer", retry_after=_OUTAGE_RETRY)
    return Internal("an unexpected error; it was logged")


def problem_response(error: errors.VerificationError) -> Response:
    status = STATUS[type(error)]
    body = _Problem(
        type=f"urn:salvo:problem:{error.code}",
        title=error.code.replace("_", " ").capitalize(),
        status=status,
        code=error.code,
        detail=error.detail,
        retry_after=error.retry_after,
        reason=getattr(error, "reason", None),
        challenge=_challenge(error),
    )
    return Response(msgspec.json.encode(body), status, headers=_headers(error), media_type=MEDIA_TYPE)


def told_of_item(error: errors.VerificationError) -> dict[str, str | int]:
    """What is wrong with one of many things that a call asked for."""
    facts = {"retry_after": error.retry_after, "reason": getattr(error, "reason", None)}
    told = {name: fact for name, fact in facts.items() if fact is not None}
    return {"code": error.code, "detail": error.detail, **told}


def _challenge(error: errors.VerificationError) -> _Challenge | None:
    if not isinstance(error, errors.ChallengeRequired):
        return None
    return _Challenge(kind=error.kind, made_at=CHALLENGES if error.kind == ChallengeKind.ALTCHA else None)


def _headers(error: errors.VerificationError) -> dict[str, str]:
    headers = {"cache-control": "no-store"}
    if error.retry_after is not None:
        headers["retry-after"] = str(error.retry_after)
    if isinstance(error, Unauthorized):
        headers["www-authenticate"] = "Bearer"
    if isinstance(error, MethodNotAllowed):
        headers["allow"] = error.allow
    return headers
