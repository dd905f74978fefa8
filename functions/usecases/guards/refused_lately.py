"""What was refused a moment ago, before anything is counted: a flood at one block writes nothing for its addresses."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from functions.domain.guard.attempt import Attempt
from functions.domain.guard.decision import Finding
from functions.domain.part import part


class Remembering(Protocol):
    def recall(self, attempt: Attempt) -> Sequence[Finding]:
        """Its findings where it refuses the attempt by what it remembers; else none, and it has to be asked."""


@part
class RefusedLately:
    """Says nothing but what one of the checks would say, and only where that decides."""

    checks: Sequence[Remembering]

    async def look(self, attempt: Attempt) -> Sequence[Finding]:
        return next(filter(None, (check.recall(attempt) for check in self.checks)), [])

    async def give_back(self, attempt: Attempt) -> None:
        """There is nothing to."""
