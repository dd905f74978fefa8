"""A day's money as one item an account, written once a portion.

A portion whose answer gets lost is taken and unknown to its sandbox: less is spent than might be, never more.
"""

from __future__ import annotations

from functions.domain.guard.budget import Account
from functions.domain.part import part
from functions.domain.verification import DAY
from functions.stores.dynamodb import ConditionFailed, Item, Table
from functions.usecases.guard_ports import Lease

_KEPT = 7
"""Days after its own, for whoever wants to see how the week went."""

_TAKE = "SET #ttl = :ttl ADD #used :amount"
_LEAVES_ENOUGH = "attribute_not_exists(#used) OR #used <= :most_before"


@part
class DynamoAccounts:
    table: Table

    async def take(self, account: Account, amount: int) -> Lease:
        values: Item = {
            ":amount": {"N": str(amount)},
            ":most_before": {"N": str(account.limit - amount)},
            ":ttl": {"N": str((account.day + 1 + _KEPT) * DAY)},
        }
        try:
            item = await self.table.update(_pk(account), _TAKE, only_if=_LEAVES_ENOUGH, values=values)
        except ConditionFailed as refusal:
            return Lease(taken=False, used=_used(refusal.item, account))
        return Lease(taken=True, used=_used(item, account))


def _pk(account: Account) -> str:
    return f"m#{account.day}#{account.name}"


def _used(item: Item | None, account: Account) -> int:
    """A refusal that does not show why is as good as an account with nothing in it."""
    return account.limit if item is None else int(item["used"]["N"])
