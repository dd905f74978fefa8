"""./salvo guard odds: how likely codes are to be guessed, by the arithmetic of docs/security.md and services.toml."""

from __future__ import annotations

import math
from collections.abc import Iterator

from functions.domain.service import Service
from functions.guard_file import Spending

BEARABLE = 0.01
"""Probability of one code guessed at all, for which the number of messages is told that an attacker may cause."""


def odds(service: Service, spending: Spending) -> Iterator[tuple[str, str]]:
    """What is asked, and the answer. One code of a verification is alive at a time."""
    codes = 10**service.code_length
    yield "codes there are", f"{codes:,} ({service.code_length} digits, {math.log2(codes):.1f} bits)"
    yield f"one verification guessed, in {service.max_attempts} checks", _as_odds(service.max_attempts / codes)
    yield (
        f"one number guessed in a day, at {service.failures_per_day} wrong codes a day",
        _as_odds(service.failures_per_day / codes),
    )
    yield (
        f"one number ever guessed, at {service.failures_in_a_row} wrong codes without a right one",
        _as_odds(service.failures_in_a_row / codes),
    )
    takeover = codes / service.max_attempts
    yield "codes at many numbers: SMS for one that is guessed", f"{takeover:,.0f} on average"
    yield f"SMS for a chance of {BEARABLE:.0%} that one is guessed", f"{-math.log1p(-BEARABLE) * takeover:,.0f}"
    yield from _by_money(service, spending, takeover)


def _by_money(service: Service, spending: Spending, takeover: float) -> Iterator[tuple[str, str]]:
    """If all that a day may cost went to numbers that an attacker guesses at."""
    budgets = [budget for budget in (service.guard.budget, spending.budget) if budget is not None]
    prices = list(spending.prices.values())
    if not budgets or not prices:
        yield "one guessed in a day, if all the day's SMS are an attacker's", "no budget says how many they are"
        return
    messages = min(budgets) // min(prices)
    share = -math.expm1(-messages / takeover)
    yield f"one guessed in a day, if all {messages:,} SMS of the budget are an attacker's", _as_odds(share)


def _as_odds(share: float) -> str:
    return f"{share:.1e} (1 in {1 / share:,.0f})" if share else "0"
