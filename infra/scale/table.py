"""The table's limits. AWS's figures, from the DynamoDB documentation as looked up on 2026-11-26.

A new on-demand table takes 4,000 write units a second and can double within half an hour; 40,000 is an account's quota
for a table; a partition, and so an item, takes 1,000. WarmThroughput has a table begin with more.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from infra.scale.accounts import Schedule

PARTITION = 1_000
QUOTA = 40_000
DOUBLING = 1_800
"""Seconds."""

SEND_UNITS = 2.1
"""For each code: one for the claim, one for its block's counter, and its part of the eight writes of a batch to its
country's (functions/stores/guard_counters_together.py)."""
FAILED_UNITS = 5.1
"""For each try that came to nothing: claim, block and country are given back, one by one."""
READ_UNITS = 1.5
"""For the guard: a block's breaker and its last two hours, at half a unit each."""
PROGRESS_UNITS = 2
"""For each note of a batch's progress: the item has 3 KB in the end, 3 bytes for each of its thousand codes."""
MIXED = 3
"""Batches that the codes of an invocation are of. Assumed: SQS keeps no strict order, and several are under way."""


@dataclass(slots=True)
class Table:
    """Write units a second, spread evenly."""

    units: float
    tries: float
    """Seconds that a throttled write is repeated for."""
    written: float = 0.0
    by_second: dict[int, float] = field(default_factory=dict)
    _schedule: Schedule = field(init=False)

    def __post_init__(self) -> None:
        self._schedule = Schedule(self.units)

    def write(self, now: float, units: float) -> float | None:
        """When it is written. None where it is throttled for longer than anybody tries."""
        self._schedule.rate = min(self.units * 2 ** int(now // DOUBLING), max(QUOTA, self.units))
        if self._schedule.free_from - now > self.tries:
            return None
        written_at = self._schedule.take(now, units)
        self.written += units
        second = int(written_at)
        self.by_second[second] = self.by_second.get(second, 0.0) + units
        return written_at

    @property
    def busiest_second(self) -> float:
        return max(self.by_second.values(), default=0.0)
