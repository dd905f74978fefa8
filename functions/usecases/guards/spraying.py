"""Asks for a challenge where far more wrong codes come in than usual, of the service or of all of them.

Guesses are told by a sample, so that a check stays one write. What is told is a few seconds old when it is read: that
many seconds of an attack come on top of what it takes to notice it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from functions.domain.guard.attempt import Attempt
from functions.domain.guard.decision import Finding, Mode, Rule, Said
from functions.domain.guard.policy import Policy
from functions.domain.guard.spraying import Guesses, Usual, most_wrong
from functions.together import Fetched, side_by_side
from functions.usecases.guard_ports import GuessCounts
from functions.usecases.ports import Journal

FRESH_FOR = 2
"""Seconds that a sandbox goes by what it read."""
ALL_SERVICES = "*"


@dataclass(slots=True)
class _Known:
    """What this sandbox knows of a service, or of all."""

    recent: Guesses = field(default_factory=Guesses)
    usual: Usual = field(default_factory=Usual)
    read_at: int = -FRESH_FOR
    noticed: bool = False
    fetched: Fetched = field(default_factory=Fetched)

    @property
    def most(self) -> int:
        return most_wrong(self.recent, self.usual)

    def is_fresh(self, now: int) -> bool:
        return now - self.read_at < FRESH_FOR


@dataclass(slots=True)
class Spraying:
    counts: GuessCounts
    alone: bool
    """There is one service: what goes for it goes for all."""
    journal: Journal
    _known: dict[str, _Known] = field(default_factory=dict)

    async def look(self, attempt: Attempt) -> Sequence[Finding]:
        mode = attempt.policy.mode(Rule.SPRAYING)
        if mode is Mode.OFF:
            return ()
        known = await self._learn_all(self._scopes(attempt.service), attempt.at)
        scope, worst = max(known.items(), key=lambda each: each[1].noticed)
        return [
            Finding(
                rule=Rule.SPRAYING,
                said=Said.CHALLENGE if worst.noticed else Said.PASS,
                mode=mode,
                key=scope,
                count=worst.recent.wrong,
                limit=worst.most,
            )
        ]

    async def give_back(self, attempt: Attempt) -> None:
        """It counts guesses, and no starts."""

    async def guessed(self, service: str, policy: Policy, *, right: bool, at: int) -> None:
        if policy.mode(Rule.SPRAYING) is not Mode.OFF:
            await self.counts.note(self._scopes(service), right=right, at=at)

    def _scopes(self, service: str) -> tuple[str, ...]:
        return (service,) if self.alone else (service, ALL_SERVICES)

    async def _learn_all(self, scopes: Sequence[str], now: int) -> dict[str, _Known]:
        known = {scope: self._known.get(scope) or self._known.setdefault(scope, _Known()) for scope in scopes}
        stale = [(scope, each) for scope, each in known.items() if not each.is_fresh(now)]
        await side_by_side([self._learn(scope, each, now) for scope, each in stale])
        return known

    async def _learn(self, scope: str, known: _Known, now: int) -> None:
        await known.fetched.unless(lambda: known.is_fresh(now), lambda: self._read(scope, known, now))

    async def _read(self, scope: str, known: _Known, now: int) -> None:
        known.recent, known.usual = await self.counts.read(scope, now)
        known.read_at = now
        self._tell(scope, known)

    def _tell(self, scope: str, known: _Known) -> None:
        """Once when it begins and once when it ends, by each sandbox that is asked for codes then."""
        noticed = known.recent.wrong > known.most
        if noticed != known.noticed:
            self.journal(
                "spraying",
                service=scope,
                outcome="noticed" if noticed else "over",
                wrong=known.recent.wrong,
                right=known.recent.right,
            )
        known.noticed = noticed
