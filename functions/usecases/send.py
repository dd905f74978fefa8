"""Carries out a message of the queue, so that a second delivery of it does no harm.

The reservation's write names the request. A delivery that finds itself there already is a duplicate (the first is at
work, or done: nothing to do), or the heir of a worker that died between that write and the gateway's answer: then
nobody knows whether the SMS went out, and the service's `on_unknown` decides.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from functions.domain.claims import outcome_is_unknown, retry_unknown, take_from_queue
from functions.domain.delivery import Delivery, DeliveryStatus, Outcome
from functions.domain.errors import InvalidPhoneNumber, NotFound, Refused
from functions.domain.identity import is_key_of, parse_id, request_digest
from functions.domain.part import part
from functions.domain.phone import PhoneNumber, parse_phone_number
from functions.domain.routing import Via, beginning_with
from functions.domain.sensitive import Sensitive
from functions.domain.service import OnUnknown, Service
from functions.domain.verification import Record, State
from functions.usecases.advance import advance
from functions.usecases.deliver import Deliver, Delivered
from functions.usecases.disposition import Disposition
from functions.usecases.guard import Guard, attempt_of
from functions.usecases.ports import Clock, Journal, Keys, SendJob, VerificationStore
from functions.usecases.reserve import Reserve, Wish, code_again


@part
class SendQueued:
    """Raises KeysUnavailable before it claims anything, and StoreUnavailable where a claim may stand."""

    services: Mapping[str, Service]
    store: VerificationStore
    keys: Keys
    guard: Guard
    reserve: Reserve
    deliver: Deliver
    clock: Clock
    journal: Journal

    async def __call__(self, job: SendJob, *, message_id: str, queued_at: int) -> Disposition:
        """`message_id` stands in for a job without a key; `queued_at` is when the message came into the queue."""
        service = self.services.get(job.service)
        if service is None:
            return self._leave(Disposition.POISON, job, "unknown_service")
        try:
            to = parse_phone_number(job.to)
        except InvalidPhoneNumber as error:
            return self._leave(Disposition.POISON, job, error.code)
        late = self.fresh_for(job, queued_at=queued_at) <= 0
        if late and job.verification is None:  # needs no keys: they may be what it came too late for
            return self._leave(Disposition.DONE, job, "too_late")
        wish = await self._wish(job, to, service, message_id)
        if late:
            return await self._expire(job, wish)
        try:
            return await (self._send_stored(job, wish) if job.verification else self._send_new(job, wish))
        except Refused as refusal:
            return self._leave(Disposition.DONE, job, refusal.code)

    def fresh_for(self, job: SendJob, *, queued_at: int) -> int:
        """Seconds that its person still waits for the code; none where they are over, or nobody knows the service."""
        service = self.services.get(job.service)
        if service is None:
            return 0
        return (queued_at + service.send_within if job.send_by is None else job.send_by) - self.clock()

    async def _wish(self, job: SendJob, to: PhoneNumber, service: Service, message_id: str) -> Wish:
        return Wish(
            to=to,
            service=service,
            request=await self._request(job, message_id),
            locale=job.locale,
            domain=job.domain,
            app_hash=job.app_hash,
            queued=job.verification is not None,
            metadata=job.metadata,
            ip=job.ip,
            trusted=job.trusted,
            challenge=job.challenge,
        )

    async def _request(self, job: SendJob, message_id: str) -> str:
        if job.verification is not None and job.key is not None:
            return job.key  # the digest under which the verification was stored
        return request_digest(await self.keys.keyring(), "queue", job.service, job.key or message_id)

    async def _send_new(self, job: SendJob, wish: Wish) -> Disposition:
        async with self.guard.admit(attempt_of(wish, await self.keys.keyring(), self.clock())) as admission:
            reservation = await self.reserve(wish)
            if reservation.code is None:
                # This message was here before, and counted. If it goes out once more, it counts once more.
                admission.sent = _goes_once_more(reservation.record, wish, self.clock())
                return await self._repeat(job, reservation.record, wish)
            delivered = await self.deliver(reservation.record, reservation.code, wish)
            admission.sent = delivered.may_be_out
            return _disposition(delivered, wish)

    async def _send_stored(self, job: SendJob, wish: Wish) -> Disposition:
        verification_id = parse_id(job.verification or "")
        if not is_key_of(verification_id.key, await self.keys.keyring(), wish.service.name, wish.to.e164):
            return self._leave(Disposition.POISON, job, "another_number")  # its code is for no other phone
        record = await self.store.get(verification_id.key)
        if record is None or record.verification.id != verification_id:
            raise NotFound("a newer verification took its place")
        if record.verification.state(self.clock()) is not State.PENDING:
            return self._leave(Disposition.DONE, job, record.verification.state(self.clock()).value)
        if record.verification.delivery.status is not DeliveryStatus.QUEUED:
            return await self._repeat(job, record, wish)
        code, now = await code_again(self.keys, record.verification, wish.service), self.clock()
        first = wish.plan[0].provider
        taken = await advance(
            self.store, record, lambda found: take_from_queue(found, wish.request, now, first), now=now
        )
        return await self._deliver(taken, code, wish)

    async def _repeat(self, job: SendJob, record: Record, wish: Wish) -> Disposition:
        delivery, now = record.verification.delivery, self.clock()
        if not _is_unknown(record, wish, now):
            return self._leave(Disposition.DONE, job, "duplicate")
        if _goes_once_more(record, wish, now):
            code = await code_again(self.keys, record.verification, wish.service)
            first = _first_of_the_others(delivery, wish.plan)
            claimed = await advance(
                self.store, record, lambda found: retry_unknown(found, wish.request, now, first), now=now
            )
            return await self._deliver(claimed, code, wish)
        if delivery.status is DeliveryStatus.SUBMITTED:
            await self.deliver.note(record, wish, DeliveryStatus.UNKNOWN, "worker_died")
        return self._leave(Disposition.DONE, job, "unknown")

    async def _deliver(self, record: Record, code: Sensitive, wish: Wish) -> Disposition:
        return _disposition(await self.deliver(record, code, wish), wish)

    async def _expire(self, job: SendJob, wish: Wish) -> Disposition:
        """A code that comes late is worse than none: the person has asked again, or left."""
        record = await self.store.get(parse_id(job.verification or "").key)
        if record is not None and record.verification.delivery.status is DeliveryStatus.QUEUED:
            await self.deliver.note(record, wish, DeliveryStatus.NOT_SENT, "too_late")
        return self._leave(Disposition.DONE, job, "too_late")

    def _leave(self, disposition: Disposition, job: SendJob, reason: str) -> Disposition:
        self.journal("left", service=job.service, disposition=disposition.name.lower(), reason=reason, batch=job.batch)
        return disposition


def _disposition(delivered: Delivered, wish: Wish) -> Disposition:
    outcome, tries = delivered.result.outcome, delivered.record.verification.delivery.tries
    unknown_again = outcome is Outcome.UNKNOWN and wish.service.on_unknown is OnUnknown.ONCE
    # After an unknown outcome there is one more try, whatever comes of it: a third might be a third SMS.
    return Disposition.AGAIN if tries == 1 and (outcome.may_try_again or unknown_again) else Disposition.DONE


def _is_unknown(record: Record, wish: Wish, now: int) -> bool:
    delivery = record.verification.delivery
    return delivery.request == wish.request and outcome_is_unknown(delivery, now)


def _goes_once_more(record: Record, wish: Wish, now: int) -> bool:
    live = record.verification
    may = wish.service.on_unknown is OnUnknown.ONCE and live.delivery.tries == 1 and live.state(now) is State.PENDING
    return may and _is_unknown(record, wish, now)


def _first_of_the_others(delivery: Delivery, plan: Sequence[Via]) -> str:
    """A worker's death says nothing of the provider; one that left its answer open is not the first to ask again."""
    if delivery.status is not DeliveryStatus.UNKNOWN:
        return plan[0].provider
    return (*beginning_with(plan, delivery.provider)[1:], plan[0])[0].provider
