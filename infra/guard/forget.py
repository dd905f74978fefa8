"""What the guard knows of one number by name: its entry in the lists, that entry's changes, and kept decisions.

What is counted of blocks, addresses and countries names no number. What all services count of it is an item of its own.
"""

from __future__ import annotations

from dataclasses import replace

from functions.domain.guard.lists import Kind, Subject
from functions.domain.identity import pseudonym
from functions.domain.keys import Keyring
from functions.domain.phone import PhoneNumber
from functions.stores.dynamodb import Item
from functions.stores.guard_lists import KEY, attribute, to_listing
from infra.guard.decisions import PREFIX, decisions_in
from infra.guard.deployment import Deployment
from infra.guard.lists import CHANGES


async def forget(deployment: Deployment, to: PhoneNumber) -> int:
    """How many items were deleted, or changed. Raises AWS's errors."""
    subjects = {Subject(Kind.NUMBER, name) for name in _names(deployment.keys, to)}
    listed = [attribute(each) for each in to_listing(await deployment.get(KEY)) if each in subjects]
    if listed:
        await _take_off(deployment, listed)
    items = [item for item in await deployment.scan(CHANGES, PREFIX) if _is_of(item, subjects)]
    for item in items:
        await deployment.dynamodb.delete_item(TableName=deployment.table, Key={"pk": item["pk"]})
    return len(items) + bool(listed)


def _names(keys: Keyring, to: PhoneNumber) -> set[str]:
    """Its pseudonyms: by the index key, and by the one before while that is remembered."""
    indexes = [index for index in (keys.index, keys.index_before) if index is not None]
    return {pseudonym(replace(keys, index=index), "number", to.e164) for index in indexes}


async def _take_off(deployment: Deployment, listed: list[str]) -> None:
    names = {f"#e{n}": name for n, name in enumerate(listed)}
    await deployment.dynamodb.update_item(
        TableName=deployment.table,
        Key={"pk": {"S": KEY}},
        UpdateExpression=f"REMOVE {', '.join(names)}",
        ExpressionAttributeNames=names,
    )


def _is_of(item: Item, subjects: set[Subject]) -> bool:
    if item["pk"]["S"].startswith(CHANGES):
        return any(item["pk"]["S"].endswith(f"#{attribute(subject)}") for subject in subjects)
    return any(Subject(Kind.NUMBER, each.number) in subjects for each in decisions_in([item]))
