"""The bulk queue: who waits, who was handed out, who comes back and when.

AWS's quotas for standard queues, looked up on 2026-11-26: ten messages a call, 120,000 handed out at once. Messages
come roughly in the order in which they were put; here it is exactly that, but for those that come back.
"""

from __future__ import annotations

import heapq
from collections import deque
from dataclasses import dataclass, field
from itertools import count
from typing import NamedTuple

from functions.queues.sqs import FIRST_WAIT, LONGEST_KEPT, LONGEST_WAIT, MOST_DELIVERIES

IN_A_CALL = 10
MOST_HANDED_OUT = 120_000


class Message(NamedTuple):
    queued_at: float
    delivered: int


@dataclass(slots=True)
class _Cohort:
    """Messages that were put at once, and never handed out yet."""

    queued_at: float
    left: int


@dataclass(slots=True)
class Queue:
    handed_out: int = 0
    _cohorts: deque[_Cohort] = field(default_factory=deque)
    _new: int = 0
    _again: deque[Message] = field(default_factory=deque)
    """Those that came back and are to be seen."""
    _hidden: list[tuple[float, int, Message]] = field(default_factory=list)
    _serial: count[int] = field(default_factory=count)

    def put(self, now: float, messages: int) -> None:
        self._cohorts.append(_Cohort(now, messages))
        self._new += messages

    def visible(self, now: float) -> int:
        while self._hidden and self._hidden[0][0] <= now:
            self._again.append(heapq.heappop(self._hidden)[2])
        return self._new + len(self._again)

    @property
    def next_visible(self) -> float | None:
        """When the next message comes back that is hidden now."""
        return self._hidden[0][0] if self._hidden else None

    def take(self, now: float, most: int) -> list[Message]:
        """Hands out up to `most`, each with one delivery more."""
        taken = [
            Message(message.queued_at, message.delivered + 1)
            for message in (self._again.popleft() for _ in range(min(most, self.visible(now), len(self._again))))
        ]
        while len(taken) < most and self._cohorts:
            cohort = self._cohorts[0]
            some = min(cohort.left, most - len(taken))
            taken += [Message(cohort.queued_at, 1)] * some
            cohort.left -= some
            self._new -= some
            if not cohort.left:
                self._cohorts.popleft()
        self.handed_out += len(taken)
        return taken

    def give_back(self, message: Message, visible_at: float) -> None:
        self.handed_out -= 1
        heapq.heappush(self._hidden, (visible_at, next(self._serial), message))

    def delete(self, messages: int) -> None:
        self.handed_out -= messages


def wait_of(delivered: int, fresh_for: float, drawn: float, *, most_deliveries: int, again_in: float = 0.0) -> float:
    """Seconds until a failed send is tried again, as functions/queues/sqs.py has it; `drawn` is from 0 to 1.

    Before `again_in` there is no place for it.
    """
    share = fresh_for / max(3, most_deliveries - MOST_DELIVERIES - delivered)
    longest = min(FIRST_WAIT << min(delivered - 1, 8), max(LONGEST_WAIT, share))
    wait = longest - drawn * longest / 2
    least = fresh_for if delivered == most_deliveries - 1 else min(again_in, fresh_for)
    return min(max(wait, least), LONGEST_KEPT)
