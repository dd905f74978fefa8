"""Verifications in DynamoDB: each step one conditional write on the number's one item.

DynamoDB deletes expired items days late: the conditions look at the clock themselves and never trust an item's absence.
"""

from __future__ import annotations

import logging

from functions.domain.checking import Guess
from functions.domain.part import part
from functions.domain.verification import Record
from functions.stores.dynamodb import ConditionFailed, Item, Table
from functions.stores.record_item import from_item, record_pk, to_item
from functions.usecases.ports import Counted, Entropy, StoreUnavailable

_log = logging.getLogger(__name__)

_WRITE_NAME_BYTES = 9

_UNUSED = "attribute_not_exists(#pk) OR #ttl <= :now"
_UNCHANGED = "#rev = :previous"

_COUNT = (
    "SET #attempts = #attempts + :one, #failures = #failures + :one, #streak = #streak + :one, #rev = #rev + :one,"
    " #last_mac = :mac, #last_request = :request"
)
# Counting comes before comparing, in the same write: a thousand guesses at once are still only five.
_COUNTABLE = (
    "#id = :id AND #canceled = :no AND #expires_at > :now AND #attempts < #max_attempts"
    " AND (attribute_not_exists(#last_mac) OR #last_mac <> #digest)"
    # The SDK repeats a request whose answer got lost: the repeat is not another guess.
    " AND (attribute_not_exists(#last_request) OR #last_request <> :request)"
)


@part
class DynamoVerificationStore:
    table: Table
    entropy: Entropy

    async def get(self, key: str) -> Record | None:
        item = await self.table.get(record_pk(key))
        return None if item is None else from_item(item)

    async def put(self, record: Record, *, now: int) -> Record | None:
        return await self.put_item(self.as_item(record), rev=record.rev, now=now)

    def as_item(self, record: Record) -> Item:
        """The record as one write of it: the same item again is the same write."""
        return to_item(record, write=self.entropy(_WRITE_NAME_BYTES).hex())

    async def put_item(self, item: Item, *, rev: int, now: int) -> Record | None:
        """As `put`, of the item that the record of this `rev` was made into."""
        if rev == 1:
            return await self.put_new(item, now=now)
        return await self._put(item, _UNCHANGED, {":previous": {"N": str(rev - 1)}})

    async def put_new(self, item: Item, *, now: int) -> Record | None:
        return await self._put(item, _UNUSED, {":now": {"N": str(now)}})

    async def _put(self, item: Item, only_if: str, values: Item) -> Record | None:
        try:
            await self.table.put(item, only_if=only_if, values=values)
        except ConditionFailed as refusal:
            return _in_the_way(refusal.item, item)
        return None

    async def count_guess(self, guess: Guess) -> Counted:
        values: Item = {
            ":id": {"S": str(guess.id)},
            ":mac": {"S": guess.mac},
            ":request": {"S": guess.request},
            ":now": {"N": str(guess.at)},
            ":one": {"N": "1"},
            ":no": {"BOOL": False},
        }
        only_if = _COUNTABLE
        if guess.services is not None:
            own = {f":service_{place}": {"S": name} for place, name in enumerate(sorted(guess.services))}
            only_if, values = f"{_COUNTABLE} AND #service IN ({', '.join(own)})", {**values, **own}
        try:
            item = await self.table.update(record_pk(guess.id.key), _COUNT, only_if=only_if, values=values)
        except ConditionFailed as refusal:
            return Counted(None if refusal.item is None else await self._kept(refusal.item), counted=False)
        return Counted(await self._kept(item), counted=True)

    async def _kept(self, item: Item) -> Record:
        """The record, kept as long as it asks for: a wrong guess makes that longer, the right one shorter.

        Counting is blind, so this is a second write, of a verification's first wrong guess and of a right one after
        it. Where another write came between, that one sees to it. A lost one is no reason to hide the verdict: the
        next guess, counted or not, sees to it.
        """
        record = from_item(item)
        if int(item["ttl"]["N"]) != record.forget_at:
            values: Item = {":ttl": {"N": str(record.forget_at)}, ":rev": item["rev"]}
            try:
                await self.table.update(item["pk"]["S"], "SET #ttl = :ttl", only_if="#rev = :rev", values=values)
            except ConditionFailed:
                pass
            except StoreUnavailable as error:
                _log.warning("how long wrong guesses are remembered is not written down: %s", error)
        return record


def _in_the_way(found: Item | None, written: Item) -> Record | None:
    if found is None:
        raise StoreUnavailable("the record went away between two writes")  # only its TTL can do that
    return None if found["write"] == written["write"] else from_item(found)
