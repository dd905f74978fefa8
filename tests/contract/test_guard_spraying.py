"""The contract of GuessCounts on every engine, and the check on it; an attack from the start until it is noticed."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Callable
from dataclasses import dataclass, field
from ipaddress import IPv4Address
from typing import Any

import pytest

from functions.domain.guard.attempt import Attempt
from functions.domain.guard.decision import Finding, Mode, Rule, Said
from functions.domain.guard.policy import Policy
from functions.domain.guard.spraying import FEWEST, RECENT, SLICE, Guesses, Usual
from functions.domain.phone import PhoneNumber
from functions.stores.dynamodb import Table
from functions.stores.guard_spraying import ONE_IN, DynamoGuesses
from functions.usecases.guards.spraying import ALL_SERVICES, FRESH_FOR, Spraying
from functions.usecases.ports import Entropy, StoreUnavailable
from infra.local.embedded_aws import Resources
from tests.harness import ManualClock, RecordingJournal, fresh_number

HOUR = 3600
POLICY = Policy()


def always(size: int) -> bytes:
    """Has every guess written down."""
    return bytes(size)


@dataclass
class Fleet:
    """Sandboxes that share a table, a clock and a journal, with a service of this test's own."""

    table: Table
    entropy: Entropy = always
    clock: ManualClock = field(default_factory=ManualClock)
    journal: RecordingJournal = field(default_factory=RecordingJournal)
    service: str = field(default_factory=lambda: f"s{secrets.token_hex(4)}")
    policy: Policy = POLICY
    to: PhoneNumber = field(default_factory=fresh_number)
    """Which one it is makes no difference to what is told of guesses."""

    @property
    def store(self) -> DynamoGuesses:
        return DynamoGuesses(self.table, self.entropy)

    def sandbox(self, *, alone: bool = True) -> Spraying:
        return Spraying(self.store, alone=alone, journal=self.journal)

    async def look(self, sandbox: Spraying, service: str | None = None) -> Finding | None:
        attempt = Attempt(
            to=self.to,
            service=service or self.service,
            policy=self.policy,
            request=secrets.token_hex(8),
            at=self.clock(),
            pseudonym=lambda kind, text: f"{kind}{text}",
            ip=IPv4Address("192.0.2.1"),
        )
        return next(iter(await sandbox.look(attempt)), None)

    async def guess(self, sandbox: Spraying, times: int, *, right: bool = False) -> None:
        for _ in range(times):
            await sandbox.guessed(self.service, self.policy, right=right, at=self.clock())

    async def spray(self) -> None:
        await self.guess(self.sandbox(), FEWEST // ONE_IN + 1)

    @property
    def told(self) -> list[Any]:
        return [line["outcome"] for line in self.journal.of("spraying")]


@pytest.fixture
def fleet(table: Table) -> Fleet:
    return Fleet(table)


@pytest.fixture
def exact_fleet(dynamodb: Any, resources: Resources) -> Fleet:
    return Fleet(Table(dynamodb, resources.table))


def in_turn() -> Callable[[int], bytes]:
    """Bytes 0 to 255, over and over."""
    counter = iter(range(1_000_000))
    return lambda size: bytes(next(counter) % 256 for _ in range(size))


class TestTheStore:
    async def test_writes_one_guess_in_eight_down_and_counts_it_for_eight(self, fleet: Fleet) -> None:
        store = DynamoGuesses(fleet.table, in_turn())

        for _ in range(256):
            await store.note([fleet.service], right=False, at=fleet.clock())

        recent, _ = await store.read(fleet.service, fleet.clock())
        assert recent == Guesses(wrong=256, right=0)
        item = await fleet.table.get(f"g#{fleet.service}#{fleet.clock() // HOUR}")
        assert item is not None
        assert item["ttl"] == {"N": str(fleet.clock() + 3 * HOUR)}

    async def test_knows_the_last_three_slices_over_the_hours_end(self, fleet: Fleet) -> None:
        begins = fleet.clock() // HOUR * HOUR
        for slices_ago in range(RECENT + 2):
            await fleet.store.note([fleet.service], right=True, at=begins - slices_ago * SLICE)

        assert await fleet.store.read(fleet.service, begins) == (Guesses(0, RECENT * ONE_IN), await self.usual(fleet))

    async def test_learns_from_an_hour_when_it_is_over(self, fleet: Fleet) -> None:
        await fleet.store.note([fleet.service], right=True, at=fleet.clock())
        _, before = await fleet.store.read(fleet.service, fleet.clock())

        _, after = await fleet.store.read(fleet.service, fleet.clock() + HOUR)

        assert before == Usual()
        assert after == Usual(wrong=0, right=ONE_IN, hour=fleet.clock() // HOUR)
        assert await self.usual(fleet) == after

    async def test_learns_from_it_once_whoever_reads(self, exact_fleet: Fleet) -> None:
        fleet, later = exact_fleet, exact_fleet.clock() + HOUR
        await fleet.store.note([fleet.service], right=True, at=fleet.clock())

        read = await asyncio.gather(*(fleet.store.read(fleet.service, later) for _ in range(50)))

        assert {usual for _, usual in read} == {Usual(wrong=0, right=ONE_IN, hour=fleet.clock() // HOUR)}
        assert await self.usual(fleet) == read[0][1]

    async def test_learns_nothing_over_what_was_learned_since_it_was_read(self, fleet: Fleet) -> None:
        await fleet.store.note([fleet.service], right=True, at=fleet.clock())
        _, learned_since = await fleet.store.read(fleet.service, fleet.clock() + HOUR)

        usual = await fleet.store._learn(fleet.service, Usual(hour=7), Usual(wrong=9, right=9, hour=8))

        assert usual == learned_since
        assert await self.usual(fleet) == learned_since

    async def test_that_does_not_answer_loses_a_guess_and_raises_nothing(self, fleet: Fleet) -> None:
        nowhere = DynamoGuesses(Table(fleet.table.client, "no-such-table"), always)

        await nowhere.note(["default"], right=False, at=fleet.clock())
        with pytest.raises(StoreUnavailable):
            await nowhere.read("default", fleet.clock())

    async def usual(self, fleet: Fleet) -> Usual:
        """As it is kept."""
        item = await fleet.table.get(f"g#{fleet.service}")
        if item is None:
            return Usual()
        return Usual(wrong=float(item["wrong"]["N"]), right=float(item["right"]["N"]), hour=int(item["hour"]["N"]))


class TestTheCheck:
    async def test_lets_through_while_all_is_as_usual(self, fleet: Fleet) -> None:
        sandbox = fleet.sandbox()
        await fleet.guess(sandbox, 25)

        finding = await fleet.look(sandbox)

        assert finding is not None
        assert (finding.said, finding.count, finding.limit, finding.key) == (Said.PASS, 200, FEWEST, fleet.service)

    async def test_asks_for_a_challenge_above_three_times_the_usual(self, fleet: Fleet) -> None:
        await fleet.spray()

        finding = await fleet.look(fleet.sandbox())

        assert finding is not None
        assert (finding.rule, finding.said, finding.decides) == (Rule.SPRAYING, Said.CHALLENGE, True)
        assert fleet.told == ["noticed"]

    async def test_lets_as_many_wrong_ones_through_where_many_are_right(self, fleet: Fleet) -> None:
        await fleet.spray()
        await fleet.guess(fleet.sandbox(), 50, right=True)

        finding = await fleet.look(fleet.sandbox())

        assert finding is not None
        assert (finding.said, finding.limit) == (Said.PASS, 300)

    async def test_is_over_a_quarter_of_an_hour_after_the_last_wrong_guess(self, fleet: Fleet) -> None:
        sandbox = fleet.sandbox()
        await fleet.spray()
        await fleet.look(sandbox)

        fleet.clock.advance(RECENT * SLICE)

        finding = await fleet.look(sandbox)
        assert finding is not None
        assert finding.said is Said.PASS
        assert fleet.told == ["noticed", "over"]

    async def test_of_one_service_does_not_trouble_another_that_is_large_enough(self, fleet: Fleet) -> None:
        other = f"o{fleet.service}"
        for _ in range(200):
            await fleet.store.note([other, ALL_SERVICES], right=True, at=fleet.clock())
        sandbox = fleet.sandbox(alone=False)
        await fleet.guess(sandbox, FEWEST // ONE_IN + 1)

        sprayed, untroubled = await fleet.look(sandbox), await fleet.look(sandbox, other)

        assert sprayed is not None
        assert untroubled is not None
        assert (sprayed.said, sprayed.key) == (Said.CHALLENGE, fleet.service)
        assert untroubled.said is Said.PASS

    async def test_of_many_services_together_is_noticed_where_none_by_itself_shows_it(self, exact_fleet: Fleet) -> None:
        at = exact_fleet.clock() + 400 * 86_400  # apart from the other tests, which count there too
        exact_fleet.clock.now = at
        sandbox = exact_fleet.sandbox(alone=False)
        for n in range(FEWEST // ONE_IN + 1):
            await sandbox.guessed(f"{exact_fleet.service}{n}", POLICY, right=False, at=at)

        finding = await exact_fleet.look(sandbox)

        assert finding is not None
        assert (finding.said, finding.key) == (Said.CHALLENGE, ALL_SERVICES)

    async def test_in_monitor_decides_nothing(self, fleet: Fleet) -> None:
        await fleet.spray()
        fleet.policy = Policy(modes={Rule.SPRAYING: Mode.MONITOR})

        finding = await fleet.look(fleet.sandbox())

        assert finding is not None
        assert (finding.said, finding.decides) == (Said.CHALLENGE, False)

    async def test_off_reads_and_counts_nothing(self) -> None:
        nowhere = Fleet(Table(None, "nowhere"), policy=Policy(modes={Rule.SPRAYING: Mode.OFF}))

        assert await nowhere.look(nowhere.sandbox()) is None
        await nowhere.guess(nowhere.sandbox(), 1)


@dataclass
class Calls:
    """Counts a client's calls, through the events that botocore offers for that."""

    names: list[str] = field(default_factory=list)

    def note(self, model: Any, **_: Any) -> None:
        self.names.append(model.name)


@pytest.fixture
def calls(dynamodb: Any) -> Any:
    calls = Calls()
    dynamodb.meta.events.register("before-call.dynamodb", calls.note, "count-guesses")
    yield calls
    dynamodb.meta.events.unregister("before-call.dynamodb", calls.note, "count-guesses")


async def test_eight_guesses_cost_a_write_and_the_starts_of_two_seconds_three_reads(
    exact_fleet: Fleet, calls: Calls
) -> None:
    exact_fleet.entropy = in_turn()
    sandbox = exact_fleet.sandbox()

    await exact_fleet.guess(sandbox, 256)
    for _ in range(FRESH_FOR):
        await asyncio.gather(*(exact_fleet.look(sandbox) for _ in range(100)))
        exact_fleet.clock.advance(1)

    assert (calls.names.count("UpdateItem"), calls.names.count("GetItem")) == (32, 3)


class TestAnAttack:
    """A number after the other and a guess for each, 200 a second."""

    async def test_on_an_idle_service_is_noticed_within_a_thousand_wrong_guesses(self, exact_fleet: Fleet) -> None:
        wrong = await self.guessed(exact_fleet, numbers=10_000)

        assert 100 < wrong <= 1000

    async def test_of_a_hundred_thousand_numbers_is_noticed_within_a_thousand_where_50_000_people_a_day_hide_it(
        self, exact_fleet: Fleet
    ) -> None:
        await self.people_guess(exact_fleet, right=50_000 * RECENT * SLICE // 86_400)

        wrong = await self.guessed(exact_fleet, numbers=100_000)

        assert 100 < wrong <= 1000

    async def guessed(self, fleet: Fleet, *, numbers: int) -> int:
        """Guesses before a challenge was asked for at each start. Within a second a sandbox says the same of all."""
        fleet.entropy, wrong = secrets.token_bytes, 0
        sandboxes = [fleet.sandbox() for _ in range(2)]
        for _ in range(numbers // 200):
            for sandbox in sandboxes:
                finding = await fleet.look(sandbox)
                if finding is not None and finding.said is Said.PASS:
                    await fleet.guess(sandbox, 100)
                    wrong += 100
            fleet.clock.advance(1)
        return wrong

    async def people_guess(self, fleet: Fleet, *, right: int) -> None:
        """In the last ten minutes; every fifth guess is wrong."""
        fleet.entropy, now = secrets.token_bytes, fleet.clock()
        sandbox = fleet.sandbox()
        for n in range(right):
            fleet.clock.now = now - n % (2 * SLICE)
            await fleet.guess(sandbox, 1, right=True)
            await fleet.guess(sandbox, 1 if n % 4 == 0 else 0)
        fleet.clock.now = now
