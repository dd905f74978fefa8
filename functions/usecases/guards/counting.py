"""What the checks that count have in common: a flood that was refused costs no writes, and who was new is known."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from functions.domain.guard.attempt import Attempt
from functions.domain.guard.counting import Counts, Step
from functions.domain.guard.decision import Finding
from functions.usecases.guard_ports import Counters

REFUSED_FOR = 3
"""Seconds that a refusal stands without another look: of a partition's 1,000 writes a second it takes one as well."""
MOST_REMEMBERED = 2_000
"""Refusals, and starts under way: a sandbox has 1,000 of these at most. What is forgotten costs a write, or a place."""


@dataclass(slots=True)
class Counting:
    counters: Counters
    _refused: dict[str, tuple[int, Counts]] = field(default_factory=dict)
    """By item: when it refused somebody, and how its counts stood."""
    _newcomers: dict[str, None] = field(default_factory=dict)
    """Requests whose number was new in its block."""

    async def look(self, attempt: Attempt, step: Step) -> list[Finding]:
        return self.recall(attempt, step) or step.findings(await self._count(attempt, step), attempt.at)

    def recall(self, attempt: Attempt, step: Step) -> list[Finding]:
        """What was refused a moment ago is refused again; nothing where it was not."""
        at, counts = self._refused.get(step.item, (0, Counts()))
        stands = abs(attempt.at - at) < REFUSED_FOR and step.refused_by(counts)
        return step.findings(counts, attempt.at) if stands else []

    def recall_any(self, attempt: Attempt, step_of: Callable[[Attempt], Step | None]) -> list[Finding]:
        """The same, and where nothing at all was refused lately, no step is even made."""
        step = step_of(attempt) if self._refused else None
        return [] if step is None else self.recall(attempt, step)

    async def give_back(self, attempt: Attempt, step: Step) -> None:
        newcomer = attempt.request in self._newcomers
        self._newcomers.pop(attempt.request, None)
        await self.counters.take_back(step, newcomer=newcomer)

    async def _count(self, attempt: Attempt, step: Step) -> Counts:
        tally = await self.counters.count(step)
        if not tally.counted:
            self._refused.pop(step.item, None)
            self._refused[step.item] = attempt.at, tally.before
            _forget_the_oldest(self._refused)
        elif step.joins is not None and not step.joins.is_in(tally.before):
            self._newcomers[attempt.request] = None
            _forget_the_oldest(self._newcomers)
        return tally.before


def _forget_the_oldest(remembered: dict[str, tuple[int, Counts]] | dict[str, None]) -> None:
    while len(remembered) > MOST_REMEMBERED:
        del remembered[next(iter(remembered))]
