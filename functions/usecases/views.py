"""What callers see of a verification: an allow-list, so that nothing else of the record can get out."""

from __future__ import annotations

from functions.domain.delivery import Delivery
from functions.domain.frozen import frozen
from functions.domain.sending import next_send_at
from functions.domain.service import Service
from functions.domain.verification import Record

CHANNEL = "sms"


@frozen(kw_only=True)
class DeliveryView:
    status: str
    provider: str | None
    reason: str | None
    at: int


@frozen(kw_only=True)
class VerificationView:
    """`expires_at`, `resend_at` and `delivery.at` are seconds since 1970."""

    id: str
    service: str
    channel: str
    status: str
    sends: int
    attempts_left: int
    expires_at: int
    resend_at: int
    provider: str | None
    delivery: DeliveryView
    metadata: dict[str, str]


def view(record: Record, service: Service, *, now: int, provider: str | None = None) -> VerificationView:
    """`provider` names the one that just took the message, which the record may not know yet."""
    live = record.verification
    provider = provider or live.delivery.provider
    return VerificationView(
        id=str(live.id),
        service=record.service,
        channel=CHANNEL,
        status=live.state(now).value,
        sends=live.sends,
        attempts_left=live.attempts_left,
        expires_at=live.expires_at,
        resend_at=next_send_at(record, service, now),
        provider=provider,
        delivery=_delivery(live.delivery, provider),
        metadata=dict(live.metadata),
    )


def _delivery(delivery: Delivery, provider: str | None) -> DeliveryView:
    return DeliveryView(status=delivery.status.value, provider=provider, reason=delivery.reason, at=delivery.at)
