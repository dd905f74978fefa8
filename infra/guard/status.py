"""./salvo guard status: who is listed, what is closed, what is spent, who was denied and what came to use."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from functions.domain.guard.budget import ALL_SERVICES
from functions.domain.guard.decision import Finding, Mode, Said
from functions.domain.guard.kept import Kept
from functions.domain.guard.lists import Listing
from functions.guard_file import MILLION
from functions.service_file import Configuration
from functions.stores.dynamodb import Item
from functions.stores.guard_lists import KEY, to_listing
from infra.guard.decisions import PREFIX, decisions_in
from infra.guard.deployment import Deployment
from infra.guard.lists import CHANGES, as_time, changes_in, shown

_HOUR, _DAY = 3_600, 86_400
_CHANGES_SHOWN = 10
_REGION_LETTERS = 2
_OUTCOMES = {Said.DENY: "denied", Said.CHALLENGE: "challenged", Said.EXEMPT: "let through by the lists"}


@dataclass(frozen=True, slots=True)
class Section:
    title: str
    columns: Sequence[str]
    rows: Sequence[Sequence[str]]
    nothing: str
    """What is said where there are no rows."""


@dataclass(slots=True)
class _Seen:
    """The table's items, by what they are."""

    lists: Item | None = None
    changes: list[Item] = field(default_factory=list)
    breakers: list[Item] = field(default_factory=list)
    money: list[Item] = field(default_factory=list)
    countries: list[Item] = field(default_factory=list)
    decisions: list[Item] = field(default_factory=list)


async def status(
    deployment: Deployment, configuration: Configuration, *, seconds: int, service: str | None
) -> list[Section]:
    """Of the last `seconds`, and of one service or all. Raises AWS's errors."""
    day = deployment.now // _DAY
    seen = _sorted(await deployment.scan(KEY, CHANGES, "k#", f"m#{day}#", "n#", PREFIX))
    since = deployment.now - seconds
    all_kept = decisions_in(seen.decisions)
    decisions = [each for each in all_kept if each.at >= since and service in (None, each.service)]
    return [
        _lists(to_listing(seen.lists), deployment.now),
        Section(
            "last changes of the lists",
            ["what"],
            [[told] for told in changes_in(seen.changes)[:_CHANGES_SHOWN]],
            "nobody changed them within 400 days",
        ),
        _closed(seen.breakers, _blocks(all_kept, deployment), deployment.now),
        _budgets(seen.money, configuration, service),
        _denials(decisions),
        _conversion(seen.countries, since),
    ]


def _sorted(items: Iterable[Item]) -> _Seen:
    seen = _Seen()
    by_letter = {
        "l": seen.changes,
        "k": seen.breakers,
        "m": seen.money,
        "n": seen.countries,
        "d": seen.decisions,
    }
    for item in items:
        pk: str = item["pk"]["S"]
        if pk == KEY:
            seen.lists = item
        else:
            by_letter[pk[0]].append(item)
    return seen


def _lists(listing: Listing, now: int) -> Section:
    rows = [
        [
            shown(subject, entry.label),
            entry.effect.value,
            as_time(entry.at),
            "for good" if entry.until is None else as_time(entry.until),
            entry.why,
            entry.who,
        ]
        for subject, entry in sorted(listing.items(), key=lambda each: each[1].at)
        if entry.holds(now)
    ]
    return Section(
        "lists", ["who", "effect", "since", "until", "why", "by"], rows, "nobody is blocked or allowed by hand"
    )


def _blocks(decisions: Iterable[Kept], deployment: Deployment) -> dict[str, str]:
    """Digits by pseudonym, as far as kept decisions name them: a breaker's item does not."""
    digits = {each.block[:-1] for each in decisions}
    return {deployment.pseudonym("block", block): f"+{block}xxxx" for block in digits}


def _closed(items: Iterable[Item], blocks: Mapping[str, str], now: int) -> Section:
    rows = []
    for item in items:
        key, until = item["pk"]["S"].partition("#")[2], int(item["until"]["N"])
        if int(item["times"]["N"]) > 0:
            name = key if len(key) == _REGION_LETTERS else blocks.get(key, f"a block ({key[:6]})")
            state = f"closed until {as_time(until)}" if now < until else "tried out, five codes an hour"
            rows.append([name, state, item["times"]["N"], f"{float(item['upper']['N']):.0%}"])
    columns = ["what", "state", "times", "at most come to use"]
    return Section("closed by conversion", columns, sorted(rows), "no block and no country is closed")


def _budgets(items: Iterable[Item], configuration: Configuration, service: str | None) -> Section:
    used = {item["pk"]["S"].split("#", 2)[2]: int(item["used"]["N"]) for item in items}
    budgets = {name: each.guard.budget for name, each in configuration.services.items()}
    budgets[ALL_SERVICES] = configuration.spending.budget
    wanted = {name: budget for name, budget in budgets.items() if budget and service in (None, name)}
    rows = [
        [
            "all services" if name == ALL_SERVICES else name,
            f"{used.get(name, 0) / MILLION:,.2f}",
            f"{budget / MILLION:,.2f} {configuration.spending.currency}",
            f"{used.get(name, 0) / budget:.0%}",
        ]
        for name, budget in wanted.items()
    ]
    columns = ["service", "taken", "budget", "share"]
    return Section("budgets of today (UTC)", columns, rows, "services.toml has no budget")


def _denials(decisions: Iterable[Kept]) -> Section:
    counts: Counter[tuple[str, str, str, str]] = Counter()
    for each in decisions:
        for finding in each.decision.findings:
            if finding.said is not Said.PASS and not finding.lifts:
                counts[each.service, each.region, finding.rule.value, _outcome(finding)] += round(each.weight)
    rows = [[*what, f"{count:,}"] for what, count in counts.most_common()]
    return Section(
        "denials, by the decisions that were kept",
        ["service", "country", "rule", "outcome", "starts"],
        rows,
        "nobody was denied",
    )


def _outcome(finding: Finding) -> str:
    said = _OUTCOMES.get(finding.said, finding.said.value)
    return said if finding.mode is Mode.ENFORCE else f"{said}, if it were enforced"


def _conversion(items: Iterable[Item], since: int) -> Section:
    sent, converted = defaultdict[str, int](int), defaultdict[str, int](int)
    for item in items:
        _, region, hour, _ = item["pk"]["S"].split("#")
        if (int(hour) + 1) * _HOUR > since:
            sent[region] += _sum(item, "s")
            converted[region] += _sum(item, "c")
    rows = [
        [region, f"{count:,}", f"{converted[region]:,}", f"{converted[region] / count:.0%}"]
        for region, count in sorted(sent.items(), key=lambda each: -each[1])
        if count
    ]
    return Section("conversion by country", ["country", "sent", "came to use", "share"], rows, "nothing was counted")


def _sum(item: Item, letter: str) -> int:
    """Over the hour's slices."""
    return sum(int(value["N"]) for name, value in item.items() if name[0] == letter and name[1:].isdigit())
