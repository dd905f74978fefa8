"""Each account's rate as one schedule that all sandboxes share: a message takes the next free place of it, and waits.

The item says from when on a place is free (the "theoretical arrival time" of the generic cell rate algorithm, with a
burst of one). DynamoDB knows no greatest of two, so there are two writes, of which one can succeed: an idle schedule
begins anew, a busy one goes on. No time that nobody used is saved up.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace

from functions.stores.dynamodb import ConditionFailed, Item, Table
from functions.usecases.ports import Journal, StoreUnavailable

PATIENCE = 1.0
"""Seconds. The table answers within milliseconds; without it a message goes out, and the account's own limit holds."""
LATE = 50_000
"""Microseconds. A place that its message comes to later than this is given up for another: after a pause of the table,
all that had waited for it would go out at once. With clocks that are as far apart, a tenth of a second's messages at
most are added to a second, which is what accounts put up with."""

_SECOND = 1_000_000
_KEPT = 3_600
"""Seconds: longer than any schedule reaches ahead."""
_TRIES = 3
"""Places that one message may come late to. Where the table is always that slow, each place given up is missing to
others."""

_IDLE = "SET #free_from = :now_and_one, #ttl = :ttl", "attribute_not_exists(#free_from) OR #free_from <= :now"
_BUSY = "SET #free_from = #free_from + :one, #ttl = :ttl", "#free_from > :now AND #free_from <= :latest"


@dataclass(slots=True)
class DynamoRates:
    table: Table
    milliseconds: Callable[[], int]
    """Since 1970, of the wall clock: all sandboxes' must go alike."""
    rates: Mapping[str, float]
    """Messages a second, by provider."""
    journal: Journal
    patience: float = PATIENCE
    _free_from: dict[str, int] = field(default_factory=dict)
    """As this sandbox saw it last. It only ever grows: a place that would be too far away is not asked for."""
    _told_at: int = -1

    def __post_init__(self) -> None:
        self.table = replace(self.table, patience=self.patience)

    async def wait(self, provider: str, *, most: float) -> float | None:
        rate = self.rates.get(provider)
        if rate is None:
            return 0.0
        try:
            return await self._place(provider, math.ceil(_SECOND / rate), int(most * _SECOND))
        except StoreUnavailable as error:
            self._tell(provider, error)
            return 0.0

    async def _place(self, provider: str, one: int, most: int) -> float | None:
        for _ in range(_TRIES):
            place = await self._take(provider, one, self._now(), most)
            if place is None:
                return None
            ahead = place - self._now()
            if ahead >= -LATE:
                break
        return max(ahead, 0) / _SECOND

    async def _take(self, provider: str, one: int, now: int, most: int) -> int | None:
        """When the place begins that is now this message's, in microseconds since 1970; None beyond `now + most`."""
        latest, known = now + most, self._free_from.get(provider, 0)
        while known <= latest:
            values: Item = {":now": {"N": str(now)}, ":ttl": {"N": str(latest // _SECOND + _KEPT)}}
            if known <= now:
                (change, only_if), more = _IDLE, {":now_and_one": {"N": str(now + one)}}
            else:
                (change, only_if), more = _BUSY, {":one": {"N": str(one)}, ":latest": {"N": str(latest)}}
            try:
                item: Item | None = await self.table.update(
                    _pk(provider), change, only_if=only_if, values=values | more
                )
                taken = True
            except ConditionFailed as refusal:
                item, taken = refusal.item, False
            known = self._free_from[provider] = _free_from(item)
            if taken:
                return known - one
        return None

    def _now(self) -> int:
        return self.milliseconds() * 1_000

    def _tell(self, provider: str, error: StoreUnavailable) -> None:
        """Once a second, however many messages there are."""
        second = self.milliseconds() // 1_000
        if self._told_at != second:
            self._told_at = second
            self.journal("rate", provider=provider, outcome="not_known", reason=str(error))


def _pk(provider: str) -> str:
    return f"r#{provider}"


def _free_from(item: Item | None) -> int:
    return 0 if item is None else int(item["free_from"]["N"])
