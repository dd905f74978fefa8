"""How far a campaign is, as it is told while it runs."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from infra.send.ledger import Counts


@dataclass(slots=True)
class Board:
    messages: int
    """To be sent, all in all."""
    finished: Counts
    """Of batches whose results are written."""
    _open: dict[int, tuple[int, Counts]] = field(default_factory=dict)
    """Of those under way, by chunk: items, and what became of them so far."""

    def begun(self, chunk: int, items: int) -> None:
        self._open[chunk] = (items, Counts())

    def moved(self, chunk: int, counts: Counts) -> int:
        """Gives how many came to their end since the last time."""
        items, before = self._open[chunk]
        self._open[chunk] = (items, counts)
        return counts.total - before.total

    def done(self, chunk: int, counts: Counts) -> int:
        ended = self.moved(chunk, counts)
        del self._open[chunk]
        self.finished = _sum(self.finished, counts)
        return ended

    @property
    def counts(self) -> Counts:
        found = replace(self.finished)
        for _, counts in self._open.values():
            found = _sum(found, counts)
        return found

    @property
    def queued(self) -> int:
        """That are under way."""
        return sum(items - counts.total for items, counts in self._open.values())


def _sum(one: Counts, other: Counts) -> Counts:
    return Counts(one.sent + other.sent, one.refused + other.refused, one.failed + other.failed)
