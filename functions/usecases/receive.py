"""Takes a provider's receipt: moves the delivery of the verification that its reference names."""

from __future__ import annotations

from collections.abc import Mapping

from functions.domain.delivery import DeliveryStatus, Receipt
from functions.domain.errors import NotFound
from functions.domain.identity import VerificationId, parse_reference
from functions.domain.part import part
from functions.domain.sending import receive
from functions.domain.service import Service
from functions.domain.verification import Record
from functions.usecases.advance import advance
from functions.usecases.ports import Clock, DeliveryTimes, Journal, VerificationStore


@part
class RecordReceipt:
    """Raises StoreUnavailable: the provider should push the receipt again then."""

    services: Mapping[str, Service]
    store: VerificationStore
    times: DeliveryTimes
    clock: Clock
    journal: Journal

    async def __call__(self, receipt: Receipt) -> None:
        """A receipt that is old, doubled or of a verification that is gone changes nothing, and is no error."""
        try:
            verification_id, send = parse_reference(receipt.reference)
        except NotFound:
            self.journal("receipt", provider=receipt.provider, outcome="not_ours")
            return
        record = await self.store.get(verification_id.key)
        if record is None or record.verification.id != verification_id:
            self.journal("receipt", provider=receipt.provider, outcome="forgotten")
            return
        await self._record(record, verification_id, receipt, send)

    async def _record(self, record: Record, verification_id: VerificationId, receipt: Receipt, send: int) -> None:
        def step(found: Record) -> Record | None:
            return receive(found, receipt, send) if found.verification.id == verification_id else None

        await advance(self.store, record, step, now=self.clock())
        await self._learn(record, receipt, send)
        self.journal(
            "receipt",
            verification=str(verification_id),
            provider=receipt.provider,
            outcome=receipt.status.value,
            reason=receipt.reason,
        )

    async def _learn(self, before: Record, receipt: Receipt, send: int) -> None:
        """How long it took, where the service waits for receipts: of the latest message, handed over once."""
        service, live = self.services.get(before.service), before.verification
        if service is None or service.confirm_within is None or receipt.status is not DeliveryStatus.DELIVERED:
            return
        news = live.delivery.status in {DeliveryStatus.SUBMITTED, DeliveryStatus.SENT}
        if news and live.delivery.send == send == live.sends and live.delivery.tries == 1 and before.sent:
            await self.times.learn(live.region, max(receipt.at - before.sent[-1].at, 0))
