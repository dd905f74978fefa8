"""What another policy would have decided about starts that were decided already.

A decision tells what each rule counted at its time. What the other policy lets through or stops differently is added to
or taken off what was counted afterwards in the same window, so a looser limit ends too, only later. Of what would have
come to use nothing is known: codes that would have gone out count as if nobody had typed them in.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace

from functions.domain.frozen import frozen
from functions.domain.guard.decision import Decision, Finding, Mode, Rule, Said
from functions.domain.guard.kept import Kept
from functions.domain.guard.policy import Policy

HOUR, DAY = 3_600, 86_400

_LIMITS: Mapping[Rule, Mapping[str, int]] = {
    Rule.IP: {"ip_hour": HOUR, "ip_day": DAY},
    Rule.IP_PREFIX: {"ip_prefix_hour": HOUR},
    Rule.NUMBERS_1K: {"numbers_1k": HOUR},
    Rule.UNCONVERTED_1K: {"unconverted_1k": HOUR, "unconverted_1k_good": HOUR},
    Rule.UNCONVERTED_10K: {"unconverted_10k": HOUR},
    Rule.UNCONVERTED_COUNTRY: {"unconverted_country": HOUR},
    Rule.EVERYWHERE: {"everywhere_day": DAY},
    Rule.BUDGET_SERVICE: {"budget": DAY},
    Rule.BUDGET_TOTAL: {},
}
"""Rules that count, their settings, and how long each counts. The budget of all services is no service's setting."""
_ONE_WRITE = (
    frozenset({Rule.IP, Rule.IP_PREFIX}),
    frozenset({Rule.NUMBERS_1K, Rule.UNCONVERTED_1K, Rule.UNCONVERTED_10K}),
)
"""Rules that count together: where one of them denies, none of them counts that start."""
_MONEY = frozenset({Rule.BUDGET_SERVICE, Rule.BUDGET_TOTAL})

NOT_REPLAYED: Mapping[str, str] = {
    "ip_day": "only where the day's limit denied, the day's count is written down",
    "home": "which budget and cap a country had is not written down",
    "conversion_floor": "what a block's codes came to is written down, and not what another floor had let through",
    "challenge": "nobody knows who would have solved one",
    "risk_url": "the other service was not asked",
    "risk_on_failure": "whether the service answered is not written down",
    "trusted_day": "it is held by the number's own record",
    "checks_minute": "it is about checks, not about starts",
}
"""Settings of a policy whose change a replay can't tell, and why."""


@frozen(kw_only=True)
class Replayed:
    kept: Kept
    before: str
    """allowed, denied or challenged."""
    after: str
    rule: Rule | None
    """That decides afterwards, or that decided before where nothing does any more."""
    open: bool
    """Rules that had not been asked, for another had denied, would have had the last word."""


@dataclass(slots=True, kw_only=True)
class Replay:
    before: Mapping[str, Policy]
    """By service: the policies that the decisions were made by."""
    after: Mapping[str, Policy]
    price: Callable[[str], int | None]
    """Of a message, by region."""
    _more: defaultdict[tuple[object, ...], float] = field(default_factory=lambda: defaultdict(float))
    """What is counted more than it was, by rule, what it counts, and window."""

    def __call__(self, decisions: Iterable[Kept]) -> Iterator[Replayed]:
        """Those of services that both know, by time."""
        for kept in sorted(decisions, key=lambda each: each.at):
            if kept.service in self.before and kept.service in self.after:
                yield self._again(kept)

    def _again(self, kept: Kept) -> Replayed:
        before, after = kept.decision, Decision()
        for finding in before.findings:
            after = after.and_then(self._ask(finding, kept, after.lifted))
            if after.decided_by is not None:
                break
        self._count(kept, after)
        decisive = after.decided_by or before.decided_by
        return Replayed(
            kept=kept,
            before=before.outcome,
            after=after.outcome,
            rule=None if decisive is None else decisive.rule,
            open=before.decided_by is not None and after.decided_by is None,
        )

    def _ask(self, finding: Finding, kept: Kept, lifted: frozenset[Rule]) -> list[Finding]:
        policy = self.after[kept.service]
        mode = policy.mode(finding.rule)
        if mode is Mode.OFF:
            return []
        said = self._said(finding, kept, policy)
        if finding.rule is Rule.LISTED:
            lifts = finding.lifts if mode is Mode.ENFORCE else frozenset[Rule]()
            return [replace(finding, mode=mode, lifts=lifts)]
        if said is not Said.PASS and mode is Mode.ENFORCE and finding.rule in lifted:
            said = Said.EXEMPT
        return [replace(finding, said=said, mode=mode)]

    def _said(self, finding: Finding, kept: Kept, policy: Policy) -> Said:
        if finding.rule is Rule.COUNTRY:
            return Said.PASS if not policy.countries or kept.region in policy.countries else Said.DENY
        if finding.rule not in _LIMITS or finding.count is None or finding.limit is None:
            return Said.DENY if finding.said is Said.EXEMPT else finding.said
        limit = self._limit(finding, kept)
        if limit is None:
            return Said.PASS
        more = self._more[self._counter(finding, kept)]
        itself = 0 if _is_in_its_count(finding, kept.decision) else self._unit(finding.rule, kept)
        return Said.PASS if finding.count + itself + more <= limit else Said.DENY

    def _limit(self, finding: Finding, kept: Kept) -> float | None:
        """In proportion: of a budget a country that is not at home has its share only."""
        name = self._setting(finding, kept)
        was: int | None = None if name is None else getattr(self.before[kept.service], name)
        will_be: int | None = None if name is None else getattr(self.after[kept.service], name)
        if finding.limit is None or was is None or was == will_be:
            return finding.limit
        return None if will_be is None else finding.limit * will_be / was

    def _setting(self, finding: Finding, kept: Kept) -> str | None:
        """Which of a rule's settings the finding is about: the one that has its limit, or else the first."""
        names = _LIMITS[finding.rule]
        policy = self.before[kept.service]
        same = (name for name in names if getattr(policy, name) == finding.limit)
        return next(same, next(iter(names), None))

    def _count(self, kept: Kept, after: Decision) -> None:
        """A start that does not go out is given back everywhere."""
        went_out, goes_out = kept.decision.outcome == "allowed", after.outcome == "allowed"
        for finding in kept.decision.findings if went_out != goes_out else ():
            if finding.rule in _LIMITS:
                change = self._unit(finding.rule, kept) * kept.weight
                self._more[self._counter(finding, kept)] += change if goes_out else -change

    def _unit(self, rule: Rule, kept: Kept) -> float:
        return (self.price(kept.region) or 0) if rule in _MONEY else 1

    def _counter(self, finding: Finding, kept: Kept) -> tuple[object, ...]:
        seconds = _LIMITS[finding.rule].get(self._setting(finding, kept) or "", DAY)
        counted = {
            Rule.IP: kept.address,
            Rule.IP_PREFIX: kept.prefix,
            Rule.NUMBERS_1K: kept.block,
            Rule.UNCONVERTED_1K: kept.block,
            Rule.UNCONVERTED_10K: kept.block[:-1],
            Rule.UNCONVERTED_COUNTRY: kept.region,
            Rule.EVERYWHERE: kept.number,
            Rule.BUDGET_SERVICE: kept.service,
        }
        return finding.rule, counted.get(finding.rule), kept.at // seconds


def _is_in_its_count(finding: Finding, decision: Decision) -> bool:
    """Whether the start is in what the rule says that it counted."""
    decisive = decision.decided_by
    if decisive is None:
        return True
    return not any({finding.rule, decisive.rule} <= rules for rules in (*_ONE_WRITE, {finding.rule}))


def not_replayed(before: Policy, after: Policy) -> dict[str, str]:
    """Settings that differ, and that a replay says nothing about."""
    return {name: why for name, why in NOT_REPLAYED.items() if getattr(before, name) != getattr(after, name)}
