"""A record as a DynamoDB item, and back. Everything stays under 1 kB, so that a write is one write unit."""

from __future__ import annotations

from functions.domain.delivery import Delivery, DeliveryStatus
from functions.domain.identity import parse_id
from functions.domain.verification import Record, Sent, Verification
from functions.stores.dynamodb import Item

_VOUCHED, _OTHERS = "!", " "
_OPTIONAL = ("last_mac", "last_request", "binding", "metadata")
_NULL: Item = {"NULL": True}


def record_pk(key: str) -> str:
    return f"v#{key}"


def to_item(record: Record, *, write: str) -> Item:
    """`write` names this very write, so that it can be recognised when its answer got lost."""
    live = record.verification
    item: Item = {
        "pk": {"S": record_pk(record.key)},
        "ttl": _number(record.forget_at),
        "write": {"S": write},
        "service": {"S": record.service},
        "rev": _number(record.rev),
        "sent": {"L": [{"S": _from_sent(sent)} for sent in record.sent]},
        "failures": _number(record.failures),
        "since": _number(record.failures_since),
        "streak": _number(record.streak),
        "id": {"S": str(live.id)},
        "digest": {"S": live.digest},
        "region": {"S": live.region},
        "block": {"S": live.block},
        "own_code": {"BOOL": live.own_code},
        "generation": _number(live.generation),
        "attempts": _number(live.attempts),
        "max_attempts": _number(live.max_attempts),
        "sends": _number(live.sends),
        "created_at": _number(live.created_at),
        "expires_at": _number(live.expires_at),
        "canceled": {"BOOL": live.canceled},
        "delivery": {"M": _from_delivery(live.delivery)},
    }
    if live.last_mac is not None and live.last_request is not None:
        item |= {"last_mac": {"S": live.last_mac}, "last_request": {"S": live.last_request}}
    if live.binding is not None:
        item["binding"] = {"S": live.binding}
    if live.metadata:
        item["metadata"] = {"M": {name: {"S": value} for name, value in live.metadata}}
    return item


def with_nothing_left(item: Item) -> Item:
    """The item with a NULL for each attribute that it could have: written over another, nothing of that one is left."""
    return {**dict.fromkeys(_OPTIONAL, _NULL), **item}


def from_item(item: Item) -> Record:
    return Record(
        key=item["pk"]["S"].removeprefix("v#"),
        service=item["service"]["S"],
        rev=_int(item["rev"]),
        verification=_to_verification(item),
        sent=tuple(_to_sent(entry["S"]) for entry in item["sent"]["L"]),
        failures=_int(item["failures"]),
        failures_since=_int(item["since"]),
        streak=_int(item["streak"]),
    )


def _to_verification(item: Item) -> Verification:
    return Verification(
        id=parse_id(item["id"]["S"]),
        digest=item["digest"]["S"],
        region=item["region"]["S"],
        block=item["block"]["S"],
        own_code=item["own_code"]["BOOL"],
        generation=_int(item["generation"]),
        binding=_text(item.get("binding")),
        attempts=_int(item["attempts"]),
        max_attempts=_int(item["max_attempts"]),
        sends=_int(item["sends"]),
        created_at=_int(item["created_at"]),
        expires_at=_int(item["expires_at"]),
        canceled=item["canceled"]["BOOL"],
        last_mac=_text(item.get("last_mac")),
        last_request=_text(item.get("last_request")),
        delivery=_to_delivery(item["delivery"]["M"]),
        metadata=tuple(sorted((name, value["S"]) for name, value in item.get("metadata", {}).get("M", {}).items())),
    )


def _from_delivery(delivery: Delivery) -> Item:
    item: Item = {
        "status": {"S": delivery.status.value},
        "request": {"S": delivery.request},
        "send": _number(delivery.send),
        "at": _number(delivery.at),
        "tries": _number(delivery.tries),
    }
    if delivery.provider is not None:
        item["provider"] = {"S": delivery.provider}
    if delivery.reason is not None:
        item["reason"] = {"S": delivery.reason}
    if delivery.message_id is not None:
        item["message_id"] = {"S": delivery.message_id}
    return item


def _to_delivery(item: Item) -> Delivery:
    return Delivery(
        status=DeliveryStatus(item["status"]["S"]),
        request=item["request"]["S"],
        send=_int(item["send"]),
        at=_int(item["at"]),
        provider=_text(item.get("provider")),
        reason=_text(item.get("reason")),
        message_id=_text(item.get("message_id")),
        tries=_int(item["tries"]),
    )


def _from_sent(sent: Sent) -> str:
    """The sign between tells a vouched one, and costs no byte."""
    return f"{sent.at}{_VOUCHED if sent.vouched else _OTHERS}{sent.request}"


def _to_sent(entry: str) -> Sent:
    vouched = _VOUCHED in entry
    at, request = entry.split(_VOUCHED if vouched else _OTHERS)
    return Sent(int(at), request, vouched)


def _number(value: int) -> dict[str, str]:
    return {"N": str(value)}


def _int(value: dict[str, str]) -> int:
    return int(value["N"])


def _text(value: dict[str, str] | None) -> str | None:
    return None if value is None else value.get("S")
