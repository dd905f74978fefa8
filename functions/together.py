"""What several ask for at the same time travels in one call.

The messages of a batch are carried out side by side and in step, so those that need the same thing need it in the same
turn of the event loop, or one after the other in turns that follow. A load leaves as soon as a turn goes by in which
nobody came aboard: whoever is alone waits for two turns, some microseconds, and is asked for alone.

What all need is fetched by the first, and the others wait for it. A lock would let them go on one a turn of the loop.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Awaitable, Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Generic, TypeVar

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")
R = TypeVar("R")


def loads_of(keys: Sequence[K], most: int) -> list[Sequence[K]]:
    """In their order, as few as there can be with so many keys at most."""
    return [keys[start : start + most] for start in range(0, len(keys), most)]


async def carry_side_by_side(
    loads: Sequence[Sequence[K]], carry: Callable[[Sequence[K]], Awaitable[Sequence[R]]]
) -> dict[K, R]:
    """Each load by a call of its own, which tells its results in the load's order."""
    told = await asyncio.gather(*(carry(load) for load in loads))
    return {
        key: result
        for load, results in zip(loads, told, strict=True)
        for key, result in zip(load, results, strict=True)
    }


async def side_by_side(works: Sequence[Awaitable[None]]) -> None:
    """Each in a task, where there are several: one alone needs none."""
    if len(works) == 1:
        await works[0]
    elif works:
        await asyncio.gather(*works)


async def sleep_in_step(seconds: float, step: float) -> None:
    """So long, and on to the next step of the clock: who waits for it as well goes on in the same turn. In seconds."""
    loop = asyncio.get_running_loop()
    over = loop.create_future()
    # Not asyncio.sleep, which looks at the clock again: each would wake up some microseconds after the other.
    timer = loop.call_at((math.floor((loop.time() + max(seconds, 0)) / step) + 1) * step, over.set_result, None)
    try:
        await over
    finally:
        timer.cancel()


@dataclass(slots=True, eq=False)
class _Fetch:
    over: asyncio.Event = field(default_factory=asyncio.Event)
    error: Exception | None = None


@dataclass(slots=True, eq=False)
class Fetched:
    """Something that many miss at the same time. Whose fetch fails tells all who waited for it; who is broken off
    leaves it to the next.
    """

    _under_way: _Fetch | None = field(default=None, init=False)

    async def unless(self, is_there: Callable[[], bool], fetch: Callable[[], Awaitable[object]]) -> None:
        """Returns when it is there. Raises what `fetch` raises, which sees to it that it is there afterwards."""
        while not is_there():
            if self._under_way is None:
                await self._fetch(fetch)
            else:
                await _end_of(self._under_way)

    async def _fetch(self, fetch: Callable[[], Awaitable[object]]) -> None:
        self._under_way = under_way = _Fetch()
        try:
            await fetch()
        except Exception as error:
            under_way.error = error
            raise
        finally:
            self._under_way = None
            under_way.over.set()


async def _end_of(fetch: _Fetch) -> None:
    await fetch.over.wait()
    if fetch.error is not None:
        raise fetch.error.with_traceback(None)


@dataclass(slots=True, eq=False)
class _Load(Generic[K, V, R]):
    asked: dict[K, V] = field(default_factory=dict)
    waiting: dict[K, list[asyncio.Future[R]]] = field(default_factory=dict)
    carried: asyncio.Task[None] = field(init=False)

    def leave(self, key: K, answer: asyncio.Future[R]) -> None:
        """What nobody waits for any more is not asked for, if there is still time."""
        if not answer.cancelled():
            answer.exception()  # what it was told is heard by nobody, and needs no line in the log
        self.waiting[key].remove(answer)
        if not self.waiting[key]:
            del self.waiting[key], self.asked[key]

    def tell(self, results: Mapping[K, R]) -> None:
        for key, answers in self.waiting.items():
            for answer in answers:
                if not answer.done():
                    answer.set_result(results[key])

    def fail(self, error: Exception) -> None:
        for answers in self.waiting.values():
            for answer in answers:
                if not answer.done():
                    answer.set_exception(error)


@dataclass(slots=True, eq=False)
class Together(Generic[K, V, R]):
    """A task of its own carries each load: one who is broken off takes nobody's part along."""

    carry: Callable[[Mapping[K, V]], Awaitable[Mapping[K, R]]]
    """The result of each key. What it raises is raised to all aboard."""
    most: int
    """Keys of one call."""
    prepare: Callable[[], Awaitable[object]] | None = None
    """What a load waits for before it is carried: who is broken off meanwhile is not on it."""
    _open: _Load[K, V, R] | None = field(default=None, init=False)

    def has(self, key: K) -> bool:
        """Whether that key is aboard of the load that is about to leave."""
        return self._open is not None and key in self._open.asked

    async def ask(self, key: K, value: V) -> R:
        """The key's result. A key that is aboard already keeps its value."""
        load = self._open or self._new_load()
        load.asked.setdefault(key, value)
        answer: asyncio.Future[R] = asyncio.get_running_loop().create_future()
        load.waiting.setdefault(key, []).append(answer)
        if len(load.asked) == self.most:
            self._open = None
        try:
            return await answer
        except asyncio.CancelledError:
            load.leave(key, answer)
            if not load.waiting:
                await self._abandon(load)
            raise

    def _new_load(self) -> _Load[K, V, R]:
        self._open = load = _Load[K, V, R]()
        load.carried = asyncio.create_task(self._carry(load))
        return load

    async def _carry(self, load: _Load[K, V, R]) -> None:
        try:
            await self._wait_for_more(load)
            if self.prepare is not None:
                await self.prepare()
            load.tell(await self.carry(dict(load.asked)))
        except Exception as error:  # noqa: BLE001 - it is theirs
            load.fail(error)

    async def _abandon(self, load: _Load[K, V, R]) -> None:
        """Whoever goes last leaves no task, and nobody comes aboard any more."""
        self._close(load)
        if not load.carried.done():
            load.carried.cancel()
            await asyncio.wait({load.carried})

    def _close(self, load: _Load[K, V, R]) -> None:
        if self._open is load:
            self._open = None

    async def _wait_for_more(self, load: _Load[K, V, R]) -> None:
        aboard = 0
        while self._open is load and len(load.asked) > aboard:
            aboard = len(load.asked)
            await asyncio.sleep(0)
        self._close(load)
