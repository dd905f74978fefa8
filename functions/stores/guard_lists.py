"""The operators' lists: one item with an attribute an entry, which each sandbox reads every few seconds.

One item, for most of what is asked is not on a list: a number, its block and its country would be three reads a start.
Functions read it. Operators write it (infra/guard), each an attribute of their own, so nobody writes over another.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from functions.domain.guard.lists import Effect, Entry, Kind, Listing, Subject
from functions.stores.dynamodb import Item, Table
from functions.together import Fetched

KEY = "l#lists"
FRESH_FOR = 5
"""Seconds that a listing is used: so long after it an operator's word is heard by every sandbox."""


@dataclass(slots=True)
class DynamoLists:
    table: Table
    _known: Mapping[Subject, Entry] = field(default_factory=dict)
    _read_at: int | None = None
    _fetched: Fetched = field(default_factory=Fetched)

    async def listing(self, at: int) -> Listing:
        if not self._is_fresh(at):
            await self._fetched.unless(lambda: self._is_fresh(at), lambda: self._read(at))
        return self._known

    async def _read(self, at: int) -> None:
        self._known = to_listing(await self.table.get(KEY, consistent=False))
        self._read_at = at

    def _is_fresh(self, at: int) -> bool:
        """Not for a clock that was set back either."""
        return self._read_at is not None and abs(at - self._read_at) < FRESH_FOR


def to_listing(item: Item | None) -> dict[Subject, Entry]:
    entries = ((parse_name(name), value) for name, value in (item or {}).items())
    return {subject: _to_entry(value["M"]) for subject, value in entries if subject is not None}


def attribute(subject: Subject) -> str:
    return f"{subject.kind.value}_{subject.name}"


def parse_name(name: str) -> Subject | None:
    """None for an attribute that is no entry, such as the item's key."""
    kind, sign, rest = name.partition("_")
    return Subject(Kind(kind), rest) if sign and kind in set(Kind) else None


def from_entry(entry: Entry) -> Item:
    until: Item = {} if entry.until is None else {"until": {"N": str(entry.until)}}
    said: Item = {
        "effect": {"S": entry.effect.value},
        "why": {"S": entry.why},
        "who": {"S": entry.who},
        "at": {"N": str(entry.at)},
        "label": {"S": entry.label},
    }
    return {"M": said | until}


def _to_entry(said: Item) -> Entry:
    return Entry(
        effect=Effect(said["effect"]["S"]),
        why=said["why"]["S"],
        who=said["who"]["S"],
        at=int(said["at"]["N"]),
        until=int(said["until"]["N"]) if "until" in said else None,
        label=said["label"]["S"],
    )
