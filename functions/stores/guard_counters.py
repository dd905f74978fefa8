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
from collections.abc import Mapping, Sequence

from functions.domain.guard.counting import AnyCap, Counts, MemberCap, Step
from functions.domain.part import part
from functions.stores.dynamodb import ConditionFailed, Item, Table
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
        write, joins = self._name(), step.joins
        values: Item = {":one": {"N": "1"}, ":ttl": {"N": str(step.forget_at)}, ":write": write}
        adds = _listed(step.counters, ":one")
        if joins is not None:
            adds += f", #{joins.members} :member"
            values[":member"] = {"SS": [joins.member]}
        conditions = [_NAMED]
        for place, cap in enumerate(step.enforced):
            conditions.append(_room(cap, place))
            values |= _room_values(cap, place)
        try:
            before = await self.table.supersede(
                step.item,
                f"ADD {adds} SET #ttl = :ttl, #write = :write",
                only_if=" AND ".join(conditions),
                values=values,
            )
        except ConditionFailed as refusal:
            return _refused(step, refusal.item, write)
        return Tally(_counts(before), counted=True)

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


def _room(cap: AnyCap, place: int) -> str:
    if isinstance(cap, MemberCap):
        members = f"#{cap.members}"
        return f"(attribute_not_exists({members}) OR size({members}) < :most{place} OR contains({members}, :who))"
    counter = f"#{cap.counter}"
    room = f"attribute_not_exists({counter}) OR {counter} < :most{place}"
    if cap.most_if_good is not None:
        room += f" OR ({counter} < :good{place} AND #{cap.converted} >= {counter})"
    return f"({room})"


def _room_values(cap: AnyCap, place: int) -> Item:
    values: Item = {f":most{place}": {"N": str(cap.most)}}
    if isinstance(cap, MemberCap):
        return values | {":who": {"S": cap.member}}
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
