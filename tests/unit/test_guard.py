"""The guard asks its checks in order, stops at the first that denies, and gives back what was counted for nothing."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import partial

import pytest

from functions.domain.errors import (
    BlockedByGuard,
    ChallengeRequired,
    CountryBlocked,
    DeliveryUnavailable,
    NumberTypeBlocked,
    RateLimited,
)
from functions.domain.guard.attempt import Attempt
from functions.domain.guard.decision import Finding, Mode, Rule, Said
from functions.domain.guard.policy import Policy
from functions.domain.identity import pseudonym
from functions.domain.phone import parse_phone_number
from functions.domain.sensitive import Sensitive
from functions.usecases.guard import Guard
from functions.usecases.guard_ports import Check
from functions.usecases.guards.destination import Destination
from functions.usecases.ports import StoreUnavailable
from tests.harness import MORNING, FixedKeys, RecordingDecisions, RecordingJournal


@dataclass
class Counter:
    """A check of one rule that counts attempts and says what it is told to."""

    rule: Rule
    says: Said = Said.PASS
    mode: Mode = Mode.ENFORCE
    error: Exception | None = None
    retry_after: int | None = None
    counted: int = 0

    async def look(self, attempt: Attempt) -> Sequence[Finding]:
        if self.error is not None:
            raise self.error
        finding = Finding(
            rule=self.rule, said=self.says, mode=self.mode, count=1, limit=20, retry_after=self.retry_after
        )
        self.counted += not finding.decides
        return [finding]

    async def give_back(self, attempt: Attempt) -> None:
        self.counted -= 1


class NothingSolved:
    async def solved(self, attempt: Attempt) -> bool:
        return attempt.challenge is not None and attempt.challenge.reveal() == "solved"


@dataclass
class World:
    checks: list[Check]
    decisions: RecordingDecisions = field(default_factory=RecordingDecisions)
    journal: RecordingJournal = field(default_factory=RecordingJournal)

    @property
    def guard(self) -> Guard:
        return Guard(checks=self.checks, challenges=NothingSolved(), decisions=self.decisions, journal=self.journal)


def an_attempt(to: str = "+4915112345678", policy: Policy | None = None) -> Attempt:
    return Attempt(
        to=parse_phone_number(to),
        service="shop",
        policy=policy or Policy(),
        request="r",
        at=MORNING,
        pseudonym=partial(pseudonym, FixedKeys().ring),
    )


async def test_where_nothing_denies_the_code_goes_out_and_stays_counted() -> None:
    first, second = Counter(Rule.IP), Counter(Rule.UNCONVERTED_1K)
    world = World([first, second])

    async with world.guard.admit(an_attempt()):
        pass

    assert (first.counted, second.counted) == (1, 1)
    assert [decision.outcome for decision in world.decisions.kept] == ["allowed"]


async def test_the_first_that_denies_decides_and_nobody_after_it_is_asked() -> None:
    first = Counter(Rule.IP)
    denying = Counter(Rule.NUMBERS_1K, Said.DENY)
    after = Counter(Rule.UNCONVERTED_COUNTRY)
    world = World([first, denying, after])

    with pytest.raises(BlockedByGuard) as refused:
        async with world.guard.admit(an_attempt()):
            raise AssertionError("nothing may be sent")

    assert refused.value.reason == "numbers_1k"
    assert (first.counted, denying.counted, after.counted) == (0, 0, 0)
    (decision,) = world.decisions.kept
    assert [finding.rule for finding in decision.findings] == [Rule.IP, Rule.NUMBERS_1K]


async def test_a_rule_that_only_watches_decides_nothing_and_is_written_down() -> None:
    watching = Counter(Rule.NUMBERS_1K, Said.DENY, Mode.MONITOR)
    world = World([watching, Counter(Rule.UNCONVERTED_1K)])

    async with world.guard.admit(an_attempt()):
        pass

    (line,) = world.journal.of("decision")
    assert (line["outcome"], line["rule"]) == ("allowed", None)
    assert line["findings"] == "numbers_1k:deny:1/20:monitor unconverted_1k:pass:1/20"


async def test_every_decision_is_told_with_the_rule_that_made_it() -> None:
    world = World([Counter(Rule.IP, Said.DENY, retry_after=60)])

    with pytest.raises(RateLimited) as refused:
        async with world.guard.admit(an_attempt()):
            pass

    assert refused.value.retry_after == 60
    assert world.journal.lines == [
        {
            "event": "decision",
            "service": "shop",
            "region": "DE",
            "outcome": "denied",
            "rule": "ip",
            "findings": "ip:deny:1/20",
        }
    ]


async def test_what_the_number_itself_is_refused_for_costs_the_others_nothing() -> None:
    block = Counter(Rule.UNCONVERTED_1K)
    world = World([block])

    with pytest.raises(RateLimited):
        async with world.guard.admit(an_attempt()):
            raise RateLimited("too soon", retry_after=30)

    assert block.counted == 0
    (decision,) = world.decisions.kept
    assert (decision.outcome, decision.decided_by and decision.decided_by.rule) == ("denied", Rule.NUMBER)


async def test_what_certainly_was_not_sent_is_given_back() -> None:
    block = Counter(Rule.UNCONVERTED_1K)
    world = World([block])

    with pytest.raises(DeliveryUnavailable):
        async with world.guard.admit(an_attempt()):
            raise DeliveryUnavailable("no provider took it")
    async with world.guard.admit(an_attempt()) as admission:
        admission.sent = False

    assert block.counted == 0


@pytest.mark.parametrize("fault", [StoreUnavailable("away"), RuntimeError("what is this?"), TimeoutError()])
async def test_what_may_have_been_sent_stays_counted(fault: Exception) -> None:
    block = Counter(Rule.UNCONVERTED_1K)

    with pytest.raises(type(fault)):
        async with World([block]).guard.admit(an_attempt()):
            raise fault

    assert block.counted == 1


async def test_a_guard_that_cannot_count_lets_nothing_through_and_counts_nothing() -> None:
    first = Counter(Rule.IP)
    world = World([first, Counter(Rule.NUMBERS_1K, error=StoreUnavailable("away"))])

    with pytest.raises(StoreUnavailable):
        async with world.guard.admit(an_attempt()):
            raise AssertionError("nothing may be sent")

    assert first.counted == 0


async def test_a_solution_answers_every_rule_that_asks_for_a_challenge() -> None:
    first, second = Counter(Rule.SPRAYING, Said.CHALLENGE), Counter(Rule.CHALLENGE, Said.CHALLENGE)
    world = World([first, second])

    with pytest.raises(ChallengeRequired):
        async with world.guard.admit(an_attempt()):
            raise AssertionError("nothing may be sent")
    async with world.guard.admit(replace(an_attempt(), challenge=Sensitive("solved"))):
        pass

    assert [decision.outcome for decision in world.decisions.kept] == ["challenged", "allowed"]
    assert [finding.said for finding in world.decisions.kept[1].findings] == [Said.SOLVED, Said.SOLVED]


class TestDestination:
    @pytest.mark.parametrize(
        ("to", "listed", "refused"),
        [
            ("+4915112345678", {"DE"}, False),
            ("+12423591234", {"US"}, True),  # the Bahamas share the US's calling code
            ("+18765550123", {"US"}, True),
            ("+447624123456", {"GB"}, True),  # the Isle of Man
            ("+447911123456", {"GB"}, True),  # Guernsey
            ("+447911123456", {"GB", "GG"}, False),
            ("+881612345678", {"DE"}, True),  # a satellite is in no country
        ],
    )
    async def test_it_is_the_region_that_counts_and_not_the_calling_code(
        self, *, to: str, listed: set[str], refused: bool
    ) -> None:
        attempt = an_attempt(to, Policy(countries=frozenset(listed), modes={Rule.NUMBER_TYPE: Mode.OFF}))

        (finding,) = await Destination().look(attempt)

        assert (finding.said is Said.DENY) == refused

    @pytest.mark.parametrize("to", ["+19005550123", "+447011123456", "+4930123456"])
    async def test_what_takes_no_sms_is_refused(self, to: str) -> None:
        with pytest.raises(NumberTypeBlocked):
            async with World([Destination()]).guard.admit(an_attempt(to)):
                pass

    async def test_a_country_that_is_not_listed_is_refused(self) -> None:
        with pytest.raises(CountryBlocked):
            async with World([Destination()]).guard.admit(an_attempt(policy=Policy(countries=frozenset({"AT"})))):
                pass

    async def test_a_rule_that_is_off_says_nothing(self) -> None:
        off = Policy(modes=dict.fromkeys(Rule, Mode.OFF), countries=frozenset({"AT"}))

        assert await Destination().look(an_attempt(policy=off)) == []
