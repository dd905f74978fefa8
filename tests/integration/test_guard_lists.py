"""ABU-13: each denial tells its rule, the safe list lets a number through, and a rule can watch before it decides."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace

import pytest

from functions.domain.errors import BlockedByGuard, RateLimited
from functions.domain.guard.attempt import Attempt
from functions.domain.guard.decision import Finding, Mode, Rule, Said
from functions.domain.guard.lists import Effect, Entry, Kind, Listing, Subject
from functions.domain.guard.policy import Policy
from functions.domain.identity import pseudonym
from functions.domain.phone import PhoneNumber, parse_phone_number
from functions.domain.service import Limit, Service
from functions.stores.guard_budget import DynamoAccounts
from functions.stores.guard_counters import DynamoCounters
from functions.usecases.guards.blocks import Blocks
from functions.usecases.guards.counting import Counting
from functions.usecases.guards.listed import Listed
from functions.usecases.guards.spending import Spending
from functions.usecases.start import StartCommand
from tests.harness import Harness, fresh_number


@dataclass
class GivenLists:
    listing_now: dict[Subject, Entry] = field(default_factory=dict)

    async def listing(self, at: int) -> Listing:
        return self.listing_now


@dataclass
class Denies:
    """A rule that denies everything, as its mode has it, and counts what it let through."""

    rule: Rule
    counted: int = 0

    async def look(self, attempt: Attempt) -> Sequence[Finding]:
        mode = attempt.policy.mode(self.rule)
        if mode is Mode.OFF:
            return []
        self.counted += mode is Mode.MONITOR
        return [Finding(rule=self.rule, said=Said.DENY, mode=mode, count=20, limit=20)]

    async def give_back(self, attempt: Attempt) -> None:
        self.counted -= 1


@pytest.fixture
def lists() -> GivenLists:
    return GivenLists()


@pytest.fixture
def guarded(harness: Harness, lists: GivenLists) -> Harness:
    """With its number's block closed."""
    harness.checks = [Listed(lists), Denies(Rule.UNCONVERTED_1K)]
    return harness


Says = Callable[[Subject, Effect], None]


@pytest.fixture
def operator_says(lists: GivenLists, harness: Harness) -> Says:
    def say(subject: Subject, effect: Effect) -> None:
        entry = Entry(effect=effect, why="a test", who="tester", at=harness.clock())
        lists.listing_now[subject] = entry

    return say


def number(harness: Harness, to: PhoneNumber) -> Subject:
    return Subject(Kind.NUMBER, pseudonym(harness.keys.ring, "number", to.e164))


def block(to: PhoneNumber) -> Subject:
    return Subject(Kind.BLOCK, to.e164[1:-3])


async def start(harness: Harness, to: PhoneNumber) -> None:
    await harness.start(StartCommand(to=to, service="default", caller="test"))


async def test_who_is_on_no_list_is_left_to_the_other_rules(guarded: Harness) -> None:
    with pytest.raises(BlockedByGuard) as refused:
        await start(guarded, fresh_number())

    assert refused.value.reason == "unconverted_1k"


@pytest.mark.parametrize("kind", list(Kind))
async def test_what_operators_blocked_gets_no_code(guarded: Harness, operator_says: Says, kind: Kind) -> None:
    to = fresh_number()
    subject = {Kind.NUMBER: number(guarded, to), Kind.BLOCK: block(to), Kind.COUNTRY: Subject(kind, "DE")}[kind]
    operator_says(subject, Effect.BLOCK)

    with pytest.raises(BlockedByGuard) as refused:
        await start(guarded, to)

    assert refused.value.reason == "listed"
    assert guarded.provider.sent_to(to) == []


async def test_abu_13_a_safe_listed_number_passes_a_blocked_block_up_to_its_own_limits(
    guarded: Harness, operator_says: Says
) -> None:
    to = fresh_number()
    operator_says(block(to), Effect.BLOCK)
    operator_says(number(guarded, to), Effect.ALLOW)

    await start(guarded, to)
    with pytest.raises(RateLimited):
        await start(guarded, to)

    assert len(guarded.provider.sent_to(to)) == 1


async def test_abu_13_with_the_real_counters_and_the_real_budget(harness: Harness, lists: GivenLists) -> None:
    spending = Spending(accounts=DynamoAccounts(harness.table), price=lambda _: 1, budget=None, journal=harness.journal)
    blocks = Blocks(Counting(DynamoCounters(harness.table, secrets.token_bytes)))
    harness.checks = [Listed(lists), blocks, spending]
    name = f"s{secrets.token_hex(4)}"
    policy = Policy(unconverted_1k=3, budget=6)
    harness.services[name] = Service(name=name, guard=policy, cooldown=0, limits=(Limit(2, 600),))
    block = fresh_number().e164[:-3]

    async def start(last: int) -> None:
        to = parse_phone_number(f"{block}{last:03d}")
        await harness.start(StartCommand(to=to, service=name, caller="test"))

    for last in range(3):
        await start(last)
    with pytest.raises(BlockedByGuard, match="refuses") as closed:
        await start(3)
    tester = parse_phone_number(f"{block}999")
    lists.listing_now[number(harness, tester)] = Entry(effect=Effect.ALLOW, why="t", who="t", at=harness.clock())

    await start(999)
    await start(999)
    with pytest.raises(RateLimited):
        await start(999)
    harness.clock.advance(601)
    await start(999)
    with pytest.raises(BlockedByGuard) as spent:
        await start(999)

    assert (closed.value.reason, spent.value.reason) == ("unconverted_1k", "budget_service")
    assert len(harness.provider.sent_to(tester)) == 3


@pytest.mark.parametrize("rule", [Rule.EVERYWHERE, Rule.BUDGET_SERVICE, Rule.BUDGET_TOTAL])
async def test_abu_13_a_safe_listed_number_is_still_subject_to_the_budget(
    guarded: Harness, operator_says: Says, rule: Rule
) -> None:
    to = fresh_number()
    operator_says(number(guarded, to), Effect.ALLOW)
    guarded.checks = [*guarded.checks, Denies(rule)]

    with pytest.raises((BlockedByGuard, RateLimited)):
        await start(guarded, to)

    assert guarded.provider.sent_to(to) == []


async def test_what_the_safe_list_lifted_is_counted_and_told(guarded: Harness, operator_says: Says) -> None:
    to, rule = fresh_number(), Denies(Rule.UNCONVERTED_1K)
    guarded.checks = [guarded.checks[0], rule]
    operator_says(block(to), Effect.ALLOW)

    await start(guarded, to)

    (line,) = guarded.journal.of("decision")
    assert line["findings"] == "listed:exempt unconverted_1k:exempt:20/20"
    assert line["outcome"] == "allowed"
    assert rule.counted == 1


async def test_a_blocked_number_in_an_allowed_block_is_blocked(guarded: Harness, operator_says: Says) -> None:
    to = fresh_number()
    operator_says(block(to), Effect.ALLOW)
    operator_says(number(guarded, to), Effect.BLOCK)

    with pytest.raises(BlockedByGuard) as refused:
        await start(guarded, to)

    assert refused.value.reason == "listed"


@pytest.mark.parametrize("effect", list(Effect))
async def test_lists_that_only_watch_decide_nothing(guarded: Harness, operator_says: Says, effect: Effect) -> None:
    to = fresh_number()
    operator_says(number(guarded, to), effect)
    guarded.change_service(guard=Policy(modes={Rule.LISTED: Mode.MONITOR}))

    with pytest.raises(BlockedByGuard) as refused:
        await start(guarded, to)

    assert refused.value.reason == "unconverted_1k"


async def test_abu_13_each_denial_tells_its_rule(guarded: Harness) -> None:
    rules = [rule for rule in Rule if rule is not Rule.NUMBER]
    for rule in rules:
        guarded.checks = [Denies(rule)]
        with pytest.raises(Exception, match=r"."):
            await start(guarded, fresh_number())

    lines = guarded.journal.of("decision")
    assert [line["rule"] for line in lines] == [rule.value for rule in rules]
    assert {line["outcome"] for line in lines} == {"denied"}


@pytest.mark.parametrize("rule", [rule for rule in Rule if rule is not Rule.NUMBER])
async def test_abu_13_a_rule_that_only_watches_is_written_down_and_decides_nothing(
    guarded: Harness, rule: Rule
) -> None:
    to = fresh_number()
    guarded.checks = [Denies(rule)]
    guarded.change_service(guard=replace(Policy(), modes={rule: Mode.MONITOR}))

    await start(guarded, to)

    (line,) = guarded.journal.of("decision")
    assert (line["outcome"], line["findings"]) == ("allowed", f"{rule.value}:deny:20/20:monitor")
    assert len(guarded.provider.sent_to(to)) == 1
