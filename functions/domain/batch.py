"""A batch: its name, what its items are called, and what became of them, counted so that no repeat counts twice.

Whoever carries items out notes the index of each under what became of it. Sets of indexes take a note twice, and notes
in any order, to the same end.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from functions.domain.caller import Services, covers
from functions.domain.delivery import DeliveryStatus
from functions.domain.errors import DeliveryRejected, NotFound, RateLimited
from functions.domain.frozen import frozen
from functions.domain.identity import NONCE_BYTES, VerificationId, nonce_from, number_key, request_digest
from functions.domain.keys import Keyring, mac
from functions.domain.verification import Record

MOST_ITEMS = 1000
NAME_BYTES = 15
_NAME = re.compile(r"bat_[a-z2-7]{24}")


class Status(StrEnum):
    """Of an item that needs no more work. In this order: what stands in several has the first of them."""

    REFUSED = "refused"
    """By the rules or by the provider: nobody got an SMS of it."""
    FAILED = "failed"
    """Came to nothing, or nobody knows what it came to."""
    SENT = "sent"
    """A provider took it. How far it came from there, the verification tells."""


@frozen(order=True)
class Ending:
    status: Status
    code: str | None = None
    """Why, where it was not sent: an error's stable code."""


SENT = Ending(Status.SENT)
UNKNOWN = Ending(Status.FAILED, "unknown")
TOO_LATE = Ending(Status.FAILED, "too_late")

_BY_DELIVERY: Mapping[DeliveryStatus, Ending | None] = {
    DeliveryStatus.QUEUED: None,
    DeliveryStatus.NOT_SENT: None,
    DeliveryStatus.SUBMITTED: SENT,
    DeliveryStatus.SENT: SENT,
    DeliveryStatus.DELIVERED: SENT,
    DeliveryStatus.FAILED: SENT,  # on its way to the phone, of which a batch tells nothing
    DeliveryStatus.UNKNOWN: UNKNOWN,
    DeliveryStatus.REJECTED: Ending(Status.REFUSED, DeliveryRejected.code),
    DeliveryStatus.THROTTLED: Ending(Status.REFUSED, RateLimited.code),
}


@dataclass(slots=True)
class Notes:
    """What one invocation has to tell of a batch."""

    endings: dict[Ending, set[int]] = field(default_factory=dict)
    ids: dict[int, str] = field(default_factory=dict)
    """Of verifications that are others than those announced."""

    def add(self, place: int, ending: Ending, verification: str | None) -> None:
        """`verification` is None where it is the one that was announced, or there is none."""
        self.endings.setdefault(ending, set()).add(place)
        if verification is not None:
            self.ids[place] = verification


@frozen(kw_only=True)
class Batch:
    name: str
    caller: str
    services: frozenset[str]
    """Of its items."""
    fingerprint: str
    """Of the request that it came with."""
    total: int
    created_at: int
    queued: bool = False
    """All of it is on the queue, as far as the queue took it."""
    endings: Mapping[Ending, frozenset[int]] = field(default_factory=dict)
    ids: Mapping[int, str] = field(default_factory=dict)

    def is_for(self, services: Services) -> bool:
        return all(covers(services, service) for service in self.services)

    def settled(self) -> dict[int, Ending]:
        """By index, in its order: what became of each item of which something is known."""
        found: dict[int, Ending] = {}
        for ending in sorted(self.endings, key=_weight, reverse=True):
            found |= dict.fromkeys(self.endings[ending], ending)
        return dict(sorted(found.items()))


def _weight(ending: Ending) -> tuple[int, str]:
    return list(Status).index(ending.status), ending.code or ""


def name_from(entropy: bytes) -> str:
    """A batch's name from NAME_BYTES bytes."""
    return f"bat_{base64.b32encode(entropy).decode().lower()}"


def name_of(keys: Keyring, caller: str, idempotency_key: str) -> str:
    """The same request has the same batch."""
    return name_from(mac(keys.index, "batch", caller, idempotency_key)[:NAME_BYTES])


def parse_name(text: str) -> str:
    """Raises NotFound: a text that is no name is answered as a batch that does not exist."""
    if _NAME.fullmatch(text) is None:
        raise NotFound("there is no such batch")
    return text


def item_request(keys: Keyring, batch: str, index: int, *, caller: str, key: str | None) -> str:
    """An item with a key is the same request in every batch of its caller; one without is its place in this batch."""
    if key is not None:
        return request_digest(keys, "batch key", caller, key)
    return request_digest(keys, "batch item", batch, str(index))


def announced_id(keys: Keyring, service: str, e164: str, *, request: str, created_at: int) -> VerificationId:
    """The id that a queued item's verification will have, unless its number has a live one: told before it is stored.

    A repeat of the request within the batch's life comes to the same. Nobody can guess it who has no index key.
    """
    nonce = mac(keys.index, "announced", request, str(created_at))[:NONCE_BYTES]
    return VerificationId(keys.current, number_key(keys, service, e164), nonce_from(nonce))


def ending_of(status: DeliveryStatus) -> Ending | None:
    """What a send came to; None where it may still be carried out."""
    return _BY_DELIVERY[status]


def ending_in(record: Record, request: str) -> Ending | None:
    """What a request that the record remembers came to."""
    if record.verification.delivery.request != request:
        return SENT  # the number's next message was another request's, and this one's was not given back
    return ending_of(record.verification.delivery.status)
