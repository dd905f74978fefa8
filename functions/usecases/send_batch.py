"""Carries out a whole batch of the queue's messages at once, within the time that the invocation has left."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import chain

from functions.domain.batch import Notes
from functions.domain.frozen import frozen
from functions.domain.part import part
from functions.together import sleep_in_step
from functions.usecases.confirm import ConfirmDelivery
from functions.usecases.count_progress import CountProgress
from functions.usecases.disposition import Carried, Disposition
from functions.usecases.give_feedback import GiveFeedback
from functions.usecases.ports import (
    ConfirmJob,
    DeadLetters,
    FeedbackJob,
    Job,
    Journal,
    KeysUnavailable,
    QueueUnavailable,
    SendJob,
)
from functions.usecases.send import SendQueued
from functions.usecases.submit import MARGIN

LAST_WORD = 0.5
"""Seconds of the margin that are for counting and for the answer. What is still under way by then is broken off: an
invocation that Lambda ends has its whole batch delivered again, and of each message that it had sent nobody knows any
more."""
STEP = 0.1
"""Seconds. Where more messages wait than may be under way, each begins with those that wait at the same time: they ask
the table for the same things in the same moment, in one call."""
ANSWER = 0.3
"""Seconds of these that are left when counting is broken off."""


@frozen(kw_only=True)
class QueuedMessage:
    """A message of the queue. What it asks for is read when its turn comes: thousands may wait in one invocation."""

    id: str
    body: str = field(repr=False)
    handle: str = field(repr=False)
    queued_at: int
    delivered: int = 1
    """How often the queue has delivered it, this time included."""


@frozen(kw_only=True)
class Unfinished:
    """Messages for another delivery."""

    not_begun: list[QueuedMessage] = field(default_factory=list)
    """May come back at once."""
    failed: list[QueuedMessage] = field(default_factory=list)
    """Nothing was sent and nothing is claimed: may come back in a while."""
    again_in: dict[str, int] = field(default_factory=dict)
    """Seconds that some of these have to wait at least, by their ids."""
    in_doubt: list[QueuedMessage] = field(default_factory=list)
    """A claim may stand. Until its lease is over they would look like copies of messages that somebody is sending, and
    be dropped: they are to come back after that."""
    uncounted: list[QueuedMessage] = field(default_factory=list)
    """Carried out, and not counted with their batch: to come back very soon as the copies that they are, and be counted
    by what their records say. Later than a claim's lease they would be taken for those of a worker that died."""

    def __iter__(self) -> Iterator[QueuedMessage]:
        return chain(self.not_begun, self.failed, self.in_doubt, self.uncounted)


@dataclass(slots=True)
class _Counts:
    """What is to be told of each batch, and the messages that it is told of."""

    notes: dict[str, Notes] = field(default_factory=dict)
    messages: dict[str, list[QueuedMessage]] = field(default_factory=dict)

    def add(self, message: QueuedMessage, job: Job, carried: Carried) -> None:
        """A batch's label alone counts nothing: its items have their places."""
        if not isinstance(job, SendJob) or job.batch is None or job.place is None or carried.ending is None:
            return
        other = None if carried.verification == job.announced else carried.verification
        self.notes.setdefault(job.batch, Notes()).add(job.place, carried.ending, other)
        self.messages.setdefault(job.batch, []).append(message)


@part
class SendBatch:
    """`in_flight` bounds the sends under way: a Lambda sandbox has 1,024 file descriptors."""

    decode: Callable[[str], Job | None]
    """A message's body; None where it makes no sense."""
    send: SendQueued
    confirm: ConfirmDelivery
    give_feedback: GiveFeedback
    longest: float
    """Seconds that one send can take, with whichever provider."""
    dead_letters: DeadLetters
    count_progress: CountProgress
    journal: Journal
    in_flight: int

    async def __call__(self, messages: Sequence[QueuedMessage], remaining: Callable[[], float]) -> Unfinished:
        """Never raises for a message's sake. `remaining` tells the seconds that the invocation has left."""
        waiting, unfinished, counts = deque(messages), Unfinished(), _Counts()
        async with asyncio.TaskGroup() as workers:
            for _ in range(min(len(waiting), self.in_flight)):
                workers.create_task(self._work(waiting, unfinished, counts, remaining))
        unfinished.not_begun.extend(waiting)
        for name in await self.count_progress(counts.notes, remaining() - ANSWER):
            unfinished.uncounted.extend(counts.messages[name])
        return unfinished

    async def _work(
        self,
        waiting: deque[QueuedMessage],
        unfinished: Unfinished,
        counts: _Counts,
        remaining: Callable[[], float],
    ) -> None:
        # A worker takes a message only when it can send it: a claim without its send right behind it is an unknown one.
        while waiting:
            message, seconds = waiting.popleft(), remaining()
            if seconds < self.longest + MARGIN:
                unfinished.not_begun.append(message)
            else:
                await self._carry_out(message, unfinished, counts, seconds - LAST_WORD)
            if waiting:
                await sleep_in_step(0, STEP)

    async def _carry_out(self, message: QueuedMessage, unfinished: Unfinished, counts: _Counts, seconds: float) -> None:
        """Whatever happens to one message must not happen to its neighbours, and until it is done it is not."""
        left_in: list[QueuedMessage] | None = unfinished.in_doubt
        try:
            async with asyncio.timeout(seconds):
                left_in = None if await self._is_done(message, unfinished, counts) else unfinished.failed
        except KeysUnavailable:  # they are asked for before the claim
            left_in = unfinished.failed
            self.journal("failed", queued=message.id, error="KeysUnavailable")
        except Exception as error:  # noqa: BLE001 - a claim may stand, and somebody has to hear of it
            self.journal("failed", queued=message.id, error=type(error).__name__)
        finally:
            if left_in is not None:
                left_in.append(message)

    async def _is_done(self, message: QueuedMessage, unfinished: Unfinished, counts: _Counts) -> bool:
        job = self.decode(message.body)
        if job is None:
            return await self._bury(message, "invalid")
        carried = await self._dispose(message, job)
        if carried.disposition is Disposition.AGAIN:
            unfinished.again_in[message.id] = carried.again_in
            return False
        if carried.disposition is Disposition.POISON and not await self._bury(message, "impossible"):
            return False
        counts.add(message, job, carried)
        return True

    async def _dispose(self, message: QueuedMessage, job: Job) -> Carried:
        match job:
            case ConfirmJob():
                return Carried(await self.confirm(job))
            case FeedbackJob():
                return Carried(await self.give_feedback(job))
            case _:
                return await self.send(
                    job,
                    message_id=message.id,
                    queued_at=message.queued_at,
                    delivered_before=message.delivered > 1,
                )

    async def _bury(self, message: QueuedMessage, reason: str) -> bool:
        try:
            await self.dead_letters.put(message.body, reason=reason)
        except QueueUnavailable:
            return False
        self.journal("buried", queued=message.id, reason=reason)
        return True
