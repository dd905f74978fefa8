"""Starts a verification for an HTTP caller: stores it and sends its code, at once or through the queue."""

from __future__ import annotations

from collections.abc import Mapping

from functions.domain.delivery import DeliveryStatus
from functions.domain.errors import DeliveryUnavailable, InvalidRequest
from functions.domain.frozen import frozen
from functions.domain.guard.attempt import Address
from functions.domain.identity import REQUEST_BYTES, request_digest, request_from
from functions.domain.part import part
from functions.domain.phone import PhoneNumber
from functions.domain.sensitive import Sensitive
from functions.domain.service import Service
from functions.domain.verification import Record
from functions.usecases.deliver import Deliver, refuse_undelivered
from functions.usecases.guard import Admission, Guard, attempt_of
from functions.usecases.once import Once
from functions.usecases.ports import Clock, Entropy, Keys, QueueUnavailable, SendJob, SendQueue
from functions.usecases.reserve import Reserve, Wish
from functions.usecases.views import VerificationView, view


@frozen(kw_only=True)
class StartCommand:
    to: PhoneNumber
    service: str
    caller: str
    idempotency_key: str | None = None
    fingerprint: str = ""
    """The request's content, for telling a repeat from another request under the same key."""
    respond_async: bool = False
    code: Sensitive | None = None
    binding: Sensitive | None = None
    """What the code is to be good for, and for nothing else."""
    locale: str | None = None
    domain: str | None = None
    app_hash: str | None = None
    metadata: tuple[tuple[str, str], ...] = ()
    ip: Address | None = None
    """The end user's."""
    trusted: bool = False
    """The caller knows that the number's owner is signed in."""
    challenge: Sensitive | None = None
    """A solution."""


@part
class StartVerification:
    """Raises the refusals of the rules, DeliveryFailed, StoreUnavailable, QueueUnavailable, KeysUnavailable."""

    services: Mapping[str, Service]
    keys: Keys
    guard: Guard
    reserve: Reserve
    deliver: Deliver
    queue: SendQueue
    once: Once
    entropy: Entropy
    clock: Clock

    async def __call__(self, command: StartCommand) -> VerificationView:
        service = self._admit(command)
        if command.idempotency_key is None:
            request = request_from(self.entropy(REQUEST_BYTES))
            return await self._start(command, service, request)
        keys = await self.keys.keyring()
        request = request_digest(keys, "http", command.caller, command.idempotency_key)
        fingerprint = request_digest(keys, "fingerprint", command.fingerprint)
        return await self.once(request, fingerprint, lambda: self._start(command, service, request))

    def _admit(self, command: StartCommand) -> Service:
        service = self.services.get(command.service)
        if service is None:
            raise InvalidRequest("there is no such service")
        if command.respond_async and command.code is not None:
            raise InvalidRequest("a code of your own can't wait in the queue: send it without Prefer: respond-async")
        return service

    async def _start(self, command: StartCommand, service: Service, request: str) -> VerificationView:
        wish = Wish(
            to=command.to,
            service=service,
            request=request,
            code=command.code,
            binding=command.binding,
            locale=command.locale,
            domain=command.domain,
            app_hash=command.app_hash,
            queued=command.respond_async,
            metadata=command.metadata,
            ip=command.ip,
            trusted=command.trusted,
            challenge=command.challenge,
        )
        async with self.guard.admit(attempt_of(wish, await self.keys.keyring(), self.clock())) as admission:
            return await self._carry_out(wish, admission)

    async def _carry_out(self, wish: Wish, admission: Admission) -> VerificationView:
        service, request = wish.service, wish.request
        reservation = await self.reserve(wish)
        admission.sent = reservation.code is not None  # else this request was here before, and counted
        record = reservation.record
        if _waits_for(record, request):
            # For a repeat too: the one before may have died on its way to the queue, and a second job does no harm.
            await self._enqueue(wish, record)
        elif reservation.code is not None:
            delivered = await self.deliver(record, reservation.code, wish)
            refuse_undelivered(delivered.status, delivered.result.retry_after)
            return view(delivered.record, service, now=self.clock(), provider=delivered.result.provider)
        elif _is_heir(record, request):
            record = await self.deliver.note(record, wish, DeliveryStatus.UNKNOWN, "request_died")
        refuse_undelivered(record.verification.delivery.status)
        return view(record, service, now=self.clock())

    async def _enqueue(self, wish: Wish, record: Record) -> None:
        try:
            await self.queue.put(_job(wish, str(record.verification.id), self.clock()))
        except QueueUnavailable as error:
            # If the queue took the job after all, the sender finds the claim gone and leaves it.
            await self.deliver.give_back(record, wish, reason="queue_unavailable")
            raise DeliveryUnavailable("the queue can't be reached: nothing was sent") from error


def _waits_for(record: Record, request: str) -> bool:
    delivery = record.verification.delivery
    return delivery.request == request and delivery.status is DeliveryStatus.QUEUED


def _is_heir(record: Record, request: str) -> bool:
    """A request that comes here again had a first one that never told how its send went."""
    delivery = record.verification.delivery
    return delivery.request == request and delivery.status is DeliveryStatus.SUBMITTED


def _job(wish: Wish, verification: str, now: int) -> SendJob:
    return SendJob(
        to=wish.to.e164,
        service=wish.service.name,
        key=wish.request,
        locale=wish.locale,
        send_by=now + wish.service.send_within,
        domain=wish.domain,
        app_hash=wish.app_hash,
        verification=verification,
    )
