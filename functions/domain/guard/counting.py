"""Counts with an upper end, as one write decides on them: every cap leaves room and all is counted, or nothing is.

What the caps say is worked out here from the counts as they were before the write, whichever way it went: so a rule
that only watches says the same as one that is enforced.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import field
from typing import TypeAlias

from functions.domain.frozen import frozen
from functions.domain.guard.decision import Finding, Mode, Rule, Said


@frozen()
class Counts:
    """Of one item, at one time."""

    numbers: Mapping[str, int] = field(default_factory=dict)
    members: Mapping[str, frozenset[str]] = field(default_factory=dict)

    def number(self, counter: str) -> int:
        return self.numbers.get(counter, 0)


@frozen(kw_only=True)
class Cap:
    """A counter that this start adds one to."""

    rule: Rule
    mode: Mode
    counter: str
    most: int
    ends: int
    """When it is counted anew."""
    most_if_good: int | None = None
    converted: str | None = None
    """The counter of what came to use. Where it is no less than this one, `most_if_good` is the end if it is more."""
    key: str | None = None
    share: int = 1
    """One of so many items that have the same counter, each with its part of the whole: findings tell of the whole."""

    def count(self, before: Counts) -> int:
        return before.number(self.counter)

    def limit(self, before: Counts) -> int:
        count = self.count(before)
        if self.converted is None or self.most_if_good is None or count < self.most:
            return self.most
        return max(self.most, self.most_if_good) if before.number(self.converted) >= count else self.most

    def refuses(self, before: Counts) -> bool:
        return self.count(before) >= self.limit(before)

    def after(self, before: Counts) -> int:
        return self.count(before) + 1


@frozen(kw_only=True)
class MemberCap:
    """A set that this start is a member of from now on. Who is in it already, passes."""

    rule: Rule
    mode: Mode
    members: str
    member: str
    most: int
    ends: int
    key: str | None = None
    share: int = 1

    def count(self, before: Counts) -> int:
        return len(self._known(before))

    def refuses(self, before: Counts) -> bool:
        return not self.is_in(before) and self.count(before) >= self.most

    def after(self, before: Counts) -> int:
        return len(self._known(before) | {self.member})

    def is_in(self, before: Counts) -> bool:
        return self.member in self._known(before)

    def _known(self, before: Counts) -> frozenset[str]:
        return before.members.get(self.members, frozenset())


AnyCap: TypeAlias = Cap | MemberCap


@frozen(kw_only=True)
class Step:
    """One write: adds one to each counter of the item, if each cap that is enforced leaves room for it."""

    item: str
    """Its key in the table."""
    counters: tuple[str, ...]
    caps: tuple[AnyCap, ...]
    forget_at: int
    at_nought: tuple[str, ...] = ()
    """Counters that are taken away where all of them come to nothing: else an item grows with whatever is asked."""
    shared: bool = False
    """Many sandboxes write the item at any time: nobody finds it as he has just read it."""

    @property
    def enforced(self) -> tuple[AnyCap, ...]:
        return tuple([cap for cap in self.caps if cap.mode is Mode.ENFORCE])

    @property
    def joins(self) -> MemberCap | None:
        return next((cap for cap in self.caps if isinstance(cap, MemberCap)), None)

    def refused_by(self, before: Counts) -> bool:
        return bool([cap for cap in self.enforced if cap.refuses(before)])

    def done(self, before: Counts) -> Counts:
        """The counts after this step."""
        numbers, members = dict(before.numbers), dict(before.members)
        for counter in self.counters:
            numbers[counter] = numbers.get(counter, 0) + 1
        if self.joins is not None:
            members[self.joins.members] = members.get(self.joins.members, frozenset()) | {self.joins.member}
        return Counts(numbers, members)

    def undone(self, after: Counts) -> Counts:
        """The counts before this step, from those after it: as if its member had been none."""
        numbers = {name: number - (name in self.counters) for name, number in after.numbers.items()}
        members = dict(after.members)
        if self.joins is not None:
            members[self.joins.members] = members.get(self.joins.members, frozenset()) - {self.joins.member}
        return Counts(numbers, members)

    def findings(self, before: Counts, at: int) -> list[Finding]:
        """One for each rule, in the order of the caps. Of several caps of a rule, one that refuses speaks."""
        speaking = dict[Rule, tuple[AnyCap, bool]]()
        for cap in self.caps:
            refuses, known = cap.refuses(before), speaking.get(cap.rule)
            if known is None or (refuses and not known[1]):
                speaking[cap.rule] = cap, refuses
        counted = not self.refused_by(before)
        return [_finding(cap, before, at, refuses=no, counted=counted) for cap, no in speaking.values()]


def _finding(cap: AnyCap, before: Counts, at: int, *, refuses: bool, counted: bool) -> Finding:
    count = cap.after(before) if counted else cap.count(before)
    limit = cap.limit(before) if isinstance(cap, Cap) else cap.most
    return Finding(
        rule=cap.rule,
        said=Said.DENY if refuses else Said.PASS,
        mode=cap.mode,
        key=cap.key,
        count=count * cap.share,
        limit=limit * cap.share,
        retry_after=cap.ends - at if refuses else None,
    )
