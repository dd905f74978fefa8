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

from functions.domain.guard.counting import AnyCap, Counts, MemberCap, Step
from functions.domain.part import part
from functions.stores.dynamodb import ConditionFailed, Item, Table, Update
from functions.usecases.guard_ports import Tally
from functions.usecases.ports import Entropy, StoreUnavailable

_log = logging.getLogger(__name__)

_WRITE_NAME_BYTES = 6
"""Only told from the one before: and an item is not to grow over the kilobyte that one write unit pays for."""
_NAMED = "(attribute_not_exists(#write) OR #write <> :write)"


@part
class DynamoCounters:
    table: Table
    entropy: Entropy

    async def count(self, step: Step) -> Tally:
        write = self._name()
        try:
            before = await self.table.supersede(_update([step], write))
        except ConditionFailed as refusal:
            return _refused(step, refusal.item, write)
        return Tally(_counts(before), counted=True)

    async def count_on_one(self, steps: Sequence[Step]) -> list[Tally] | None:
        """Steps of one item in one write, as if one came after the other. None where there may not be room for all."""
        if not _can_have_room(steps):
            return None
        write = self._name()
        try:
            before = _counts(await self.table.supersede(_update(steps, write)))
        except ConditionFailed as refusal:
            if refusal.item is None or refusal.item.get("write") != write:
                return None
            before = reduce(lambda counts, step: step.undone(counts), steps, _counts(refusal.item))
        return [Tally(counts, counted=True) for counts in accumulate(steps[:-1], _done, initial=before)]

    async def count_apart(self, steps: Sequence[Step]) -> list[Tally | None]:
        """Steps of as many items, in one transaction. None for those that have to be counted by themselves."""
        found = {item["pk"]["S"]: item for item in await self.table.get_many([step.item for step in steps])}
        before = {step.item: _counts(found.get(step.item)) for step in steps}
        going = [step for step in steps if not step.refused_by(before[step.item])]
        counted = await self._transact(going)
        return [Tally(before[step.item], counted=True) if step.item in counted else None for step in steps]

    async def _transact(self, steps: Sequence[Step]) -> set[str]:
        """The items that were written. Where some stand in the way, the others go once more without them."""
        for _ in range(2):
            if not steps:
                break
            codes = await self.table.transact([_update([step], self._name()) for step in steps])
            if not any(codes):
                return {step.item for step in steps}
            steps = [step for step, code in zip(steps, codes, strict=True) if code is None]
        return set()

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


def _can_have_room(steps: Sequence[Step]) -> bool:
    """Whether an item with nothing in it would have."""
    counts = reduce(_done, steps[:-1], Counts())
    return not any(cap.refuses(counts) for step in steps for cap in step.enforced)


def _done(before: Counts, step: Step) -> Counts:
    return step.done(before)


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
