"""How many guesses were right and wrong, by service and hour, and what is usual.

One guess in eight is written down and counts for eight. What is lost by that is precision, not writes: of 200 wrong
guesses 160 to 240 are counted, with sandboxes that come and go and never know of each other.

`g#<service>#<hour>` has `w0` to `w11` and `r0` to `r11`, wrong and right by five minutes; `g#<service>` what is usual.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence

from functions.domain.guard.spraying import RECENT, SLICE, Guesses, Usual, learned
from functions.domain.part import part
from functions.stores.dynamodb import ConditionFailed, Item, Table
from functions.usecases.ports import Entropy, StoreUnavailable

_log = logging.getLogger(__name__)

ONE_IN = 8

_HOUR = 3600
_SLICES = _HOUR // SLICE
_KEPT = 3 * _HOUR
_USUAL_KEPT = 30 * 86_400


@part
class DynamoGuesses:
    table: Table
    entropy: Entropy

    async def note(self, scopes: Sequence[str], *, right: bool, at: int) -> None:
        if self.entropy(1)[0] % ONE_IN:
            return
        name = f"{'r' if right else 'w'}{at // SLICE % _SLICES}"
        values: Item = {":weight": {"N": str(ONE_IN)}, ":ttl": {"N": str(at + _KEPT)}}
        try:
            await asyncio.gather(
                *(
                    self.table.count(_pk(scope, at // _HOUR), f"ADD #{name} :weight SET #ttl = :ttl", values=values)
                    for scope in scopes
                )
            )
        except StoreUnavailable as error:
            _log.warning("a guess is not counted: %s", error)

    async def read(self, scope: str, now: int) -> tuple[Guesses, Usual]:
        hour = now // _HOUR
        this, last, kept = await asyncio.gather(
            *(self.table.get(pk, consistent=False) for pk in (_pk(scope, hour), _pk(scope, hour - 1), f"g#{scope}"))
        )
        usual, before = _usual(kept), _guesses(last, range(_SLICES))
        following = learned(usual, hour - 1, before)
        if last is not None and following is not None:
            usual = await self._learn(scope, usual, following)
        newest = now // SLICE
        recent = [
            _slice(this if each // _SLICES == hour else last, each) for each in range(newest - RECENT + 1, newest + 1)
        ]
        return Guesses(sum(each.wrong for each in recent), sum(each.right for each in recent)), usual

    async def _learn(self, scope: str, before: Usual, after: Usual) -> Usual:
        """What is usual then: of many sandboxes one learns from an hour."""
        values: Item = {
            ":wrong": {"N": f"{after.wrong:.3f}"},
            ":right": {"N": f"{after.right:.3f}"},
            ":hour": {"N": str(after.hour)},
            ":before": {"N": str(before.hour)},
            ":ttl": {"N": str(after.hour * _HOUR + _USUAL_KEPT)},
        }
        try:
            await self.table.update(
                f"g#{scope}",
                "SET #wrong = :wrong, #right = :right, #hour = :hour, #ttl = :ttl",
                only_if="attribute_not_exists(#hour) OR #hour = :before",
                values=values,
            )
        except ConditionFailed as refusal:
            return _usual(refusal.item)
        return after


def _slice(item: Item | None, slice_: int) -> Guesses:
    return _guesses(item, range(slice_ % _SLICES, slice_ % _SLICES + 1))


def _guesses(item: Item | None, slices: range) -> Guesses:
    def total(letter: str) -> int:
        return sum(int(item[name]["N"]) for n in slices if (name := f"{letter}{n}") in item) if item else 0

    return Guesses(total("w"), total("r"))


def _usual(item: Item | None) -> Usual:
    if item is None:
        return Usual()
    return Usual(wrong=float(item["wrong"]["N"]), right=float(item["right"]["N"]), hour=int(item["hour"]["N"]))


def _pk(scope: str, hour: int) -> str:
    return f"g#{scope}#{hour}"
