"""Aliyun's status reports (SmsReport), as both of its adapters get them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import msgspec

from functions.domain.delivery import Receipt
from functions.domain.errors import InvalidRequest
from functions.domain.part import part
from functions.providers.china import final_receipt
from functions.usecases.ports import Acknowledgement, Push


class _Report(msgspec.Struct):
    success: bool
    out_id: str | None = None
    err_code: str | None = None
    report_time: str | None = None


@part
class AliyunReceipts:
    """Reads SmsReport, a JSON array. Nothing is signed: the token in the address is all that there is to check."""

    provider: str
    acknowledgement: ClassVar[Acknowledgement] = Acknowledgement(
        '{"code":0,"msg":"接收成功"}'.encode(), "application/json"
    )

    def read(self, push: Push, secret: Mapping[str, Any], now: int) -> tuple[Receipt, ...]:  # noqa: ARG002 - no signature
        """Raises InvalidRequest."""
        try:
            reports = msgspec.json.decode(push.body, type=list[_Report], strict=False)
        except (ValueError, RecursionError):
            raise InvalidRequest("not a list of status reports") from None
        named = [(report, report.out_id or push.reference) for report in reports]
        return tuple(
            final_receipt(
                self.provider,
                reference,
                delivered=report.success,
                reason=report.err_code,
                at=report.report_time,
                now=now,
            )
            for report, reference in named
            if reference
        )
