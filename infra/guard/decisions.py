"""Kept decisions out of the table's items."""

from __future__ import annotations

from collections.abc import Iterable

from functions.domain.guard import kept
from functions.domain.guard.kept import Kept
from functions.stores.dynamodb import Item
from infra.environments import say

PREFIX = "d#"


def decisions_in(items: Iterable[Item]) -> list[Kept]:
    """By time. What another version of the functions kept, and nobody can read here, is left out, and that is told."""
    found, unread = list[Kept](), 0
    for item in items:
        try:
            found.append(kept.from_text(item["facts"]["S"]))
        except kept.NotKept:
            unread += 1
    if unread:
        say(f"{unread} kept decisions are of another version of Salvo, and left out")
    return sorted(found, key=lambda each: each.at)
