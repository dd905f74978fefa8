"""Many at once, on an engine that is exact: what the rules promise holds whoever comes first."""

from __future__ import annotations

import asyncio
import random  # noqa: TID251 - orders, not secrets
from collections import Counter

import pytest

from functions.domain.errors import AlreadyApproved, AttemptsExhausted, RateLimited, VerificationError
from functions.domain.phone import PhoneNumber
from functions.domain.service import Limit
from functions.usecases.check import CheckCommand
from functions.usecases.start import StartCommand
from tests.harness import Harness, fresh_number, reveal

MANY = 1000


async def start(harness: Harness, to: PhoneNumber) -> str:
    """The outcome in a word: the id of what was started, or the refusal's code."""
    try:
        return (await harness.start(StartCommand(to=to, service="default", caller="test"))).id
    except RateLimited as refusal:
        return refusal.code


async def check(harness: Harness, verification_id: str, code: str) -> str:
    """approved, wrong, or the refusal's code."""
    try:
        checked = await harness.check(CheckCommand(id=verification_id, code=reveal(code), caller="test"))
    except VerificationError as refusal:
        return refusal.code
    return "approved" if checked.valid else "wrong"


def wrong_codes(right: str, count: int) -> list[str]:
    return [code for code in (f"{n:06d}" for n in range(count + 1)) if code != right][:count]


async def test_of_a_thousand_starts_for_a_number_at_once_one_sends(harness: Harness) -> None:
    to = fresh_number()

    outcomes = Counter(await asyncio.gather(*(start(harness, to) for _ in range(MANY))))

    assert outcomes["rate_limited"] == MANY - 1
    assert len(harness.provider.messages) == 1


async def test_of_a_thousand_starts_without_a_cooldown_as_many_send_as_the_window_allows(harness: Harness) -> None:
    harness.change_service(cooldown=0, limits=(Limit(3, 600),))
    to = fresh_number()

    outcomes = Counter(await asyncio.gather(*(start(harness, to) for _ in range(MANY))))

    assert outcomes["rate_limited"] == MANY - 3
    assert len(harness.provider.messages) == 3
    assert len({message.text.reveal() for message in harness.provider.messages}) == 1


async def test_of_a_thousand_wrong_guesses_at_once_five_count_and_none_is_right(harness: Harness) -> None:
    to = fresh_number()
    verification_id = await start(harness, to)
    wrong = wrong_codes(harness.provider.code_for(to), MANY)

    outcomes = Counter(await asyncio.gather(*(check(harness, verification_id, code) for code in wrong)))

    assert outcomes == {"wrong": 5, AttemptsExhausted.code: MANY - 5}
    assert (await harness.look_up(verification_id)).attempts_left == 0


async def test_of_a_thousand_right_guesses_at_once_one_is_approved(harness: Harness) -> None:
    to = fresh_number()
    verification_id = await start(harness, to)
    code = harness.provider.code_for(to)

    outcomes = Counter(await asyncio.gather(*(check(harness, verification_id, code) for _ in range(MANY))))

    assert outcomes == {"approved": 1, AlreadyApproved.code: MANY - 1}


@pytest.mark.parametrize("seed", range(100))
async def test_right_and_wrong_guesses_mixed_approve_one_at_most(harness: Harness, seed: int) -> None:
    to = fresh_number()
    verification_id = await start(harness, to)
    code = harness.provider.code_for(to)
    guesses = [code] * 50 + wrong_codes(code, 50)
    random.Random(seed).shuffle(guesses)  # noqa: S311

    outcomes = Counter(await asyncio.gather(*(check(harness, verification_id, guess) for guess in guesses)))

    assert outcomes["approved"] <= 1
    assert outcomes["approved"] + outcomes["wrong"] <= 5
    assert 5 - (await harness.look_up(verification_id)).attempts_left == outcomes["approved"] + outcomes["wrong"]


async def test_a_used_code_is_refused_a_hundred_times(harness: Harness) -> None:
    to = fresh_number()
    verification_id = await start(harness, to)
    code = harness.provider.code_for(to)
    assert await check(harness, verification_id, code) == "approved"

    outcomes = Counter([await check(harness, verification_id, code) for _ in range(100)])

    assert outcomes == {AlreadyApproved.code: 100}


async def test_a_check_and_a_resend_at_once_never_both_win(harness: Harness) -> None:
    """Where the check comes first, the verification is over, and the start makes a new one with another code."""
    harness.change_service(cooldown=0)

    async def race() -> tuple[str, str, str]:
        to = fresh_number()
        first = await start(harness, to)
        outcome, second = await asyncio.gather(check(harness, first, harness.provider.code_for(to)), start(harness, to))
        return first, outcome, second

    races = await asyncio.gather(*(race() for _ in range(300)))

    assert Counter(outcome for _, outcome, _ in races)["approved"] > 0
    for first, outcome, second in races:
        resent = second == first
        state = (await harness.look_up(first)).status if resent else "replaced"
        assert (outcome, resent) != ("approved", True) or state == "approved"
        assert outcome in {"approved", "not_found"}


async def test_guesses_are_not_refilled_by_resends(harness: Harness) -> None:
    harness.change_service(cooldown=0, limits=(), max_sends=10)
    to = fresh_number()
    verification_id = await start(harness, to)
    wrong = wrong_codes(harness.provider.code_for(to), 15)

    outcomes: Counter[str] = Counter()
    for resent in range(5):
        outcomes.update([await check(harness, verification_id, code) for code in wrong[3 * resent : 3 * resent + 3]])
        await start(harness, to)

    assert outcomes["wrong"] == 5
    assert outcomes["approved"] == 0
