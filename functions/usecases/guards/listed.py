"""What operators said of a number, its block of a thousand or its country by hand."""

from __future__ import annotations

from collections.abc import Sequence

from functions.domain.guard.attempt import Attempt
from functions.domain.guard.decision import Finding, Mode, Rule, Said
from functions.domain.guard.lists import Effect, Entry, Subject, standing
from functions.domain.part import part
from functions.usecases.guard_ports import Lists


@part
class Listed:
    """Counts nothing."""

    lists: Lists

    async def look(self, attempt: Attempt) -> Sequence[Finding]:
        mode = attempt.policy.mode(Rule.LISTED)
        if mode is Mode.OFF:
            return []
        found = standing(await self.lists.listing(attempt.at), attempt)
        return [Finding(rule=Rule.LISTED, said=Said.PASS, mode=mode) if found is None else _said(*found, attempt, mode)]

    async def give_back(self, attempt: Attempt) -> None:
        """There is nothing to."""


def _said(subject: Subject, entry: Entry, attempt: Attempt, mode: Mode) -> Finding:
    if entry.effect is Effect.BLOCK:
        over = None if entry.until is None else entry.until - attempt.at
        return Finding(rule=Rule.LISTED, said=Said.DENY, mode=mode, key=subject.shown, retry_after=over)
    lifts = frozenset(rule for rule in Rule if subject.lifts(rule)) if mode is Mode.ENFORCE else frozenset()
    return Finding(rule=Rule.LISTED, said=Said.EXEMPT, mode=mode, key=subject.shown, lifts=lifts)
