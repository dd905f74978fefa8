"""How many wrong guesses a number may take, whatever is sent to it: no resend and no new verification refills them.

Strangers have so many in a day and so many in a row. Who uses them up shuts out the number's owner too; so a caller who
knows that the owner is signed in may have codes sent all the same, a few a day. Their guesses count as well: together
they end at twice as many in a row as strangers have.
"""

from __future__ import annotations

from dataclasses import replace

from functions.domain.service import Service
from functions.domain.verification import DAY, Record


def settle_failures(record: Record, now: int) -> Record:
    """The history as a new verification finds it: a success ends the streak, after a day the count begins anew."""
    failures, since, streak = record.failures, record.failures_since, record.streak
    if record.verification.approved:
        failures, streak = failures - 1, 0
    if failures <= 0 or since + DAY <= now:
        failures, since = 0, now
    if record.forget_at <= now:
        streak = 0
    return replace(record, failures=failures, failures_since=since, streak=streak)


def used_up_until(record: Record, service: Service) -> int | None:
    """When a number whose wrong guesses are used up may have codes again. None: there are some left."""
    if record.streak >= service.failures_in_a_row:
        return record.forget_at  # no day ends a streak, and no code is sent any more that could
    if record.failures >= service.failures_per_day:
        return record.failures_since + DAY
    return None


def vouched_until(record: Record, service: Service, now: int) -> int:
    """When the caller's word brings the next code to a number whose wrong guesses are used up; `now`: at once."""
    if record.streak >= _most_in_a_row(service):
        return record.forget_at
    most = service.guard.trusted_day
    given = [sent.at for sent in record.sent if sent.vouched]
    return given[-most] + DAY if len(given) >= most else now


def attempts(service: Service, *, failures: int = 0, streak: int = 0, vouched: bool = False) -> int:
    """Of a new verification: no more than the day and the row have left, so that the last one runs over neither."""
    if vouched:
        return min(service.max_attempts, _most_in_a_row(service) - streak)
    return min(service.max_attempts, service.failures_per_day - failures, service.failures_in_a_row - streak)


def _most_in_a_row(service: Service) -> int:
    """Strangers can't use up what is left beyond their own."""
    return 2 * service.failures_in_a_row
