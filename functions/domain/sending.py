"""The steps of sending: start, resend, give back, settle, receipt. Each takes a record to the next.

Who has a message in hand meanwhile is told by claims.py.
"""

from __future__ import annotations

from dataclasses import replace

from functions.domain.code import same_digest
from functions.domain.delivery import Delivery, DeliveryStatus, Receipt, SendResult, supersedes
from functions.domain.errors import RateLimited
from functions.domain.frozen import frozen
from functions.domain.identity import VerificationId
from functions.domain.service import REMEMBERED_SENDS, Service
from functions.domain.verification import Record, Sent, State, Verification
from functions.domain.wrong_guesses import attempts, settle_failures, used_up_until, vouched_until

_REPORTED = frozenset({DeliveryStatus.SENT, DeliveryStatus.DELIVERED, DeliveryStatus.FAILED, DeliveryStatus.REJECTED})
"""What a receipt can tell, and no answer takes back."""


@frozen(kw_only=True)
class Start:
    """A wish to send a code, with everything that the rules may not make up themselves."""

    request: str
    new_id: VerificationId
    region: str
    block: str
    provider: str
    """Who is to be asked first."""
    queued: bool = False
    trusted: bool = False
    """The caller knows that the number's owner is signed in."""
    metadata: tuple[tuple[str, str], ...] = ()


@frozen(kw_only=True)
class Code:
    """The digest that a start would store."""

    digest: str
    own: bool
    generation: int
    binding: str | None = None
    """Its mark."""


def resends(record: Record | None, now: int) -> bool:
    """Whether a start now would send the live verification's code again."""
    return record is not None and record.verification.state(now) is State.PENDING


def first(start: Start, code: Code, service: Service, now: int) -> Record:
    """The record of a number that has none."""
    return Record(
        key=start.new_id.key,
        service=service.name,
        rev=1,
        verification=_new_verification(start, code, service, now, attempts(service)),
        sent=(Sent(now, start.request),),
        failures=0,
        failures_since=now,
        streak=0,
    )


def renew(record: Record, start: Start, code: Code, service: Service, now: int) -> Record:
    """A new verification for a number whose last one is over. Raises RateLimited.

    Where the index key has changed since, the history goes on under the number's new key, as a first revision.
    """
    settled = settle_failures(record, now)
    vouched = _vouched(settled, start, service, now, used_up_until(settled, service))
    _refuse_too_many_sends(settled, service, now)
    left = attempts(service, failures=settled.failures, streak=settled.streak, vouched=vouched)
    return replace(
        settled,
        key=start.new_id.key,
        rev=record.rev + 1 if record.key == start.new_id.key else 1,
        verification=_new_verification(start, code, service, now, left),
        sent=_remember(settled, start, now, vouched=vouched),
    )


def resend(record: Record, start: Start, code: Code, service: Service, now: int) -> Record:
    """The live verification once more: attempts and expiry stay, no code refills them. Raises RateLimited."""
    live = record.verification
    if live.sends >= service.max_sends:
        wait = next_send_at(record, service, now) - now
        raise RateLimited("this verification has been sent too often", retry_after=wait)
    vouched = _vouched(record, start, service, now, live.expires_at if record.vouched else None)
    _refuse_too_many_sends(record, service, now)
    again = replace(
        live,
        sends=live.sends + 1,
        own_code=code.own,
        generation=code.generation,
        binding=code.binding,
        metadata=start.metadata or live.metadata,
        delivery=_handed_over(start, live.sends + 1, now),
    )
    if not same_digest(code.digest, live.digest):
        # With the last guess left in place, a new code equal to it would count as approved.
        again = replace(again, digest=code.digest, last_mac=None, last_request=None)
    return replace(
        record,
        rev=record.rev + 1,
        verification=again,
        sent=_remember(record, start, now, vouched=vouched),
    )


def next_send_at(record: Record, service: Service, now: int) -> int:
    """The first second at which another SMS to this number is allowed."""
    times = [sent.at for sent in record.sent]
    earliest = [_cooled_down_at(times[-1], record, service, now)] if times else []
    earliest += [times[-limit.count] + limit.seconds for limit in service.limits if len(times) >= limit.count]
    if resends(record, now) and record.verification.sends >= service.max_sends:
        earliest.append(record.verification.expires_at)
    return max([now, *earliest])


def _cooled_down_at(latest: int, record: Record, service: Service, now: int) -> int:
    """Who asks for the same code again and again waits longer each time, and at most until the code is over.

    A new verification begins anew, so that nobody learns from the wait whether a number was known.
    """
    if not resends(record, now):
        return latest + service.cooldown
    grown = service.cooldown << (record.verification.sends - 1)
    wait = min(grown, max(service.cooldown, service.longest_cooldown))
    return min(latest + wait, max(latest + service.cooldown, record.verification.expires_at))


def release(record: Record, request: str, now: int, result: SendResult) -> Record | None:
    """Gives a claim back whose message was definitely not sent: the limits forget it, and so may the request try again.

    None where there is nothing to give back.
    """
    if not record.has_request(request, now):
        return None
    live = record.verification
    if live.delivery.request == request:
        unsent = replace(
            live.delivery, status=DeliveryStatus.NOT_SENT, at=now, provider=result.provider, reason=result.reason
        )
        # A code that never went out is not resent: a later start makes a new one, which lives its whole time.
        canceled = live.canceled or live.sends == 1
        live = replace(live, sends=live.sends - 1, canceled=canceled, delivery=unsent)
    return replace(
        record,
        rev=record.rev + 1,
        verification=live,
        sent=tuple(sent for sent in record.sent if sent.request != request),
    )


def settle(record: Record, request: str, now: int, result: SendResult, status: DeliveryStatus) -> Record | None:
    """Notes what became of the latest message; a refused number takes its verification with it.

    None if the latest message is another request's, or a receipt was faster than the gateway's own answer.
    """
    live = record.verification
    if live.delivery.request != request or live.delivery.status in _REPORTED:
        return None
    noted = replace(
        live.delivery,
        status=status,
        at=now,
        provider=result.provider,
        reason=result.reason,
        message_id=result.message_id if result.wants_feedback else None,
    )
    canceled = live.canceled or status is DeliveryStatus.REJECTED
    settled = replace(record, rev=record.rev + 1, verification=replace(live, delivery=noted, canceled=canceled))
    return _forget_request(settled, request) if status is DeliveryStatus.THROTTLED else settled


def _forget_request(record: Record, request: str) -> Record:
    """The send still counts, but its request may try again: it was told when."""
    sent = tuple(replace(each, request="-") if each.request == request else each for each in record.sent)
    return replace(record, sent=sent)


def receive(record: Record, receipt: Receipt, send: int) -> Record | None:
    """Moves the delivery forward by a receipt; None where it is old news or speaks of an earlier message."""
    live = record.verification
    if live.delivery.send != send or not supersedes(receipt.status, live.delivery.status):
        return None
    told = receipt.provider == live.delivery.provider or receipt.status is DeliveryStatus.DELIVERED
    if not told and not _may_name_another(live.delivery):
        return None  # of a provider that has the message no more: another one was asked since
    noted = replace(
        live.delivery, status=receipt.status, at=receipt.at, provider=receipt.provider, reason=receipt.reason
    )
    return replace(record, rev=record.rev + 1, verification=replace(live, delivery=noted))


def _may_name_another(delivery: Delivery) -> bool:
    """Whether another provider than the one named may have the message.

    Who took it after the first one's refusal is written down afterwards: its receipt can be faster, or all that is left
    to tell. A message that was handed over again was claimed for its second provider first.
    """
    return delivery.tries == 1 and delivery.status in {DeliveryStatus.SUBMITTED, DeliveryStatus.UNKNOWN}


def _new_verification(start: Start, code: Code, service: Service, now: int, max_attempts: int) -> Verification:
    return Verification(
        id=start.new_id,
        digest=code.digest,
        region=start.region,
        block=start.block,
        own_code=code.own,
        generation=code.generation,
        binding=code.binding,
        attempts=0,
        max_attempts=max_attempts,
        sends=1,
        created_at=now,
        expires_at=now + service.lifetime,
        delivery=_handed_over(start, 1, now),
        metadata=start.metadata,
    )


def _handed_over(start: Start, send: int, now: int) -> Delivery:
    if start.queued:
        return Delivery(status=DeliveryStatus.QUEUED, request=start.request, send=send, at=now)
    return Delivery(status=DeliveryStatus.SUBMITTED, request=start.request, send=send, at=now, provider=start.provider)


def _remember(record: Record, start: Start, now: int, *, vouched: bool) -> tuple[Sent, ...]:
    return (*record.sent, Sent(now, start.request, vouched))[-REMEMBERED_SENDS:]


def _vouched(record: Record, start: Start, service: Service, now: int, closed_until: int | None) -> bool:
    """Whether this code goes out by the caller's word alone: strangers have to wait until then. Raises RateLimited."""
    if closed_until is None:
        return False
    by_word = start.trusted and service.guard.trusted_day > 0
    until = vouched_until(record, service, now) if by_word else closed_until
    if until > now:
        wait = max(until, next_send_at(record, service, now)) - now
        raise RateLimited("too many wrong codes for this number", retry_after=wait)
    return True


def _refuse_too_many_sends(record: Record, service: Service, now: int) -> None:
    allowed_at = next_send_at(record, service, now)
    if allowed_at > now:
        raise RateLimited("this number was sent a code a moment ago", retry_after=allowed_at - now)
