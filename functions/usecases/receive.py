"""Takes a provider's receipt: moves the delivery of the verification that its reference names."""

from __future__ import annotations

from dataclasses import dataclass

from functions.domain.delivery import Receipt
from functions.domain.errors import NotFound
from functions.domain.identity import VerificationId, parse_reference
from functions.domain.sending import receive
from functions.domain.verification import Record
from functions.usecases.advance import advance
from functions.usecases.ports import Clock, Journal, VerificationStore


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordReceipt:
    """Raises StoreUnavailable: the provider should push the receipt again then."""

    store: VerificationStore
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
        self.journal(
            "receipt",
            verification=str(verification_id),
            provider=receipt.provider,
            outcome=receipt.status.value,
            reason=receipt.reason,
        )
