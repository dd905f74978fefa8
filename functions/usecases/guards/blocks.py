"""Blocks of numbers: what a carrier hands out, and rents to whoever pumps.

A start counts as unconverted until its code comes to use, so honest people take up no room for long. Somebody who is
paid for messages does, and nobody types his codes in.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from functions.domain.guard.attempt import Attempt
from functions.domain.guard.conversion import SLICE
from functions.domain.guard.counting import AnyCap, Cap, MemberCap, Step
from functions.domain.guard.decision import Finding, Mode, Rule
from functions.domain.guard.policy import Policy
from functions.domain.part import part
from functions.usecases.guard_ports import Outcome
from functions.usecases.guards.counting import Counting

HOUR = 3_600
KEPT = 3 * HOUR
"""Seconds from an hour's beginning: the one after it looks back, and a code lives for some minutes more."""

_LETTERS = "abcdefghijklmnopqrstuvwxyz234567"


@part
class Blocks:
    """The blocks of a thousand and of ten thousand in one write, on the latter's item of the hour."""

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
        if not _counts(outcome.policy):
            return
        tenth = outcome.block[-1]
        for hour in sorted({sent.at // HOUR for sent in outcome.sent}):
            slices = Counter(slice_of(sent.at) for sent in outcome.sent if sent.at // HOUR == hour)
            sends = slices.total()
            await self.counting.counters.convert(
                _item(outcome.block[:-1], hour),
                fewer={"u": sends, f"u{tenth}": sends},
                more={f"v{tenth}": sends} | {f"c{place}": number for place, number in slices.items()},
            )


def slice_of(at: int) -> int:
    return at % HOUR // SLICE


def _step(attempt: Attempt) -> Step | None:
    if not _counts(attempt.policy):
        return None
    block, tenth, hour = attempt.block[:-1], attempt.block[-1], attempt.at // HOUR
    return Step(
        item=_item(block, hour),
        counters=("u", f"u{tenth}", f"s{slice_of(attempt.at)}"),
        caps=_caps(attempt, tenth),
        forget_at=hour * HOUR + KEPT,
    )


def _item(block: str, hour: int) -> str:
    return f"b#{block}#{hour}"


def _counts(policy: Policy) -> bool:
    return bool(policy.block_limits) or policy.mode(Rule.CONVERSION_BLOCK) is not Mode.OFF


def _caps(attempt: Attempt, tenth: str) -> tuple[AnyCap, ...]:
    ends = (attempt.at // HOUR + 1) * HOUR
    return tuple([_cap(rule, mode, most, attempt, tenth, ends) for rule, mode, most in attempt.policy.block_limits])


def _cap(rule: Rule, mode: Mode, most: int, attempt: Attempt, tenth: str, ends: int) -> AnyCap:
    if rule is Rule.NUMBERS_1K:
        return MemberCap(
            rule=rule,
            mode=mode,
            members=f"n{tenth}",
            member=_member(attempt),
            most=most,
            ends=ends,
            key=attempt.block_1k,
        )
    if rule is Rule.UNCONVERTED_10K:
        return Cap(rule=rule, mode=mode, counter="u", most=most, ends=ends, key=attempt.block_10k)
    return Cap(
        rule=rule,
        mode=mode,
        counter=f"u{tenth}",
        most=most,
        most_if_good=attempt.policy.unconverted_1k_good,
        converted=f"v{tenth}",
        ends=ends,
        key=attempt.block_1k,
    )


def _member(attempt: Attempt) -> str:
    """The number in its block of a thousand, in two letters: all others have others, and only the key tells which.

    200 of them are in an item where it is fullest, and all is to fit into the kilobyte of one write unit.
    """
    shift = int.from_bytes(attempt.pseudonym("shift", attempt.block_1k).encode())
    high, low = divmod((int(attempt.to.e164[-3:]) + shift) % 1_000, len(_LETTERS))
    return _LETTERS[high] + _LETTERS[low]
