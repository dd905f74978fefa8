"""./salvo guard replay: what a changed services.toml would have decided about starts that were decided already."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from functions.domain.guard import kept
from functions.domain.guard.decision import Mode, Rule
from functions.domain.guard.kept import Kept
from functions.domain.guard.replay import Replay, Replayed, not_replayed
from functions.service_file import Configuration
from infra.guard.decisions import PREFIX, decisions_in
from infra.guard.deployment import Deployment
from infra.guard.status import Section


class Unreadable(Exception):
    """The message says which line of the file, and what is wrong with it."""


def read(file: Path) -> list[Kept]:
    """A line a decision, as `--save` writes them. Raises Unreadable."""
    try:
        lines = file.read_text(encoding="utf-8").splitlines()
    except OSError as error:
        raise Unreadable(f"{file}: {error.strerror}") from None
    except UnicodeError:
        raise Unreadable(f"{file} is no text") from None
    found = []
    for number, line in enumerate(lines, 1):
        try:
            found.append(kept.from_text(line))
        except kept.NotKept as error:
            raise Unreadable(f"{file}, line {number} is no kept decision: {error}") from None
    return found


def write(file: Path, decisions: Iterable[Kept]) -> None:
    file.write_text("".join(f"{kept.to_text(each)}\n" for each in decisions), encoding="utf-8")


async def kept_since(deployment: Deployment, seconds: int) -> list[Kept]:
    """By time. Raises AWS's errors."""
    decisions = decisions_in(await deployment.scan(PREFIX))
    return [each for each in decisions if each.at >= deployment.now - seconds]


def replay(decisions: Sequence[Kept], before: Configuration, after: Configuration) -> list[Replayed]:
    policies = [
        {name: service.guard for name, service in configuration.services.items()} for configuration in (before, after)
    ]
    return list(Replay(before=policies[0], after=policies[1], price=after.spending.price)(decisions))


def changes(replayed: Iterable[Replayed]) -> Section:
    counts: Counter[tuple[str, ...]] = Counter()
    for each in replayed:
        if each.before != each.after:
            rule = "" if each.rule is None else each.rule.value
            after = f"{each.after}, as far as was asked" if each.open else each.after
            counts[each.kept.service, each.kept.region, rule, each.before, after] += round(each.kept.weight)
    rows = [[*what, f"{count:,}"] for what, count in counts.most_common()]
    columns = ["service", "country", "rule", "was", "would be", "starts"]
    return Section("what would be decided differently", columns, rows, "nothing would be decided differently")


def summary(decisions: Sequence[Kept], replayed: Sequence[Replayed]) -> Iterator[str]:
    counts = Counter[tuple[bool, bool]]()
    for each in replayed:
        counts[each.before == "allowed", each.after == "allowed"] += round(each.kept.weight)
    more, fewer = counts[True, False], counts[False, True]
    yield f"{counts.total():,} starts, by {len(replayed):,} kept decisions: {more:,} more are stopped, {fewer:,} fewer"
    unknown = {each.service for each in decisions} - {each.kept.service for each in replayed}
    if unknown:
        yield f"left out, for one of the two files has no such service: {', '.join(sorted(unknown))}"
    if any(each.open and each.before != each.after for each in replayed):
        yield "«as far as was asked»: rules behind the one that denied were not asked then, and may deny"


def notes(before: Configuration, after: Configuration, decisions: Sequence[Kept]) -> Iterator[str]:
    """What the replay can't tell, and why."""
    if before.spending != after.spending:
        yield "[spending] is changed: of the budget of all services and of prices nothing is replayed"
    for name in before.services.keys() & after.services.keys():
        old, new = before.services[name].guard, after.services[name].guard
        for setting, why in not_replayed(old, new).items():
            yield f"{name}.guard.{setting} is changed, and not replayed: {why}"
        if before.services[name].limits != after.services[name].limits:
            yield f"{name}.limits is changed, and not replayed: the number's own record holds them"
        asked = {finding.rule for each in decisions if each.service == name for finding in each.decision.findings}
        on = {rule for rule in Rule if old.mode(rule) is Mode.OFF and new.mode(rule) is not Mode.OFF}
        for rule in sorted(on - asked):
            yield f"{name}: {rule.value} is switched on, and not replayed: it was never asked"
