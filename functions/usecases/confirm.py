"""Looks at a message a while after a provider took it. Without a receipt of its arrival another one sends the code.

It is the same code of the same verification, so whichever arrives is right. It happens once a message: the claim is one
conditional write, and a copy of the job finds it made.
"""

from __future__ import annotations

from collections.abc import Mapping

from functions.domain.claims import awaits_receipt, send_unconfirmed
from functions.domain.errors import Conflict, InvalidPhoneNumber, Refused
from functions.domain.identity import is_key_of, parse_id
from functions.domain.part import part
from functions.domain.phone import parse_phone_number
from functions.domain.service import Service
from functions.domain.verification import Record
from functions.usecases.advance import advance
from functions.usecases.deliver import Deliver
from functions.usecases.disposition import Disposition
from functions.usecases.ports import Clock, ConfirmJob, Journal, Keys, VerificationStore
from functions.usecases.reserve import Wish, code_again


@part
class ConfirmDelivery:
    """Raises KeysUnavailable before it claims anything, and StoreUnavailable."""

    services: Mapping[str, Service]
    store: VerificationStore
    keys: Keys
    deliver: Deliver
    clock: Clock
    journal: Journal

    async def __call__(self, job: ConfirmJob) -> Disposition:
        service = self.services.get(job.service)
        if service is None:
            return self._end(job, "unknown_service")
        try:
            wish = _wish(job, service)
        except InvalidPhoneNumber as error:
            return self._end(job, error.code, Disposition.POISON)
        verification_id = parse_id(job.verification)
        if not is_key_of(verification_id.key, await self.keys.keyring(), job.service, job.to):
            return self._end(job, "another_number", Disposition.POISON)  # its code is for no other phone
        record = await self.store.get(verification_id.key)
        if record is None or record.verification.id != verification_id:
            return self._end(job, "forgotten")
        try:
            return await self._send_unconfirmed(record, job, wish)
        except Refused as refusal:  # somebody was quicker
            return self._end(job, refusal.code)

    async def _send_unconfirmed(self, record: Record, job: ConfirmJob, wish: Wish) -> Disposition:
        """Raises Conflict, and CountryBlocked where the routes have changed meanwhile."""
        if not awaits_receipt(record, job.send, self.clock()):
            return self._end(job, "settled")
        plan = tuple(via for via in wish.plan if via.provider != job.tried)
        if not plan:
            return self._end(job, "nobody_else")
        code, now = await code_again(self.keys, record.verification, wish.service), self.clock()
        claimed = await advance(
            self.store, record, lambda found: _claim(found, record, job, plan[0].provider, now), now=now
        )
        result = await self.deliver.once_more(claimed, code, wish, plan, record.verification.delivery)
        return self._end(job, result.outcome.value)

    def _end(self, job: ConfirmJob, outcome: str, disposition: Disposition = Disposition.DONE) -> Disposition:
        self.journal("confirm", verification=job.verification, tried=job.tried, outcome=outcome)
        return disposition


def _wish(job: ConfirmJob, service: Service) -> Wish:
    """Raises InvalidPhoneNumber."""
    return Wish(
        to=parse_phone_number(job.to),
        service=service,
        request=job.request,
        locale=job.locale,
        domain=job.domain,
        app_hash=job.app_hash,
    )


def _claim(found: Record, seen: Record, job: ConfirmJob, provider: str, now: int) -> Record:
    """Raises Conflict."""
    if found.verification.id != seen.verification.id:
        raise Conflict("a newer verification took its place")
    return send_unconfirmed(found, job.send, now, provider)
