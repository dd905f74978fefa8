"""Batches in the same table, one item each: what a batch is, and sets of its items' indexes by what became of them.

    pk p#bat_…, total, services, caller, fingerprint, created_at, queued; sent {0, 1, 4}, refused_rate_limited {2},
    failed_unknown {3}, ids {"4 vfy_k1_…"}

A set takes an index twice without a change, so a write may be repeated, and a message delivered twice counts once.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from functions.domain.batch import Batch, Ending, Notes, Status
from functions.domain.part import part
from functions.stores.dynamodb import ConditionFailed, Item, Table
from functions.usecases.ports import Entropy, StoreUnavailable

KEPT = 7 * 86_400
"""Seconds that a batch can be asked for."""

PREFIX = "p#"

_WRITE_NAME_BYTES = 9

# What is noted of a batch that nobody began has no total: it stands in nobody's way, and is no batch.
_UNUSED = "attribute_not_exists(#total) OR #ttl <= :now"


@part
class DynamoBatchStore:
    table: Table
    entropy: Entropy

    async def begin(self, batch: Batch) -> Batch | None:
        write = self.entropy(_WRITE_NAME_BYTES).hex()
        item = {**_to_item(batch), "write": {"S": write}}
        try:
            await self.table.put(item, only_if=_UNUSED, values={":now": {"N": str(batch.created_at)}})
        except ConditionFailed as refusal:
            if refusal.item is None:
                raise StoreUnavailable("the batch went away between two writes") from None  # only its TTL can do that
            return None if refusal.item["write"]["S"] == write else _from_item(refusal.item)
        return None

    async def get(self, name: str) -> Batch | None:
        item = await self.table.get(_pk(name))
        return None if item is None or "total" not in item else _from_item(item)

    async def finish(self, name: str, notes: Notes, *, now: int) -> None:
        await self._add(name, notes, now, also=", #queued = :yes", values={":yes": {"BOOL": True}})

    async def note(self, name: str, notes: Notes, *, now: int) -> None:
        await self._add(name, notes, now)

    async def _add(self, name: str, notes: Notes, now: int, *, also: str = "", values: Item | None = None) -> None:
        sets = _sets(notes.endings, notes.ids)
        added = ", ".join(f"#{attribute} :{attribute}" for attribute in sets)
        change = f"SET #ttl = if_not_exists(#ttl, :ttl){also}{' ADD ' if sets else ''}{added}"
        noted: Item = {f":{attribute}": members for attribute, members in sets.items()}
        await self.table.count(_pk(name), change, values={**noted, **(values or {}), ":ttl": {"N": str(now + KEPT)}})


def _pk(name: str) -> str:
    return f"{PREFIX}{name}"


def _to_item(batch: Batch) -> Item:
    return {
        "pk": {"S": _pk(batch.name)},
        "ttl": {"N": str(batch.created_at + KEPT)},
        "total": {"N": str(batch.total)},
        "services": {"SS": sorted(batch.services)},
        "caller": {"S": batch.caller},
        "fingerprint": {"S": batch.fingerprint},
        "created_at": {"N": str(batch.created_at)},
        "queued": {"BOOL": batch.queued},
        **_sets(batch.endings, batch.ids),
    }


def _from_item(item: Item) -> Batch:
    return Batch(
        name=item["pk"]["S"].removeprefix(PREFIX),
        caller=item["caller"]["S"],
        services=frozenset(item["services"]["SS"]),
        fingerprint=item["fingerprint"]["S"],
        total=int(item["total"]["N"]),
        created_at=int(item["created_at"]["N"]),
        queued=item["queued"]["BOOL"],
        endings={
            ending: frozenset(int(place) for place in members["NS"])
            for attribute, members in item.items()
            if (ending := _ending(attribute)) is not None
        },
        ids=dict(_numbered(text) for text in sorted(item.get("ids", {"SS": []})["SS"])),
    )


def _sets(endings: Mapping[Ending, Iterable[int]], ids: Mapping[int, str]) -> Item:
    """Without empty ones, which DynamoDB does not know."""
    found: Item = {
        _attribute(ending): {"NS": [str(place) for place in sorted(places)]}
        for ending, places in endings.items()
        if places
    }
    return found | ({"ids": {"SS": [f"{place} {text}" for place, text in ids.items()]}} if ids else {})


def _attribute(ending: Ending) -> str:
    return ending.status if ending.code is None else f"{ending.status}_{ending.code}"


def _ending(attribute: str) -> Ending | None:
    status, _, code = attribute.partition("_")
    return Ending(Status(status), code or None) if status in set(Status) else None


def _numbered(text: str) -> tuple[int, str]:
    place, _, verification = text.partition(" ")
    return int(place), verification
