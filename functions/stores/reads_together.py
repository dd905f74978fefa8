"""Reads for many at once: what is asked for in the same moment is one call, and what was read just now is known."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from functions.stores.dynamodb import MOST_KEYS, Item, Table
from functions.together import Together, loads_of
from functions.usecases.ports import Clock

_MOST_AT_ONCE = 10_000


@dataclass(slots=True)
class Lately:
    """Items that were read within this second or the one before, None for those that there are none of."""

    clock: Clock
    _since: int = 0
    _items: dict[str, Item | None] = field(default_factory=dict)

    def note(self, pks: Sequence[str], items: Mapping[str, Item]) -> None:
        self._forget()
        self._items.update({pk: items.get(pk) for pk in pks})

    def items(self) -> Mapping[str, Item | None]:
        self._forget()
        return self._items

    def _forget(self) -> None:
        now = self.clock()
        if abs(now - self._since) > 1:
            self._since, self._items = now, {}


class ReadsTogether:
    def __init__(self, table: Table, *, consistent: bool = False, lately: Lately | None = None) -> None:
        """`consistent=False` costs half, and may be a second old; so may what is known from `lately`."""
        self.table = table
        self.lately = lately
        self.consistent = consistent
        self._asked: Together[tuple[str, ...], None, Sequence[Item]] = Together(self._read_all, _MOST_AT_ONCE)

    async def items(self, pks: tuple[str, ...]) -> Sequence[Item]:
        """Those that there are. Raises StoreUnavailable."""
        known = {} if self.lately is None else self.lately.items()
        unknown = tuple([pk for pk in pks if pk not in known])
        read = await self._asked.ask(unknown, None) if unknown else ()
        return [*read, *[item for pk in pks if (item := known.get(pk)) is not None]]

    async def _read_all(self, asked: Mapping[tuple[str, ...], None]) -> Mapping[tuple[str, ...], Sequence[Item]]:
        pks = list(dict.fromkeys(pk for each in asked for pk in each))
        calls = [self.table.get_many(call, consistent=self.consistent) for call in loads_of(pks, MOST_KEYS)]
        found = {item["pk"]["S"]: item for items in await asyncio.gather(*calls) for item in items}
        return {each: [found[pk] for pk in each if pk in found] for each in asked}
