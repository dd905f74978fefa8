"""A campaign under way: chunks are posted, followed to their end, and their results written, several side by side.

One coroutine carries a chunk from the first step to the last; a bounded number of them is at work, and takes the next.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace

from infra.send.board import Board
from infra.send.chunks import Chunks
from infra.send.client import Api, NoSuchBatch, Progress, Taken
from infra.send.ledger import Chunk, Counts, Ledger, State
from infra.send.pace import Pace
from infra.send.results import Outcome, Results, counted

_CARRIERS = 48
"""Batches under way at most."""
_POSTS = 4
"""At once. The API needs a second or two for a thousand items."""
_GRACE = 5.0
"""Seconds that a POST under way has when all is to stop."""
REPEATABLE = 43_200
"""Seconds after which nobody posts a chunk again of which it is unknown whether it was taken: the claims on it may be
forgotten by then, and nobody is to have two SMS. A queue keeps a message for as long."""
_UNSEEN = 60
"""Seconds after which a batch that the API does not know is one that it has forgotten: they are kept for seven days."""
_FIRST_LOOK, _LONGEST_LOOK = 0.2, 3.0
"""Seconds between two looks at a batch."""
_LOST = Outcome("failed", "unknown")


@dataclass(slots=True, kw_only=True)
class Campaign:
    name: str
    api: Api
    key_name: str
    """The key's, by its digest."""
    ledger: Ledger
    chunks: Chunks
    results: Results
    pace: Pace
    board: Board
    stop: asyncio.Event
    clock: Callable[[], int]
    _backlog: deque[Chunk] = field(init=False)
    _turn: asyncio.Lock = field(default_factory=asyncio.Lock)
    _posts: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(_POSTS))

    def __post_init__(self) -> None:
        self._backlog = deque(self.ledger.unfinished())

    async def run(self) -> bool:
        """Whether it came to its end. Raises Unusable, and OSError."""
        carrying, stopping = asyncio.create_task(self._carry_all()), asyncio.create_task(self.stop.wait())
        await asyncio.wait({carrying, stopping}, return_when=asyncio.FIRST_COMPLETED)
        stopping.cancel()
        await asyncio.wait({carrying}, timeout=_GRACE)
        carrying.cancel()
        await asyncio.gather(carrying, stopping, return_exceptions=True)
        if not carrying.cancelled():
            carrying.result()
        return not self.ledger.unfinished() and not self.stop.is_set()

    async def _carry_all(self) -> None:
        try:
            async with asyncio.TaskGroup() as group:
                for _ in range(_CARRIERS):
                    group.create_task(self._work())
        except BaseExceptionGroup as failures:
            raise failures.exceptions[0] from None

    async def _work(self) -> None:
        while (chunk := await self._next()) is not None:
            await self._carry(chunk)

    async def _next(self) -> Chunk | None:
        async with self._turn:
            if self.stop.is_set():
                return None
            chunk = self._backlog.popleft() if self._backlog else await self._cut()
            if chunk is not None:
                self.board.begun(chunk.number, chunk.items)
                self.pace.left(chunk.items)
            return chunk

    async def _cut(self) -> Chunk | None:
        size = await self.pace.room()
        return self.chunks.cut(size, posted_at=self.clock(), sent_by=self.key_name) if size else None

    async def _carry(self, chunk: Chunk) -> None:
        outcomes = await self._outcomes(chunk)
        if outcomes is None:
            return
        counts = counted(outcomes)
        end = self.results.write(self.chunks.records(chunk), outcomes)
        self.ledger.done(chunk.number, counts, results_end=end)
        self.pace.ended(self.board.done(chunk.number, counts))

    async def _outcomes(self, chunk: Chunk) -> Mapping[int, Outcome] | None:
        """By place in the chunk; None where it was stopped before they were known."""
        if not chunk.items:
            return {}
        if chunk.state == State.POSTING and self._age(chunk) > REPEATABLE:
            return _all(chunk, _LOST)
        posted = await self._post(chunk) if chunk.state == State.POSTING else chunk
        return None if posted is None else await self._follow(posted)

    async def _post(self, chunk: Chunk) -> Chunk | None:
        async with self._posts:
            if self.stop.is_set():
                return None
            taken = await self.api.post(self.chunks.body(chunk), f"{self.name}-{chunk.number}")
        answer = _as_text(chunk, taken)
        self.ledger.posted(chunk.number, batch=taken.batch, answer=answer)
        return replace(chunk, state=State.POSTED, batch=taken.batch, answer=answer)

    async def _follow(self, chunk: Chunk) -> Mapping[int, Outcome] | None:
        wait = _FIRST_LOOK
        while not self.stop.is_set():
            progress = await self._look(chunk)
            if progress is not None:
                counts = Counts(progress.sent, progress.refused, progress.failed)
                self.pace.ended(self.board.moved(chunk.number, counts))
                if progress.pending == 0:
                    return _settled(chunk, progress)
            if self._age(chunk) > (REPEATABLE if progress else _UNSEEN):
                return _all(chunk, _LOST) if progress is None else _settled(chunk, progress, rest=_LOST)
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self.stop.wait(), wait)
            wait = min(_LONGEST_LOOK, wait * 1.5)
        return None

    async def _look(self, chunk: Chunk) -> Progress | None:
        try:
            return await self.api.progress(chunk.batch or "")
        except NoSuchBatch:
            return None

    def _age(self, chunk: Chunk) -> int:
        return self.clock() - chunk.posted_at


def _all(chunk: Chunk, outcome: Outcome) -> Mapping[int, Outcome]:
    return dict.fromkeys(range(chunk.items), outcome)


def _as_text(chunk: Chunk, taken: Taken) -> str:
    """A list by place: an id, or in a list of its own the code that it was refused with at once."""
    told: list[str | list[str]] = [""] * chunk.items
    for result in taken.results:
        if 0 <= result.index < chunk.items:
            told[result.index] = [result.error.code] if result.error else result.id or ""
    return json.dumps(told, separators=(",", ":"))


def _settled(chunk: Chunk, progress: Progress, *, rest: Outcome | None = None) -> Mapping[int, Outcome]:
    """`rest` is what became of those that the API says nothing of; None where they were sent."""
    outcomes = dict(_all(chunk, rest or Outcome("sent")))
    for place, told in enumerate(json.loads(chunk.answer or "[]")):
        if isinstance(told, list):
            outcomes[place] = Outcome("refused", told[0])
        else:
            outcomes[place] = replace(outcomes[place], id=told)
    for item in progress.items:
        known = outcomes.get(item.index)
        if known is not None:
            identity = item.id or ("" if item.status == "refused" else known.id)
            outcomes[item.index] = Outcome(item.status, item.code or "", identity)
    return outcomes
