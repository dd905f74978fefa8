"""A DynamoDB table as the stores see it: conditional writes on one item, and the old item where a condition refuses.

Expressions name attributes as `#name` and nothing else (half of the good names are reserved words); the names' table is
made from the expression. Values are given in DynamoDB's own form, such as {"N": "1"}.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Sequence
from functools import lru_cache
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

from functions.domain.part import part
from functions.usecases.ports import StoreUnavailable

Item = dict[str, Any]
_NAME = re.compile(r"#(\w+)")


class ConditionFailed(Exception):
    """The condition does not hold. `item` is the one that refused it, None where there is none."""

    def __init__(self, item: Item | None) -> None:
        super().__init__("the condition does not hold")
        self.item = item


@part
class Table:
    """Every method raises StoreUnavailable where DynamoDB does not answer or refuses for load."""

    client: Any
    """An aiobotocore DynamoDB client."""
    name: str
    patience: float | None = None
    """Seconds for a call with all its tries, for what is worth no longer wait. None: as long as the client tries."""

    async def get(self, pk: str, *, consistent: bool = True) -> Item | None:
        """`consistent=False` costs half, and may be a second old."""
        answer = await self._call("get_item", Key={"pk": {"S": pk}}, ConsistentRead=consistent)
        item: Item | None = answer.get("Item")
        return item

    async def get_many(self, pks: Sequence[str]) -> list[Item]:
        """Those of at most 100 items that there are, in no order. They may be a second old."""
        keys = [{"pk": {"S": pk}} for pk in pks]
        answer = await self._request("batch_get_item", RequestItems={self.name: {"Keys": keys}})
        if answer.get("UnprocessedKeys"):
            raise StoreUnavailable("DynamoDB read only some of the items")
        found: list[Item] = answer["Responses"].get(self.name, [])
        return found

    async def put(self, item: Item, *, only_if: str, values: Item) -> None:
        """Raises ConditionFailed."""
        await self._write("put_item", only_if, values, Item=item)

    async def update(self, pk: str, change: str, *, only_if: str, values: Item) -> Item:
        """The item after the change. Raises ConditionFailed."""
        item: Item = (await self._update(pk, change, only_if, values, "ALL_NEW"))["Attributes"]
        return item

    async def supersede(self, pk: str, change: str, *, only_if: str, values: Item) -> Item | None:
        """As `update`, but gives the item as it was before, None where there was none."""
        item: Item | None = (await self._update(pk, change, only_if, values, "ALL_OLD")).get("Attributes")
        return item

    async def _update(self, pk: str, change: str, only_if: str, values: Item, returned: str) -> dict[str, Any]:
        return await self._write(
            "update_item",
            only_if,
            values,
            Key={"pk": {"S": pk}},
            UpdateExpression=change,
            ExpressionAttributeNames=_names(f"{change} {only_if}"),
            ReturnValues=returned,
        )

    async def count(self, pk: str, change: str, *, values: Item) -> None:
        """Makes the change whatever there is. It may be made twice, where an answer gets lost."""
        await self._call(
            "update_item",
            Key={"pk": {"S": pk}},
            UpdateExpression=change,
            ExpressionAttributeNames=_names(change),
            ExpressionAttributeValues=values,
        )

    async def delete(self, pk: str, *, only_if: str, values: Item) -> None:
        """Raises ConditionFailed."""
        await self._write("delete_item", only_if, values, Key={"pk": {"S": pk}})

    async def insert(self, items: Sequence[Item]) -> list[bool]:
        """Which of the items, at most 25 and of different keys, are new and were written; each stands for itself.

        One call for a tenth of the CPU that as many puts take. False can mean anything: put such an item by itself.
        """
        statements = [_insertion(self.name, item) for item in items]
        answer = await self._request("batch_execute_statement", Statements=statements)
        return ["Error" not in response for response in answer["Responses"]]

    async def _write(self, operation: str, only_if: str, values: Item, **request: Any) -> dict[str, Any]:
        request.setdefault("ExpressionAttributeNames", _names(only_if))
        try:
            return await self._call(
                operation,
                ConditionExpression=only_if,
                ExpressionAttributeValues=values,
                ReturnValuesOnConditionCheckFailure="ALL_OLD",
                **request,
            )
        except ClientError as error:
            raise ConditionFailed(error.response.get("Item")) from None

    async def _call(self, operation: str, **request: Any) -> dict[str, Any]:
        return await self._request(operation, TableName=self.name, **request)

    async def _request(self, operation: str, **request: Any) -> dict[str, Any]:
        try:
            async with asyncio.timeout(self.patience):
                answer: dict[str, Any] = await getattr(self.client, operation)(**request)
        except ClientError as error:
            code = error.response["Error"]["Code"]
            if code == "ConditionalCheckFailedException":
                raise
            raise StoreUnavailable(f"DynamoDB answered {code}") from error
        except BotoCoreError as error:
            raise StoreUnavailable(f"DynamoDB did not answer: {type(error).__name__}") from error
        except TimeoutError:
            raise StoreUnavailable(f"DynamoDB did not answer within {self.patience:g} s") from None
        return answer


def _insertion(table: str, item: Item) -> dict[str, Any]:
    fields = ",".join(f"'{name}':?" for name in item)
    return {"Statement": f'INSERT INTO "{table}" VALUE {{{fields}}}', "Parameters": list(item.values())}


@lru_cache
def _names(expression: str) -> dict[str, str]:
    return {f"#{name}": name for name in _NAME.findall(expression)}
