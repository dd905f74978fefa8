"""The contract of Conversions on every engine, and the breaker's check on it, with many sandboxes on the exact one."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import pytest

from functions.domain.guard.attempt import Attempt
from functions.domain.guard.conversion import SLICE, TRIALS, TRIALS_EVERY, Breaker, Kind, Place, Slice
from functions.domain.guard.decision import Finding, Mode, Rule, Said
from functions.domain.guard.policy import Policy
from functions.domain.phone import PhoneNumber, parse_phone_number
from functions.stores.dynamodb import Table
from functions.stores.guard_conversion import DynamoConversions
from functions.stores.reads_together import ReadsTogether
from functions.usecases.guards.conversion import _MOST_KNOWN, FRESH_FOR, Conversion, _Known
from functions.usecases.guards.countries import SHARDS
from functions.usecases.ports import StoreUnavailable
from infra.local.embedded_aws import Resources
from tests.harness import ManualClock, RecordingJournal, fresh_number

HOUR = 3600
SANDBOXES = 30
ELSEWHERE = parse_phone_number("+3546112345")
"""In a country that no other test counts."""


@dataclass
class Fleet:
    """Sandboxes that share a table, a clock and a journal, with a block and a country of this test's own."""

    table: Table
    clock: ManualClock = field(default_factory=ManualClock)
    journal: RecordingJournal = field(default_factory=RecordingJournal)
    policy: Policy = field(default_factory=lambda: Policy(modes={Rule.CONVERSION_COUNTRY: Mode.OFF}))
    name: str = field(default_factory=lambda: secrets.token_hex(6))

    @property
    def store(self) -> DynamoConversions:
        return DynamoConversions(self.table, ReadsTogether(self.table))

    def sandbox(self) -> Conversion:
        return Conversion(self.store, self.journal)

    @property
    def block(self) -> Place:
        return Place(Kind.BLOCK, f"block-{self.name}")

    def attempt(self, to: PhoneNumber | None = None) -> Attempt:
        return Attempt(
            to=to or fresh_number(),
            service="default",
            policy=self.policy,
            request=secrets.token_hex(8),
            at=self.clock(),
            pseudonym=lambda kind, _: f"{kind}-{self.name}",
        )

    async def counted(self, pk: str, at: int, sent: int, converted: int) -> None:
        """As the rules for blocks and countries count."""
        n = at % HOUR // SLICE
        await self.table.count(
            f"{pk}#{at // HOUR}" if pk.startswith("b#") else pk,
            f"ADD #s{n} :sent, #c{n} :converted",
            values={":sent": {"N": str(sent)}, ":converted": {"N": str(converted)}},
        )

    async def sent_to_the_block(self, sent: int, converted: int) -> None:
        """A while ago, so that it is settled."""
        await self.counted(f"b#{self.block.key}", self.clock() - 2 * SLICE, sent, converted)

    async def closed(self) -> Breaker:
        """Has the block closed, and tells how."""
        await self.sent_to_the_block(30, 0)
        await self.sandbox().look(self.attempt())
        return (await self.store.known(self.block, self.clock()))[0]

    async def half_open(self) -> Breaker:
        breaker = await self.closed()
        self.clock.now = breaker.until
        return breaker

    async def forget(self, pk: str) -> None:
        await self.table.delete(pk, only_if="#ttl > :now", values={":now": {"N": "0"}})

    @property
    def told(self) -> list[Any]:
        return [line["outcome"] for line in self.journal.of("breaker")]


@pytest.fixture
def fleet(table: Table) -> Fleet:
    return Fleet(table)


@pytest.fixture
def exact_fleet(dynamodb: Any, resources: Resources) -> Fleet:
    return Fleet(Table(dynamodb, resources.table))


def said(findings: Sequence[Finding]) -> list[Said]:
    return [finding.said for finding in findings]


class TestTheStore:
    async def test_knows_the_slices_of_this_hour_and_the_one_before_the_newest_first(self, fleet: Fleet) -> None:
        begins = fleet.clock() // HOUR * HOUR
        pk = f"b#{fleet.block.key}"
        for at, sent, converted in [
            (begins - HOUR - 1, 9, 9),
            (begins - 1, 3, 1),
            (begins, 4, 2),
            (begins + 301, 5, 5),
        ]:
            await fleet.counted(pk, at, sent, converted)

        _, slices = await fleet.store.known(fleet.block, begins + 400)

        assert slices == [Slice(begins + SLICE, 5, 5), Slice(begins, 4, 2), Slice(begins - SLICE, 3, 1)]

    async def test_adds_up_a_countrys_shards(self, fleet: Fleet) -> None:
        country, begins = Place(Kind.COUNTRY, f"X{fleet.name}"), fleet.clock() // HOUR * HOUR
        for shard in range(SHARDS):
            await fleet.counted(f"n#{country.key}#{begins // HOUR}#{shard}", begins, 2, 1)

        assert await fleet.store.known(country, begins) == (Breaker(), [Slice(begins, 2 * SHARDS, SHARDS)])

    async def test_changes_a_breaker_only_over_the_one_that_was_seen(self, fleet: Fleet) -> None:
        first, second = Breaker(times=1, until=100, upper=0.2), Breaker(times=2, until=900, since=5, upper=0.1)

        assert await fleet.store.change(fleet.block, Breaker(), first) is None
        assert await fleet.store.change(fleet.block, Breaker(), second) == first
        assert await fleet.store.change(fleet.block, first, second) is None
        assert (await fleet.store.known(fleet.block, fleet.clock()))[0] == second

    async def test_hands_out_five_trials_an_hour_and_takes_one_back(self, fleet: Fleet) -> None:
        breaker = Breaker(times=1, until=fleet.clock(), upper=0.2)
        await fleet.store.change(fleet.block, Breaker(), breaker)

        taken = [await fleet.store.take_trial(fleet.block, breaker, fleet.clock()) for _ in range(TRIALS + 1)]
        assert taken == [True] * TRIALS + [False]

        await fleet.store.give_trial_back(fleet.block, breaker, fleet.clock())
        assert await fleet.store.take_trial(fleet.block, breaker, fleet.clock())
        assert not await fleet.store.take_trial(fleet.block, breaker, fleet.clock())
        assert await fleet.store.take_trial(fleet.block, breaker, fleet.clock() + TRIALS_EVERY)

    async def test_takes_nothing_back_that_was_not_taken(self, fleet: Fleet) -> None:
        breaker = Breaker(times=1, until=fleet.clock(), upper=0.2)
        await fleet.store.change(fleet.block, Breaker(), breaker)

        await fleet.store.give_trial_back(fleet.block, breaker, fleet.clock())

        taken = [await fleet.store.take_trial(fleet.block, breaker, fleet.clock()) for _ in range(TRIALS + 1)]
        assert taken == [True] * TRIALS + [False]

    async def test_hands_out_no_trial_of_a_breaker_that_was_changed_meanwhile(self, fleet: Fleet) -> None:
        seen = Breaker(times=1, until=fleet.clock(), upper=0.2)
        await fleet.store.change(fleet.block, Breaker(), seen)
        await fleet.store.change(fleet.block, seen, Breaker(since=seen.until))

        assert not await fleet.store.take_trial(fleet.block, seen, fleet.clock())

    async def test_forgets_a_breaker_a_day_after_it_became_half_open(self, fleet: Fleet) -> None:
        await fleet.store.change(fleet.block, Breaker(), Breaker(times=1, until=fleet.clock(), upper=0.2))

        item = await fleet.table.get(f"k#{fleet.block.key}")

        assert item is not None
        assert item["ttl"] == {"N": str(fleet.clock() + 86_400)}


class TestTheCheck:
    async def test_lets_through_what_nobody_has_sent_to(self, fleet: Fleet) -> None:
        (finding,) = await fleet.sandbox().look(fleet.attempt())

        assert (finding.said, finding.count, finding.limit) == (Said.PASS, 100, 35)

    async def test_closes_a_block_of_whose_thirty_codes_none_was_used_for_every_sandbox(self, fleet: Fleet) -> None:
        first, second = fleet.sandbox(), fleet.sandbox()
        await fleet.sent_to_the_block(30, 0)

        (finding,) = await first.look(attempt := fleet.attempt())

        assert (finding.rule, finding.said, finding.key) == (Rule.CONVERSION_BLOCK, Said.DENY, attempt.block_10k)
        assert (finding.count, finding.limit, finding.retry_after) == (11, 35, HOUR)
        assert said(await second.look(fleet.attempt())) == [Said.DENY]
        assert fleet.told == ["opened"]
        assert fleet.journal.of("breaker")[0]["key"] == attempt.block_10k

    async def test_only_watches_a_country_at_home_where_a_stranger_could_close_it_to_all(self, fleet: Fleet) -> None:
        fleet.policy = Policy(modes={Rule.CONVERSION_BLOCK: Mode.OFF}, home=frozenset({"IS"}))
        fleet.clock.advance(2 * 86_400)
        ago = fleet.clock() - 2 * SLICE
        for shard in range(SHARDS):
            await fleet.counted(f"n#IS#{ago // HOUR}#{shard}", ago, 10, 1)

        (at_home,) = await fleet.sandbox().look(fleet.attempt(ELSEWHERE))
        fleet.policy = Policy(modes={Rule.CONVERSION_BLOCK: Mode.OFF}, home=frozenset({"DE"}))
        (abroad,) = await fleet.sandbox().look(fleet.attempt(ELSEWHERE))

        assert (at_home.said, at_home.mode, at_home.decides) == (Said.DENY, Mode.MONITOR, False)
        assert (abroad.said, abroad.mode) == (Said.DENY, Mode.ENFORCE)
        await fleet.forget("k#IS")

    async def test_closes_a_country_too(self, fleet: Fleet) -> None:
        fleet.policy = Policy(modes={Rule.CONVERSION_BLOCK: Mode.OFF, Rule.CONVERSION_COUNTRY: Mode.ENFORCE})
        fleet.clock.advance(86_400)
        ago = fleet.clock() - 2 * SLICE
        for shard in range(SHARDS):
            await fleet.counted(f"n#IS#{ago // HOUR}#{shard}", ago, 10, 1)

        (finding,) = await fleet.sandbox().look(fleet.attempt(ELSEWHERE))

        assert (finding.rule, finding.said, finding.key) == (Rule.CONVERSION_COUNTRY, Said.DENY, "IS")
        await fleet.forget("k#IS")

    async def test_goes_by_the_services_own_floor(self, fleet: Fleet) -> None:
        fleet.policy = Policy(modes={Rule.CONVERSION_COUNTRY: Mode.OFF}, conversion_floor=0.1)
        await fleet.sent_to_the_block(30, 0)

        (finding,) = await fleet.sandbox().look(fleet.attempt())

        assert (finding.said, finding.count, finding.limit) == (Said.PASS, 11, 10)

    async def test_in_monitor_says_the_same_and_decides_nothing(self, fleet: Fleet) -> None:
        fleet.policy = Policy(modes={Rule.CONVERSION_COUNTRY: Mode.OFF, Rule.CONVERSION_BLOCK: Mode.MONITOR})
        await fleet.sent_to_the_block(30, 0)

        (finding,) = await fleet.sandbox().look(fleet.attempt())

        assert (finding.said, finding.mode, finding.decides) == (Said.DENY, Mode.MONITOR, False)

    async def test_off_says_nothing_and_reads_nothing(self) -> None:
        nowhere = Fleet(Table(None, "nowhere"))
        nowhere.policy = Policy(modes={Rule.CONVERSION_COUNTRY: Mode.OFF, Rule.CONVERSION_BLOCK: Mode.OFF})

        assert await nowhere.sandbox().look(nowhere.attempt()) == []

    async def test_lets_five_an_hour_try_a_half_open_block_out(self, fleet: Fleet) -> None:
        await fleet.half_open()
        first, second = fleet.sandbox(), fleet.sandbox()

        findings = [*[(await first.look(fleet.attempt()))[0] for _ in range(4)]]
        findings += [*[(await second.look(fleet.attempt()))[0] for _ in range(2)]]

        assert said(findings) == [Said.PASS] * 5 + [Said.DENY]
        assert findings[-1].retry_after == TRIALS_EVERY
        fleet.clock.advance(TRIALS_EVERY)
        assert said(await second.look(fleet.attempt())) == [Said.PASS]

    async def test_gives_a_trial_back_that_sent_nothing(self, fleet: Fleet) -> None:
        await fleet.half_open()
        sandbox = fleet.sandbox()
        attempts = [fleet.attempt() for _ in range(TRIALS + 1)]
        for attempt in attempts:
            await sandbox.look(attempt)

        await sandbox.give_back(attempts[0])

        assert said(await sandbox.look(fleet.attempt())) == [Said.PASS]
        assert said(await sandbox.look(fleet.attempt())) == [Said.DENY]

    async def test_a_denied_attempt_has_no_trial_to_give_back(self, fleet: Fleet) -> None:
        await fleet.half_open()
        sandbox = fleet.sandbox()
        attempts = [fleet.attempt() for _ in range(TRIALS + 1)]
        for attempt in attempts:
            await sandbox.look(attempt)

        await sandbox.give_back(attempts[-1])

        assert said(await sandbox.look(fleet.attempt())) == [Said.DENY]

    async def test_a_block_that_a_closed_country_denies_keeps_its_trial(self, fleet: Fleet) -> None:
        breaker = await fleet.half_open()
        fleet.policy = Policy(modes={Rule.CONVERSION_COUNTRY: Mode.ENFORCE})
        sandbox, attempt = fleet.sandbox(), fleet.attempt(ELSEWHERE)
        country = Place(Kind.COUNTRY, attempt.region)
        closed = Breaker(times=1, until=fleet.clock() + HOUR, upper=0.1)
        await fleet.store.change(country, Breaker(), closed)

        assert said(await sandbox.look(attempt)) == [Said.PASS, Said.DENY]

        item = await fleet.table.get(f"k#{fleet.block.key}")
        assert item is not None
        assert item["t0"] == {"N": "0"}
        assert breaker.trial_hour(attempt.at) == 0
        await fleet.forget("k#IS")

    async def test_closes_it_by_itself_when_people_use_their_codes_again(self, fleet: Fleet) -> None:
        await fleet.half_open()
        sandbox = fleet.sandbox()
        fleet.clock.advance(2 * SLICE)
        await fleet.sent_to_the_block(5, 4)

        assert said([(await sandbox.look(fleet.attempt()))[0] for _ in range(TRIALS + 5)]) == [Said.PASS] * 10
        assert fleet.told == ["opened", "closed"]

    async def test_keeps_it_closed_for_two_hours_when_they_do_not(self, fleet: Fleet) -> None:
        await fleet.half_open()
        fleet.clock.advance(2 * SLICE)
        await fleet.sent_to_the_block(5, 1)

        (finding,) = await fleet.sandbox().look(fleet.attempt())

        assert finding.retry_after == 2 * HOUR
        assert fleet.told == ["opened", "still_open"]


async def test_a_closed_block_stays_closed_for_who_asks_while_the_sandbox_forgets(exact_fleet: Fleet) -> None:
    await exact_fleet.closed()
    sandbox, now = exact_fleet.sandbox(), exact_fleet.clock()
    places = [Place(Kind.BLOCK, str(n)) for n in range(_MOST_KNOWN - 1)]
    fresh = {place: _Known(place, read_at=now) for place in places}
    sandbox._known = fresh
    another = Fleet(exact_fleet.table, exact_fleet.clock)

    findings = await asyncio.gather(sandbox.look(exact_fleet.attempt()), sandbox.look(another.attempt()))

    assert [each.said for (each,) in findings] == [Said.DENY, Said.PASS]
    assert sandbox._known is not fresh


class TestManySandboxes:
    async def test_open_it_once(self, exact_fleet: Fleet) -> None:
        await exact_fleet.sent_to_the_block(30, 0)
        sandboxes = [exact_fleet.sandbox() for _ in range(SANDBOXES)]

        findings = await asyncio.gather(*(sandbox.look(exact_fleet.attempt()) for sandbox in sandboxes))

        assert {each.said for (each,) in findings} == {Said.DENY}
        assert exact_fleet.told == ["opened"]

    async def test_let_five_at_once_try_it_out(self, exact_fleet: Fleet) -> None:
        await exact_fleet.half_open()
        sandboxes = [exact_fleet.sandbox() for _ in range(SANDBOXES)]

        findings = await asyncio.gather(*(sandbox.look(exact_fleet.attempt()) for sandbox in sandboxes * 10))

        assert [each.said for (each,) in findings].count(Said.PASS) == TRIALS


@dataclass
class Calls:
    """Counts a client's calls, through the events that botocore offers for that."""

    names: list[str] = field(default_factory=list)

    def note(self, model: Any, **_: Any) -> None:
        self.names.append(model.name)


class TestWhatItCosts:
    @pytest.fixture
    def calls(self, dynamodb: Any) -> Any:
        calls = Calls()
        dynamodb.meta.events.register("before-call.dynamodb", calls.note, "count-breaker")
        yield calls
        dynamodb.meta.events.unregister("before-call.dynamodb", calls.note, "count-breaker")

    async def test_a_thousand_starts_in_ten_seconds_are_one_read_and_no_write(
        self, exact_fleet: Fleet, calls: Calls
    ) -> None:
        sandbox = exact_fleet.sandbox()

        for _ in range(FRESH_FOR):
            await asyncio.gather(*(sandbox.look(exact_fleet.attempt()) for _ in range(100)))
            exact_fleet.clock.advance(1)

        assert calls.names == ["BatchGetItem"]

    async def test_a_flood_on_a_half_open_block_is_six_writes(self, exact_fleet: Fleet, calls: Calls) -> None:
        await exact_fleet.half_open()
        sandbox = exact_fleet.sandbox()
        calls.names.clear()

        for _ in range(200):
            await sandbox.look(exact_fleet.attempt())

        assert calls.names.count("UpdateItem") == TRIALS + 1


async def test_a_store_that_does_not_answer_lets_nothing_through(table: Table) -> None:
    fleet = Fleet(Table(table.client, "no-such-table"))

    with pytest.raises(StoreUnavailable):
        await fleet.sandbox().look(fleet.attempt())
