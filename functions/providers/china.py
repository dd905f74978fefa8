"""What the gateways in China have in common: how they spell a number and a time, and reports that nobody signs."""

from __future__ import annotations

from datetime import datetime

from functions.domain.delivery import DeliveryStatus, Receipt
from functions.domain.phone import PhoneNumber
from functions.providers.report_fields import ended, sane

_CALLING_CODE = 86

_BLOCKED = frozenset({"MOBILE_IN_BLACK", "isv.BLACK_KEY_CONTROL_LIMIT", "isv.CUSTOMER_REFUSED"})
"""Aliyun's lists of who wants no messages. What the carriers say has other words in every province."""


def is_chinese(number: PhoneNumber) -> bool:
    """Of the mainland: Hong Kong, Macau and Taiwan have calling codes of their own, and count as abroad."""
    return number.country_code == _CALLING_CODE


def final_receipt(
    provider: str, reference: str, *, delivered: bool, reason: str | None, at: str | None, now: int
) -> Receipt:
    """Of a report that says how a message ended. `at` is their local time, such as 2024-01-01 08:00:05."""
    status, word = ended(DeliveryStatus.DELIVERED if delivered else DeliveryStatus.FAILED, reason, _BLOCKED)
    return Receipt(provider=provider, reference=reference, status=status, reason=word, at=_seconds(at, now))


def _seconds(text: str | None, now: int) -> int:
    """What is no time, or one that has not come yet, is now."""
    try:
        return sane(int(datetime.strptime(f"{text} +0800", "%Y-%m-%d %H:%M:%S %z").timestamp()), now)
    except ValueError:
        return now
