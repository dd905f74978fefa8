"""Whether far more wrong codes come in than usual: somebody guesses at many numbers, one or two guesses each.

No number's limits see that. Wrong guesses are held against right ones and not against starts: whoever sprays starts as
many verifications as he needs, and would thin out what gives him away.
"""

from __future__ import annotations

from functions.domain.frozen import frozen

SLICE = 300
"""Seconds."""
RECENT = 3
"""Slices that are looked at, the one that runs among them: ten to fifteen minutes."""
TIMES = 3
"""So many times the usual share of wrong guesses is no accident."""
FEWEST = 200
"""Wrong guesses that say something. With codes of six digits a thousand of them are right by chance once in a thousand
such attacks, and they are noticed well before."""

_USUAL = 0.25
"""Wrong guesses for a right one, before anything was learned: every fifth guess."""
_WEIGHT = 100
"""Right guesses that this is worth: a day of a small service, minutes of a great one."""
_REMEMBERED = 0.99
"""What an hour is worth in the next: half in three days."""


@frozen()
class Guesses:
    wrong: int = 0
    right: int = 0


@frozen(kw_only=True)
class Usual:
    """What was learned, with older hours weighing less."""

    wrong: float = 0.0
    right: float = 0.0
    hour: int = 0
    """The last that was learned from, in hours since 1970."""

    @property
    def ratio(self) -> float:
        """Wrong guesses for a right one."""
        return (self.wrong + _USUAL * _WEIGHT) / (self.right + _WEIGHT)


def most_wrong(recent: Guesses, usual: Usual) -> int:
    """Wrong guesses above which it is spraying."""
    return max(FEWEST, round(TIMES * usual.ratio * recent.right))


def learned(usual: Usual, hour: int, of_it: Guesses) -> Usual | None:
    """From an hour that is over. None where it was learned from before, or before the last that was.

    An attack counts for no more than what just goes unnoticed: it is learned from slowly, as a lasting change is.
    """
    if hour <= usual.hour:
        return None
    wrong = min(of_it.wrong, TIMES * usual.ratio * of_it.right)
    return Usual(wrong=usual.wrong * _REMEMBERED + wrong, right=usual.right * _REMEMBERED + of_it.right, hour=hour)
