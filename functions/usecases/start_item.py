"""Starts one verification of a batch and sends its code, within the request."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import field

from functions.domain.frozen import frozen
from functions.domain.guard.attempt import Address
from functions.domain.part import part
from functions.domain.phone import PhoneNumber
from functions.domain.sensitive import Sensitive
from functions.domain.service import Service
from functions.domain.verification import Record
from functions.usecases.deliver import Deliver, refuse_undelivered
from functions.usecases.guard import Guard, attempt_of
from functions.usecases.ports import Clock, Keys
from functions.usecases.reserve import Reserve, Wish
from functions.usecases.views import VerificationView, view


@frozen(kw_only=True)
class BatchItem:
    """What is asked for one number: as in a start by itself."""

    to: PhoneNumber
    service: str
    key: str | None = field(default=None, repr=False)
    """The same one is the same request, in every batch of its caller."""
    code: Sensitive | None = None
    binding: Sensitive | None = None
    locale: str | None = None
    domain: str | None = None
    app_hash: str | None = None
    metadata: tuple[tuple[str, str], ...] = ()
    ip: Address | None = field(default=None, repr=False)
    trusted: bool = False


@part
class StartItem:
    """Of a service that there is. Raises what a start by itself does."""

    services: Mapping[str, Service]
    keys: Keys
    guard: Guard
    reserve: Reserve
    deliver: Deliver
    clock: Clock

    async def __call__(self, item: BatchItem, request: str) -> VerificationView:
        service = self.services[item.service]
        wish = _wish(item, service, request)
        async with self.guard.admit(attempt_of(wish, await self.keys.keyring(), self.clock())) as admission:
            reservation = await self.reserve(wish)
            admission.sent = reservation.code is not None  # else this request was here before, and counted
            if reservation.code is None:
                return self._repeated(reservation.record, wish)
            delivered = await self.deliver(reservation.record, reservation.code, wish)
            refuse_undelivered(delivered.status, delivered.result.retry_after)
            return view(delivered.record, service, now=self.clock(), provider=delivered.result.provider)

    def _repeated(self, record: Record, wish: Wish) -> VerificationView:
        """As the record has it: nothing tells a request that died from one that is done, and a repeat sends nothing."""
        delivery = record.verification.delivery
        if delivery.request == wish.request:
            refuse_undelivered(delivery.status)
        return view(record, wish.service, now=self.clock())


def _wish(item: BatchItem, service: Service, request: str) -> Wish:
    return Wish(
        to=item.to,
        service=service,
        request=request,
        code=item.code,
        binding=item.binding,
        locale=item.locale,
        domain=item.domain,
        app_hash=item.app_hash,
        metadata=item.metadata,
        ip=item.ip,
        trusted=item.trusted,
    )
