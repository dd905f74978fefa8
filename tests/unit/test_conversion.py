"""The breaker's rules, and what they make of people and of attacks: simulated minute by minute, always the same."""

from __future__ import annotations

import random  # noqa: TID251 - people and attackers, not secrets
from collections import deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

import pytest

from functions.domain.guard.conversion import (
    OPEN_LONGEST,
    SETTLED_AFTER,
    SLICE,
    TRIALS,
    Breaker,
    Slice,
    Tally,
    judged,
    tally,
)
from tests.harness import MORNING

FLOOR = 0.35
HOUR = 3600


def slices(*counts: tuple[int, int], newest: int = MORNING - 2 * SLICE) -> list[Slice]:
    """Sent and converted, the newest first; by default all are settled."""
    return [Slice(newest - n * SLICE, sent, converted) for n, (sent, converted) in enumerate(counts)]


def opened(counted: Sequence[Slice], floor: float = FLOOR, now: int = MORNING) -> Breaker:
    breaker = judged(Breaker(), counted, floor, now)
    assert breaker is not None
    return breaker


class TestTheBound:
    @pytest.mark.parametrize(
        ("converted", "sent", "upper"),
        # By scipy's binomtest(k, n).proportion_ci(method="wilson").
        [(0, 30, 0.1135), (5, 30, 0.3357), (6, 30, 0.3731), (140, 200, 0.7592), (50, 100, 0.5962), (0, 5, 0.4345)],
    )
    def test_is_wilsons(self, converted: int, sent: int, upper: float) -> None:
        assert Tally(sent, converted).upper == pytest.approx(upper, abs=0.0001)

    def test_of_nothing_is_everything(self) -> None:
        assert Tally().upper == 1


class TestWhatIsCounted:
    def test_a_slice_counts_three_minutes_after_its_end(self) -> None:
        counted = slices((10, 1), newest=MORNING)

        assert tally(counted, since=0, now=MORNING + SLICE + SETTLED_AFTER - 1) == Tally()
        assert tally(counted, since=0, now=MORNING + SLICE + SETTLED_AFTER) == Tally(10, 1)

    def test_the_newest_slices_that_hold_two_hundred_sends_are_enough(self) -> None:
        assert tally(slices((150, 1), (150, 2), (150, 150)), since=0, now=MORNING) == Tally(300, 3)

    def test_what_was_sent_before_it_was_judged_does_not_count(self) -> None:
        counted = slices((10, 1), (10, 1))

        assert tally(counted, since=counted[0].begins, now=MORNING) == Tally(10, 1)

    def test_no_more_is_converted_than_was_sent(self) -> None:
        assert tally(slices((3, 4)), since=0, now=MORNING) == Tally(3, 3)


class TestTheSteps:
    def test_twenty_nine_sends_that_nobody_used_say_nothing_and_thirty_do(self) -> None:
        assert judged(Breaker(), slices((29, 0)), FLOOR, MORNING) is None
        assert judged(Breaker(), slices((30, 0)), FLOOR, MORNING) is not None

    def test_five_of_thirty_are_too_few_and_six_may_be_bad_luck(self) -> None:
        assert judged(Breaker(), slices((30, 5)), FLOOR, MORNING) is not None
        assert judged(Breaker(), slices((30, 6)), FLOOR, MORNING) is None

    def test_it_is_open_for_an_hour_and_to_the_end_of_a_slice(self) -> None:
        breaker = opened(slices((30, 0)), now=MORNING + 1)

        assert breaker.until == MORNING + HOUR + SLICE
        assert breaker.is_open(FLOOR, breaker.until - 1)
        assert not breaker.is_open(FLOOR, breaker.until)

    def test_while_it_is_open_nothing_is_judged(self) -> None:
        breaker = opened(slices((30, 0)))

        assert judged(breaker, slices((200, 0)), FLOOR, breaker.until - 1) is None

    def test_half_open_it_waits_for_five_settled_sends(self) -> None:
        breaker = opened(slices((30, 0)))

        assert judged(breaker, slices((4, 0), (30, 0), newest=breaker.until), FLOOR, breaker.until + 600) is None

    def test_two_of_five_that_are_used_close_it_and_what_came_before_is_forgotten(self) -> None:
        breaker = opened(slices((30, 0)))
        now = breaker.until + 600

        closed = judged(breaker, slices((5, 2), (30, 0), newest=breaker.until), FLOOR, now)

        assert closed == Breaker(since=breaker.until)
        assert judged(closed, slices((5, 2), (30, 0), newest=breaker.until), FLOOR, now) is None

    def test_one_of_five_opens_it_for_twice_as_long_up_to_twelve_hours(self) -> None:
        breaker, hours = opened(slices((30, 0))), []

        for _ in range(6):
            now = breaker.until + 600
            again = judged(breaker, slices((5, 1), newest=breaker.until), FLOOR, now)
            assert again is not None
            hours.append((again.until - now) / HOUR)
            breaker = again

        assert hours == [2, 4, 8, OPEN_LONGEST / HOUR, 12, 12]

    def test_a_service_with_a_lower_floor_has_no_part_in_it_before_its_own_is_passed(self) -> None:
        breaker = opened(slices((100, 20)))

        assert breaker.holds(FLOOR)
        assert not breaker.holds(0.15)
        assert judged(breaker, slices((100, 20)), 0.15, MORNING) is None
        lower = judged(breaker, slices((200, 5)), 0.15, MORNING)
        assert lower is not None
        assert lower.holds(0.15)


@dataclass
class World:
    """A block or country whose sends are counted as the table counts them, behind a breaker that looks each minute."""

    dice: random.Random
    now: int = MORNING
    breaker: Breaker = field(default_factory=Breaker)
    slices: deque[Slice] = field(default_factory=lambda: deque(maxlen=2 * HOUR // SLICE))
    trials: dict[int, int] = field(default_factory=dict)
    sent: int = 0
    times_opened: int = 0

    def minute(self, wanted: int, converts: float) -> None:
        """So many ask for a code, one of whom uses it with this probability."""
        following = judged(self.breaker, self.slices, FLOOR, self.now)
        if following is not None:
            self.times_opened += following.times > 0
            self.breaker, self.trials = following, {}
        for _ in range(wanted):
            if self._admits():
                self._send(converted=self.dice.random() < converts)
        self.now += 60

    def _admits(self) -> bool:
        if not self.breaker.holds(FLOOR):
            return True
        hour = self.breaker.trial_hour(self.now)
        if self.now < self.breaker.until or self.trials.get(hour, 0) >= TRIALS:
            return False
        self.trials[hour] = self.trials.get(hour, 0) + 1
        return True

    def _send(self, *, converted: bool) -> None:
        begins = self.now // SLICE * SLICE
        newest = self.slices.popleft() if self.slices and self.slices[0].begins == begins else Slice(begins, 0, 0)
        self.slices.appendleft(Slice(begins, newest.sent + 1, newest.converted + converted))
        self.sent += 1


def world_of(run: str) -> World:
    return World(random.Random(run))  # noqa: S311


def settled(counted: Iterable[Slice], now: int) -> int:
    return sum(each.sent for each in counted if each.begins + SLICE + SETTLED_AFTER <= now)


def test_four_hundred_runs_of_five_thousand_sends_of_which_seventy_in_a_hundred_are_used_close_nothing() -> None:
    for run in range(400):
        world = world_of(f"honest {run}")
        while world.sent < 5000:
            world.minute(4, 0.7)
        assert world.times_opened == 0


def test_where_four_of_five_sends_are_pumped_it_opens_within_110_settled_ones_in_99_of_100_runs() -> None:
    needed = []
    for run in range(1000):
        world = world_of(f"mix {run}")
        while not world.times_opened:
            seen = settled(world.slices, world.now)
            world.minute(1, 0.2 * 0.7)
        needed.append(seen)

    assert sorted(needed)[989] <= 110


def test_what_is_pumped_and_nothing_else_is_closed_by_the_first_slices_that_hold_thirty() -> None:
    world = world_of("pure")
    while not world.times_opened:
        seen = settled(world.slices, world.now)
        world.minute(1, 0.0)

    assert 30 <= seen < 30 + SLICE // 60


@pytest.mark.parametrize("attacked_hours", [1, 6, 24])
def test_when_the_attack_is_over_it_closes_by_itself(attacked_hours: int) -> None:
    for run in range(20):
        world = world_of(f"over {run}")
        for _ in range(attacked_hours * 60):
            world.minute(5, 0.2 * 0.7)
        ended = world.now
        assert world.times_opened

        while world.breaker.times and world.now < ended + 26 * HOUR:
            world.minute(1, 0.7)

        assert not world.breaker.times


def test_of_a_day_of_pumping_a_hundred_and_twenty_sends_get_through_at_most() -> None:
    world = world_of("day")

    for _ in range(24 * 60):
        world.minute(10, 0.0)

    assert world.sent <= 120  # of 14,400: until the first are settled, and five each time that it is tried out
