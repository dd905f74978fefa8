"""How much of a campaign is in the queue at once: some thirty seconds of work, so that it ends soon when it is stopped.

By the rate at which messages come to their end, and before there is one, by the estimate.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable

from infra.send.chunks import MOST_ITEMS

AHEAD = 30.0
"""Seconds of work."""
_OBSERVED = 10.0
"""Seconds that the rate is taken over."""
_AT_FIRST, _MOST_AT_FIRST = 5.0, 1_000
"""Seconds of work by the estimate, and messages: it may be wrong."""
_LEAST, _MOST = 30, 40_000
"""Messages: where nothing moves a few are still tried, and nobody's queue is to be a campaign long."""
_SMALLEST = 10
_IN_A_WINDOW = 4
"""Batches: while one is made the others are worked on."""
_LOOK_EVERY = 0.1
_CATCH_UP = 1.0
"""Seconds that a batch may come early for one that came late."""


class Pace:
    def __init__(
        self, expected: float, most: float | None = None, *, now: Callable[[], float], is_over: Callable[[], bool]
    ) -> None:
        """`expected` and `most` are messages a second, `now` in seconds. Nothing is let out once `is_over`."""
        self._expected = expected
        self._most = most
        self._now = now
        self._is_over = is_over
        self._began = now()
        self._open = 0
        self._free_at = now()
        self._ended: deque[tuple[float, int]] = deque()

    @property
    def rate(self) -> float:
        """Messages a second that came to their end lately."""
        since = self._now() - _OBSERVED
        while self._ended and self._ended[0][0] < since:
            self._ended.popleft()
        return sum(count for _, count in self._ended) / min(_OBSERVED, max(1.0, self._now() - self._began))

    @property
    def window(self) -> int:
        """Messages that may be on their way at once."""
        is_new = self._now() - self._began < _OBSERVED
        first = min(_MOST_AT_FIRST, self._expected * _AT_FIRST) if is_new else 0.0
        return int(min(_MOST, max(_LEAST, first, self.rate * AHEAD)))

    async def room(self) -> int:
        """Waits until there is room for another batch, and says for how many items; 0 when all is over."""
        while not self._is_over():
            size = self._size()
            if (self._open == 0 or self._open + size <= self.window) and self._now() >= self._free_at:
                return size
            await asyncio.sleep(_LOOK_EVERY)
        return 0

    def left(self, count: int) -> None:
        """So many are on their way now."""
        self._open += count
        if self._most is not None:
            self._free_at = max(self._free_at, self._now() - _CATCH_UP) + count / self._most

    def ended(self, count: int) -> None:
        if count:
            self._open -= count
            self._ended.append((self._now(), count))

    def _size(self) -> int:
        size = min(MOST_ITEMS, max(_SMALLEST, self.window // _IN_A_WINDOW))
        return size if self._most is None else min(size, max(1, round(self._most)))
