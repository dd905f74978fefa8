"""A DynamoDB table as the stores see it: conditional writes on one item, and the old item where a condition refuses.

Expressions name attributes as `#name` and nothing else (half of the good names are reserved words); the names' table is
made from the expression. Values are given in DynamoDB's own form, such as {"N": "1"}.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

from functions.domain.frozen import frozen
from functions.domain.part import part
from functions.stores.partiql import insertion, replacement
from functions.usecases.ports import StoreUnavailable

Item = dict[str, Any]
DUPLICATE = "DuplicateItem"
"""Why an insert did not write."""
MOST_KEYS = 100
MOST_STATEMENTS = 25
"""DynamoDB's limits for a call."""

_NAME = re.compile(r"#(\w+)")


class ConditionFailed(Exception):
    """The condition does not hold. `item` is the one that refused it, None where there is none."""

    def __init__(self, item: Item | None) -> None:
        super().__init__("the condition does not hold")
        self.item = item


@frozen()
class Update:
    """A conditional change of one item."""

    pk: str
    change: str
    only_if: str
    values: Item


@frozen()
class Exchange:
    """A write of these attributes, over the item whose attribute `unchanged` is as it was `before`; None: there was no
    item, and this is the new one. What is absent there says nothing: other attributes stay.
    """

    item: Item
    unchanged: str
    before: Mapping[str, Any] | None


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

    async def get_many(self, pks: Sequence[str], *, consistent: bool = False) -> list[Item]:
        """Those of at most 100 items that there are, in no order. `consistent=False` costs half, and may be old."""
        keys = [{"pk": {"S": pk}} for pk in pks]
        request = {"Keys": keys, "ConsistentRead": True} if consistent else {"Keys": keys}
        answer = await self._request("batch_get_item", RequestItems={self.name: request})
        if answer.get("UnprocessedKeys"):
            raise StoreUnavailable("DynamoDB read only some of the items")
        found: list[Item] = answer["Responses"].get(self.name, [])
        return found

    async def put(self, item: Item, *, only_if: str, values: Item) -> None:
        """Raises ConditionFailed."""
        await self._write("put_item", only_if, values, Item=item)

    async def update(self, pk: str, change: str, *, only_if: str, values: Item) -> Item:
        """The item after the change. Raises ConditionFailed."""
        item: Item = (await self._update(Update(pk, change, only_if, values), "ALL_NEW"))["Attributes"]
        return item

    async def supersede(self, update: Update) -> Item | None:
        """As `update`, but gives the item as it was before, None where there was none."""
        item: Item | None = (await self._update(update, "ALL_OLD")).get("Attributes")
        return item

    async def _update(self, update: Update, returned: str) -> dict[str, Any]:
        return await self._write(
            "update_item",
            update.only_if,
            update.values,
            Key={"pk": {"S": update.pk}},
            UpdateExpression=update.change,
            ExpressionAttributeNames=_names(f"{update.change} {update.only_if}"),
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

    async def insert(self, items: Sequence[Item]) -> list[str | None]:
        """Writes those of at most 25 items, of different keys, that are new; each stands for itself.

        One call for a tenth of the CPU that as many puts take. For each None, or the code of why it was not written:
        DUPLICATE where there is one. Any other can mean anything: put such an item by itself.
        """
        return await self._execute([insertion(self.name, item) for item in items])

    async def exchange(self, exchanges: Sequence[Exchange]) -> list[bool]:
        """Which of at most 25, of different keys, were made; each stands for itself. False can mean anything."""
        return [code is None for code in await self._execute([self._statement(each) for each in exchanges])]

    def _statement(self, exchange: Exchange) -> dict[str, Any]:
        if exchange.before is None:
            return insertion(self.name, exchange.item)
        return replacement(self.name, exchange.item, unchanged=exchange.unchanged, before=exchange.before)

    async def _execute(self, statements: Sequence[Mapping[str, Any]]) -> list[str | None]:
        answer = await self._request("batch_execute_statement", Statements=statements)
        return [response["Error"]["Code"] if "Error" in response else None for response in answer["Responses"]]

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


@lru_cache
def _names(expression: str) -> dict[str, str]:
    return {f"#{name}": name for name in _NAME.findall(expression)}
