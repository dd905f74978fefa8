"""The contract of Counters: on every engine, and with many starts at once on the exact one."""

from __future__ import annotations

import asyncio
import secrets
from dataclasses import dataclass, field, replace
from typing import Any

import pytest

from functions.aws import CONFIG
from functions.domain.guard.counting import AnyCap, Cap, Counts, MemberCap, Step
from functions.domain.guard.decision import Mode, Rule
from functions.stores.dynamodb import Table
from functions.stores.guard_counters import DynamoCounters
from functions.stores.guard_counters_together import CountersTogether
from functions.stores.reads_together import Lately, ReadsTogether
from functions.usecases.guard_ports import Counters, Tally
from infra.local.embedded_aws import EmbeddedAws, Resources, aws_client
from tests.contract.conftest import Meter
from tests.dropping_proxy import DroppingProxy
from tests.harness import MORNING, ManualClock


@dataclass
class Book:
    """Counters, and an item of them that nobody else in this run uses."""

    table: Table
    together: bool = False
    """As in the functions, where what is counted at the same time travels in one call."""
    item: str = field(default_factory=lambda: f"b#{secrets.token_hex(12)}#1")
    counters: Counters = field(init=False)

    def __post_init__(self) -> None:
        alone = DynamoCounters(self.table, secrets.token_bytes)
        self.counters = CountersTogether(alone) if self.together else alone

    def step(self, *caps: AnyCap, **more: Any) -> Step:
        return Step(item=self.item, counters=("u", "s3"), caps=caps, forget_at=MORNING + 60, **more)

    async def count(self, *caps: AnyCap, times: int = 1) -> list[Tally]:
        return [await self.counters.count(self.step(*caps)) for _ in range(times)]

    async def counts(self) -> dict[str, Any]:
        """All that is in the item beside its key and what the store needs for itself."""
        item = await self.table.get(self.item) or {}
        return {name: next(iter(value.values())) for name, value in item.items() if name not in {"pk", "ttl", "write"}}


@pytest.fixture(params=[False, True], ids=["alone", "together"])
def together(request: pytest.FixtureRequest) -> bool:
    return bool(request.param)


@pytest.fixture
def book(table: Table, *, together: bool) -> Book:
    return Book(table, together=together)


@pytest.fixture
def exact_book(dynamodb: Any, resources: Resources, *, together: bool) -> Book:
    return Book(Table(dynamodb, resources.table), together=together)


def at_most(most: int, *, mode: Mode = Mode.ENFORCE, counter: str = "u", **more: Any) -> Cap:
    return Cap(rule=Rule.UNCONVERTED_1K, mode=mode, counter=counter, most=most, ends=MORNING + 60, **more)


def among(most: int, member: str) -> MemberCap:
    return MemberCap(rule=Rule.NUMBERS_1K, mode=Mode.ENFORCE, members="n3", member=member, most=most, ends=MORNING + 60)


async def test_counts_up_to_the_cap_and_tells_how_it_stood_before(book: Book) -> None:
    tallies = await book.count(at_most(2), times=3)

    assert [(tally.before.number("u"), tally.counted) for tally in tallies] == [(0, True), (1, True), (2, False)]
    assert await book.counts() == {"u": "2", "s3": "2"}


async def test_a_cap_that_only_watches_stops_nothing(book: Book) -> None:
    tallies = await book.count(at_most(2, mode=Mode.MONITOR), times=3)

    assert all(tally.counted for tally in tallies)
    assert tallies[-1].before.number("u") == 2


async def test_one_cap_that_is_full_leaves_all_counters_as_they_are(book: Book) -> None:
    await book.count(at_most(9, counter="s3"), at_most(1))

    (tally,) = await book.count(at_most(9, counter="s3"), at_most(1))

    assert not tally.counted
    assert await book.counts() == {"u": "1", "s3": "1"}


async def test_the_higher_cap_is_for_what_comes_to_use_at_least_as_often_as_not(book: Book) -> None:
    cap = at_most(2, most_if_good=3, converted="v3")
    await book.count(cap, times=4)
    await book.counters.convert(book.item, fewer={"u": 1}, more={"v3": 1})
    assert [tally.counted for tally in await book.count(cap, times=2)] == [True, False]

    await book.counters.convert(book.item, fewer={}, more={"v3": 1})

    assert [tally.counted for tally in await book.count(cap, times=2)] == [True, False]


async def test_whoever_is_in_a_full_set_already_passes(book: Book) -> None:
    await book.count(among(2, "aa"))
    await book.count(among(2, "bb"))

    assert [(await book.count(among(2, who)))[0].counted for who in ("cc", "aa")] == [False, True]
    assert sorted((await book.counts())["n3"]) == ["aa", "bb"]


async def test_what_is_taken_back_makes_room(book: Book) -> None:
    step = book.step(at_most(1), among(1, "aa"))
    await book.counters.count(step)

    await book.counters.take_back(step, newcomer=True)

    assert await book.counts() == {"u": "0", "s3": "0"}
    assert (await book.count(at_most(1), among(1, "bb")))[0].counted


async def test_a_number_that_was_known_before_stays_known(book: Book) -> None:
    step = book.step(among(1, "aa"))
    await book.counters.count(step)
    await book.counters.count(step)

    await book.counters.take_back(step, newcomer=False)

    assert (await book.counts())["n3"] in ({"aa"}, ["aa"])


async def test_counters_that_come_to_nothing_are_gone_where_the_step_says_so(book: Book) -> None:
    step = book.step(at_nought=("u",))
    await book.counters.count(step)
    await book.counters.count(step)

    await book.counters.take_back(step, newcomer=False)
    assert await book.counts() == {"u": "1", "s3": "1"}
    await book.counters.take_back(step, newcomer=False)
    assert await book.counts() == {"s3": "0"}


async def test_nothing_goes_below_nought_and_no_item_comes_to_be(book: Book) -> None:
    await book.counters.take_back(book.step(), newcomer=False)
    await book.counters.convert(book.item, fewer={"u": 1}, more={"v3": 1})
    await book.counters.convert(book.item, fewer={}, more={"v3": 1})
    assert await book.table.get(book.item) is None

    await book.count(times=1)
    await book.counters.convert(book.item, fewer={"u": 2}, more={"v3": 2})

    assert await book.counts() == {"u": "1", "s3": "1"}


async def test_the_item_is_forgotten_when_the_step_says(book: Book) -> None:
    await book.count()

    item = await book.table.get(book.item)

    assert item is not None
    assert item["ttl"] == {"N": str(MORNING + 60)}


async def test_of_two_thousand_at_once_as_many_are_counted_as_the_cap_leaves_room_for(exact_book: Book) -> None:
    step = exact_book.step(at_most(50))

    tallies = await asyncio.gather(*(exact_book.counters.count(step) for _ in range(2_000)))

    assert sum(tally.counted for tally in tallies) == 50
    assert (await exact_book.counts())["u"] == "50"


async def test_of_three_hundred_numbers_at_once_as_many_get_in_as_the_set_holds(exact_book: Book) -> None:
    steps = [exact_book.step(among(20, f"{number:03d}")) for number in range(300)]

    tallies = await asyncio.gather(*map(exact_book.counters.count, steps))

    assert sum(tally.counted for tally in tallies) == 20


class TestManyItemsAtOnce:
    """A batch's blocks: each has an item of its own, and one step."""

    @pytest.fixture
    def counters(self, dynamodb: Any, resources: Resources) -> CountersTogether:
        return CountersTogether(DynamoCounters(Table(dynamodb, resources.table), secrets.token_bytes))

    @staticmethod
    def steps(number: int, *caps: AnyCap) -> list[Step]:
        name = secrets.token_hex(8)
        return [
            Step(item=f"b#{name}-{n}#1", counters=("u", "s3"), caps=caps, forget_at=MORNING + 60) for n in range(number)
        ]

    @staticmethod
    async def count_all(counters: Counters, steps: list[Step]) -> list[Tally]:
        return await asyncio.gather(*map(counters.count, steps))

    async def test_are_counted_and_told_of_as_one_by_one(self, counters: CountersTogether) -> None:
        steps = self.steps(230, at_most(2))

        rounds = [await self.count_all(counters, steps) for _ in range(3)]

        assert [{(tally.before.number("u"), tally.counted) for tally in tallies} for tallies in rounds] == [
            {(0, True)},
            {(1, True)},
            {(2, False)},
        ]

    async def test_one_that_is_full_stops_no_other(self, counters: CountersTogether) -> None:
        steps = self.steps(60, at_most(1))
        await counters.count(steps[7])

        tallies = await self.count_all(counters, steps)

        assert [place for place, tally in enumerate(tallies) if not tally.counted] == [7]

    async def test_what_comes_twice_counts_twice(self, counters: CountersTogether) -> None:
        steps = self.steps(40, at_most(3))

        tallies = await self.count_all(counters, steps + steps[:5])

        assert all(tally.counted for tally in tallies)
        assert [tally.before.number("u") for tally in tallies[40:]] == [1] * 5

    async def test_however_many_sandboxes_count_them_no_cap_is_beaten(
        self, dynamodb: Any, resources: Resources
    ) -> None:
        table = Table(dynamodb, resources.table)
        sandboxes = [CountersTogether(DynamoCounters(table, secrets.token_bytes)) for _ in range(10)]
        steps = self.steps(50, at_most(4))

        tallies = await asyncio.gather(*(self.count_all(sandbox, steps) for sandbox in sandboxes))

        counted = [sum(of_one[place].counted for of_one in tallies) for place in range(50)]
        assert counted == [4] * 50
        assert {(await table.get(step.item) or {})["u"]["N"] for step in steps} == {"4"}

    async def test_of_many_numbers_in_each_block_as_many_get_in_as_its_set_holds(
        self, counters: CountersTogether
    ) -> None:
        blocks = [step.item for step in self.steps(20)]
        steps = [
            Step(item=block, counters=("u",), caps=(among(3, f"{number}"),), forget_at=MORNING + 60)
            for number in (0, 1, 2, 3, 1, 4)
            for block in blocks
        ]

        tallies = await self.count_all(counters, steps)

        of_a_block = [tally.counted for tally in tallies[:: len(blocks)]]
        assert of_a_block == [True, True, True, False, True, False]
        assert sum(tally.counted for tally in tallies) == 4 * len(blocks)

    async def test_an_item_that_somebody_changes_meanwhile_is_counted_by_itself(
        self, dynamodb: Any, resources: Resources
    ) -> None:
        alone = DynamoCounters(Table(dynamodb, resources.table), secrets.token_bytes)
        steps = self.steps(6, at_most(9))
        for step in steps[:2]:
            await alone.count(step)
        plans = {step.item: alone.plan([step]) for step in steps}
        found = await alone.items_of(plans)
        for step in steps[1:3]:
            await alone.count(step)

        counted = await alone.count_on_many(plans, found)

        assert sorted(counted) == sorted(step.item for step in (steps[0], *steps[3:]))
        assert counted[steps[0].item] == [Tally(Counts({"u": 1, "s3": 1}), counted=True)]

    async def test_cost_a_unit_each(self, counters: CountersTogether, meter: Meter) -> None:
        steps = self.steps(60, at_most(9))

        await self.count_all(counters, steps)
        await self.count_all(counters, steps)

        assert (sum(meter.units), len(meter.units)) == (120, 6)

    async def test_what_many_sandboxes_write_is_one_write_of_all_steps(
        self, counters: CountersTogether, meter: Meter
    ) -> None:
        country = Step(
            item=f"n#{secrets.token_hex(8)}#1#0", counters=("u", "s3"), caps=(), forget_at=MORNING + 60, shared=True
        )

        tallies = await self.count_all(counters, [country] * 40)

        assert meter.units == [1]
        assert [tally.before.number("u") for tally in tallies] == list(range(40))

    async def test_what_was_read_is_known_for_a_second(self, dynamodb: Any, resources: Resources) -> None:
        table, clock = Table(dynamodb, resources.table), ManualClock()
        lately = Lately(clock)
        counters = CountersTogether(DynamoCounters(table, secrets.token_bytes), lately)
        reads = ReadsTogether(table, lately=lately)
        steps = self.steps(8)
        await self.count_all(counters, steps)
        await self.count_all(counters, steps)
        await counters.count(steps[0])  # alone, and so without a look at it before

        async def sent() -> list[str]:
            return [item["u"]["N"] for item in await reads.items((steps[0].item, "b#nobody", steps[1].item))]

        assert await sent() == ["1", "1"]
        clock.advance(2)
        assert await sent() == ["3", "2"]


async def test_statements_whose_answer_gets_lost_count_once(aws: EmbeddedAws, resources: Resources) -> None:
    async with (
        DroppingProxy.start(aws.endpoint, lose={"BatchExecuteStatement"}) as proxy,
        aws_client("dynamodb", proxy.url, config=CONFIG) as client,
    ):
        table = Table(client, resources.table)
        steps = TestManyItemsAtOnce.steps(30, at_most(3))

        tallies = await TestManyItemsAtOnce.count_all(
            CountersTogether(DynamoCounters(table, secrets.token_bytes)), steps
        )

        assert proxy.lost
        assert all(tally.counted for tally in tallies)
        assert {(await table.get(step.item) or {})["u"]["N"] for step in steps} == {"1"}


async def test_an_answer_that_gets_lost_counts_once(aws: EmbeddedAws, resources: Resources, *, together: bool) -> None:
    async with (
        DroppingProxy.start(aws.endpoint) as proxy,
        aws_client("dynamodb", proxy.url, config=CONFIG) as client,
    ):
        book = Book(Table(client, resources.table), together=together)
        step = book.step(at_most(3), among(3, "aa"))

        tally = await book.counters.count(step)

        assert proxy.lost
        assert tally == Tally(Counts({"u": 0, "s3": 0}, {"n3": frozenset()}), counted=True)
        assert await book.counts() == {"u": "1", "s3": "1", "n3": ["aa"]}
        await book.counters.count(replace(step, caps=()))
        await book.counters.convert(book.item, fewer={"u": 1}, more={"v3": 1})
        assert await book.counts() == {"u": "1", "s3": "2", "v3": "1", "n3": ["aa"]}
