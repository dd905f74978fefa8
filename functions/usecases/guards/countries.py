"""Codes to a country that nobody typed in, outside those where the service's people live.

A country's traffic is one hot key, so it is spread over items of which each has its part of the cap: a hard bound, and
slightly unfair. Which of them a start belongs to hangs on its request's digest, which no caller can choose.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from hashlib import blake2s

from functions.domain.guard.attempt import Attempt
from functions.domain.guard.counting import Cap, Step
from functions.domain.guard.decision import Finding, Mode, Rule
from functions.domain.guard.policy import Policy
from functions.domain.part import part
from functions.usecases.guard_ports import Outcome
from functions.usecases.guards.blocks import HOUR, KEPT, slice_of
from functions.usecases.guards.counting import Counting

SHARDS = 8
LEAST_SHARE = 25
"""Of a cap. A smaller one would often be full by chance where the others have room."""


@part
class Countries:
    """One write a start; for countries at home only where their share of codes that come to use is looked at."""

    counting: Counting

    async def look(self, attempt: Attempt) -> Sequence[Finding]:
        step = _step(attempt)
        return [] if step is None else await self.counting.look(attempt, step)

    def recall(self, attempt: Attempt) -> Sequence[Finding]:
        return self.counting.recall_any(attempt, _step)

    async def give_back(self, attempt: Attempt) -> None:
        step = _step(attempt)
        if step is not None:
            await self.counting.give_back(attempt, step)

    async def approved(self, outcome: Outcome) -> None:
        cap = _limit(outcome.policy, outcome.region)
        if not _counts(outcome.policy, cap):
            return
        places = Counter(
            (_item(outcome.region, sent.at // HOUR, _shard(sent.request, cap)), slice_of(sent.at))
            for sent in outcome.sent
        )
        for (item, place), sends in places.items():
            fewer = {} if cap is None else {"u": sends}
            await self.counting.counters.convert(item, fewer=fewer, more={f"c{place}": sends})


def _step(attempt: Attempt) -> Step | None:
    policy, hour = attempt.policy, attempt.at // HOUR
    cap = _limit(policy, attempt.region)
    if not _counts(policy, cap):
        return None
    return Step(
        item=_item(attempt.region, hour, _shard(attempt.request, cap)),
        # One service's home may be far away for another: only what has a cap takes up its room.
        counters=(*(() if cap is None else ("u",)), f"s{slice_of(attempt.at)}"),
        caps=() if cap is None else (_cap(attempt, cap, (hour + 1) * HOUR),),
        forget_at=hour * HOUR + KEPT,
        shared=True,
    )


def _cap(attempt: Attempt, cap: int, ends: int) -> Cap:
    rule, shards = Rule.UNCONVERTED_COUNTRY, _shards(cap)
    return Cap(
        rule=rule,
        mode=attempt.policy.mode(rule),
        counter="u",
        most=cap // shards,
        ends=ends,
        key=attempt.region,
        share=shards,
    )


def _limit(policy: Policy, region: str) -> int | None:
    off = policy.mode(Rule.UNCONVERTED_COUNTRY) is Mode.OFF
    return None if off or policy.is_home(region) else policy.unconverted_country


def _counts(policy: Policy, cap: int | None) -> bool:
    return cap is not None or policy.mode(Rule.CONVERSION_COUNTRY) is not Mode.OFF


def _item(region: str, hour: int, shard: int) -> str:
    return f"n#{region}#{hour}#{shard}"


def _shards(cap: int | None) -> int:
    return SHARDS if cap is None else min(SHARDS, max(1, cap // LEAST_SHARE))


def _shard(request: str, cap: int | None) -> int:
    return blake2s(request.encode(), digest_size=2).digest()[0] % _shards(cap)
