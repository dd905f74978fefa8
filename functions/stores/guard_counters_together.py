"""The same counters for many at once: what is counted in the same moment travels in one call.

Steps of one item are one write of it: all of a country. Where many items come together, each with one step (the blocks
of a batch's numbers), they are one transaction: for a twentieth of the CPU, and twice the write units. Whoever does not
surely have room is counted by itself as ever, so a cap is as exact as it is alone.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence

from functions.domain.guard.counting import Step
from functions.stores.guard_counters import DynamoCounters
from functions.together import Together, carry_side_by_side, loads_of
from functions.usecases.guard_ports import Tally

MOST_IN_A_TRANSACTION = 100
"""DynamoDB's limit."""
FEWEST_IN_A_TRANSACTION = 25
"""Below that the CPU it saves is not worth its write units."""
_MOST_AT_ONCE = 10_000
"""More than there are in a batch."""


class CountersTogether:
    def __init__(self, counters: DynamoCounters) -> None:
        self.counters = counters
        self._steps: Together[object, Step, Tally] = Together(self._count_all, _MOST_AT_ONCE)

    async def count(self, step: Step) -> Tally:
        return await self._steps.ask(object(), step)

    async def take_back(self, step: Step, *, newcomer: bool) -> None:
        await self.counters.take_back(step, newcomer=newcomer)

    async def convert(self, item: str, *, fewer: Mapping[str, int], more: Mapping[str, int]) -> None:
        await self.counters.convert(item, fewer=fewer, more=more)

    async def _count_all(self, steps: Mapping[object, Step]) -> Mapping[object, Tally]:
        by_item: dict[str, list[object]] = {}
        for key, step in steps.items():
            by_item.setdefault(step.item, []).append(key)
        alone = [keys[0] for keys in by_item.values() if len(keys) == 1]
        most = 1 if len(alone) < FEWEST_IN_A_TRANSACTION else MOST_IN_A_TRANSACTION
        loads = [keys for keys in by_item.values() if len(keys) > 1] + loads_of(alone, most)
        return await carry_side_by_side(loads, lambda keys: self._count([steps[key] for key in keys]))

    async def _count(self, steps: Sequence[Step]) -> Sequence[Tally]:
        if len(steps) == 1:
            return [await self.counters.count(steps[0])]
        if steps[0].item == steps[1].item:
            return await self.counters.count_on_one(steps) or await self._one_by_one(steps)
        counted = await self.counters.count_apart(steps)
        left = [place for place, tally in enumerate(counted) if tally is None]
        alone = dict(zip(left, await asyncio.gather(*(self.counters.count(steps[n]) for n in left)), strict=True))
        return [tally or alone[place] for place, tally in enumerate(counted)]

    async def _one_by_one(self, steps: Sequence[Step]) -> list[Tally]:
        """A refusal that would be the next one's too is not asked for again."""
        tallies: list[Tally] = []
        for step in steps:
            last = tallies[-1] if tallies else None
            refused = last is not None and not last.counted and step.refused_by(last.before)
            tallies.append(last if last is not None and refused else await self.counters.count(step))
        return tallies
