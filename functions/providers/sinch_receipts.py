"""Sinch's delivery reports of one recipient, as both of its adapters get them."""

from __future__ import annotations

import base64
import hashlib
import hmac
from collections.abc import Mapping
from typing import Any, ClassVar

import msgspec

from functions.domain.delivery import DeliveryStatus, Receipt
from functions.domain.errors import InvalidRequest, InvalidSignature
from functions.domain.part import part
from functions.domain.sensitive import Sensitive
from functions.providers.credentials import read_secret
from functions.providers.freshness import is_of_now
from functions.providers.report_fields import moment, word
from functions.providers.sinch_api import SinchSecret
from functions.usecases.ports import Acknowledgement, Push


class _Report(msgspec.Struct):
    type: str
    status: str | None = None
    code: int | None = None
    client_reference: str | None = None
    operator_status_at: str | None = None
    at: str | None = None


_REPORT = "recipient_delivery_report_sms"
_STATUSES: Mapping[str, DeliveryStatus] = {
    # The carrier's centre has it; «unknown» is what it gave no report of that could be read.
    "dispatched": DeliveryStatus.SENT,
    "unknown": DeliveryStatus.SENT,
    "delivered": DeliveryStatus.DELIVERED,
    # Before it reached the carrier, by the carrier, or on its way from there.
    "aborted": DeliveryStatus.FAILED,
    "cancelled": DeliveryStatus.FAILED,
    "rejected": DeliveryStatus.FAILED,
    "deleted": DeliveryStatus.FAILED,
    "failed": DeliveryStatus.FAILED,
    "expired": DeliveryStatus.FAILED,
}
"""In small letters: the documents write Delivered, the SDK DELIVERED."""


@part
class SinchReceipts:
    provider: str
    """The adapter that sent the message."""

    acknowledgement: ClassVar[Acknowledgement] = Acknowledgement()

    def read(self, push: Push, secret: Mapping[str, Any], now: int) -> tuple[Receipt, ...]:
        """None for what else Sinch calls an address with, and for a message that still waits in its queue."""
        key = read_secret(self.provider, secret, SinchSecret).webhook_secret
        if key is not None:
            _check(push, key, now)
        report = _parse_report(push.body)
        status = _STATUSES.get((report.status or "").lower())
        reference = report.client_reference or push.reference
        if report.type != _REPORT or status is None or not reference:
            return ()
        failed = status is DeliveryStatus.FAILED and report.code is not None
        return (
            Receipt(
                provider=self.provider,
                reference=reference,
                status=status,
                reason=word(str(report.code)) if failed else None,
                at=moment(report.operator_status_at or report.at, now),
            ),
        )


def _check(push: Push, key: Sensitive, now: int) -> None:
    """The signature covers the body, a nonce and the time, one after the other with points between them."""
    signature, nonce, timestamp = (
        push.headers.get(f"x-sinch-webhook-signature{part}", "") for part in ("", "-nonce", "-timestamp")
    )
    signed = push.body + f".{nonce}.{timestamp}".encode()
    expected = base64.b64encode(hmac.digest(key.reveal().encode(), signed, hashlib.sha256))
    if not hmac.compare_digest(expected, signature.encode()):
        raise InvalidSignature("the report is not signed with our webhook secret")
    if not is_of_now(timestamp, now):
        raise InvalidSignature("the report was not signed now")


def _parse_report(body: bytes) -> _Report:
    try:
        return msgspec.json.decode(body, type=_Report)
    except (ValueError, RecursionError):
        raise InvalidRequest("not one of Sinch's callbacks") from None
