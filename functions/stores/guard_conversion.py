"""Breakers of blocks and countries as items, and the counters that they are judged by, which other rules write.

A breaker's item is `k#` and the block's pseudonym or the region. It is replaced at each step, and with it the counts of
the sends that tried the place out, `t0`, `t1` and so on by the hour.
"""

from __future__ import annotations

from collections.abc import Sequence

from functions.domain.guard.conversion import SLICE, TRIALS, Breaker, Kind, Place, Slice
from functions.domain.part import part
from functions.stores.dynamodb import ConditionFailed, Item, Table
from functions.stores.reads_together import ReadsTogether
from functions.usecases.guards.countries import SHARDS

_HOUR = 3600
_KEPT = 86_400
"""Seconds for which a closed block or country stays half-open where nobody asks for it: then it is forgotten."""

_SAME = "#until = :until AND #times = :times"
_UNCHANGED = f"attribute_not_exists(#pk) OR ({_SAME})"


@part
class DynamoConversions:
    table: Table
    reads: ReadsTogether

    async def known(self, place: Place, now: int) -> tuple[Breaker, Sequence[Slice]]:
        hours = now // _HOUR, now // _HOUR - 1
        keys = {hour: _counted(place, hour) for hour in hours}
        found = await self.reads.items((_pk(place), *(key for each in keys.values() for key in each)))
        if not found:  # as of most blocks
            return Breaker(), []
        by_key = {item["pk"]["S"]: item for item in found}
        slices = [each for hour in hours for each in _slices(hour, [by_key[k] for k in keys[hour] if k in by_key])]
        return _breaker(by_key.get(_pk(place))), slices

    async def change(self, place: Place, before: Breaker, after: Breaker) -> Breaker | None:
        item: Item = {
            "pk": {"S": _pk(place)},
            "times": {"N": str(after.times)},
            "until": {"N": str(after.until)},
            "since": {"N": str(after.since)},
            "upper": {"N": f"{after.upper:.6f}"},
            "ttl": {"N": str(max(after.until, after.since) + _KEPT)},
        }
        try:
            await self.table.put(item, only_if=_UNCHANGED, values=_told(before))
        except ConditionFailed as refusal:
            return _breaker(refusal.item)
        return None

    async def take_trial(self, place: Place, breaker: Breaker, now: int) -> bool:
        count = f"#t{breaker.trial_hour(now)}"
        values: Item = {**_told(breaker), ":one": {"N": "1"}, ":most": {"N": str(TRIALS)}}
        only_if = f"{_SAME} AND (attribute_not_exists({count}) OR {count} < :most)"
        try:
            await self.table.update(_pk(place), f"ADD {count} :one", only_if=only_if, values=values)
        except ConditionFailed:
            return False
        return True

    async def give_trial_back(self, place: Place, breaker: Breaker, now: int) -> None:
        count = f"#t{breaker.trial_hour(now)}"
        values: Item = {**_told(breaker), ":less": {"N": "-1"}, ":none": {"N": "0"}}
        try:
            await self.table.update(
                _pk(place), f"ADD {count} :less", only_if=f"{_SAME} AND {count} > :none", values=values
            )
        except ConditionFailed:
            return  # somebody judged meanwhile, and the counts began anew


def _slices(hour: int, items: Sequence[Item]) -> list[Slice]:
    if not items:
        return []
    counts = [
        Slice(hour * _HOUR + n * SLICE, _sum(items, f"s{n}"), _sum(items, f"c{n}"))
        for n in reversed(range(_HOUR // SLICE))
    ]
    return [each for each in counts if each.sent or each.converted]


def _counted(place: Place, hour: int) -> list[str]:
    if place.kind is Kind.BLOCK:
        return [f"b#{place.key}#{hour}"]
    return [f"n#{place.key}#{hour}#{shard}" for shard in range(SHARDS)]


def _sum(items: Sequence[Item], name: str) -> int:
    return sum(int(item[name]["N"]) for item in items if name in item)


def _told(breaker: Breaker) -> Item:
    return {":until": {"N": str(breaker.until)}, ":times": {"N": str(breaker.times)}}


def _breaker(item: Item | None) -> Breaker:
    if item is None:
        return Breaker()
    return Breaker(
        times=int(item["times"]["N"]),
        until=int(item["until"]["N"]),
        since=int(item["since"]["N"]),
        upper=float(item["upper"]["N"]),
    )


def _pk(place: Place) -> str:
    return f"k#{place.key}"
