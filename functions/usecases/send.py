"""Carries out a message of the queue, so that a second delivery of it does no harm.

The reservation's write names the request. A delivery that finds itself there already is a duplicate (the first is at
work, or done: nothing to do), or the heir of a worker that died between that write and the gateway's answer: then
nobody knows whether the SMS went out, and the service's `on_unknown` decides.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from functions.domain.batch import TOO_LATE, UNKNOWN, Ending, Status, ending_in, ending_of
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
from functions.usecases.disposition import Carried, Disposition
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

    async def __call__(
        self, job: SendJob, *, message_id: str, queued_at: int, delivered_before: bool = True
    ) -> Carried:
        """`message_id` stands in for a job without a key; `queued_at` is when the message came into the queue.

        Of a message that was never delivered before, no worker can have died.
        """
        service = self.services.get(job.service)
        if service is None:
            return self._bury(job, "unknown_service")
        try:
            to = parse_phone_number(job.to)
        except InvalidPhoneNumber as error:
            return self._bury(job, error.code)
        late = self.fresh_for(job, queued_at=queued_at) <= 0
        if late and job.verification is None:  # needs no keys: they may be what it came too late for
            return await self._end(job, "too_late", TOO_LATE)
        wish = await self._wish(job, to, service, message_id)
        return await (self._expire(job, wish) if late else self._send(job, wish, delivered_before=delivered_before))

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
            announced=parse_id(job.announced) if job.announced else None,
        )

    async def _request(self, job: SendJob, message_id: str) -> str:
        if job.key is not None and (job.verification or job.announced):
            return job.key  # the request's digest already
        return request_digest(await self.keys.keyring(), "queue", job.service, job.key or message_id)

    async def _send(self, job: SendJob, wish: Wish, *, delivered_before: bool) -> Carried:
        try:
            if job.verification:
                return await self._send_stored(job, wish)
            return await self._send_new(job, wish, delivered_before=delivered_before)
        except Refused as refusal:
            return await self._end(job, refusal.code, Ending(Status.REFUSED, refusal.code))

    async def _send_new(self, job: SendJob, wish: Wish, *, delivered_before: bool) -> Carried:
        async with self.guard.admit(attempt_of(wish, await self.keys.keyring(), self.clock())) as admission:
            reservation = await self.reserve(wish)
            record = reservation.record
            if reservation.code is not None:
                delivered = await self.deliver(record, reservation.code, wish)
                admission.sent = delivered.may_be_out
                return _carried(delivered, wish)
            if not _is_its_own(record, wish, delivered_before=delivered_before):
                admission.sent = False
                return self._leave(job, "duplicate", ending_in(record, wish.request), record)
            # This message was here before, and counted. If it goes out once more, it counts once more.
            admission.sent = _goes_once_more(record, wish, self.clock())
            return await self._repeat(job, record, wish)

    async def _end(self, job: SendJob, reason: str, ending: Ending) -> Carried:
        """Too late, or refused. A batch's item is told of by its record, if an earlier delivery of it went out."""
        if job.announced is None or job.key is None:
            return self._leave(job, reason, ending)
        announced = parse_id(job.announced)
        record, now = await self.store.get(announced.key), self.clock()
        if record is None or not record.has_request(job.key, now):
            return self._leave(job, reason, ending)
        live = record.verification
        died = (live.id, live.delivery.request) == (announced, job.key) and outcome_is_unknown(live.delivery, now)
        return self._leave(job, reason, UNKNOWN if died else ending_in(record, job.key), record)

    async def _send_stored(self, job: SendJob, wish: Wish) -> Carried:
        verification_id = parse_id(job.verification or "")
        if not is_key_of(verification_id.key, await self.keys.keyring(), wish.service.name, wish.to.e164):
            return self._bury(job, "another_number")  # its code is for no other phone
        record = await self.store.get(verification_id.key)
        if record is None or record.verification.id != verification_id:
            raise NotFound("a newer verification took its place")
        if record.verification.state(self.clock()) is not State.PENDING:
            return self._leave(job, record.verification.state(self.clock()).value)
        if record.verification.delivery.status is not DeliveryStatus.QUEUED:
            return await self._repeat(job, record, wish)
        code, now = await code_again(self.keys, record.verification, wish.service), self.clock()
        first = wish.plan[0].provider
        taken = await advance(
            self.store, record, lambda found: take_from_queue(found, wish.request, now, first), now=now
        )
        return await self._deliver(taken, code, wish)

    async def _repeat(self, job: SendJob, record: Record, wish: Wish) -> Carried:
        delivery, now = record.verification.delivery, self.clock()
        if not _is_unknown(record, wish, now):
            return self._leave(job, "duplicate", ending_in(record, wish.request), record)
        if _goes_once_more(record, wish, now):
            code = await code_again(self.keys, record.verification, wish.service)
            first = _first_of_the_others(delivery, wish.plan)
            claimed = await advance(
                self.store, record, lambda found: retry_unknown(found, wish.request, now, first), now=now
            )
            return await self._deliver(claimed, code, wish)
        if delivery.status is DeliveryStatus.SUBMITTED:
            await self.deliver.note(record, wish, DeliveryStatus.UNKNOWN, "worker_died")
        return self._leave(job, "unknown", UNKNOWN, record)

    async def _deliver(self, record: Record, code: Sensitive, wish: Wish) -> Carried:
        return _carried(await self.deliver(record, code, wish), wish)

    async def _expire(self, job: SendJob, wish: Wish) -> Carried:
        """A code that comes late is worse than none: the person has asked again, or left."""
        record = await self.store.get(parse_id(job.verification or "").key)
        if record is not None and record.verification.delivery.status is DeliveryStatus.QUEUED:
            await self.deliver.note(record, wish, DeliveryStatus.NOT_SENT, "too_late")
        return self._leave(job, "too_late")

    def _leave(self, job: SendJob, reason: str, ending: Ending | None = None, record: Record | None = None) -> Carried:
        """Does nothing about it; `ending` says what had come of it."""
        self._tell(Disposition.DONE, job, reason)
        return Carried(Disposition.DONE, ending, None if record is None else str(record.verification.id))

    def _bury(self, job: SendJob, reason: str) -> Carried:
        self._tell(Disposition.POISON, job, reason)
        return Carried(Disposition.POISON, Ending(Status.FAILED, reason))

    def _tell(self, disposition: Disposition, job: SendJob, reason: str) -> None:
        self.journal("left", service=job.service, disposition=disposition.name.lower(), reason=reason, batch=job.batch)


def _carried(delivered: Delivered, wish: Wish) -> Carried:
    outcome, live = delivered.result.outcome, delivered.record.verification
    unknown_again = outcome is Outcome.UNKNOWN and wish.service.on_unknown is OnUnknown.ONCE
    # After an unknown outcome there is one more try, whatever comes of it: a third might be a third SMS.
    if live.delivery.tries == 1 and (outcome.may_try_again or unknown_again):
        busy = delivered.result.retry_after if outcome is Outcome.THROTTLED_ACCOUNT else None
        return Carried(Disposition.AGAIN, again_in=busy or 0)
    # None: of the second try nothing went out, and nobody knows of the first.
    return Carried(Disposition.DONE, ending_of(delivered.status) or UNKNOWN, str(live.id))


def _is_its_own(record: Record, wish: Wish, *, delivered_before: bool) -> bool:
    """Whether the request that the record remembers is this message's, delivered before.

    Of an item with a key another batch may have had the same one, long ago: that is no worker's death, and goes out no
    second time. Its verification has another id than the one announced for this message.
    """
    if wish.announced is None:
        return True
    return delivered_before and record.verification.id == wish.announced


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
