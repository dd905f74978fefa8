"""A month's traffic and the stack that bears it, as ./salvo cost asks for them."""

from __future__ import annotations

from dataclasses import dataclass

UNCONFIRMED = 0.05
"""Share of messages whose receipt is not there in time: `confirm_within` waits as long as 19 of 20 take."""

BULK_ITEMS, BULK_BATCH = 1_000, 100
"""Starts of one request, as ./salvo send makes them, and messages that the bulk sender finds at once: the most."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Load:
    """A month. Shares are from 0 to 1; resends and receipts come over HTTP."""

    verifications: int = 1_000_000
    queued: float = 0.0
    """Share of starts with Prefer: respond-async."""
    batched: float = 0.0
    """Share of starts that are put on the queue directly."""
    bulk: float = 0.0
    """Share of starts that come in batches of a thousand over HTTP, and go through the bulk queue."""
    batch_size: int = 10
    """Messages that an invocation of the sender finds. Those of `queued` come one at a time."""
    returning: float = 0.0
    """Share of starts for a number that had one within a day."""
    idempotent: float = 0.0
    """Share of starts over HTTP with an Idempotency-Key."""
    resends: float = 0.1
    """SMS beyond the first, for each verification."""
    checks: float = 1.1
    """For each verification, right or wrong."""
    receipts: bool = True
    """Whether the gateway reports on each message, one at a time."""
    providers: int = 1
    """That messages go by. From two on their circuits are looked at."""
    rated: float = 0.0
    """Share of messages by a provider with a `rate`."""
    learning: float = 0.0
    """Share of messages by a provider that is told which codes were approved."""
    confirmed: float = 0.0
    """Share of messages that are looked at again (`confirm_within`)."""
    guard: bool = True
    """Whether starts are counted by address, block and country, as they are by default."""
    gateway_latency: float = 0.3
    memory: int = 512
    cold_starts: float = 0.01
    """Share of invocations. AWS says that it is under 1 % of most."""
    log_retention: int = 30
    """Days."""
    kms: bool = False
    tracing: bool = False
    snap_start: bool = False

    @property
    def direct(self) -> float:
        """Share of starts that are sent within their request. Rounded, or 1 - 0.7 - 0.3 would not be nothing."""
        return round(1 - self.queued - self.batched - self.bulk, 9)

    @property
    def sends_over_http(self) -> float:
        return self.verifications * (self.direct + self.resends)

    @property
    def queued_starts(self) -> float:
        return self.verifications * self.queued

    @property
    def batched_starts(self) -> float:
        return self.verifications * self.batched

    @property
    def bulk_starts(self) -> float:
        return self.verifications * self.bulk

    @property
    def bulk_requests(self) -> float:
        return self.bulk_starts / BULK_ITEMS

    @property
    def starts_in_batches(self) -> float:
        return self.batched_starts + self.bulk_starts

    @property
    def batches(self) -> float:
        """Invocations that found several."""
        return self.batched_starts / self.batch_size + self.bulk_starts / BULK_BATCH

    @property
    def all_checks(self) -> float:
        return self.verifications * self.checks

    @property
    def looked_at_again(self) -> float:
        return (self.sends_over_http + self.queued_starts + self.starts_in_batches) * self.confirmed

    @property
    def sent_again(self) -> float:
        return self.looked_at_again * UNCONFIRMED

    @property
    def approvals(self) -> float:
        """At most: as if nobody's code stayed unused."""
        return self.verifications * min(self.checks, 1.0)

    @property
    def approvals_told(self) -> float:
        return self.approvals * self.learning

    @property
    def later_jobs(self) -> float:
        """What we put on the queue for ourselves; each comes by itself."""
        return self.looked_at_again + self.approvals_told

    @property
    def messages(self) -> float:
        return self.sends_over_http + self.queued_starts + self.starts_in_batches + self.sent_again

    @property
    def all_receipts(self) -> float:
        return self.messages * self.receipts

    @property
    def gigabytes(self) -> float:
        return self.memory / 1024
