"""Tells how far a batch has come."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping

from functions.domain.batch import Batch, Ending, Status, parse_name
from functions.domain.caller import Services
from functions.domain.errors import NotFound
from functions.domain.frozen import frozen
from functions.domain.part import part
from functions.usecases.ports import BatchStore


@frozen(kw_only=True)
class BatchView:
    """`created_at` is in seconds since 1970."""

    batch: str
    total: int
    sent: int
    refused: int
    failed: int
    pending: int
    created_at: int
    items: list[dict[str, str | int]]
    """Those of which there is something to tell: that they were not sent, or that their id is not the announced one."""


@part
class ShowBatch:
    """Raises NotFound, also of another caller's services, or StoreUnavailable."""

    batches: BatchStore

    async def __call__(self, name: str, services: Services) -> BatchView:
        batch = await self.batches.get(parse_name(name))
        if batch is None or not batch.is_for(services):
            raise NotFound("there is no such batch")
        return _view(batch)


def _view(batch: Batch) -> BatchView:
    settled = batch.settled()
    counts = Counter(ending.status for ending in settled.values())
    return BatchView(
        batch=batch.name,
        total=batch.total,
        sent=counts[Status.SENT],
        refused=counts[Status.REFUSED],
        failed=counts[Status.FAILED],
        pending=batch.total - len(settled),
        created_at=batch.created_at,
        items=[_item(index, ending, batch.ids) for index, ending in settled.items() if _is_news(index, ending, batch)],
    )


def _is_news(index: int, ending: Ending, batch: Batch) -> bool:
    return ending.status is not Status.SENT or index in batch.ids


def _item(index: int, ending: Ending, ids: Mapping[int, str]) -> dict[str, str | int]:
    code = {} if ending.code is None else {"code": ending.code}
    other = {"id": ids[index]} if index in ids else {}
    return {"index": index, "status": ending.status.value, **code, **other}
