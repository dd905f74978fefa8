"""Checks a code: counts the guess first, compares afterwards."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import field

from functions.domain.caller import Services, covers
from functions.domain.checking import Guess, judge
from functions.domain.code import digest_code, of_another_number
from functions.domain.errors import NotFound, RateLimited, VerificationError
from functions.domain.frozen import frozen
from functions.domain.guard.attempt import Address
from functions.domain.guard.policy import Policy
from functions.domain.identity import (
    REQUEST_BYTES,
    VerificationId,
    is_key_of,
    parse_id,
    reference,
    request_digest,
    request_from,
)
from functions.domain.part import part
from functions.domain.phone import PhoneNumber
from functions.domain.result_token import claims_of
from functions.domain.sensitive import Sensitive
from functions.domain.service import Service
from functions.domain.verification import Record, Verification
from functions.usecases.guard import Guard
from functions.usecases.guard_ports import Outcome
from functions.usecases.ports import (
    Clock,
    Entropy,
    FeedbackJob,
    Journal,
    Keys,
    QueueUnavailable,
    ResultTokens,
    SendQueue,
    VerificationStore,
)
from functions.usecases.views import VerificationView, view


@frozen(kw_only=True)
class CheckCommand:
    id: str
    code: Sensitive
    caller: str
    to: PhoneNumber | None = None
    """The number that is to be proved; another one than the verification's makes the code a wrong one."""
    binding: Sensitive | None = None
    """The one of the start; without it, or with another, the code is a wrong one."""
    ip: Address | None = None
    """The end user's."""
    services: Services = None
    idempotency_key: str | None = None
    """Lets a caller whose answer got lost ask again: the same guess is then answered, not counted, once more."""


@frozen()
class Checked:
    valid: bool
    verification: VerificationView
    token: str | None = field(default=None, repr=False)
    """The result, signed; None where the code was wrong, or the answer is a repeat that comes too late for it."""


@part
class CheckVerification:
    """Raises NotFound, Expired, AlreadyApproved, Canceled, AttemptsExhausted, RateLimited, IdempotencyMismatch,
    StoreUnavailable.
    """

    services: Mapping[str, Service]
    store: VerificationStore
    keys: Keys
    guard: Guard
    tokens: ResultTokens
    queue: SendQueue
    entropy: Entropy
    clock: Clock
    journal: Journal
    take_our_id: Collection[str] = ()
    """Providers where our reference is the message's id: their messages' ids are stored nowhere."""

    async def __call__(self, command: CheckCommand) -> Checked:
        guess = await self._guess(command)
        await self._admit(guess, command.ip)
        counted = await self.store.count_guess(guess)
        try:
            verdict = judge(counted.record, guess, counted=counted.counted)
        except VerificationError as refusal:
            self.journal("check", verification=str(guess.id), outcome=refusal.code)
            raise
        self.journal(
            "check",
            verification=str(guess.id),
            region=verdict.record.verification.region,
            outcome="approved" if verdict.valid else "wrong",
        )
        service = self.services.get(verdict.record.service, Service())
        if counted.counted:
            await self.guard.guessed(service, right=verdict.valid, at=guess.at)
        if verdict.valid:
            if counted.counted:  # a repeat of the guess came to use before
                await self.guard.approved(_outcome(verdict.record, service.guard, guess.at))
            await self._give_feedback(verdict.record.verification)
        token = await self._sign(verdict.record, command, guess.at) if verdict.valid else None
        return Checked(verdict.valid, view(verdict.record, service, now=guess.at), token)

    async def _sign(self, record: Record, command: CheckCommand, at: int) -> str | None:
        if at >= record.verification.expires_at:
            return None  # a repeat of long ago: a fresh token would say that the code was right just now
        return await self.tokens.sign(claims_of(record, at, to=command.to, binding=command.binding))

    async def _admit(self, guess: Guess, ip: Address | None) -> None:
        """Only who names an address pays for it, with a read: whose limit it is stands in the record."""
        record = None if ip is None else await self.store.get(guess.id.key)
        if ip is None or record is None or not covers(guess.services, record.service):
            return
        service = self.services.get(record.service, Service())
        try:
            await self.guard.admit_guess(ip, service, await self.keys.keyring(), guess.at)
        except RateLimited as refusal:
            self.journal("check", verification=str(guess.id), outcome=refusal.code)
            raise

    async def _give_feedback(self, approved: Verification) -> None:
        """By way of the queue: nobody who signs in waits for a gateway to take note."""
        delivery = approved.delivery
        ours = reference(approved.id, delivery.send) if delivery.provider in self.take_our_id else None
        message_id = delivery.message_id or ours
        if delivery.provider is None or message_id is None:
            return
        try:
            await self.queue.put(FeedbackJob(provider=delivery.provider, message_id=message_id))
        except QueueUnavailable as error:
            self.journal("feedback", provider=delivery.provider, outcome="not_told", reason=str(error))

    async def _guess(self, command: CheckCommand) -> Guess:
        verification_id = parse_id(command.id)
        pepper = await self.keys.pepper(verification_id.kid)
        if pepper is None:
            raise NotFound("there is no such verification")
        digest = digest_code(pepper, command.id, command.code, command.binding)
        fits = command.to is None or await self._is_number_of(verification_id, command.to)
        return Guess(
            id=verification_id,
            mac=digest if fits else of_another_number(pepper, digest),
            request=await self._request(command),
            at=self.clock(),
            services=command.services,
        )

    async def _is_number_of(self, verification_id: VerificationId, to: PhoneNumber) -> bool:
        keys = await self.keys.keyring()
        return any(is_key_of(verification_id.key, keys, service, to.e164) for service in self.services)

    async def _request(self, command: CheckCommand) -> str:
        if command.idempotency_key is None:
            return request_from(self.entropy(REQUEST_BYTES))
        keys = await self.keys.keyring()
        return request_digest(keys, "check", command.caller, command.id, command.idempotency_key)


def _outcome(record: Record, policy: Policy, at: int) -> Outcome:
    live = record.verification
    return Outcome(
        service=record.service,
        region=live.region,
        block=live.block,
        sent=tuple(sent for sent in record.sent if sent.at >= live.created_at),
        at=at,
        policy=policy,
    )
