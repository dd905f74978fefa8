"""Counters with caps: a condition and a count in one write, so that no number of starts at once beats a cap.

    i#<network>#<day>              of addresses: p<hour> the network's, h<line><hour> and d<line> a line's
    i#<line>#<minute>              checks: guesses
    b#<block of ten thousand>#<hour>
        u, u<tenth>                sent, and not yet come to use
        v<tenth>                   come to use
        n<tenth>                   the different numbers of the tenth
        s<slice>, c<slice>         sent, and of these come to use, by five minutes
    n#<region>#<hour>#<shard>      u, s<slice>, c<slice> likewise

Each write has a name of its own, by which a repeat of it, after an answer that got lost, is known and counts nothing.
"""

from __future__ import annotations

import base64
import logging
from collections import Counter
from collections.abc import Mapping, Sequence
from functools import reduce
from itertools import accumulate

from functions.domain.frozen import frozen
from functions.domain.guard.counting import AnyCap, Counts, MemberCap, Step
from functions.domain.part import part
from functions.stores.dynamodb import MOST_STATEMENTS, ConditionFailed, Exchange, Item, Table, Update
from functions.together import carry_side_by_side, loads_of
from functions.usecases.guard_ports import Tally
from functions.usecases.ports import Entropy, StoreUnavailable

_log = logging.getLogger(__name__)

_WRITE_NAME_BYTES = 6
"""Only told from the one before: and an item is not to grow over the kilobyte that one write unit pays for."""
_NAMED = "(attribute_not_exists(#write) OR #write <> :write)"


@frozen()
class Plan:
    """Steps of one item, and the name of the write that counts them, whichever way it is made."""

    write: Item
    steps: Sequence[Step]


@part
class DynamoCounters:
    table: Table
    entropy: Entropy

    async def count(self, step: Step) -> Tally:
        return await self.count_as(self._name(), step)

    async def count_as(self, write: Item, step: Step) -> Tally:
        """By that name, which counts nothing where it has counted already."""
        try:
            before = await self.table.supersede(_update([step], write))
        except ConditionFailed as refusal:
            return _refused(step, refusal.item, write)
        return Tally(_counts(before), counted=True)

    async def count_on_one(self, write: Item, steps: Sequence[Step]) -> list[Tally] | None:
        """Steps of one item in one write, as if one came after the other. None where there may not be room for all."""
        if _all_done(Counts(), steps) is None:
            return None
        try:
            before = _counts(await self.table.supersede(_update(steps, write)))
        except ConditionFailed as refusal:
            if refusal.item is None or refusal.item.get("write") != write:
                return None
            before = reduce(lambda counts, step: step.undone(counts), steps, _counts(refusal.item))
        return _tallies(before, steps)

    async def items_of(self, plans: Mapping[str, Plan]) -> dict[str, Item]:
        """Of at most 100 plans, by key."""
        return {item["pk"]["S"]: item for item in await self.table.get_many(list(plans))}

    async def count_on_many(self, plans: Mapping[str, Plan], found: Mapping[str, Item]) -> dict[str, list[Tally]]:
        """Steps of many items, by item, over each as it was found. Those that could not be are left out."""
        exchanges: dict[str, Exchange] = {}
        for pk, plan in plans.items():
            exchange = _exchange(plan, found.get(pk))
            if exchange is not None:
                exchanges[pk] = exchange
        written = await carry_side_by_side(
            loads_of(list(exchanges), MOST_STATEMENTS),
            lambda load: self.table.exchange([exchanges[pk] for pk in load]),
        )
        return {pk: _tallies(_counts(found.get(pk)), plans[pk].steps) for pk, made in written.items() if made}

    def plan(self, steps: Sequence[Step]) -> Plan:
        return Plan(self._name(), steps)

    async def take_back(self, step: Step, *, newcomer: bool) -> None:
        if step.at_nought and await self._clear(step):
            return
        joins = step.joins if newcomer else None
        change, more = f"ADD {_listed(step.counters, ':less')} SET #write = :write", _LESS
        if joins is not None:
            change += f" DELETE #{joins.members} :member"
            more = more | {":member": {"SS": [joins.member]}}
        await self._change(step.item, change, dict.fromkeys(step.counters, 1), more)

    async def convert(self, item: str, *, fewer: Mapping[str, int], more: Mapping[str, int]) -> None:
        by = {counter: -number for counter, number in fewer.items()} | dict(more)
        adds = ", ".join(f"#{counter} :by_{counter}" for counter in by)
        values: Item = {f":by_{counter}": {"N": str(number)} for counter, number in by.items()}
        try:
            await self._change(item, f"ADD {adds} SET #write = :write", fewer, values)
        except StoreUnavailable as error:
            _log.warning("a code that came to use is not counted: %s", error)

    async def _clear(self, step: Step) -> bool:
        """Takes the counters away that would stay at nought; whether this step was all that they counted."""
        others = [counter for counter in step.counters if counter not in step.at_nought]
        change = (
            f"ADD {_listed(others, ':less')} SET #write = :write REMOVE {', '.join(f'#{c}' for c in step.at_nought)}"
        )
        only = " AND ".join(f"#{counter} = :one" for counter in step.at_nought)
        return await self._change(step.item, change, dict.fromkeys(others, 1), _LESS | {":one": {"N": "1"}}, only)

    async def _change(
        self, item: str, change: str, at_least: Mapping[str, int], values: Item, only_if: str = _NAMED
    ) -> bool:
        """Whether it was made: no counter goes below nought, and no item comes to be that nobody's start made."""
        conditions = ["attribute_exists(#pk)", only_if, *(f"#{counter} >= :min_{counter}" for counter in at_least)]
        least: Item = {f":min_{counter}": {"N": str(number)} for counter, number in at_least.items()}
        write: Item = {":write": self._name()}
        try:
            await self.table.update(item, change, only_if=" AND ".join(conditions), values=values | least | write)
        except ConditionFailed:
            return False
        return True

    def _name(self) -> Item:
        return {"S": base64.b64encode(self.entropy(_WRITE_NAME_BYTES)).decode()}


_LESS: Item = {":less": {"N": "-1"}}


def _refused(step: Step, item: Item | None, write: Item) -> Tally:
    """Raises StoreUnavailable where nothing tells why: who can't say what is full lets nobody in."""
    before = _counts(item)
    if item is not None and item.get("write") == write:
        return Tally(step.undone(before), counted=True)
    if not step.refused_by(before):
        raise StoreUnavailable("a count was refused, and no cap is reached")
    return Tally(before, counted=False)


def _update(steps: Sequence[Step], write: Item) -> Update:
    """The steps of one item as one change, and a condition that surely leaves room for all of them."""
    by = Counter(counter for step in steps for counter in step.counters)
    joined = _joined(steps)
    adds = [f"#{counter} :by_{counter}" for counter in by] + [f"#{members} :join_{members}" for members in joined]
    values: Item = {":ttl": {"N": str(steps[0].forget_at)}, ":write": write}
    values |= {f":by_{counter}": {"N": str(number)} for counter, number in by.items()}
    values |= {f":join_{members}": {"SS": sorted(of_them)} for members, of_them in joined.items()}
    conditions = [_NAMED]
    for place, cap in enumerate(dict.fromkeys(cap for step in steps for cap in step.enforced)):
        more = len(joined[cap.members]) if isinstance(cap, MemberCap) else by[cap.counter]
        conditions.append(_room(cap, place, more))
        values |= _room_values(cap, place, more)
    return Update(
        pk=steps[0].item,
        change=f"ADD {', '.join(adds)} SET #ttl = :ttl, #write = :write",
        only_if=" AND ".join(dict.fromkeys(conditions)),
        values=values,
    )


def _joined(steps: Sequence[Step]) -> dict[str, set[str]]:
    joined: dict[str, set[str]] = {}
    for cap in (step.joins for step in steps):
        if cap is not None:
            joined.setdefault(cap.members, set()).add(cap.member)
    return joined


def _all_done(before: Counts, steps: Sequence[Step]) -> Counts | None:
    """The counts after all of the steps; None where there is no room for one of them."""
    counts = before
    for step in steps:
        if step.refused_by(counts):
            return None
        counts = step.done(counts)
    return counts


def _done(before: Counts, step: Step) -> Counts:
    return step.done(before)


def _tallies(before: Counts, steps: Sequence[Step]) -> list[Tally]:
    return [Tally(counts, counted=True) for counts in accumulate(steps[:-1], _done, initial=before)]


def _exchange(plan: Plan, found: Item | None) -> Exchange | None:
    """None where there may not be room, or where nothing tells that the item is as it was."""
    after = _all_done(_counts(found), plan.steps)
    if after is None or (found is not None and "write" not in found):
        return None
    item: Item = {"pk": {"S": plan.steps[0].item}, "write": plan.write}
    item["ttl"] = {"N": str(plan.steps[0].forget_at)}
    for step in plan.steps:
        item |= {counter: {"N": str(after.number(counter))} for counter in step.counters}
        if step.joins is not None:
            item[step.joins.members] = {"SS": sorted(after.members[step.joins.members])}
    return Exchange(item, "write", None if found is None else found["write"])


def _room(cap: AnyCap, place: int, more: int) -> str:
    """For so many at once. Who is known already, and blocks that are good, are looked at for one alone."""
    if isinstance(cap, MemberCap):
        members = f"#{cap.members}"
        known = f" OR contains({members}, :who{place})" if more == 1 else ""
        return f"(attribute_not_exists({members}) OR size({members}) < :most{place}{known})"
    counter = f"#{cap.counter}"
    room = f"attribute_not_exists({counter}) OR {counter} < :most{place}"
    if cap.most_if_good is not None and more == 1:
        room += f" OR ({counter} < :good{place} AND #{cap.converted} >= {counter})"
    return f"({room})"


def _room_values(cap: AnyCap, place: int, more: int) -> Item:
    values: Item = {f":most{place}": {"N": str(cap.most + 1 - more)}}
    if more > 1:
        return values
    if isinstance(cap, MemberCap):
        return values | {f":who{place}": {"S": cap.member}}
    if cap.most_if_good is not None:
        values[f":good{place}"] = {"N": str(cap.most_if_good)}
    return values


def _listed(counters: Sequence[str], value: str) -> str:
    return ", ".join(f"#{counter} {value}" for counter in counters)


def _counts(item: Item | None) -> Counts:
    found = item or {}
    return Counts(
        numbers={name: int(value["N"]) for name, value in found.items() if "N" in value and name != "ttl"},
        members={name: frozenset(value["SS"]) for name, value in found.items() if "SS" in value},
    )
