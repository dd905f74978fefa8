"""Each number's codes of a day by all services, counted in one item.

The day is in the attribute's name: that makes the counter begin anew in the same write. Each write has a name of its
own, by which a repeat of it, after an answer that got lost, is known and counts nothing.
"""

from __future__ import annotations

from functions.domain.part import part
from functions.domain.verification import DAY
from functions.stores.dynamodb import ConditionFailed, Item, Table
from functions.usecases.ports import Entropy

_WRITE_NAME_BYTES = 9
_NOT_WRITTEN = "(attribute_not_exists(#write) OR #write <> :write)"


def number_pk(number: str) -> str:
    """`number` is a pseudonym."""
    return f"e#{number}"


@part
class DynamoCodesToNumbers:
    table: Table
    entropy: Entropy

    async def add(self, number: str, day: int, *, most: int | None) -> int | None:
        bound = "" if most is None else f" AND (attribute_not_exists(#d{day}) OR #d{day} < :most)"
        more: Item = {} if most is None else {":most": {"N": str(most)}}
        return await self._change(number, day, 1, bound, more)

    async def take_back(self, number: str, day: int) -> None:
        await self._change(number, day, -1, f" AND #d{day} > :none", {":none": {"N": "0"}})

    async def _change(self, number: str, day: int, by: int, bound: str, more: Item) -> int | None:
        """How many there are afterwards; None where the bound forbids it."""
        write = self.entropy(_WRITE_NAME_BYTES).hex()
        values: Item = {
            ":by": {"N": str(by)},
            ":write": {"S": write},
            ":ttl": {"N": str((day + 2) * DAY)},
        }
        change = f"SET #write = :write, #ttl = :ttl ADD #d{day} :by REMOVE #d{day - 1}"
        try:
            item = await self.table.update(
                number_pk(number), change, only_if=f"{_NOT_WRITTEN}{bound}", values=values | more
            )
        except ConditionFailed as refusal:
            if refusal.item is None or refusal.item["write"]["S"] != write:
                return None
            item = refusal.item
        return int(item[f"d{day}"]["N"])
