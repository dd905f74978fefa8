"""The contract of Rates: on every engine, and with many sandboxes at once on the exact one."""

from __future__ import annotations

import asyncio
import random  # noqa: TID251 - orders, not secrets
import secrets
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import pytest
from botocore.config import Config

from functions.aws import CONFIG
from functions.stores.dynamodb import Table
from functions.stores.rates import DynamoRates
from infra.local.embedded_aws import EmbeddedAws, Resources, aws_client
from tests.adapters import open_for_business, says_nothing
from tests.dropping_proxy import DroppingProxy
from tests.harness import MORNING, RecordingJournal
from tests.simulated_time import ObservedTable, most_in_a_second

RATE = 10
LONG = 1_000.0
GENEROUS = 30.0
"""Seconds: a busy machine is no silent store."""


@dataclass
class Clock:
    """In milliseconds."""

    now: float = MORNING * 1_000

    def __call__(self) -> int:
        return int(self.now)

    def advance(self, seconds: float) -> None:
        self.now += seconds * 1_000


@dataclass
class Account:
    """At a provider that nobody else in this run asks, with the sandboxes that share it."""

    table: Table
    rate: float = RATE
    clock: Clock = field(default_factory=Clock)
    journal: RecordingJournal = field(default_factory=RecordingJournal)
    provider: str = field(default_factory=lambda: f"p{secrets.token_hex(4)}")

    def sandbox(self, *, ahead: float = 0, patience: float = GENEROUS) -> DynamoRates:
        """Its clock goes so many seconds ahead of the others."""

        def milliseconds() -> int:
            return self.clock() + int(ahead * 1_000)

        return DynamoRates(self.table, milliseconds, {self.provider: self.rate}, self.journal, patience)

    async def wait(self, sandbox: DynamoRates, most: float = LONG) -> float | None:
        return await sandbox.wait(self.provider, most=most)

    async def waits(self, sandboxes: Sequence[DynamoRates], most: float = LONG) -> list[float | None]:
        return await asyncio.gather(*(self.wait(sandbox, most) for sandbox in sandboxes))


@pytest.fixture
def account(table: Table) -> Account:
    return Account(table)


@pytest.fixture
def exact_account(dynamodb: Any, resources: Resources) -> Account:
    return Account(Table(dynamodb, resources.table))


async def test_the_first_message_goes_at_once_and_each_one_more_a_tenth_of_a_second_later(account: Account) -> None:
    first, second = account.sandbox(), account.sandbox()

    assert [await account.wait(sandbox) for sandbox in (first, second, first, first, second)] == [0, 0.1, 0.2, 0.3, 0.4]


async def test_a_place_that_is_too_far_away_is_not_taken(account: Account) -> None:
    sandbox = account.sandbox()
    for _ in range(5):
        await account.wait(sandbox)

    assert await account.wait(account.sandbox(), most=0.49) is None
    assert await account.wait(account.sandbox(), most=0.5) == 0.5


async def test_time_that_nobody_used_is_not_saved_up(account: Account) -> None:
    sandbox = account.sandbox()
    await account.wait(sandbox)
    account.clock.advance(3_600)

    assert [await account.wait(account.sandbox()) for _ in range(3)] == [0, 0.1, 0.2]


async def test_time_that_passes_is_waited_for_no_more(account: Account) -> None:
    sandbox = account.sandbox()
    for _ in range(5):
        await account.wait(sandbox)
    account.clock.advance(0.3)

    assert await account.wait(sandbox) == pytest.approx(0.2)


@pytest.mark.parametrize("rate", [0.5, 3, 30, 300, 450])
async def test_a_rate_that_makes_no_whole_milliseconds_is_kept_to(account: Account, rate: float) -> None:
    account.rate = rate

    waits = [await account.wait(account.sandbox()) for _ in range(4)]

    assert waits == pytest.approx([0, 1 / rate, 2 / rate, 3 / rate], abs=5e-6)
    assert waits[3] is not None
    assert waits[3] >= 3 / rate


async def test_a_schedule_that_expired_and_is_gone_begins_anew(account: Account) -> None:
    sandbox = account.sandbox()
    for _ in range(5):
        await account.wait(sandbox)
    await account.table.delete(f"r#{account.provider}", only_if="#ttl > :now", values={":now": {"N": "0"}})

    assert await account.wait(account.sandbox()) == 0
    assert await account.wait(sandbox) == 0.1


async def test_a_provider_without_a_rate_is_not_asked_about() -> None:
    nobody = DynamoRates(Table(None, "nowhere"), Clock(), {}, RecordingJournal())

    assert await nobody.wait("anybody", most=0) == 0


class TestManyAtOnce:
    async def test_each_gets_a_place_of_its_own(self, exact_account: Account) -> None:
        waits = await exact_account.waits([exact_account.sandbox() for _ in range(20)] * 10)

        assert sorted(wait or 0 for wait in waits) == pytest.approx([n / RATE for n in range(200)])

    async def test_as_many_get_one_as_there_is_time_for(self, exact_account: Account) -> None:
        waits = await exact_account.waits([exact_account.sandbox() for _ in range(20)] * 10, most=1.95)

        assert sum(wait is not None for wait in waits) == 20

    async def test_what_a_sandbox_knows_to_be_too_far_away_it_does_not_ask_for(self, exact_account: Account) -> None:
        exact_account.table = table = ObservedTable(exact_account.table.client, exact_account.table.name)
        sandbox = exact_account.sandbox()
        await exact_account.waits([sandbox] * 10)
        table.asked.clear()

        assert await exact_account.waits([sandbox] * 1000, most=0.5) == [None] * 1000
        assert table.asked == []

    async def test_clocks_that_are_forty_milliseconds_apart_add_a_tenth_at_most(self, exact_account: Account) -> None:
        sandboxes = [exact_account.sandbox(ahead=offset / 1_000) for offset in range(-20, 21, 4)]
        shuffle, sent = random.Random(7), list[float]()  # noqa: S311

        for _ in range(60):
            sandbox = shuffle.choice(sandboxes)
            wait = await exact_account.wait(sandbox)
            assert wait is not None
            sent.append(exact_account.clock.now / 1_000 + wait)
            exact_account.clock.advance(shuffle.choice([0, 0, 0.1, 0.2]))

        assert most_in_a_second(sent) <= RATE * 1.1


class TestInTheSameTurn:
    """Of one sandbox's loop."""

    @pytest.fixture
    def observed(self, account: Account) -> ObservedTable:
        account.table = observed = ObservedTable(account.table.client, account.table.name)
        return observed

    async def test_messages_take_their_places_in_one_write(self, account: Account, observed: ObservedTable) -> None:
        waits = await account.waits([account.sandbox()] * 50)

        assert waits == pytest.approx([n / RATE for n in range(50)])
        assert len(observed.asked) == 1

    async def test_they_take_them_behind_those_of_others(self, account: Account) -> None:
        await account.waits([account.sandbox()] * 3)

        assert await account.waits([account.sandbox()] * 3) == pytest.approx([0.3, 0.4, 0.5])

    async def test_each_has_its_own_rate(self, account: Account, observed: ObservedTable) -> None:
        other = Account(observed, rate=2, clock=account.clock)
        sandbox = DynamoRates(
            observed, account.clock, {account.provider: RATE, other.provider: 2}, account.journal, GENEROUS
        )

        waits = await asyncio.gather(
            *(sandbox.wait(provider, most=LONG) for provider in (account.provider, other.provider) * 3)
        )

        assert waits == pytest.approx([0, 0, 0.1, 0.5, 0.2, 1.0])

    async def test_those_get_one_who_can_wait_for_it(self, account: Account, observed: ObservedTable) -> None:
        patient, others = account.sandbox(), [0.15, 0.0, 0.05, 9.0]
        await account.wait(patient)

        waits = await asyncio.gather(*(patient.wait(account.provider, most=most) for most in others))

        assert waits == [0.1, None, None, 0.2]
        assert len(observed.asked) == 2

    async def test_who_is_broken_off_takes_no_place_and_nobody_along(self, account: Account) -> None:
        sandbox = account.sandbox()
        first, second = (asyncio.create_task(account.wait(sandbox)) for _ in range(2))
        await asyncio.sleep(0)

        first.cancel()

        assert await second == 0
        assert first.cancelled()

    async def test_what_somebody_took_meanwhile_they_do_not_take(self, account: Account) -> None:
        ours, theirs = account.sandbox(), account.sandbox()
        await account.waits([ours] * 2)
        await account.waits([theirs] * 5)

        assert await account.waits([ours] * 4, most=0.8) == pytest.approx([0.7, 0.8, None, None])


class TestWhenAPlaceIsFree:
    async def test_is_known_from_what_was_heard_last(self, account: Account) -> None:
        sandbox = account.sandbox()
        assert sandbox.free_in(account.provider) == 0
        await account.waits([sandbox] * 5)
        account.clock.advance(0.1)

        assert sandbox.free_in(account.provider) == pytest.approx(0.4)
        account.clock.advance(9)
        assert sandbox.free_in(account.provider) == 0

    async def test_is_heard_by_who_gets_none(self, account: Account) -> None:
        await account.waits([account.sandbox()] * 5)
        late = account.sandbox()

        assert await account.wait(late, most=0) is None
        assert late.free_in(account.provider) == pytest.approx(0.5)

    async def test_is_now_where_there_is_no_rate(self) -> None:
        assert DynamoRates(Table(None, "nowhere"), Clock(), {}, RecordingJournal()).free_in("anybody") == 0


class TestATableThatIsSlow:
    @pytest.fixture
    def after_answers(self, exact_account: Account, dynamodb: Any) -> Iterator[list[float]]:
        """The seconds that pass before the next answers are heard of."""
        delays: list[float] = []

        def pass_time(**_: Any) -> None:
            exact_account.clock.advance(delays.pop(0) if delays else 0)

        dynamodb.meta.events.register("after-call.dynamodb.UpdateItem", pass_time, "slow")
        yield delays
        dynamodb.meta.events.unregister("after-call.dynamodb.UpdateItem", pass_time, "slow")

    async def test_does_not_have_all_that_waited_for_it_go_out_at_once(
        self, exact_account: Account, after_answers: list[float]
    ) -> None:
        after_answers.append(0.5)
        sent = list[float]()

        async def send(sandbox: DynamoRates) -> None:
            wait = await exact_account.wait(sandbox)
            assert wait is not None
            sent.append(exact_account.clock.now / 1_000 + wait)

        await asyncio.gather(*(send(exact_account.sandbox()) for _ in range(20)))

        assert len(sent) == 20
        assert most_in_a_second(sent) <= RATE * 1.1

    async def test_for_everybody_and_always_holds_no_message_back(
        self, exact_account: Account, after_answers: list[float]
    ) -> None:
        after_answers += [0.2] * 10

        assert await exact_account.wait(exact_account.sandbox()) == 0
        assert len(after_answers) == 7


async def test_an_answer_that_gets_lost_costs_a_place_and_gives_none_to_two(
    aws: EmbeddedAws, resources: Resources
) -> None:
    async with (
        DroppingProxy.start(aws.endpoint) as proxy,
        aws_client("dynamodb", proxy.url, config=CONFIG) as client,
    ):
        account = Account(Table(client, resources.table))

        waits = await account.waits([account.sandbox() for _ in range(20)])

    assert len(proxy.lost) >= 20
    assert len({round(wait or 0, 3) for wait in waits}) == 20


class TestAStoreThatDoesNotAnswer:
    async def test_lets_every_message_go_out_and_is_told_of_once_a_second(self) -> None:
        async with (
            open_for_business(says_nothing()) as vendor,
            aws_client("dynamodb", vendor.url, config=CONFIG.merge(Config(read_timeout=60))) as client,
        ):
            account = Account(Table(client, "nowhere"))
            sandbox = account.sandbox(patience=0.1)

            assert await account.waits([sandbox] * 50) == [0] * 50
            account.clock.advance(1)
            assert await account.waits([sandbox] * 50) == [0] * 50

        assert (
            account.journal.lines
            == [
                {
                    "event": "rate",
                    "provider": account.provider,
                    "outcome": "not_known",
                    "reason": "DynamoDB did not answer within 0.1 s",
                }
            ]
            * 2
        )
