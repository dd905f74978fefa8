"""Answers by idempotency key, in the same table as the verifications."""

from __future__ import annotations

from functions.domain.part import part
from functions.stores.dynamodb import ConditionFailed, Item, Table
from functions.usecases.ports import Entropy, StoredAnswer, StoreUnavailable

LIFETIME = 86_400
"""Seconds that an idempotency key is remembered: what payment and messaging APIs keep theirs for."""

PREFIX = "a#"

_WRITE_NAME_BYTES = 9

_FREE = (
    "attribute_not_exists(#pk) OR #ttl <= :now"
    " OR (#fingerprint = :fingerprint AND attribute_not_exists(#answer) AND #taken_at < :stale_before)"
)
_OURS = "#fingerprint = :fingerprint"
_OURS_UNANSWERED = "#fingerprint = :fingerprint AND attribute_not_exists(#answer)"


@part
class DynamoAnswerStore:
    table: Table
    entropy: Entropy

    async def take(self, key: str, fingerprint: str, *, now: int, stale_before: int) -> StoredAnswer | None:
        write = self.entropy(_WRITE_NAME_BYTES).hex()
        item: Item = {
            "pk": {"S": _pk(key)},
            "ttl": {"N": str(now + LIFETIME)},
            "write": {"S": write},
            "fingerprint": {"S": fingerprint},
            "taken_at": {"N": str(now)},
        }
        values: Item = {
            ":now": {"N": str(now)},
            ":fingerprint": {"S": fingerprint},
            ":stale_before": {"N": str(stale_before)},
        }
        try:
            await self.table.put(item, only_if=_FREE, values=values)
        except ConditionFailed as refusal:
            if refusal.item is None:
                raise StoreUnavailable("the key was released a moment ago") from None
            return None if refusal.item["write"]["S"] == write else _stored(refusal.item)
        return None

    async def finish(self, key: str, fingerprint: str, answer: bytes) -> None:
        values: Item = {":fingerprint": {"S": fingerprint}, ":answer": {"B": answer}}
        try:
            await self.table.update(_pk(key), "SET #answer = :answer", only_if=_OURS, values=values)
        except ConditionFailed:
            # Forgotten meanwhile, a day later: nobody repeats the request any more.
            return

    async def release(self, key: str, fingerprint: str) -> None:
        values: Item = {":fingerprint": {"S": fingerprint}}
        try:
            await self.table.delete(_pk(key), only_if=_OURS_UNANSWERED, values=values)
        except ConditionFailed:
            # Released before: the SDK repeated a delete whose answer got lost.
            return


def _pk(key: str) -> str:
    return f"{PREFIX}{key}"


def _stored(item: Item) -> StoredAnswer:
    return StoredAnswer(
        fingerprint=item["fingerprint"]["S"],
        answer=item["answer"]["B"] if "answer" in item else None,
        taken_at=int(item["taken_at"]["N"]),
    )
