"""A deployed stack's table and keys, as the commands about the guard use them.

They read the whole table where they look for more than one item: functions never do, and may not. It costs half a read
unit for 4 kB, so 3 cents for a gigabyte.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from functions.domain.guard.attempt import Pseudonym
from functions.domain.identity import pseudonym
from functions.domain.keys import Keyring
from functions.stores.dynamodb import Item
from functions.stores.secrets_manager import parse_keyring
from infra.aws import Aws
from infra.deployed import find
from infra.stored_secret import read_secret

_SEGMENTS = 4
"""Of the table, read at the same time."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Deployment:
    aws: Aws
    dynamodb: Any
    """A client."""
    table: str
    keys: Keyring = field(repr=False)
    now: int

    @property
    def pseudonym(self) -> Pseudonym:
        return partial(pseudonym, self.keys)

    async def get(self, pk: str) -> Item | None:
        answer = await self.dynamodb.get_item(TableName=self.table, Key={"pk": {"S": pk}}, ConsistentRead=True)
        item: Item | None = answer.get("Item")
        return item

    async def scan(self, *prefixes: str) -> list[Item]:
        """All items whose keys begin so, in no order."""
        found = await asyncio.gather(*(self._segment(n, prefixes) for n in range(_SEGMENTS)))
        return [item for items in found for item in items]

    async def _segment(self, segment: int, prefixes: Sequence[str]) -> list[Item]:
        pages = self.dynamodb.get_paginator("scan").paginate(
            TableName=self.table,
            Segment=segment,
            TotalSegments=_SEGMENTS,
            FilterExpression=" OR ".join(f"begins_with(pk, :p{n})" for n, _ in enumerate(prefixes)),
            ExpressionAttributeValues={f":p{n}": {"S": prefix} for n, prefix in enumerate(prefixes)},
        )
        return [item async for page in pages for item in page["Items"]]


@asynccontextmanager
async def opened(aws: Aws, stack: str) -> AsyncIterator[Deployment]:
    """Raises NotDeployed, KeysUnavailable, and AWS's errors."""
    deployed = await find(aws, stack)
    name = deployed.output("KeysSecretName")
    now = int(time.time())  # noqa: TID251 - the functions go by everybody's time too
    async with aws.client("secretsmanager") as secretsmanager:
        keys = parse_keyring(await read_secret(secretsmanager, name), name, now=now)
    async with aws.client("dynamodb") as dynamodb:
        yield Deployment(aws=aws, dynamodb=dynamodb, table=deployed.output("TableName"), keys=keys, now=now)
