"""Sends a stored verification's code, and writes down what became of it where that is not simply «taken»."""

from __future__ import annotations

from collections.abc import Sequence

from functions.domain.claims import pass_on, take_back
from functions.domain.delivery import Delivery, DeliveryStatus, Message, Outcome, SendResult
from functions.domain.errors import Conflict, DeliveryRejected, DeliveryUnavailable, RateLimited
from functions.domain.frozen import frozen
from functions.domain.identity import reference
from functions.domain.message import compose
from functions.domain.part import part
from functions.domain.routing import Via, beginning_with
from functions.domain.sending import release, settle
from functions.domain.sensitive import Sensitive
from functions.domain.service import OnUnknown
from functions.domain.verification import Record
from functions.usecases.advance import advance
from functions.usecases.follow_up import FollowUp
from functions.usecases.ports import Clock, Journal, StoreUnavailable, VerificationStore
from functions.usecases.reserve import Wish
from functions.usecases.submit import Submit

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


@frozen()
class Delivered:
    record: Record
    result: SendResult

    @property
    def status(self) -> DeliveryStatus:
        return _STATUS[self.result.outcome]

    @property
    def may_be_out(self) -> bool:
        """Of one that was handed over twice, the first provider never told."""
        return self.result.outcome in {Outcome.ACCEPTED, Outcome.UNKNOWN} or self.record.verification.delivery.tries > 1


@part
class Deliver:
    """A message that its first provider took needs no second write: its receipt finds the verification by itself.

    The record's delivery is claimed when this is called, and the provider that it is claimed for is asked first.
    """

    store: VerificationStore
    submit: Submit
    follow_up: FollowUp
    clock: Clock
    journal: Journal

    async def __call__(self, record: Record, code: Sensitive, wish: Wish) -> Delivered:
        """Raises StoreUnavailable where a refusal could not be written down; the claim then still stands."""
        plan = beginning_with(wish.plan, record.verification.delivery.provider)
        result = await self._submit(plan, record, code, wish)
        others = _after(plan, result.provider) if _is_to_be_sent_again(result, record, wish) else ()
        in_time = bool(others) and self.submit.has_time_for(others[0])
        passed_on = await self._pass_on(record, wish, others[0].provider) if in_time else None
        if passed_on is not None:
            record = passed_on
            result = await self._submit(others, record, code, wish)
        if result.outcome is not Outcome.ACCEPTED:
            return Delivered(await self._write_down(record, wish, result), result)
        record = await self._note_taken(record, wish, result)
        await self.follow_up(record, wish, result.provider)
        return Delivered(record, result)

    async def once_more(
        self, record: Record, code: Sensitive, wish: Wish, plan: Sequence[Via], before: Delivery
    ) -> SendResult:
        """Sends by these providers what another one took earlier. What they refuse says nothing of that message.

        `before` is the delivery as it was when the record was not yet claimed for them. Raises StoreUnavailable.
        """
        result = await self._submit(plan, record, code, wish)
        if result.outcome is Outcome.ACCEPTED:
            await self._note_taken(record, wish, result)
        elif result.outcome is not Outcome.UNKNOWN:
            claimed, now = record.verification.delivery, self.clock()
            await advance(self.store, record, lambda found: take_back(found, claimed, before), now=now)
        return result

    async def note(self, record: Record, wish: Wish, status: DeliveryStatus, reason: str) -> Record:
        """Writes down what became of a send that somebody else had in hand.

        Whoever moved the delivery on meanwhile (another worker, a receipt) knows more of it, and is left to it.
        """
        now, delivery = self.clock(), record.verification.delivery
        result = _untold(record, Outcome.UNKNOWN, reason)

        def step(found: Record) -> Record | None:
            return settle(found, wish.request, now, result, status) if found.verification.delivery == delivery else None

        return await advance(self.store, record, step, now=now)

    async def give_back(self, record: Record, wish: Wish, *, reason: str) -> None:
        """Undoes a reservation that no message came of."""
        now, result = self.clock(), _untold(record, Outcome.TRANSIENT, reason)
        await advance(self.store, record, lambda found: release(found, wish.request, now, result), now=now)

    async def _submit(self, plan: Sequence[Via], record: Record, code: Sensitive, wish: Wish) -> SendResult:
        def report(result: SendResult, seconds: float) -> None:
            self._report(record, wish, result, seconds)

        result = await self.submit(plan, self._message(record, code, wish), report)
        if result.outcome is Outcome.ACCEPTED and result.provider != wish.plan[0].provider:
            self.journal("failover", verification=str(record.verification.id), provider=result.provider)
        return result

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
            code=code,
            reference=reference(live.id, live.delivery.send),
            valid_for=max(live.expires_at - self.clock(), 1),
        )

    async def _pass_on(self, record: Record, wish: Wish, provider: str) -> Record | None:
        """Before the second provider is asked: a worker that died after it must not have a third one asked.

        None where meanwhile more is known of the first one's message.
        """
        now = self.clock()
        try:
            return await advance(self.store, record, lambda found: pass_on(found, wish.request, now, provider), now=now)
        except Conflict:
            return None

    async def _note_taken(self, record: Record, wish: Wish, result: SendResult) -> Record:
        """Writes who took the message where the claim names another, or where its id is needed later, and is its own.

        It is out, so nothing may look as if it was not: what could not be written its receipt tells.
        """
        live = record.verification
        ours = result.message_id == reference(live.id, live.delivery.send)
        if result.provider == live.delivery.provider and (ours or not result.wants_feedback):
            return record
        now = self.clock()
        try:
            return await advance(
                self.store,
                record,
                lambda found: settle(found, wish.request, now, result, DeliveryStatus.SUBMITTED),
                now=now,
            )
        except StoreUnavailable as error:
            self.journal("unrecorded", verification=str(record.verification.id), reason=str(error))
            return record

    async def _write_down(self, record: Record, wish: Wish, result: SendResult) -> Record:
        now = self.clock()
        return await advance(self.store, record, lambda found: _refused(found, wish, result, now), now=now)

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


def _after(plan: Sequence[Via], provider: str | None) -> Sequence[Via]:
    """Those of the plan that come after this one."""
    return plan[1 + next(place for place, via in enumerate(plan) if via.provider == provider) :]


def _is_to_be_sent_again(result: SendResult, record: Record, wish: Wish) -> bool:
    untold = result.outcome is Outcome.UNKNOWN and record.verification.delivery.tries == 1
    return untold and wish.service.on_unknown is OnUnknown.ONCE


def _untold(record: Record, outcome: Outcome, reason: str) -> SendResult:
    """What is said of a send that no provider said anything of."""
    return SendResult(provider=record.verification.delivery.provider, outcome=outcome, reason=reason)


def _refused(record: Record, wish: Wish, result: SendResult, now: int) -> Record | None:
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
