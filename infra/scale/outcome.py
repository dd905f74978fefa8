"""What came of a simulated campaign."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from infra.scale.model import Fleet


@dataclass(slots=True, kw_only=True)
class Counts:
    """Grows while the simulation runs."""

    posted: int = 0
    sent: int = 0
    stale: int = 0
    """Waited for longer than `fresh_for`, and were not sent."""
    dead: int = 0
    """Came to nothing as often as the queue delivers a message."""
    deliveries: int = 0
    refused_places: int = 0
    """Deliveries that ended because no place came in the invocation's time."""
    throttled: int = 0
    """Deliveries that ended because the table took no more."""
    invocations: int = 0
    cold_starts: int = 0
    billed: float = 0.0
    """Seconds of all invocations and cold starts."""
    progress_writes: float = 0.0
    place_writes: int = 0
    most_delivered: int = 0
    oldest: float = 0.0
    """Seconds that a code had waited for when it was handed out."""
    most_handed_out: int = 0
    last_end: float = 0.0

    @property
    def finished(self) -> int:
        return self.sent + self.stale + self.dead

    @property
    def came_back(self) -> int:
        return self.deliveries - self.finished


@dataclass(frozen=True, slots=True, kw_only=True)
class Logins:
    seconds: Sequence[float]
    """Sorted."""
    seconds_alone: Sequence[float]
    """Those of the same people, had there been no campaign. Sorted."""
    refused: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    fleet: Fleet
    counts: Counts
    busy: Sequence[tuple[float, int]]
    """Invocations at once from each moment on."""
    logins: Logins
    write_units: float
    busiest_write_second: float
    peak: int = field(default=0)
    """Invocations at once, at the most."""

    @property
    def seconds(self) -> float:
        """From the first POST to the end of the last code."""
        return self.counts.last_end

    @property
    def rate(self) -> float:
        """Codes sent a second, over all of it."""
        return self.counts.sent / self.seconds if self.seconds else 0.0


def quantile(ordered: Sequence[float], share: float) -> float:
    """Of sorted values; 0 where there are none."""
    return ordered[min(int(len(ordered) * share), len(ordered) - 1)] if ordered else 0.0
