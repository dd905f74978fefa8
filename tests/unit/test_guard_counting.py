from __future__ import annotations

from dataclasses import replace

from functions.domain.guard.counting import Cap, Counts, MemberCap, Step
from functions.domain.guard.decision import Mode, Rule, Said

NOW, END = 1_000, 1_600

CAP = Cap(rule=Rule.UNCONVERTED_1K, mode=Mode.ENFORCE, counter="u", most=20, ends=END, key="4915112345")
GOOD = replace(CAP, most_if_good=50, converted="v")
SET = MemberCap(rule=Rule.NUMBERS_1K, mode=Mode.ENFORCE, members="n", member="aa", most=2, ends=END)


def step(*caps: Cap | MemberCap) -> Step:
    return Step(item="b#x#1", counters=("u",), caps=caps, forget_at=END)


def counts(**numbers: int) -> Counts:
    return Counts(numbers)


def test_the_last_place_is_given_and_the_next_is_not() -> None:
    assert not CAP.refuses(counts(u=19))
    assert CAP.refuses(counts(u=20))


def test_nothing_counted_is_nought() -> None:
    assert not CAP.refuses(counts())


def test_the_higher_limit_is_for_those_of_which_half_came_to_use() -> None:
    assert GOOD.refuses(counts(u=20, v=19))
    assert not GOOD.refuses(counts(u=20, v=20))
    assert GOOD.refuses(counts(u=50, v=500))


def test_a_higher_limit_that_is_lower_lowers_nothing() -> None:
    assert not replace(GOOD, most_if_good=5).refuses(counts(u=19, v=100))
    assert replace(GOOD, most_if_good=5).refuses(counts(u=20, v=100))


def test_a_full_set_refuses_whoever_is_not_in_it() -> None:
    full = Counts(members={"n": frozenset({"bb", "cc"})})

    assert SET.refuses(full)
    assert not replace(SET, member="bb").refuses(full)


def test_only_what_is_enforced_refuses() -> None:
    watched = replace(CAP, mode=Mode.MONITOR)

    assert not step(watched).refused_by(counts(u=20))
    assert step(watched, SET).refused_by(Counts({"u": 20}, {"n": frozenset({"bb", "cc"})}))


def test_a_finding_tells_of_the_count_with_this_start_where_it_passed() -> None:
    (finding,) = step(CAP).findings(counts(u=4), NOW)

    assert (finding.said, finding.count, finding.limit, finding.key) == (Said.PASS, 5, 20, "4915112345")
    assert finding.retry_after is None


def test_a_finding_tells_of_the_count_as_it_is_where_it_did_not() -> None:
    (finding,) = step(CAP).findings(counts(u=20), NOW)

    assert (finding.said, finding.count, finding.limit, finding.retry_after) == (Said.DENY, 20, 20, END - NOW)


def test_what_one_cap_refuses_the_others_did_not_count() -> None:
    other = replace(CAP, rule=Rule.UNCONVERTED_10K, counter="w", most=50)

    _, finding = step(CAP, other).findings(counts(u=20, w=7), NOW)

    assert (finding.said, finding.count) == (Said.PASS, 7)


def test_a_watching_rule_says_deny_and_counts() -> None:
    (finding,) = step(replace(CAP, mode=Mode.MONITOR)).findings(counts(u=20), NOW)

    assert (finding.said, finding.mode, finding.count) == (Said.DENY, Mode.MONITOR, 21)
    assert not finding.decides


def test_a_set_is_counted_by_its_members() -> None:
    known = Counts(members={"n": frozenset({"bb"})})

    assert [step(cap).findings(known, NOW)[0].count for cap in (SET, replace(SET, member="bb"))] == [2, 1]


def test_of_two_caps_of_a_rule_the_one_that_refuses_speaks() -> None:
    day = replace(CAP, counter="d", most=30)

    (finding,) = step(CAP, day).findings(counts(u=3, d=30), NOW)
    assert (finding.said, finding.limit) == (Said.DENY, 30)

    (finding,) = step(CAP, day).findings(counts(u=3, d=29), NOW)
    assert (finding.said, finding.limit) == (Said.PASS, 20)


def test_a_part_of_a_cap_is_told_of_as_the_whole() -> None:
    (finding,) = step(replace(CAP, most=25, share=8)).findings(counts(u=25), NOW)

    assert (finding.count, finding.limit) == (200, 200)
