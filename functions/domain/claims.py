"""Who has a message in hand: the steps that hand it over, once, and once more where that is wanted.

A start claims its message by itself (sending.py). Each step here is the one write before a provider is asked; of many
workers that try it one wins, and to the others it is a Conflict.
"""

from __future__ import annotations

from dataclasses import replace

from functions.domain.delivery import Delivery, DeliveryStatus
from functions.domain.errors import Conflict
from functions.domain.verification import Record, State

CLAIM_LEASE = 60
"""Seconds after which a claimed send belongs to nobody alive: longer than a sender's invocation (15 s), shorter than
the queue's visibility time-out (90 s). A redelivery comes late enough to tell, an immediate duplicate does not."""

_WITHOUT_GOOD_NEWS = frozenset(
    {DeliveryStatus.SUBMITTED, DeliveryStatus.UNKNOWN, DeliveryStatus.SENT, DeliveryStatus.FAILED}
)
"""Handed over, and not known to have arrived."""


def take_from_queue(record: Record, request: str, now: int, provider: str) -> Record:
    """The sender's claim on a send that waits in the queue. Raises Conflict where it does not wait (any more)."""
    live = record.verification
    waits = live.delivery.request == request and live.delivery.status is DeliveryStatus.QUEUED
    if not waits or live.state(now) is not State.PENDING:
        raise Conflict("this send is claimed already, or its verification is over")
    taken = replace(live.delivery, status=DeliveryStatus.SUBMITTED, at=now, provider=provider)
    return replace(record, rev=record.rev + 1, verification=replace(live, delivery=taken))


def outcome_is_unknown(delivery: Delivery, now: int) -> bool:
    """Whether a send was claimed and nobody alive can tell how it went."""
    if delivery.status is DeliveryStatus.SUBMITTED:
        return now - delivery.at >= CLAIM_LEASE
    return delivery.status is DeliveryStatus.UNKNOWN


def retry_unknown(record: Record, request: str, now: int, provider: str) -> Record:
    """The one more send that a service with `on_unknown = "once"` wants. Raises Conflict where that was had."""
    live = record.verification
    untold = live.delivery.request == request and outcome_is_unknown(live.delivery, now)
    if not untold or live.delivery.tries > 1 or live.state(now) is not State.PENDING:
        raise Conflict("this send is claimed already, or its verification is over")
    return _hand_over_again(record, now, provider)


def pass_on(record: Record, request: str, now: int, provider: str) -> Record:
    """The claim goes over to another provider, after the first one's outcome that nobody knows.

    Raises Conflict where a receipt or somebody else was quicker: then more is known.
    """
    live = record.verification
    ours = live.delivery.request == request and live.delivery.status is DeliveryStatus.SUBMITTED
    if not ours or live.delivery.tries > 1 or live.state(now) is not State.PENDING:
        raise Conflict("this message is known of, was sent again, or its verification is over")
    return _hand_over_again(record, now, provider)


def awaits_receipt(record: Record, send: int, now: int) -> bool:
    """Whether this is the latest message, handed over once, and neither its phone nor its person has told of it."""
    live = record.verification
    open_still = live.state(now) is State.PENDING and live.delivery.status in _WITHOUT_GOOD_NEWS
    return open_still and live.delivery.send == send and live.delivery.tries == 1


def send_unconfirmed(record: Record, send: int, now: int, provider: str) -> Record:
    """The one more send of a message that no receipt came for. Raises Conflict where that was had, or is not needed."""
    if not awaits_receipt(record, send, now):
        raise Conflict("this message arrived, was sent again, or its verification is over")
    return _hand_over_again(record, now, provider)


def take_back(record: Record, claimed: Delivery, before: Delivery) -> Record | None:
    """The delivery as it was before a claim that no message came of. None where meanwhile more is known."""
    live = record.verification
    if live.delivery != claimed:
        return None
    return replace(record, rev=record.rev + 1, verification=replace(live, delivery=before))


def _hand_over_again(record: Record, now: int, provider: str) -> Record:
    live = record.verification
    again = replace(
        live.delivery,
        status=DeliveryStatus.SUBMITTED,
        at=now,
        provider=provider,
        reason=None,
        message_id=None,
        tries=live.delivery.tries + 1,
    )
    return replace(record, rev=record.rev + 1, verification=replace(live, delivery=again))
