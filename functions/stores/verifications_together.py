"""The same store for many at once: records that are put in the same moment travel in one call.

Most numbers of a batch have no record yet, and 25 inserts in one call take a tenth of the CPU of 25 puts, here and at
DynamoDB's end, for the same write units. Those that have one are read together, and their next steps written together.
Whatever is not simply written is put by itself as ever; so the results are those of the store underneath.
"""

from __future__ import annotations

from collections.abc import Mapping

from functions.domain.checking import Guess
from functions.domain.verification import Record
from functions.stores.dynamodb import DUPLICATE, MOST_STATEMENTS, Exchange, Item
from functions.stores.reads_together import ReadsTogether
from functions.stores.record_item import from_item, with_nothing_left
from functions.stores.verifications import DynamoVerificationStore
from functions.together import Together
from functions.usecases.ports import Counted, StoreUnavailable

_ALONE = "alone"


class VerificationsTogether:
    def __init__(self, store: DynamoVerificationStore) -> None:
        self.store = store
        self._inserts: Together[str, Item, str | None] = Together(self._insert_all, MOST_STATEMENTS)
        self._steps: Together[str, Item, bool] = Together(self._replace_all, MOST_STATEMENTS)
        self._reads = ReadsTogether(store.table, consistent=True)

    async def get(self, key: str) -> Record | None:
        return await self.store.get(key)

    async def count_guess(self, guess: Guess) -> Counted:
        return await self.store.count_guess(guess)

    async def put(self, record: Record, *, now: int) -> Record | None:
        item = self.store.as_item(record)
        try:
            return await (self._put_new(item, now) if record.rev == 1 else self._put_next(item, record, now))
        except StoreUnavailable:
            if await self._is_written(item):
                return None
            raise

    async def _is_written(self, item: Item) -> bool:
        """Whether all that got lost was the answer. A message whose claim stands unseen is one that nobody sends."""
        found = await self._read(item["pk"]["S"])
        return found is not None and found["write"] == item["write"]

    async def _read(self, pk: str) -> Item | None:
        return next(iter(await self._reads.items((pk,))), None)

    async def _put_new(self, item: Item, now: int) -> Record | None:
        pk = item["pk"]["S"]
        # DynamoDB refuses a whole call in which a key comes twice.
        refused = _ALONE if self._inserts.has(pk) else await self._inserts.ask(pk, item)
        if refused is None:
            return None
        found = await self._read(pk) if refused == DUPLICATE else None
        if found is None or int(found["ttl"]["N"]) <= now:
            return await self.store.put_new(item, now=now)
        return None if found["write"] == item["write"] else from_item(found)

    async def _put_next(self, item: Item, record: Record, now: int) -> Record | None:
        pk = item["pk"]["S"]
        if not self._steps.has(pk) and await self._steps.ask(pk, with_nothing_left(item)):
            return None
        return await self.store.put_item(item, rev=record.rev, now=now)

    async def _insert_all(self, items: Mapping[str, Item]) -> Mapping[str, str | None]:
        if len(items) == 1:
            return dict.fromkeys(items, _ALONE)
        return dict(zip(items, await self.store.table.insert(list(items.values())), strict=True))

    async def _replace_all(self, items: Mapping[str, Item]) -> Mapping[str, bool]:
        if len(items) == 1:
            return dict.fromkeys(items, False)
        written = await self.store.table.exchange([_over_the_one_before(item) for item in items.values()])
        return dict(zip(items, written, strict=True))


def _over_the_one_before(item: Item) -> Exchange:
    return Exchange(item, "rev", {"N": str(int(item["rev"]["N"]) - 1)})
