"""The phones behind the simulated gateway: what each has received."""

from __future__ import annotations

from collections import defaultdict, deque
from collections.abc import Iterable
from dataclasses import dataclass, field
from itertools import islice

MOST_KEPT = 200_000
"""Messages, of all phones together. The oldest go first."""


@dataclass(frozen=True, slots=True)
class Received:
    to: str
    text: str
    provider: str
    received_at: float


@dataclass(slots=True)
class Phones:
    most_kept: int = MOST_KEPT
    _all: deque[Received] = field(default_factory=deque)
    _by_number: defaultdict[str, deque[Received]] = field(default_factory=lambda: defaultdict(deque))

    def deliver(self, message: Received) -> None:
        self._all.append(message)
        self._by_number[message.to].append(message)
        if len(self._all) > self.most_kept:
            self._forget_oldest()

    def inbox(self, number: str) -> Iterable[Received]:
        """Oldest first."""
        return self._by_number.get(number, ())

    def newest(self, count: int) -> Iterable[Received]:
        """Of all phones, oldest first."""
        return islice(self._all, max(0, len(self._all) - count), None)

    def count(self) -> dict[str, int]:
        return {
            "messages": len(self._all),
            "numbers": len(self._by_number),
            "max_per_number": max(map(len, self._by_number.values()), default=0),
        }

    def clear(self) -> None:
        self._all.clear()
        self._by_number.clear()

    def _forget_oldest(self) -> None:
        number = self._all.popleft().to
        self._by_number[number].popleft()
        if not self._by_number[number]:
            del self._by_number[number]
