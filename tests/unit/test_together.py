"""What is asked for at the same time travels in one call, and nobody's fate hangs on another's."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field

import pytest

from functions.together import Fetched, Together, sleep_in_step


@dataclass
class Carrier:
    """Doubles numbers, and remembers what was asked in each call."""

    calls: list[list[int]] = field(default_factory=list)
    held: asyncio.Event | None = None
    asked: asyncio.Event = field(default_factory=asyncio.Event)
    error: Exception | None = None

    async def __call__(self, asked: Mapping[int, int]) -> Mapping[int, int]:
        self.calls.append(sorted(asked))
        self.asked.set()
        if self.held is not None:
            await self.held.wait()
        if self.error is not None:
            raise self.error
        return {key: 2 * value for key, value in asked.items()}


def nobody_is_left() -> bool:
    return len(asyncio.all_tasks()) == 1


async def test_what_is_asked_in_one_turn_is_one_call() -> None:
    carrier = Carrier()
    together = Together(carrier, most=100)

    assert await asyncio.gather(*(together.ask(n, n) for n in range(100))) == [2 * n for n in range(100)]

    assert carrier.calls == [list(range(100))]


async def test_who_comes_a_turn_later_than_another_travels_along() -> None:
    carrier = Carrier()
    together = Together(carrier, most=100)

    async def come(turn: int) -> int:
        for _ in range(turn):
            await asyncio.sleep(0)
        return await together.ask(turn, turn)

    assert await asyncio.gather(*(come(turn) for turn in range(20))) == [2 * turn for turn in range(20)]

    assert carrier.calls == [list(range(20))]


async def test_a_call_has_no_more_keys_than_it_may() -> None:
    carrier = Carrier()
    together = Together(carrier, most=25)

    await asyncio.gather(*(together.ask(n, n) for n in range(60)))

    assert [len(call) for call in carrier.calls] == [25, 25, 10]


async def test_who_asks_for_the_same_shares_the_answer() -> None:
    carrier = Carrier()
    together = Together(carrier, most=10)

    assert await asyncio.gather(*(together.ask(7, 7) for _ in range(50))) == [14] * 50

    assert carrier.calls == [[7]]


async def test_what_is_aboard_is_known_until_it_leaves() -> None:
    together = Together(Carrier(), most=10)

    asked = asyncio.create_task(together.ask(7, 7))
    await asyncio.sleep(0)

    assert (together.has(7), together.has(8)) == (True, False)
    await asked
    assert not together.has(7)


async def test_what_goes_wrong_goes_wrong_for_all_aboard() -> None:
    together = Together(Carrier(error=ValueError("no")), most=10)

    answers = await asyncio.gather(*(together.ask(n, n) for n in range(5)), return_exceptions=True)

    assert [type(answer) for answer in answers] == [ValueError] * 5


@pytest.mark.parametrize("broken_off", [0, 3])
async def test_one_who_is_broken_off_takes_nobody_along(broken_off: int) -> None:
    carrier = Carrier(held=asyncio.Event())
    together = Together(carrier, most=10)
    asked = [asyncio.create_task(together.ask(n, n)) for n in range(5)]
    await carrier.asked.wait()

    asked[broken_off].cancel()
    await asyncio.wait({asked[broken_off]})
    assert carrier.held is not None
    carrier.held.set()
    await asyncio.wait(asked)

    assert [task.cancelled() for task in asked] == [n == broken_off for n in range(5)]
    assert [task.result() for n, task in enumerate(asked) if n != broken_off] == [
        2 * n for n in range(5) if n != broken_off
    ]


async def test_where_all_are_broken_off_nothing_runs_on() -> None:
    carrier = Carrier(held=asyncio.Event())
    together = Together(carrier, most=10)
    asked = [asyncio.create_task(together.ask(n, n)) for n in range(5)]
    await carrier.asked.wait()

    for task in asked:
        task.cancel()
    await asyncio.wait(asked)

    assert nobody_is_left()


async def test_who_comes_as_the_last_one_goes_is_answered() -> None:
    together = Together(Carrier(), most=10)
    first = asyncio.create_task(together.ask(1, 1))
    await asyncio.sleep(0)

    first.cancel()
    await asyncio.sleep(0)  # it goes, and its load with it
    answer = await together.ask(2, 2)

    assert answer == 4
    assert first.cancelled()


@dataclass
class Well:
    """Something that is there once it was fetched."""

    fetched: Fetched = field(default_factory=Fetched)
    held: asyncio.Event = field(default_factory=asyncio.Event)
    errors: list[Exception] = field(default_factory=list)
    is_full: bool = False
    fetches: int = 0

    async def ask(self) -> None:
        await self.fetched.unless(lambda: self.is_full, self._fetch)

    async def _fetch(self) -> None:
        self.fetches += 1
        await self.held.wait()
        if self.errors:
            raise self.errors.pop(0)
        self.is_full = True


async def test_what_all_miss_is_fetched_once_and_all_go_on_at_once() -> None:
    well = Well()
    asked = [asyncio.create_task(well.ask()) for _ in range(100)]
    await asyncio.sleep(0)

    well.held.set()
    turns = 0
    while not all(task.done() for task in asked):
        await asyncio.sleep(0)
        turns += 1

    assert (well.fetches, turns < 5) == (1, True)


async def test_whose_fetch_fails_fails_for_all_who_waited_for_it_and_the_next_tries_again() -> None:
    well = Well(errors=[ValueError("no")])
    asked = [asyncio.create_task(well.ask()) for _ in range(3)]
    await asyncio.sleep(0)

    well.held.set()
    told = await asyncio.gather(*asked, return_exceptions=True)
    await well.ask()

    assert [type(error) for error in told] == [ValueError] * 3
    assert well.fetches == 2


async def test_who_fetches_and_is_broken_off_leaves_it_to_the_next() -> None:
    well = Well()
    asked = [asyncio.create_task(well.ask()) for _ in range(3)]
    await asyncio.sleep(0)

    asked[0].cancel()
    well.held.set()
    await asyncio.wait(asked)

    assert [task.cancelled() for task in asked] == [True, False, False]
    assert well.fetches == 2


async def test_who_waits_for_the_same_step_goes_on_in_the_same_turn() -> None:
    loop = asyncio.get_running_loop()
    turns = 0
    woken: list[int] = []

    async def turn() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    async def wait(begins_in: float) -> None:
        await asyncio.sleep(begins_in)
        await sleep_in_step(0, 0.05)
        woken.append(turns)

    counting = asyncio.create_task(turn())
    step = 0.05
    await asyncio.sleep(step - loop.time() % step)  # at a step's beginning, with all of it to come
    await asyncio.gather(*(wait(n * 0.001) for n in range(10)))
    counting.cancel()

    assert len(set(woken)) == 1
