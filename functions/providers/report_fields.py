"""What a report's fields become, whoever sent it: an error's name, and a moment."""

from __future__ import annotations

import re
from collections.abc import Container
from datetime import UTC, datetime

from functions.domain.delivery import DeliveryStatus

_NOT_IN_A_WORD = re.compile(r"[^A-Za-z0-9_:.-]")
_LONGEST_WORD = 32


def word(told: str | None) -> str | None:
    """A failure's reason, with nothing in it that a log or a page could take for more than a name."""
    return _NOT_IN_A_WORD.sub("", told or "")[:_LONGEST_WORD] or None


def ended(
    status: DeliveryStatus, told: str | None, blocked: Container[str | None]
) -> tuple[DeliveryStatus, str | None]:
    """Status and reason of a receipt. `blocked`: the reasons that stand for an opt-out, spam or fraud.

    Such a message is not only failed: no other provider may be asked to carry it, as after the same answer to a send.
    """
    if status is not DeliveryStatus.FAILED:
        return status, None
    reason = word(told)
    return DeliveryStatus.REJECTED if reason in blocked else status, reason


def moment(told: str | None, now: int) -> int:
    """Seconds since 1970 of a time as ISO 8601 writes it, in UTC where it names no zone.

    What is no time, or one that has not come yet, is now.
    """
    try:
        at = datetime.fromisoformat(told or "")
        return sane(int(at.replace(tzinfo=at.tzinfo or UTC).timestamp()), now)
    except (ValueError, OverflowError):
        return now


def sane(at: int, now: int) -> int:
    return at if 0 <= at <= now else now
