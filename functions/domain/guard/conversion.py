"""Whether too few of the codes to a block or country come to use: whoever pumps has codes sent that nobody reads.

    closed ── surely below the floor ──► open ── 1 h, then 2, 4, 8, 12 ──► half-open: five sends an hour
      ▲                                    ▲                                  │
      │                                    └──── too few of five are used ────┤
      └──────────────────────── enough of them come to use ───────────────────┘

Every step gives the breaker as it is afterwards, and None where nothing changes.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from enum import StrEnum

from functions.domain.frozen import frozen

SLICE = 300
"""Seconds. Sends are counted by when they went out, and what came to use of them is counted there too."""
SETTLED_AFTER = 180
"""Seconds: who wants a code has typed it in by then. Of a slice that ended more recently nothing is known, not even the
good: those are told at once, and the bad ones never."""
WINDOW = 200
"""The last sends that are looked at, by whole slices: old good ones must not hide what begins now."""
FEWEST = 30
"""Sends that say something. None of 30 used: at most 11 in a hundred would be, with a certainty of 95 %."""
TRIALS = 5
"""Sends an hour that try out a block or country that was closed."""
TRIALS_EVERY = 3600
"""Seconds."""
OPEN_FIRST = 3600
OPEN_LONGEST = 43_200
"""Seconds. Twilio's blocks last as long, and begin anew while the attack goes on."""

_Z = 1.96
"""Of a normal distribution 95 % is this many standard deviations around its mean."""


class Kind(StrEnum):
    BLOCK = "block"
    COUNTRY = "country"


@frozen()
class Place:
    """What a breaker is of."""

    kind: Kind
    key: str
    """A block's pseudonym, or a region."""


@frozen()
class Slice:
    begins: int
    sent: int
    converted: int


@frozen()
class Tally:
    sent: int = 0
    converted: int = 0

    @property
    def upper(self) -> float:
        """The upper end of Wilson's 95 % interval for the share that comes to use."""
        if not self.sent:
            return 1.0
        share, weight = self.converted / self.sent, _Z * _Z / self.sent
        spread = _Z * math.sqrt((share * (1 - share) + weight / 4) / self.sent)
        return (share + weight / 2 + spread) / (1 + weight)


@frozen(kw_only=True)
class Breaker:
    """Times are seconds since 1970."""

    times: int = 0
    """That it was opened in a row. 0: it is closed."""
    until: int = 0
    """Open until then, half-open afterwards."""
    since: int = 0
    """Sends before then are not looked at: they have been judged."""
    upper: float = 1.0
    """What it was opened for: services whose floor is lower have no part in it."""

    def holds(self, floor: float) -> bool:
        """Open or half-open, for a service with this floor."""
        return self.times > 0 and self.upper < floor

    def is_open(self, floor: float, now: int) -> bool:
        return self.holds(floor) and now < self.until

    def trial_hour(self, now: int) -> int:
        """While it is half-open: which hour of it."""
        return (now - self.until) // TRIALS_EVERY


def tally(slices: Iterable[Slice], *, since: int, now: int) -> Tally:
    """Of the newest settled slices that hold the window together. They come newest first."""
    sent = converted = 0
    for each in slices:
        if each.begins < since or sent >= WINDOW:
            break
        if each.begins + SLICE + SETTLED_AFTER <= now:
            sent += each.sent
            converted += min(each.converted, each.sent)
    return Tally(sent, converted)


def judged(breaker: Breaker, slices: Iterable[Slice], floor: float, now: int) -> Breaker | None:
    """Opens a closed one, closes a half-open one, or opens it for twice as long."""
    if not breaker.holds(floor):
        found = tally(slices, since=breaker.since, now=now)
        return _opened(breaker, found, now) if found.sent >= FEWEST and found.upper < floor else None
    tried = tally(slices, since=breaker.until, now=now)
    if tried.sent < TRIALS:
        return None
    if tried.converted >= floor * tried.sent:
        return Breaker(since=breaker.until)
    return _opened(breaker, tried, now)


def _opened(breaker: Breaker, found: Tally, now: int) -> Breaker:
    """Until the end of a slice: what tries it out is in no slice with what came before."""
    times = breaker.times + 1
    ends = now + min(OPEN_FIRST * 2 ** (times - 1), OPEN_LONGEST)
    upper = min(found.upper, breaker.upper)
    return Breaker(times=times, until=math.ceil(ends / SLICE) * SLICE, since=breaker.since, upper=upper)
