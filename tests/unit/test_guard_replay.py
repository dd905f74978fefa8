"""A changed policy over decisions that were made: what it would have decided, and what nobody can know."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

import pytest

from functions.domain.guard.decision import Decision, Finding, Mode, Rule, Said
from functions.domain.guard.kept import Kept
from functions.domain.guard.policy import Policy
from functions.domain.guard.replay import Replay, Replayed, not_replayed
from tests.harness import MORNING

HOUR = 3600
PASSED = Finding(rule=Rule.COUNTRY, said=Said.PASS, key="DE")


def kept(*findings: Finding, at: int = MORNING, region: str = "DE", weight: float = 1) -> Kept:
    return Kept(
        at=at,
        service="shop",
        region=region,
        type="mobile",
        block="4915112345",
        number="a number",
        weight=weight,
        decision=Decision(findings=findings),
    )


def counted(rule: Rule, count: int, limit: int, mode: Mode = Mode.ENFORCE) -> Finding:
    return Finding(rule=rule, said=Said.PASS, mode=mode, count=count, limit=limit)


def denied(rule: Rule, limit: int | None = None) -> Finding:
    """An enforced rule counts no further than its limit."""
    return Finding(rule=rule, said=Said.DENY, count=limit, limit=limit)


def replayed(decisions: list[Kept], after: Policy, before: Policy | None = None) -> list[Replayed]:
    return list(Replay(before={"shop": before or Policy()}, after={"shop": after}, price=lambda _: 100)(decisions))


def outcomes(decisions: list[Kept], after: Policy, before: Policy | None = None) -> Counter[tuple[str, str]]:
    found = Counter[tuple[str, str]]()
    for each in replayed(decisions, after, before):
        found[each.before, each.after] += int(each.kept.weight)
    return found


def an_attack(starts: int = 100, limit: int = 20) -> list[Kept]:
    """On one block, within an hour: as many as the limit go out."""
    passed = [kept(PASSED, counted(Rule.UNCONVERTED_1K, n + 1, limit), at=MORNING + n) for n in range(limit)]
    return [*passed, *(kept(PASSED, denied(Rule.UNCONVERTED_1K, limit), at=MORNING + n) for n in range(limit, starts))]


def test_the_same_policy_decides_the_same() -> None:
    assert outcomes(an_attack(), Policy()) == {("allowed", "allowed"): 20, ("denied", "denied"): 80}


@pytest.mark.parametrize("limit", [5, 10, 19])
def test_a_tighter_limit_stops_all_beyond_it(limit: int) -> None:
    found = outcomes(an_attack(), Policy(unconverted_1k=limit))

    assert found == {
        ("allowed", "allowed"): limit,
        ("allowed", "denied"): 20 - limit,
        ("denied", "denied"): 80,
    }


@pytest.mark.parametrize("limit", [21, 40, 99])
def test_a_looser_limit_lets_as_many_more_through_and_no_more(limit: int) -> None:
    found = outcomes(an_attack(), Policy(unconverted_1k=limit))

    assert found == {
        ("allowed", "allowed"): 20,
        ("denied", "allowed"): limit - 20,
        ("denied", "denied"): 100 - limit,
    }


def test_no_limit_lets_all_through() -> None:
    assert outcomes(an_attack(), Policy(unconverted_1k=None))["denied", "allowed"] == 80


def test_each_window_begins_anew() -> None:
    later = [replace(each, at=each.at + HOUR) for each in an_attack()]

    assert outcomes([*an_attack(), *later], Policy(unconverted_1k=30))["denied", "allowed"] == 20


def test_one_that_stands_for_others_is_counted_as_they_are() -> None:
    passed = [kept(PASSED, counted(Rule.UNCONVERTED_1K, 20, 20))]
    flood = [kept(PASSED, denied(Rule.UNCONVERTED_1K, 20), at=MORNING + n, weight=10) for n in range(8)]

    assert outcomes([*passed, *flood], Policy(unconverted_1k=40))["denied", "allowed"] == 20


def test_a_part_of_a_limit_changes_with_the_limit() -> None:
    abroad = [kept(denied(Rule.BUDGET_SERVICE, 800))]  # 80 % of a budget

    assert outcomes(abroad, Policy(budget=1125), Policy(budget=1000)) == {("denied", "allowed"): 1}
    assert outcomes(abroad, Policy(budget=1124), Policy(budget=1000)) == {("denied", "denied"): 1}


def test_what_was_counted_in_one_write_did_not_count_what_one_of_them_denied() -> None:
    passed = Finding(rule=Rule.UNCONVERTED_1K, said=Said.PASS, count=10, limit=20)
    before = kept(passed, denied(Rule.UNCONVERTED_10K, 50))

    assert outcomes([before], Policy(unconverted_10k=51, unconverted_1k=11)) == {("denied", "allowed"): 1}
    assert outcomes([before], Policy(unconverted_10k=51, unconverted_1k=10)) == {("denied", "denied"): 1}


def test_of_two_limits_of_a_rule_the_one_that_was_met_counts() -> None:
    of_the_day = [kept(denied(Rule.IP, 20))]

    assert outcomes(of_the_day, Policy(ip_hour=1000)) == {("denied", "denied"): 1}
    assert outcomes(of_the_day, Policy(ip_day=1000)) == {("denied", "allowed"): 1}


def test_a_budget_is_counted_in_money() -> None:
    spent = [kept(denied(Rule.BUDGET_SERVICE, 1000), at=MORNING + n) for n in range(5)]

    found = outcomes(spent, Policy(budget=1200), Policy(budget=1000))

    assert found == {("denied", "allowed"): 2, ("denied", "denied"): 3}


def test_a_rule_that_only_watched_is_switched_on() -> None:
    watched = Finding(rule=Rule.UNCONVERTED_1K, said=Said.DENY, mode=Mode.MONITOR, count=21, limit=20)

    (found,) = replayed([kept(PASSED, watched)], Policy(), Policy(modes={Rule.UNCONVERTED_1K: Mode.MONITOR}))

    assert (found.before, found.after, found.rule) == ("allowed", "denied", Rule.UNCONVERTED_1K)


@pytest.mark.parametrize("mode", [Mode.MONITOR, Mode.OFF])
def test_without_the_rule_that_denied_the_rules_behind_it_have_the_last_word(mode: Mode) -> None:
    (found,) = replayed([kept(PASSED, denied(Rule.UNCONVERTED_1K, 20))], Policy(modes={Rule.UNCONVERTED_1K: mode}))

    assert (found.before, found.after, found.open) == ("denied", "allowed", True)


def test_a_country_that_is_left_off_is_denied() -> None:
    found = replayed([kept(PASSED), kept(replace(PASSED, key="FR"), region="FR")], Policy(countries=frozenset({"FR"})))

    assert [(each.kept.region, each.after, each.rule) for each in found] == [
        ("DE", "denied", Rule.COUNTRY),
        ("FR", "allowed", None),
    ]


def test_the_safe_list_goes_on_to_lift_what_it_lifted() -> None:
    listed = Finding(rule=Rule.LISTED, said=Said.EXEMPT, key="number", lifts=frozenset({Rule.UNCONVERTED_1K}))
    spared = Finding(rule=Rule.UNCONVERTED_1K, said=Said.EXEMPT, count=30, limit=20)

    assert outcomes([kept(listed, spared)], Policy(unconverted_1k=5)) == {("allowed", "allowed"): 1}
    without = Policy(modes={Rule.LISTED: Mode.OFF})
    assert outcomes([kept(listed, spared)], without) == {("allowed", "denied"): 1}


def test_decisions_of_services_that_one_of_the_two_does_not_know_are_left_out() -> None:
    assert list(Replay(before={}, after={"shop": Policy()}, price=lambda _: None)(an_attack())) == []


def test_changed_settings_that_a_replay_says_nothing_about_are_named() -> None:
    assert not_replayed(Policy(), Policy(ip_hour=1)) == {}
    assert list(not_replayed(Policy(), Policy(conversion_floor=0.2, challenge=True))) == [
        "conversion_floor",
        "challenge",
    ]
