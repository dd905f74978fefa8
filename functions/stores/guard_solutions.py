"""Solutions of challenges that were used: an item each, `h#<its name>`, with the request that used it."""

from __future__ import annotations

from functions.domain.part import part
from functions.stores.dynamodb import ConditionFailed, Item, Table

_FREE_OR_OURS = "attribute_not_exists(#pk) OR #request = :request"


@part
class DynamoSolutions:
    table: Table

    async def take(self, name: str, request: str, *, until: int) -> bool:
        item: Item = {"pk": {"S": f"h#{name}"}, "ttl": {"N": str(until)}, "request": {"S": request}}
        try:
            await self.table.put(item, only_if=_FREE_OR_OURS, values={":request": {"S": request}})
        except ConditionFailed:
            return False
        return True
