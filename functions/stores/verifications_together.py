"""The same store for many at once: new records that are put in the same moment travel in one call.

Most numbers of a batch have no record yet, and 25 inserts in one call take a tenth of the CPU of 25 puts, here and at
DynamoDB's end, for the same write units. A number that has a record, and whatever else is not simply written, is put by
itself as ever; so the results are those of the store underneath.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field

from functions.domain.checking import Guess
from functions.domain.verification import Record
from functions.stores.dynamodb import Item
from functions.stores.verifications import DynamoVerificationStore
from functions.usecases.ports import Counted, StoreUnavailable

MOST_TOGETHER = 25
"""DynamoDB's limit for the statements of a call."""


@dataclass(slots=True)
class _Load:
    """Items that travel together, by key: DynamoDB refuses a whole call in which a key comes twice."""

    items: dict[str, Item] = field(default_factory=dict)
    written: asyncio.Future[list[bool] | StoreUnavailable] = field(
        default_factory=lambda: asyncio.get_running_loop().create_future()
    )

    def told(self, place: int) -> bool:
        """Whether the item at this place was written. Raises StoreUnavailable where the call came to nothing."""
        written = self.written.result()
        if isinstance(written, StoreUnavailable):
            raise written
        return written[place]


@dataclass(slots=True)
class VerificationsTogether:
    store: DynamoVerificationStore
    _open: _Load | None = None

    async def get(self, key: str) -> Record | None:
        return await self.store.get(key)

    async def count_guess(self, guess: Guess) -> Counted:
        return await self.store.count_guess(guess)

    async def put(self, record: Record, *, now: int) -> Record | None:
        if record.rev != 1:
            return await self.store.put(record, now=now)
        item = self.store.as_item(record)
        if await self._insert(record.key, item):
            return None
        return await self.store.put_new(item, now=now)

    async def _insert(self, key: str, item: Item) -> bool:
        """Whether the item was written with others."""
        load = self._open
        if load is None:
            return await self._lead(key, item)
        if key in load.items:
            return False
        return await self._ride_along(load, key, item)

    async def _lead(self, key: str, item: Item) -> bool:
        """Opens a load, lets others join in this turn of the loop, and takes it away for all."""
        self._open = load = _Load({key: item})
        try:
            await asyncio.sleep(0)
            self._close(load)
            if len(load.items) > 1:
                load.written.set_result(await self.store.table.insert(list(load.items.values())))
        except StoreUnavailable as error:
            # For all of them: a store that does not answer is not asked again by each.
            load.written.set_result(error)
        finally:
            self._close(load)
            if not load.written.done():  # broken off, or alone
                load.written.set_result([False] * len(load.items))
        return load.told(0)

    async def _ride_along(self, load: _Load, key: str, item: Item) -> bool:
        place = len(load.items)
        load.items[key] = item
        if len(load.items) == MOST_TOGETHER:
            self._close(load)
        await asyncio.shield(load.written)
        return load.told(place)

    def _close(self, load: _Load) -> None:
        if self._open is load:
            self._open = None
