"""What a team's own gateway tells of its messages. The contract is in webhook.py."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import msgspec

from functions.domain.delivery import DeliveryStatus, Receipt
from functions.domain.errors import InvalidRequest
from functions.domain.part import part
from functions.providers import standard_webhooks
from functions.providers.credentials import read_secret
from functions.providers.report_fields import moment, sane, word
from functions.providers.webhook_secret import WebhookSecret
from functions.usecases.ports import Acknowledgement, Push

_STATUSES: Mapping[str, DeliveryStatus] = {
    "sent": DeliveryStatus.SENT,
    "delivered": DeliveryStatus.DELIVERED,
    "failed": DeliveryStatus.FAILED,
}


class _Report(msgspec.Struct):
    status: str
    reference: str | None = None
    reason: str | int | None = None
    at: str | int | float | None = None


@part
class WebhookReceipts:
    name: str
    acknowledgement: ClassVar[Acknowledgement] = Acknowledgement(b"{}", "application/json")

    def read(self, push: Push, secret: Mapping[str, Any], now: int) -> tuple[Receipt, ...]:
        secrets = read_secret(self.name, secret, WebhookSecret).receipts_secret
        if secrets is not None:
            standard_webhooks.check(secrets, push.headers, push.body, now)
        found = (self._receipt(report, push.reference, now) for report in _parse(push.body))
        return tuple(receipt for receipt in found if receipt is not None)

    def _receipt(self, report: _Report, address: str | None, now: int) -> Receipt | None:
        status = _STATUSES.get(report.status)
        reference = report.reference or address
        if status is None or not reference:
            return None
        failed = status is DeliveryStatus.FAILED and report.reason is not None
        return Receipt(
            provider=self.name,
            reference=reference,
            status=status,
            reason=word(str(report.reason)) if failed else None,
            at=_at(report.at, now),
        )


def _parse(body: bytes) -> list[_Report]:
    try:
        reports = msgspec.json.decode(body, type=_Report | list[_Report])
    except (ValueError, RecursionError):
        raise InvalidRequest("not a receipt, nor a list of them") from None
    return reports if isinstance(reports, list) else [reports]


def _at(told: str | float | None, now: int) -> int:
    return sane(int(told), now) if isinstance(told, int | float) else moment(told, now)
