"""What is usual of wrong guesses, what is not, and how slowly an attack becomes usual."""

from __future__ import annotations

import random  # noqa: TID251 - people, not secrets

import pytest

from functions.domain.guard.spraying import FEWEST, RECENT, TIMES, Guesses, Usual, learned, most_wrong
from functions.stores.guard_spraying import ONE_IN

HOUR = 500_000


def test_before_anything_was_learned_every_fifth_guess_is_wrong() -> None:
    assert Usual().ratio == 0.25


def test_three_times_the_usual_share_is_too_much() -> None:
    assert most_wrong(Guesses(right=1000), Usual(wrong=90_000, right=900_000)) == 300


def test_fewer_than_two_hundred_wrong_guesses_say_nothing() -> None:
    assert most_wrong(Guesses(), Usual()) == FEWEST
    assert most_wrong(Guesses(right=10), Usual()) == FEWEST


def test_an_hour_is_learned_from_once_and_none_before_the_last() -> None:
    usual = learned(Usual(), HOUR, Guesses(10, 100))

    assert usual == Usual(wrong=10, right=100, hour=HOUR)
    assert learned(usual, HOUR, Guesses(10, 100)) is None
    assert learned(usual, HOUR - 1, Guesses(10, 100)) is None


def test_what_a_service_has_seen_outweighs_what_was_assumed() -> None:
    usual = Usual()
    for hour in range(HOUR, HOUR + 100):
        usual = learned(usual, hour, Guesses(50, 1000)) or usual

    assert usual.ratio == pytest.approx(0.05, abs=0.001)


def test_a_day_of_an_attack_does_not_become_usual_and_a_lasting_change_does() -> None:
    usual = Usual(wrong=10_000, right=100_000)
    for hour in range(HOUR, HOUR + 24):
        usual = learned(usual, hour, Guesses(100_000, 1000)) or usual
    assert usual.ratio < 2 * 0.1

    for hour in range(HOUR + 24, HOUR + 24 * 14):
        usual = learned(usual, hour, Guesses(500, 1000)) or usual
    assert usual.ratio == pytest.approx(0.5, abs=0.05)


def test_an_attack_where_nobody_else_is_teaches_nothing() -> None:
    usual = learned(Usual(), HOUR, Guesses(100_000, 0))

    assert usual is not None
    assert usual.ratio == Usual().ratio


@pytest.mark.parametrize("an_hour", [60, 600, 6000])
def test_a_week_of_people_is_never_taken_for_an_attack_though_one_guess_in_eight_is_counted(an_hour: int) -> None:
    chance = random.Random(an_hour)  # noqa: S311
    usual, slices = Usual(), [Guesses()] * RECENT

    for each in range(7 * 24 * 12):
        right = sum(chance.random() < 1 / ONE_IN for _ in range(an_hour // 12)) * ONE_IN
        wrong = sum(chance.random() < 0.25 / ONE_IN for _ in range(an_hour // 12)) * ONE_IN
        slices.append(Guesses(wrong, right))
        recent = Guesses(*(sum(getattr(s, side) for s in slices[-RECENT:]) for side in ("wrong", "right")))
        assert recent.wrong <= most_wrong(recent, usual)
        if each % 12 == 11:
            hour = Guesses(*(sum(getattr(s, side) for s in slices[-12:]) for side in ("wrong", "right")))
            usual = learned(usual, HOUR + each // 12, hour) or usual

    assert usual.ratio == pytest.approx(0.25, abs=0.05)
    assert usual.ratio < TIMES * 0.25
