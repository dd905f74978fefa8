"""Closes blocks and countries whose codes hardly anybody uses; a few sends an hour try out whether that is over.

It is asked after blocks and countries were counted: it reads what they count, and writes only where a breaker changes,
or a send tries it out.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from functions.domain.frozen import frozen
from functions.domain.guard.attempt import Attempt
from functions.domain.guard.conversion import TRIALS_EVERY, Breaker, Kind, Place, Slice, judged, tally
from functions.domain.guard.decision import Finding, Mode, Rule, Said
from functions.together import Fetched, side_by_side
from functions.usecases.guard_ports import Conversions
from functions.usecases.ports import Journal

FRESH_FOR = 10
"""Seconds that a sandbox goes by what it read of a place. Sends are not settled for minutes anyway."""

_KEPT = 60
"""Seconds after which a send is not given back any more: no invocation lasts so long."""
_MOST_KNOWN = 2000
"""Places that a sandbox remembers, before it forgets those that it would read again anyway. Who is just asking for one
keeps what he has in hand."""
_KINDS = {Rule.CONVERSION_BLOCK: Kind.BLOCK, Rule.CONVERSION_COUNTRY: Kind.COUNTRY}


@dataclass(slots=True)
class _Known:
    """What this sandbox knows of a place."""

    place: Place
    breaker: Breaker = field(default_factory=Breaker)
    slices: Sequence[Slice] = ()
    read_at: int = -FRESH_FOR
    full_until: int = 0
    """The sends that may try it out have been taken, until then."""
    fetched: Fetched = field(default_factory=Fetched)

    def is_fresh(self, now: int) -> bool:
        return now - self.read_at < FRESH_FOR


@frozen()
class _Trial:
    """A place's send of this hour that an attempt took."""

    place: Place
    breaker: Breaker
    at: int


@dataclass(slots=True)
class Conversion:
    conversions: Conversions
    journal: Journal
    _known: dict[Place, _Known] = field(default_factory=dict)
    _most: int = _MOST_KNOWN
    """Places, before some are forgotten."""
    _trials: dict[str, list[_Trial]] = field(default_factory=dict)
    """By request: for giving back."""

    async def look(self, attempt: Attempt) -> Sequence[Finding]:
        rules = [rule for rule in _KINDS if _mode(rule, attempt) is not Mode.OFF]
        asked = [(rule, self._of(_place(_KINDS[rule], attempt), attempt.at)) for rule in rules]
        await side_by_side([self._learn(rule, known, attempt) for rule, known in asked if _is_due(known, attempt)])
        findings: list[Finding] = []
        for rule, known in asked:
            findings.append(await self._ask(known, rule, attempt))
            if findings[-1].decides:
                await self.give_back(attempt)
                break
        return findings

    async def give_back(self, attempt: Attempt) -> None:
        for trial in self._trials.pop(attempt.request, ()):
            self._of(trial.place, attempt.at).full_until = 0
            await self.conversions.give_trial_back(trial.place, trial.breaker, trial.at)

    async def _learn(self, rule: Rule, known: _Known, attempt: Attempt) -> None:
        await known.fetched.unless(lambda: not _is_due(known, attempt), lambda: self._go_on(rule, known, attempt))

    async def _go_on(self, rule: Rule, known: _Known, attempt: Attempt) -> None:
        """Reads what is not fresh, and makes the step that is due."""
        if not known.is_fresh(attempt.at):
            known.breaker, known.slices = await self.conversions.known(known.place, attempt.at)
            known.read_at, known.full_until = attempt.at, 0
        following = _due(known, attempt)
        if following is not None:
            await self._change(known, following, rule, attempt)

    async def _change(self, known: _Known, following: Breaker, rule: Rule, attempt: Attempt) -> None:
        before = known.breaker
        in_the_way = await self.conversions.change(known.place, before, following)
        known.breaker = in_the_way or following
        if in_the_way is None:
            self.journal(
                "breaker",
                kind=known.place.kind.value,
                key=_shown(rule, attempt),
                outcome=_named(before, following),
                seconds=following.until - attempt.at if following.times else None,
            )

    async def _ask(self, known: _Known, rule: Rule, attempt: Attempt) -> Finding:
        policy = attempt.policy
        wait = await self._wait(known, attempt)
        found = tally(known.slices, since=known.breaker.since, now=attempt.at)
        return Finding(
            rule=rule,
            said=Said.PASS if wait is None else Said.DENY,
            mode=_mode(rule, attempt),
            key=_shown(rule, attempt),
            count=round(100 * found.upper),
            limit=round(100 * policy.conversion_floor),
            retry_after=wait,
        )

    async def _wait(self, known: _Known, attempt: Attempt) -> int | None:
        """None: it may go out, by itself or as one that tries the place out. Else seconds until it is worth a try."""
        breaker, now = known.breaker, attempt.at
        if not breaker.holds(attempt.policy.conversion_floor):
            return None
        if now < breaker.until:
            return breaker.until - now
        ends = breaker.until + (breaker.trial_hour(now) + 1) * TRIALS_EVERY
        if known.full_until == ends:
            return ends - now
        if not await self.conversions.take_trial(known.place, breaker, now):
            known.full_until = ends
            return ends - now
        self._note(attempt, _Trial(known.place, breaker, now))
        return None

    def _note(self, attempt: Attempt, trial: _Trial) -> None:
        self._trials = {
            request: trials for request, trials in self._trials.items() if trials[-1].at > attempt.at - _KEPT
        }
        self._trials.setdefault(attempt.request, []).append(trial)

    def _of(self, place: Place, now: int) -> _Known:
        known = self._known.get(place)
        if known is None:
            self._forget(now)
            known = self._known[place] = _Known(place)
        return known

    def _forget(self, now: int) -> None:
        """Not at each new place of a great batch, whose places are all fresh: to look through them takes its time."""
        if len(self._known) >= self._most:
            self._known = {place: known for place, known in self._known.items() if known.is_fresh(now)}
            self._most = max(_MOST_KNOWN, 2 * len(self._known))


def _is_due(known: _Known, attempt: Attempt) -> bool:
    """Something is to be read, or to be changed."""
    return not known.is_fresh(attempt.at) or _due(known, attempt) is not None


def _due(known: _Known, attempt: Attempt) -> Breaker | None:
    return judged(known.breaker, known.slices, attempt.policy.conversion_floor, attempt.at)


def _mode(rule: Rule, attempt: Attempt) -> Mode:
    """At home the country's breaker only watches, where the file does not say otherwise.

    Thirty starts and no code typed in close a country, and thirty starts are to be had for nothing: a stranger would
    close a service to all of its people. There its blocks, addresses and budget hold.
    """
    policy = attempt.policy
    if rule is Rule.CONVERSION_COUNTRY and rule not in policy.modes and policy.is_home(attempt.region):
        return Mode.MONITOR
    return policy.mode(rule)


def _place(kind: Kind, attempt: Attempt) -> Place:
    return Place(kind, attempt.region if kind is Kind.COUNTRY else attempt.pseudonym("block", attempt.block_10k))


def _shown(rule: Rule, attempt: Attempt) -> str:
    return attempt.region if rule is Rule.CONVERSION_COUNTRY else attempt.block_10k


def _named(before: Breaker, after: Breaker) -> str:
    if not after.times:
        return "closed"
    return "still_open" if before.times else "opened"
