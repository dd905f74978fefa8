"""Takes a record one step further, on whatever it has become meanwhile."""

from __future__ import annotations

from collections.abc import Callable

from functions.domain.verification import Record
from functions.usecases.ports import StoreUnavailable, VerificationStore

TRIES = 8
"""Every lost round was somebody else's won one, and the rules allow a number only a few steps a minute."""


async def advance(
    store: VerificationStore, record: Record, step: Callable[[Record], Record | None], *, now: int
) -> Record:
    """The record after `step`, or as it stands where the step has nothing to do (it answers None).

    Raises what the step raises, and StoreUnavailable, also where others keep coming between.
    """
    for _ in range(TRIES):
        following = step(record)
        if following is None:
            return record
        in_the_way = await store.put(following, now=now)
        if in_the_way is None:
            return following
        record = in_the_way
    raise StoreUnavailable("others keep changing this record")
