"""Sends a stored verification's code, and writes down what became of it where that is not simply «taken»."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

from functions.domain.delivery import DeliveryStatus, Message, Outcome, SendResult
from functions.domain.errors import DeliveryRejected, DeliveryUnavailable, RateLimited
from functions.domain.identity import reference
from functions.domain.message import compose
from functions.domain.sending import release, settle
from functions.domain.sensitive import Sensitive
from functions.domain.verification import Record
from functions.usecases.advance import advance
from functions.usecases.ports import Clock, Journal, Provider, VerificationStore
from functions.usecases.reserve import Wish

_STATUS = {
    Outcome.ACCEPTED: DeliveryStatus.SUBMITTED,
    Outcome.REJECTED_NUMBER: DeliveryStatus.REJECTED,
    Outcome.REJECTED_CONTENT: DeliveryStatus.REJECTED,
    Outcome.THROTTLED_RECIPIENT: DeliveryStatus.THROTTLED,
    Outcome.THROTTLED_ACCOUNT: DeliveryStatus.NOT_SENT,
    Outcome.CONFIG: DeliveryStatus.NOT_SENT,
    Outcome.TRANSIENT: DeliveryStatus.NOT_SENT,
    Outcome.UNKNOWN: DeliveryStatus.UNKNOWN,
}


@dataclass(frozen=True, slots=True)
class Delivered:
    record: Record
    result: SendResult

    @property
    def status(self) -> DeliveryStatus:
        return _STATUS[self.result.outcome]


@dataclass(frozen=True, slots=True, kw_only=True)
class Deliver:
    """A message that was taken needs no second write: its receipt finds the verification by the reference."""

    store: VerificationStore
    provider: Provider
    clock: Clock
    journal: Journal

    async def __call__(self, record: Record, code: Sensitive, wish: Wish) -> Delivered:
        """Raises StoreUnavailable where a refusal could not be written down; the claim then still stands."""
        message = self._message(record, code, wish)
        began = asyncio.get_running_loop().time()
        result = await self.provider.send(message)
        self._report(record, wish, result, asyncio.get_running_loop().time() - began)
        if result.outcome is Outcome.ACCEPTED:
            return Delivered(record, result)
        return Delivered(await self._write_down(record, wish, result), result)

    def _message(self, record: Record, code: Sensitive, wish: Wish) -> Message:
        live = record.verification
        return Message(
            to=wish.to,
            text=compose(
                code,
                service=wish.service,
                number=wish.to,
                locale=wish.locale,
                domain=wish.domain,
                app_hash=wish.app_hash,
            ),
            reference=reference(live.id, live.delivery.send),
            valid_for=max(live.expires_at - self.clock(), 1),
        )

    async def _write_down(self, record: Record, wish: Wish, result: SendResult) -> Record:
        now = self.clock()
        return await advance(self.store, record, lambda found: _after(found, wish, result, now), now=now)

    async def note(self, record: Record, wish: Wish, status: DeliveryStatus, reason: str) -> Record:
        """Writes down what became of a send that somebody else had in hand.

        Whoever moved the delivery on meanwhile (another worker, a receipt) knows more of it, and is left to it.
        """
        now, delivery = self.clock(), record.verification.delivery
        provider = delivery.provider or self.provider.name
        result = SendResult(provider=provider, outcome=Outcome.UNKNOWN, reason=reason)

        def step(found: Record) -> Record | None:
            return settle(found, wish.request, now, result, status) if found.verification.delivery == delivery else None

        return await advance(self.store, record, step, now=now)

    async def give_back(self, record: Record, wish: Wish, *, reason: str) -> None:
        """Undoes a reservation that no message came of."""
        now = self.clock()
        result = SendResult(provider=self.provider.name, outcome=Outcome.TRANSIENT, reason=reason)
        await advance(self.store, record, lambda found: release(found, wish.request, now, result), now=now)

    def _report(self, record: Record, wish: Wish, result: SendResult, seconds: float) -> None:
        self.journal(
            "send",
            verification=str(record.verification.id),
            service=wish.service.name,
            region=wish.to.region,
            provider=result.provider,
            outcome=result.outcome.value,
            reason=result.reason,
            message_id=result.message_id,
            segments=result.segments,
            price=result.price,
            milliseconds=round(seconds * 1000),
        )


def _after(record: Record, wish: Wish, result: SendResult, now: int) -> Record | None:
    """The record as an answer that is not «taken» leaves it."""
    status = _STATUS[result.outcome]
    if record.verification.delivery.tries > 1 and status is DeliveryStatus.NOT_SENT:
        status = DeliveryStatus.UNKNOWN  # of this send nothing, but nobody knows of the one before
    if status is not DeliveryStatus.NOT_SENT:
        return settle(record, wish.request, now, result, status)
    if not wish.queued:
        return release(record, wish.request, now, result)
    # Its message comes again, and claims it again.
    return settle(record, wish.request, now, result, DeliveryStatus.QUEUED)


def refuse_undelivered(status: DeliveryStatus, retry_after: int | None = None) -> None:
    """Raises what the caller should hear of a message that did not go out; unknown counts as gone out."""
    match status:
        case DeliveryStatus.REJECTED:
            raise DeliveryRejected("the provider refuses this number or message")
        case DeliveryStatus.THROTTLED:
            raise RateLimited("the provider sends no more to this number for now", retry_after=retry_after)
        case DeliveryStatus.NOT_SENT:
            raise DeliveryUnavailable("the provider can't be reached, or took nothing", retry_after=retry_after)
        case _:
            return
