"""How much of a campaign is on its way at once, on a clock that jumps."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

import pytest

from infra.send.chunks import MOST_ITEMS
from infra.send.pace import AHEAD, Pace
from tests.virtual_time import run_in_virtual_time


@dataclass
class Seen:
    most_open: int
    """In the last third."""
    sent: int
    largest: int


async def _campaign(rate: float, *, expected: float, most: float | None, seconds: float) -> Seen:
    """Messages end one after the other, `rate` a second."""
    loop = asyncio.get_running_loop()
    pace = Pace(expected, most, now=loop.time, is_over=lambda: loop.time() >= seconds)
    waiting, ended, seen = 0, 0.0, Seen(0, 0, 0)

    async def work() -> None:
        nonlocal waiting, ended
        while loop.time() < seconds:
            await asyncio.sleep(0.5)
            ended = min(ended + rate / 2, waiting)
            pace.ended(int(ended))
            waiting, ended = waiting - int(ended), ended - int(ended)

    working = asyncio.create_task(work())
    while size := await pace.room():
        pace.left(size)
        waiting, seen.sent, seen.largest = waiting + size, seen.sent + size, max(seen.largest, size)
        if loop.time() > seconds * 2 / 3:
            seen.most_open = max(seen.most_open, waiting)
    await working
    return seen


def campaign(rate: float, *, expected: float, most: float | None = None, seconds: float = 300) -> Seen:
    return run_in_virtual_time(_campaign(rate, expected=expected, most=most, seconds=seconds))


@pytest.mark.parametrize("rate", [5, 80, 1_000])
def test_some_thirty_seconds_of_work_are_on_their_way(rate: float) -> None:
    seen = campaign(rate, expected=250)

    assert AHEAD * rate * 0.5 <= seen.most_open <= AHEAD * rate * 1.3


@pytest.mark.parametrize("rate", [5, 80, 1_000])
def test_whoever_works_never_waits_for_the_next(rate: float) -> None:
    assert campaign(rate, expected=10).sent >= 0.95 * rate * 300


def test_a_batch_has_a_thousand_items_at_most_and_few_where_few_are_sent() -> None:
    assert campaign(2_000, expected=2_000).largest == MOST_ITEMS
    assert campaign(1, expected=1).largest == 10


def test_no_more_than_the_operator_wants_are_let_out() -> None:
    assert campaign(1_000, expected=1_000, most=20).sent == pytest.approx(20 * 300, rel=0.02)


def test_where_nothing_moves_a_few_are_tried_and_no_more() -> None:
    assert campaign(0, expected=1, seconds=600).sent <= 40
