"""The same counters for many at once: what is counted in the same moment travels in one call.

Where many items come together (the blocks of a batch's numbers), they are read, and written over what was read, 25 in a
call: for a twentieth of the CPU and the same write units. What another sandbox writes at any time, a country's, is one
write of all its steps. Whoever does not surely have room, or comes too late, is counted by itself as ever, so a cap is
as exact as it is alone.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence

from functions.domain.guard.counting import Step
from functions.stores.dynamodb import MOST_KEYS
from functions.stores.guard_counters import DynamoCounters, Plan
from functions.stores.reads_together import Lately
from functions.together import Together, loads_of
from functions.usecases.guard_ports import Tally

FEWEST = 5
"""Items. Fewer are not worth being read first."""
_MOST_AT_ONCE = 10_000
"""More than there are in a batch."""


class CountersTogether:
    def __init__(self, counters: DynamoCounters, lately: Lately | None = None) -> None:
        """`lately` hears of what was read, which the conversion of the blocks is judged by next."""
        self.counters = counters
        self.lately = lately
        self._steps: Together[object, Step, Tally] = Together(self._count_all, _MOST_AT_ONCE)

    async def count(self, step: Step) -> Tally:
        return await self._steps.ask(object(), step)

    async def take_back(self, step: Step, *, newcomer: bool) -> None:
        await self.counters.take_back(step, newcomer=newcomer)

    async def convert(self, item: str, *, fewer: Mapping[str, int], more: Mapping[str, int]) -> None:
        await self.counters.convert(item, fewer=fewer, more=more)

    async def _count_all(self, steps: Mapping[object, Step]) -> Mapping[object, Tally]:
        keys: dict[str, list[object]] = {}
        for key, step in steps.items():
            keys.setdefault(step.item, []).append(key)
        plans = {item: self.counters.plan([steps[key] for key in of_item]) for item, of_item in keys.items()}
        counted = await self._carry_out(plans)
        return {key: tally for item, of_item in keys.items() for key, tally in zip(of_item, counted[item], strict=True)}

    async def _carry_out(self, plans: Mapping[str, Plan]) -> dict[str, Sequence[Tally]]:
        own = [item for item, plan in plans.items() if not plan.steps[0].shared]
        most = MOST_KEYS if len(own) >= FEWEST else 1
        loads = loads_of(own, most) + [[item] for item, plan in plans.items() if plan.steps[0].shared]
        told = await asyncio.gather(*(self._count({item: plans[item] for item in load}) for load in loads))
        return {item: tallies for of_load in told for item, tallies in of_load.items()}

    async def _count(self, plans: Mapping[str, Plan]) -> dict[str, Sequence[Tally]]:
        counted: dict[str, Sequence[Tally]] = {}
        if len(plans) > 1:
            found = await self.counters.items_of(plans)
            if self.lately is not None:
                self.lately.note(list(plans), found)
            counted.update(await self.counters.count_on_many(plans, found))
        left = [item for item in plans if item not in counted]
        return counted | dict(zip(left, await asyncio.gather(*(self._count_one(plans[n]) for n in left)), strict=True))

    async def _count_one(self, plan: Plan) -> Sequence[Tally]:
        if len(plan.steps) == 1:
            return [await self.counters.count_as(plan.write, plan.steps[0])]
        return await self.counters.count_on_one(plan.write, plan.steps) or await self._one_by_one(plan.steps)

    async def _one_by_one(self, steps: Sequence[Step]) -> list[Tally]:
        """A refusal that would be the next one's too is not asked for again."""
        tallies: list[Tally] = []
        for step in steps:
            last = tallies[-1] if tallies else None
            refused = last is not None and not last.counted and step.refused_by(last.before)
            tallies.append(last if last is not None and refused else await self.counters.count(step))
        return tallies
