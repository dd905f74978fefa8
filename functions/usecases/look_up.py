"""Tells how a verification stands, and cancels it."""

from __future__ import annotations

from collections.abc import Mapping

from functions.domain.caller import Services, covers
from functions.domain.checking import cancel
from functions.domain.errors import NotFound
from functions.domain.identity import parse_id
from functions.domain.part import part
from functions.domain.service import Service
from functions.domain.verification import Record
from functions.usecases.advance import advance
from functions.usecases.ports import Clock, Journal, VerificationStore
from functions.usecases.views import VerificationView, view


@part
class LookUpVerification:
    """Raises NotFound or StoreUnavailable."""

    services: Mapping[str, Service]
    store: VerificationStore
    clock: Clock

    async def __call__(self, verification_id: str, services: Services = None) -> VerificationView:
        record = await find(self.store, verification_id, services)
        return view(record, self.services.get(record.service, Service()), now=self.clock())


@part
class CancelVerification:
    """Raises NotFound, AlreadyApproved, Expired, AttemptsExhausted or StoreUnavailable. To cancel twice is fine."""

    services: Mapping[str, Service]
    store: VerificationStore
    clock: Clock
    journal: Journal

    async def __call__(self, verification_id: str, services: Services = None) -> VerificationView:
        now = self.clock()
        wanted = parse_id(verification_id)

        def step(record: Record) -> Record | None:
            if record.verification.id != wanted:
                raise NotFound("there is no such verification")
            return cancel(record, now)

        record = await advance(self.store, await find(self.store, verification_id, services), step, now=now)
        self.journal("canceled", verification=verification_id)
        return view(record, self.services.get(record.service, Service()), now=now)


async def find(store: VerificationStore, verification_id: str, services: Services) -> Record:
    """Raises NotFound, also where the number has a newer verification, or it is another caller's."""
    wanted = parse_id(verification_id)
    record = await store.get(wanted.key)
    if record is None or record.verification.id != wanted or not covers(services, record.service):
        raise NotFound("there is no such verification")
    return record
