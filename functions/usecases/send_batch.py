"""Carries out a whole batch of the queue's messages at once, within the time that the invocation has left."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from functions.usecases.ports import DeadLetters, Journal, Provider, QueueUnavailable, SendJob
from functions.usecases.send import Disposition, SendQueued

MARGIN = 1.5
"""Seconds beside the gateway's own: two writes, and the answer to Lambda."""


@dataclass(frozen=True, slots=True, kw_only=True)
class QueuedMessage:
    """A message of the queue; `job` is None where its body made no sense."""

    id: str
    body: str = field(repr=False)
    handle: str = field(repr=False)
    queued_at: int
    job: SendJob | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Unfinished:
    """Messages for another delivery: those that never began may come back at once, those that failed in a while."""

    not_begun: list[QueuedMessage] = field(default_factory=list)
    failed: list[QueuedMessage] = field(default_factory=list)


@dataclass(frozen=True, slots=True, kw_only=True)
class SendBatch:
    """`in_flight` bounds the sends under way: a Lambda sandbox has 1,024 file descriptors."""

    send: SendQueued
    provider: Provider
    dead_letters: DeadLetters
    journal: Journal
    in_flight: int

    async def __call__(self, messages: Sequence[QueuedMessage], remaining: Callable[[], float]) -> Unfinished:
        """Never raises for a message's sake. `remaining` tells the seconds that the invocation has left."""
        waiting, unfinished = deque(messages), Unfinished()
        async with asyncio.TaskGroup() as workers:
            for _ in range(min(len(waiting), self.in_flight)):
                workers.create_task(self._work(waiting, unfinished, remaining))
        return unfinished

    async def _work(
        self, waiting: deque[QueuedMessage], unfinished: Unfinished, remaining: Callable[[], float]
    ) -> None:
        # A worker takes a message only when it can send it: a claim without its send right behind it is an unknown one.
        while waiting:
            message = waiting.popleft()
            if remaining() < self.provider.timeout + MARGIN:
                unfinished.not_begun.append(message)
            elif not await self._carry_out(message):
                unfinished.failed.append(message)

    async def _carry_out(self, message: QueuedMessage) -> bool:
        try:
            if message.job is None:
                return await self._bury(message, "invalid")
            disposition = await self.send(message.job, message_id=message.id, queued_at=message.queued_at)
            if disposition is Disposition.POISON:
                return await self._bury(message, "impossible")
        except Exception as error:  # noqa: BLE001 - whatever happens to one message must not happen to its neighbours
            self.journal("failed", message=message.id, error=type(error).__name__)
            return False
        return disposition is Disposition.DONE

    async def _bury(self, message: QueuedMessage, reason: str) -> bool:
        try:
            await self.dead_letters.put(message.body, reason=reason)
        except QueueUnavailable:
            return False
        self.journal("buried", message=message.id, reason=reason)
        return True
