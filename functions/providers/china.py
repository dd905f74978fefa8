"""What the gateways in China have in common: how they spell a number and a time, and reports that nobody signs."""

from __future__ import annotations

import re
from datetime import datetime

from functions.domain.delivery import DeliveryStatus, Receipt
from functions.domain.phone import PhoneNumber

_CALLING_CODE = 86

_NOT_IN_A_REASON = re.compile(r"[^A-Za-z0-9_:.-]")
_LONGEST_REASON = 32


def is_chinese(number: PhoneNumber) -> bool:
    """Of the mainland: Hong Kong, Macau and Taiwan have calling codes of their own, and count as abroad."""
    return number.country_code == _CALLING_CODE


def final_receipt(
    provider: str, reference: str, *, delivered: bool, reason: str | None, at: str | None, now: int
) -> Receipt:
    """Of a report that says how a message ended. `at` is their local time, such as 2024-01-01 08:00:05."""
    word = None if delivered else _NOT_IN_A_REASON.sub("", reason or "")[:_LONGEST_REASON]
    return Receipt(
        provider=provider,
        reference=reference,
        status=DeliveryStatus.DELIVERED if delivered else DeliveryStatus.FAILED,
        reason=word or None,
        at=_seconds(at, now),
    )


def _seconds(text: str | None, now: int) -> int:
    """What is no time, or one that has not come yet, is now."""
    try:
        at = int(datetime.strptime(f"{text} +0800", "%Y-%m-%d %H:%M:%S %z").timestamp())
    except ValueError:
        return now
    return at if 0 <= at <= now else now
