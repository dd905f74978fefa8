"""Reads for many at once: what is asked for in the same moment is one call."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence

from functions.stores.dynamodb import MOST_KEYS, Item, Table
from functions.together import Together, loads_of

_MOST_AT_ONCE = 10_000


class ReadsTogether:
    def __init__(self, table: Table, *, consistent: bool = False) -> None:
        """`consistent=False` costs half, and may be a second old."""
        self.table = table
        self.consistent = consistent
        self._asked: Together[tuple[str, ...], None, Sequence[Item]] = Together(self._read_all, _MOST_AT_ONCE)

    async def items(self, pks: tuple[str, ...]) -> Sequence[Item]:
        """Those that there are. Raises StoreUnavailable."""
        return await self._asked.ask(pks, None)

    async def _read_all(self, asked: Mapping[tuple[str, ...], None]) -> Mapping[tuple[str, ...], Sequence[Item]]:
        pks = list(dict.fromkeys(pk for each in asked for pk in each))
        calls = [self.table.get_many(call, consistent=self.consistent) for call in loads_of(pks, MOST_KEYS)]
        found = {item["pk"]["S"]: item for items in await asyncio.gather(*calls) for item in items}
        return {each: [found[pk] for pk in each if pk in found] for each in asked}
