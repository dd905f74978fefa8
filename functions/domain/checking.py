"""The steps of checking: a counted guess is judged, a verification is canceled."""

from __future__ import annotations

from dataclasses import replace

from functions.domain.caller import Services, covers
from functions.domain.code import same_digest
from functions.domain.errors import (
    AlreadyApproved,
    AttemptsExhausted,
    Canceled,
    Conflict,
    Expired,
    IdempotencyMismatch,
    NotFound,
)
from functions.domain.frozen import frozen
from functions.domain.identity import VerificationId
from functions.domain.verification import Record, State


@frozen(kw_only=True)
class Guess:
    """One check of a code."""

    id: VerificationId
    mac: str
    request: str
    at: int
    services: Services = None
    """The caller's: of another one's verification nothing is told, and nothing counted."""


def cancel(record: Record, now: int) -> Record | None:
    """None where it is canceled already. Raises AlreadyApproved, Expired or AttemptsExhausted."""
    live = record.verification
    state = live.state(now)
    if state is State.CANCELED:
        return None
    if state is not State.PENDING:
        raise _over(state)
    return replace(record, rev=record.rev + 1, verification=replace(live, canceled=True))


@frozen()
class Verdict:
    record: Record
    valid: bool


def judge(record: Record | None, guess: Guess, *, counted: bool) -> Verdict:
    """Whether the guess is right, from the record after it was counted, or from the one that refused to count it.

    Raises NotFound, Expired, AlreadyApproved, Canceled, AttemptsExhausted, or IdempotencyMismatch.
    """
    if record is None or record.verification.id != guess.id or not covers(guess.services, record.service):
        raise NotFound("there is no such verification")
    live = record.verification
    if counted:
        return Verdict(record, live.approved)
    if live.last_request == guess.request:
        # This very request was counted before and its answer got lost on the way.
        if not same_digest(live.last_mac, guess.mac):
            raise IdempotencyMismatch("this Idempotency-Key was used for another code")
        return Verdict(record, live.approved)
    raise _over(live.state(guess.at))


def _over(state: State) -> Conflict | AlreadyApproved | Canceled | Expired | AttemptsExhausted:
    match state:
        case State.APPROVED:
            return AlreadyApproved("this verification was approved before")
        case State.CANCELED:
            return Canceled("this verification was canceled")
        case State.EXPIRED:
            return Expired("this verification has expired")
        case State.ATTEMPTS_EXHAUSTED:
            return AttemptsExhausted("all attempts are used up")
        case State.PENDING:
            return Conflict("this verification has just changed: try again")
