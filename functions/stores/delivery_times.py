"""How long messages take to arrive, by region: counters of a week each, one write unit a receipt."""

from __future__ import annotations

import asyncio
import logging
from collections import Counter, defaultdict
from dataclasses import dataclass, field, replace
from itertools import accumulate

from functions.stores.dynamodb import Item, Table
from functions.usecases.ports import Clock, StoreUnavailable

_log = logging.getLogger(__name__)

EDGES = (5, 10, 15, 20, 30, 45, 60, 90, 120, 180, 300, 600, 900)
"""Seconds: the upper ends of the buckets. The last takes the longer ones too: no code lives that long."""
FEWEST = 50
"""Messages that say something about the slowest twentieth: two or three of them are it."""
FRESH_FOR = 300
"""Seconds that an answer is used before the counters are read again. They are of weeks."""
PATIENCE = 1.0
"""Seconds. There is a configured time to fall back on."""

_WEEK = 604_800


@dataclass(slots=True)
class _Usual:
    seconds: int | None = None
    asked_at: int = -FRESH_FOR
    lock: asyncio.Lock = field(default_factory=asyncio.Lock)


@dataclass(slots=True)
class DynamoDeliveryTimes:
    table: Table
    clock: Clock
    patience: float = PATIENCE
    _known: defaultdict[str, _Usual] = field(default_factory=lambda: defaultdict(_Usual))

    def __post_init__(self) -> None:
        self.table = replace(self.table, patience=self.patience)

    async def learn(self, region: str, seconds: int) -> None:
        week = self.clock() // _WEEK
        values: Item = {":one": {"N": "1"}, ":ttl": {"N": str((week + 2) * _WEEK)}}
        try:
            await self.table.count(_pk(region, week), f"ADD #{_bucket(seconds)} :one SET #ttl = :ttl", values=values)
        except StoreUnavailable as error:
            _log.warning("a delivery's time is not learned from: %s", error)

    async def usual(self, region: str) -> int | None:
        known = self._known[region]
        if not self._is_fresh(known):
            async with known.lock:
                if not self._is_fresh(known):
                    await self._ask(region, known)
        return known.seconds

    def _is_fresh(self, known: _Usual) -> bool:
        return self.clock() - known.asked_at < FRESH_FOR

    async def _ask(self, region: str, known: _Usual) -> None:
        """Of this week and the one before, so that a week's first day knows something too."""
        week = self.clock() // _WEEK
        try:
            items = [await self.table.get(_pk(region, each), consistent=False) for each in (week - 1, week)]
        except StoreUnavailable as error:
            _log.warning("delivery times are not known anew: %s", error)
        else:
            known.seconds = _nineteen_of_twenty(sum(map(_counts, items), Counter()))
        known.asked_at = self.clock()


def _nineteen_of_twenty(counts: Counter[int]) -> int | None:
    """The end of the bucket in which the 95th percentile lies."""
    total = counts.total()
    if total < FEWEST:
        return None
    arrived = accumulate(counts[edge] for edge in EDGES)
    return next(edge for edge, so_far in zip(EDGES, arrived, strict=True) if so_far * 20 >= total * 19)


def _counts(item: Item | None) -> Counter[int]:
    return Counter({edge: int((item or {}).get(_name(edge), {"N": "0"})["N"]) for edge in EDGES})


def _bucket(seconds: int) -> str:
    return _name(next((edge for edge in EDGES if seconds <= edge), EDGES[-1]))


def _name(edge: int) -> str:
    return f"within_{edge}"


def _pk(region: str, week: int) -> str:
    return f"t#{region}#{week}"
