"""Each account's rate as one schedule that all sandboxes share: a message takes the next free place of it, and waits.

The item says from when on a place is free (the "theoretical arrival time" of the generic cell rate algorithm, with a
burst of one). DynamoDB knows no greatest of two, so there are two writes, of which one can succeed: an idle schedule
begins anew, a busy one goes on. No time that nobody used is saved up. Messages of a sandbox that ask in the same turn
of its loop take their places together, in one write.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import replace

from functions.stores.dynamodb import ConditionFailed, Item, Table
from functions.together import Together
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
_MOST_TOGETHER = 1_000
"""As many as a sandbox sends side by side."""

_IDLE = "SET #free_from = :now_and_all, #ttl = :ttl", "attribute_not_exists(#free_from) OR #free_from <= :now"
_BUSY = "SET #free_from = #free_from + :all, #ttl = :ttl", "#free_from > :now AND #free_from <= :latest"


class Schedule:
    """One item. Times are microseconds since 1970."""

    def __init__(self, table: Table, pk: str, rate: float, now: Callable[[], int]) -> None:
        self.free_from = 0
        """As this sandbox saw it last. It only ever grows: a place that would be too far away is not asked for."""
        self._table = table
        self._pk = pk
        self._one = math.ceil(_SECOND / rate)
        self._now = now
        self._places: Together[Hashable, int, int | None] = Together(self._take, _MOST_TOGETHER)

    async def place(self, most: int) -> int | None:
        """When the place begins that is now the caller's; None where none is free within `most`.

        Raises StoreUnavailable.
        """
        for _ in range(_TRIES):
            place = await self._places.ask(object(), self._now() + most)
            if place is None or place - self._now() >= -LATE:
                break
        return place

    async def _take(self, asked: Mapping[Hashable, int]) -> Mapping[Hashable, int | None]:
        """For each the latest that its place may begin. Who can wait the least goes first."""
        now, in_order = self._now(), sorted(asked, key=asked.__getitem__)
        while aboard := self._in_time(in_order, asked, max(self.free_from, now)):
            # As late as all of them still get theirs in time.
            latest = min(asked[each] - before * self._one for before, each in enumerate(aboard))
            begin = await self._reserve(len(aboard), now, latest)
            if begin is not None:
                return {**dict.fromkeys(asked), **{each: begin + n * self._one for n, each in enumerate(aboard)}}
        return dict.fromkeys(asked)

    def _in_time(self, in_order: Sequence[Hashable], asked: Mapping[Hashable, int], begin: int) -> list[Hashable]:
        """Those who would get a place in time, were one free from `begin` on."""
        aboard: list[Hashable] = []
        for each in in_order:
            if begin + len(aboard) * self._one <= asked[each]:
                aboard.append(each)
        return aboard

    async def _reserve(self, places: int, now: int, latest: int) -> int | None:
        """When the first of so many places begins that are now ours.

        None where it would have been after `latest`, or somebody was quicker: `free_from` is up to date again.
        """
        every = places * self._one
        values: Item = {":now": {"N": str(now)}, ":ttl": {"N": str((latest + every) // _SECOND + _KEPT)}}
        if self.free_from <= now:
            (change, only_if), more = _IDLE, {":now_and_all": {"N": str(now + every)}}
        else:
            (change, only_if), more = _BUSY, {":all": {"N": str(every)}, ":latest": {"N": str(latest)}}
        try:
            item = await self._table.update(self._pk, change, only_if=only_if, values=values | more)
        except ConditionFailed as refusal:
            self.free_from = _free_from(refusal.item)
            return None
        self.free_from = _free_from(item)
        return self.free_from - every


class DynamoRates:
    def __init__(
        self,
        table: Table,
        milliseconds: Callable[[], int],
        rates: Mapping[str, float],
        journal: Journal,
        patience: float = PATIENCE,
        *,
        lane: str = "",
    ) -> None:
        """`milliseconds` are those since 1970, of the wall clock: all sandboxes' must go alike.

        `rates` are messages a second, by provider. A `lane` has schedules of its own beside the accounts'.
        """
        table = replace(table, patience=patience)
        self._milliseconds = milliseconds
        self._journal = journal
        self._told_at = -1
        self._schedules = {name: Schedule(table, f"r#{name}{lane}", rate, self._now) for name, rate in rates.items()}

    async def wait(self, provider: str, *, most: float) -> float | None:
        schedule = self._schedules.get(provider)
        if schedule is None:
            return 0.0
        try:
            place = await schedule.place(int(most * _SECOND))
        except StoreUnavailable as error:
            self._tell(provider, error)
            return 0.0
        return None if place is None else max(place - self._now(), 0) / _SECOND

    def free_in(self, provider: str) -> float:
        schedule = self._schedules.get(provider)
        return 0.0 if schedule is None else max(schedule.free_from - self._now(), 0) / _SECOND

    def _now(self) -> int:
        return self._milliseconds() * 1_000

    def _tell(self, provider: str, error: StoreUnavailable) -> None:
        """Once a second, however many messages there are."""
        second = self._milliseconds() // 1_000
        if self._told_at != second:
            self._told_at = second
            self._journal("rate", provider=provider, outcome="not_known", reason=str(error))


def _free_from(item: Item | None) -> int:
    return 0 if item is None else int(item["free_from"]["N"])
