"""Starts many verifications for an HTTP caller: a hundred at once within the request, more by way of the bulk queue.

Each item stands for itself: what is wrong with one is that one's result. An item is a request of its own, named after
its key, or after its batch and its place there, and a request is carried out once: so a batch may be repeated.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import field
from typing import TypeAlias

from functions.domain.batch import (
    NAME_BYTES,
    Batch,
    Ending,
    Notes,
    Status,
    announced_id,
    item_request,
    name_from,
    name_of,
)
from functions.domain.errors import (
    Conflict,
    DeliveryUnavailable,
    IdempotencyMismatch,
    InvalidRequest,
    VerificationError,
)
from functions.domain.frozen import frozen
from functions.domain.identity import request_digest
from functions.domain.keys import Keyring
from functions.domain.part import part
from functions.domain.service import Service
from functions.usecases.once import LEASE
from functions.usecases.ports import (
    BatchStore,
    BulkQueue,
    Clock,
    Entropy,
    Journal,
    Keys,
    QueueUnavailable,
    SendJob,
    StoreUnavailable,
)
from functions.usecases.start_item import BatchItem, StartItem
from functions.usecases.views import VerificationView

MOST_AT_ONCE = 100
"""Items that are sent within the request: with a slow gateway still within the API function's time-out."""
_NOT_QUEUED = Ending(Status.FAILED, DeliveryUnavailable.code)

Item: TypeAlias = BatchItem | VerificationError
"""Or what is wrong with it."""


@frozen(kw_only=True)
class BatchCommand:
    items: Sequence[Item]
    service: str
    """Of items that name none."""
    caller: str
    idempotency_key: str | None = None
    fingerprint: str = field(default="", repr=False)
    """The request's content, for telling a repeat from another request under the same key."""
    respond_async: bool = False


@frozen()
class Queued:
    """An item that waits; the id is the one announced for its verification."""

    id: str


@frozen(kw_only=True)
class BatchStarted:
    batch: str | None
    """To ask for; None where nothing waits."""
    results: Sequence[VerificationView | Queued | Exception]
    """In the order of the items; for each what went wrong with it, if something did."""

    @property
    def accepted(self) -> int:
        return sum(isinstance(result, Queued) for result in self.results)


@part
class StartBatch:
    """Raises IdempotencyMismatch, Conflict, InvalidRequest, StoreUnavailable, QueueUnavailable, KeysUnavailable."""

    services: Mapping[str, Service]
    keys: Keys
    start_item: StartItem
    queue: BulkQueue
    batches: BatchStore
    entropy: Entropy
    clock: Clock
    journal: Journal

    async def __call__(self, command: BatchCommand) -> BatchStarted:
        if command.service not in self.services:
            raise InvalidRequest("there is no such service")
        keys, waits = await self.keys.keyring(), command.respond_async or len(command.items) > MOST_AT_ONCE
        items = [self._checked(item, waits=waits) for item in command.items]
        batch = self._batch(command, items, keys, waits=waits)
        self.journal("batch", batch=batch.name, items=len(items), wrong=sum(map(len, batch.endings.values())))
        if waits or command.idempotency_key is not None:
            batch = await self._begin(batch)
        if waits:
            return await self._put(batch, items, keys)
        sends = [self._send(item, index, batch, keys) for index, item in enumerate(items)]
        return BatchStarted(batch=None, results=await asyncio.gather(*sends))

    def _checked(self, item: Item, *, waits: bool) -> Item:
        if isinstance(item, VerificationError):
            return item
        if item.service not in self.services:
            return InvalidRequest("there is no such service")
        if waits and (item.code is not None or item.binding is not None):
            return InvalidRequest("a code of your own or a binding can't wait in the queue: send fewer items at once")
        return item

    def _batch(self, command: BatchCommand, items: Sequence[Item], keys: Keyring, *, waits: bool) -> Batch:
        key, wrong = command.idempotency_key, defaultdict[Ending, set[int]](set)
        for index, item in enumerate(items):
            if isinstance(item, VerificationError):
                wrong[Ending(Status.REFUSED, item.code)].add(index)
        services = frozenset(item.service for item in items if isinstance(item, BatchItem))
        return Batch(
            name=name_from(self.entropy(NAME_BYTES)) if key is None else name_of(keys, command.caller, key),
            caller=command.caller,
            services=services or frozenset({command.service}),
            fingerprint=request_digest(keys, "fingerprint", command.fingerprint),
            total=len(items),
            created_at=self.clock(),
            queued=not waits,
            endings={ending: frozenset(places) for ending, places in wrong.items()},
        )

    async def _begin(self, batch: Batch) -> Batch:
        """The batch as its first request began it. Where that one died, a repeat takes its place."""
        found = await self.batches.begin(batch)
        if found is None:
            return batch
        if found.fingerprint != batch.fingerprint:
            raise IdempotencyMismatch("this Idempotency-Key was used for another request")
        wait = found.created_at + LEASE - batch.created_at
        if wait > 0 and not found.queued:
            raise Conflict("a request with this Idempotency-Key is under way", retry_after=wait)
        return found

    async def _send(self, item: Item, index: int, batch: Batch, keys: Keyring) -> VerificationView | Exception:
        if isinstance(item, VerificationError):
            return item
        try:
            return await self.start_item(item, _request(item, index, batch, keys))
        except Exception as error:  # noqa: BLE001 - whatever happens to one item must not happen to its neighbours
            return error

    async def _put(self, batch: Batch, items: Sequence[Item], keys: Keyring) -> BatchStarted:
        """A repeat puts again what its first request may have put: the sender sees what was sent before."""
        jobs = {
            index: self._job(item, index, batch, keys)
            for index, item in enumerate(items)
            if isinstance(item, BatchItem)
        }
        missing = batch.endings.get(_NOT_QUEUED, frozenset()) if batch.queued else await self._enqueue(batch, jobs)
        unavailable = DeliveryUnavailable("the queue did not take it: nothing was sent", retry_after=1)
        results = [
            item if isinstance(item, VerificationError) else unavailable if index in missing else _queued(jobs[index])
            for index, item in enumerate(items)
        ]
        return BatchStarted(batch=batch.name, results=results)

    async def _enqueue(self, batch: Batch, jobs: Mapping[int, SendJob]) -> frozenset[int]:
        """Which of them the queue did not take."""
        places = list(jobs)
        missing = frozenset(places[place] for place in await self.queue.put_all(list(jobs.values())))
        if missing and len(missing) == len(jobs):
            raise QueueUnavailable("the queue took nothing of a batch")
        try:
            await self.batches.finish(batch.name, Notes({_NOT_QUEUED: set(missing)}), now=self.clock())
        except StoreUnavailable as error:
            # It is on the queue. A repeat puts it there again, which does no harm.
            self.journal("uncounted", batch=batch.name, reason=str(error))
        return missing

    def _job(self, item: BatchItem, index: int, batch: Batch, keys: Keyring) -> SendJob:
        request = _request(item, index, batch, keys)
        announced = announced_id(keys, item.service, item.to.e164, request=request, created_at=batch.created_at)
        return SendJob(
            to=item.to.e164,
            service=item.service,
            key=request,
            locale=item.locale,
            batch=batch.name,
            place=index,
            send_by=batch.created_at + self.services[item.service].batch_send_within,
            domain=item.domain,
            app_hash=item.app_hash,
            announced=str(announced),
            ip=item.ip,
            trusted=item.trusted,
            metadata=item.metadata,
        )


def _request(item: BatchItem, index: int, batch: Batch, keys: Keyring) -> str:
    return item_request(keys, batch.name, index, caller=batch.caller, key=item.key)


def _queued(job: SendJob) -> Queued:
    return Queued(job.announced or "")
