"""Infobip's delivery reports."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import msgspec

from functions.domain.delivery import DeliveryStatus, Receipt
from functions.domain.errors import InvalidRequest
from functions.domain.part import part
from functions.providers.report_fields import ended, moment
from functions.usecases.ports import Acknowledgement, Push


class _Status(msgspec.Struct, rename="camel"):
    """What became of the message. The `description` stays unread."""

    group_id: int
    id: int
    name: str | None = None


class _Error(msgspec.Struct):
    id: int
    name: str | None = None


class _Report(msgspec.Struct, rename="camel"):
    """One entry of a delivery report."""

    status: _Status
    message_id: str | None = None
    callback_data: str | None = None
    done_at: str | None = None
    error: _Error | None = None


class _Reports(msgspec.Struct):
    results: list[_Report]


_BY_GROUP: Mapping[int, DeliveryStatus] = {
    2: DeliveryStatus.FAILED,
    3: DeliveryStatus.DELIVERED,
    4: DeliveryStatus.FAILED,
    5: DeliveryStatus.FAILED,
}
_BLOCKED = frozenset({10, 14, 87})
"""Does not want to be disturbed, is on a blocklist, was taken for fraud."""
_BY_ID: Mapping[int, DeliveryStatus | None] = {
    2: DeliveryStatus.SENT,  # of the group «delivered», but to the operator
    3: DeliveryStatus.SENT,  # with the operator, whose report is awaited
    7: DeliveryStatus.SENT,  # on its way to the operator
    23: None,  # the duplicate was refused, and the first one is what counts
    29: None,  # the operator never told what became of it
}


@part
class InfobipReceipts:
    """Reads the delivery report: JSON with a list of `results`.

    Nothing is signed: the token in the address is all that there is to check.
    """

    provider: str
    """The adapter that sent the message."""

    acknowledgement: ClassVar[Acknowledgement] = Acknowledgement()
    """Any 2xx. After another Infobip pushes again, later and later."""

    def read(self, push: Push, secret: Mapping[str, Any], now: int) -> tuple[Receipt, ...]:  # noqa: ARG002 - no signature
        """Raises InvalidRequest."""
        found = [(report, _status(report.status), _reference(report, push)) for report in _parse_reports(push.body)]
        return tuple(
            self._receipt(report, status, reference, now) for report, status, reference in found if status and reference
        )

    def _receipt(self, report: _Report, status: DeliveryStatus, reference: str, now: int) -> Receipt:
        status, reason = ended(status, _reason(report), ())
        if report.status.id in _BLOCKED:
            status = DeliveryStatus.REJECTED
        return Receipt(
            provider=self.provider, reference=reference, status=status, reason=reason, at=moment(report.done_at, now)
        )


def _parse_reports(body: bytes) -> list[_Report]:
    try:
        return msgspec.json.decode(body, type=_Reports).results
    except (ValueError, RecursionError):
        raise InvalidRequest("not a list of delivery reports") from None


def _status(status: _Status) -> DeliveryStatus | None:
    return _BY_ID[status.id] if status.id in _BY_ID else _BY_GROUP.get(status.group_id)


def _reference(report: _Report, push: Push) -> str | None:
    return report.callback_data or push.reference or report.message_id


def _reason(report: _Report) -> str:
    """The network's error; where it had none (0), the status that Infobip itself ended the message with."""
    named = report.error if report.error is not None and report.error.id else report.status
    return named.name or str(named.id)
