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
from functions.usecases.guard_ports import Tally
from infra.local.embedded_aws import EmbeddedAws, Resources, aws_client
from tests.dropping_proxy import DroppingProxy
from tests.harness import MORNING


@dataclass
class Book:
    """Counters, and an item of them that nobody else in this run uses."""

    table: Table
    item: str = field(default_factory=lambda: f"b#{secrets.token_hex(12)}#1")

    @property
    def counters(self) -> DynamoCounters:
        return DynamoCounters(self.table, secrets.token_bytes)

    def step(self, *caps: AnyCap, **more: Any) -> Step:
        return Step(item=self.item, counters=("u", "s3"), caps=caps, forget_at=MORNING + 60, **more)

    async def count(self, *caps: AnyCap, times: int = 1) -> list[Tally]:
        return [await self.counters.count(self.step(*caps)) for _ in range(times)]

    async def counts(self) -> dict[str, Any]:
        """All that is in the item beside its key and what the store needs for itself."""
        item = await self.table.get(self.item) or {}
        return {name: next(iter(value.values())) for name, value in item.items() if name not in {"pk", "ttl", "write"}}


@pytest.fixture
def book(table: Table) -> Book:
    return Book(table)


@pytest.fixture
def exact_book(dynamodb: Any, resources: Resources) -> Book:
    return Book(Table(dynamodb, resources.table))


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


async def test_an_answer_that_gets_lost_counts_once(aws: EmbeddedAws, resources: Resources) -> None:
    async with (
        DroppingProxy.start(aws.endpoint) as proxy,
        aws_client("dynamodb", proxy.url, config=CONFIG) as client,
    ):
        book = Book(Table(client, resources.table))
        step = book.step(at_most(3), among(3, "aa"))

        tally = await book.counters.count(step)

        assert proxy.lost
        assert tally == Tally(Counts({"u": 0, "s3": 0}, {"n3": frozenset()}), counted=True)
        assert await book.counts() == {"u": "1", "s3": "1", "n3": ["aa"]}
        await book.counters.count(replace(step, caps=()))
        await book.counters.convert(book.item, fewer={"u": 1}, more={"v3": 1})
        assert await book.counts() == {"u": "1", "s3": "2", "v3": "1", "n3": ["aa"]}
