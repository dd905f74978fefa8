"""What DynamoDB says of transactions: those that are under way, and those that came to nothing."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import pytest
from botocore.exceptions import ClientError

from functions.stores.dynamodb import Table, Update
from functions.usecases.ports import StoreUnavailable

UPDATES = [Update(f"b#{n}", "ADD #u :one", "attribute_not_exists(#u)", {":one": {"N": "1"}}) for n in range(3)]


@dataclass
class Client:
    """Answers with these, one after the other, and then that all is well."""

    errors: list[ClientError]
    asked: list[str] = field(default_factory=list)

    def __getattr__(self, operation: str) -> Any:
        async def call(**request: Any) -> dict[str, Any]:
            self.asked.append(operation)
            if self.errors:
                raise self.errors.pop(0)
            return {"Attributes": {}}

        return call


def error(code: str, **more: Any) -> ClientError:
    said: Any = {"Error": {"Code": code, "Message": "as said"}, **more}
    return ClientError(said, "operation")


def table(*errors: ClientError) -> Table:
    return Table(Client(list(errors)), "table")


async def test_a_transaction_that_was_made_says_nothing_of_its_parts() -> None:
    assert await table().transact(UPDATES) == [None, None, None]


async def test_a_part_that_stood_in_the_way_is_told_by_its_code() -> None:
    reasons = [{"Code": "None"}, {"Code": "ConditionalCheckFailed"}, {"Code": "None"}]

    codes = await table(error("TransactionCanceledException", CancellationReasons=reasons)).transact(UPDATES)

    assert codes == [None, "ConditionalCheckFailed", None]


@pytest.mark.parametrize("reasons", [{}, {"CancellationReasons": []}, {"CancellationReasons": [{"Code": "None"}] * 3}])
async def test_one_that_came_to_nothing_without_a_reason_made_no_part(reasons: dict[str, Any]) -> None:
    codes = await table(error("TransactionCanceledException", **reasons)).transact(UPDATES)

    assert len(codes) == 3
    assert None not in codes


async def test_an_item_that_a_transaction_has_is_asked_for_again() -> None:
    conflict = error("TransactionConflictException")

    assert await table(conflict, conflict).update("b#1", "ADD #u :one", only_if="#u = :one", values={}) == {}


async def test_one_that_a_transaction_keeps_is_not_to_be_had() -> None:
    with pytest.raises(StoreUnavailable, match="TransactionConflictException"):
        await table(*[error("TransactionConflictException")] * 9).update(
            "b#1", "ADD #u :one", only_if="#u = :one", values={}
        )
