"""Kept decisions, one item each, for two weeks. A flood of denials is kept in samples, each with its weight."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from functions.domain.guard import kept
from functions.domain.guard.attempt import Attempt
from functions.domain.guard.decision import Decision, Finding, Said
from functions.stores.dynamodb import MOST_STATEMENTS, Item, Table
from functions.together import Together
from functions.usecases.ports import StoreUnavailable

_log = logging.getLogger(__name__)

KEPT_FOR = 1_209_600
"""Seconds: 14 days."""
A_SECOND = 5
"""Denials by the same rule of the same service that a sandbox keeps. The log has all; a flood must not cost a write
for each of its requests."""
PATIENCE = 0.5
"""Seconds. The caller is waiting, and the log has it."""

_DAY = 86_400
_NAME_CHARACTERS = 16


@dataclass(slots=True)
class DynamoDecisions:
    table: Table
    _second: int = -1
    _kept: Counter[str] = field(default_factory=Counter)
    """Within that second, by what is counted together."""
    _left_out: Counter[str] = field(default_factory=Counter)
    """Since the last one that was kept."""
    _writes: Together[str, Item, str | None] = field(init=False)

    def __post_init__(self) -> None:
        self.table = replace(self.table, patience=PATIENCE)
        self._writes = Together(self._write_all, MOST_STATEMENTS)

    async def keep(self, decision: Decision, attempt: Attempt) -> None:
        weight = self._weight(decision, attempt)
        if weight is None:
            return
        name = attempt.pseudonym("decision", f"{attempt.request} {attempt.at}")[:_NAME_CHARACTERS]
        item: Item = {
            "pk": {"S": f"d#{attempt.at // _DAY}#{name}"},
            "facts": {"S": kept.to_text(kept.of(decision, attempt, weight=weight))},
            "ttl": {"N": str(attempt.at + KEPT_FOR)},
        }
        try:
            await self._writes.ask(item["pk"]["S"], item)
        except StoreUnavailable as error:
            _log.warning("a decision is not kept: %s", error)

    async def _write_all(self, items: Mapping[str, Item]) -> Mapping[str, str | None]:
        """A repeat of a request's decision finds it kept already. What is refused for load is left to the log."""
        if len(items) > 1:
            return dict(zip(items, await self.table.insert(list(items.values())), strict=True))
        for pk, item in items.items():
            values: Item = {":facts": item["facts"], ":ttl": item["ttl"]}
            await self.table.count(pk, "SET #facts = :facts, #ttl = :ttl", values=values)
        return dict.fromkeys(items)

    def _weight(self, decision: Decision, attempt: Attempt) -> float | None:
        """None: it is not to be kept."""
        telling = decision.decided_by or next(filter(_would_deny, decision.findings), None)
        if telling is None:
            share = attempt.policy.sampled
            return 1 / share if kept.is_sampled(attempt.request, share) else None
        if self._second != attempt.at:
            self._second, self._kept = attempt.at, Counter()
        alike = f"{attempt.service} {telling.rule} {telling.mode}"
        if self._kept[alike] >= A_SECOND:
            self._left_out[alike] += 1
            return None
        self._kept[alike] += 1
        return 1.0 + self._left_out.pop(alike, 0)


def _would_deny(finding: Finding) -> bool:
    """By a rule that only watches, or for somebody who is on no safe list."""
    return finding.said is not Said.PASS and finding.said is not Said.SOLVED and not finding.lifts
