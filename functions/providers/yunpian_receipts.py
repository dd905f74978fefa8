"""Yunpian's status push, for both of its adapters."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar
from urllib.parse import parse_qsl, unquote_plus

import msgspec

from functions.domain.delivery import Receipt
from functions.domain.errors import InvalidRequest
from functions.domain.part import part
from functions.providers.china import final_receipt
from functions.usecases.ports import Acknowledgement, Push

_MOST_FIELDS = 16
_DELIVERED: Mapping[str, bool] = {"SUCCESS": True, "FAIL": False}


class _Report(msgspec.Struct):
    """One entry of a status push."""

    report_status: str
    uid: str | None = None
    error_msg: str | None = None
    user_receive_time: str | None = None


@part
class YunpianReceipts:
    """Reads the status push: a form whose `sms_status` is a JSON array, url-encoded by the form and often once more.

    Nothing is signed: the token in the address is all that there is to check.
    """

    provider: str
    """The adapter that sent the message."""

    acknowledgement: ClassVar[Acknowledgement] = Acknowledgement(b"SUCCESS")
    """What Yunpian wants to hear for every push that was understood, news or not."""

    def read(self, push: Push, secret: Mapping[str, Any], now: int) -> tuple[Receipt, ...]:  # noqa: ARG002 - no signature
        """None for a person's reply (`sms_reply`). Raises InvalidRequest."""
        form = _parse_form(push.body)
        if "sms_status" not in form and "sms_reply" in form:
            return ()
        reports = _parse_reports(form.get("sms_status", ""))
        # Accounts that echo no uid (it is switched on by request) are found by the message's own address.
        named = [(report, report.uid or push.reference) for report in reports]
        return tuple(
            self._receipt(report, reference, now)
            for report, reference in named
            if reference and report.report_status in _DELIVERED
        )

    def _receipt(self, report: _Report, reference: str, now: int) -> Receipt:
        return final_receipt(
            self.provider,
            reference,
            delivered=_DELIVERED[report.report_status],
            reason=report.error_msg,
            at=report.user_receive_time,
            now=now,
        )


def _parse_form(body: bytes) -> dict[str, str]:
    try:
        return dict(parse_qsl(body.decode(), keep_blank_values=True, max_num_fields=_MOST_FIELDS, errors="strict"))
    except ValueError:
        raise InvalidRequest("not a form") from None


def _parse_reports(text: str) -> list[_Report]:
    try:
        array = unquote_plus(text, errors="strict") if text[:3].upper() == "%5B" else text
        return msgspec.json.decode(array, type=list[_Report])
    except (ValueError, RecursionError):
        raise InvalidRequest("sms_status is not a list of status reports") from None
