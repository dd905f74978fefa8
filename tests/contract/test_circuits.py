"""The contract of Circuits: on every engine, and with many sandboxes at once on the exact one."""

from __future__ import annotations

import asyncio
import secrets
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest
from botocore.config import Config

from functions.aws import CONFIG
from functions.domain.circuit import LEASE, MOST_FAILURES, OPEN_FOR
from functions.stores.circuits import DynamoCircuits
from functions.stores.dynamodb import Table
from infra.local.embedded_aws import EmbeddedAws, Resources, aws_client
from tests.adapters import open_for_business, says_nothing
from tests.dropping_proxy import DroppingProxy
from tests.harness import ManualClock, RecordingJournal

SANDBOXES = 50
GENEROUS = 30.0
"""Seconds: a busy machine is no silent store."""


@dataclass
class Fleet:
    """Sandboxes that share a table, a clock and a journal, and one provider that nobody else in this run asks."""

    table: Table
    clock: ManualClock = field(default_factory=ManualClock)
    journal: RecordingJournal = field(default_factory=RecordingJournal)
    provider: str = field(default_factory=lambda: f"p{secrets.token_hex(4)}")

    def sandbox(self, *, patience: float = GENEROUS) -> DynamoCircuits:
        return DynamoCircuits(self.table, self.clock, self.journal, secrets.token_bytes, patience)

    async def fail(self, sandbox: DynamoCircuits, times: int = MOST_FAILURES) -> None:
        for _ in range(times):
            await sandbox.note(self.provider, failed=True)

    async def admitted(self, *sandboxes: DynamoCircuits) -> int:
        return sum(await asyncio.gather(*(sandbox.admits(self.provider) for sandbox in sandboxes)))

    @property
    def told(self) -> list[str]:
        return [line["outcome"] for line in self.journal.of("circuit")]


@pytest.fixture
def fleet(table: Table) -> Fleet:
    return Fleet(table)


@pytest.fixture
def exact_fleet(dynamodb: Any, resources: Resources) -> Fleet:
    return Fleet(Table(dynamodb, resources.table))


@dataclass
class Calls:
    """Counts a client's calls, through the events that botocore offers for that."""

    of: Counter[str] = field(default_factory=Counter)

    def note(self, model: Any, **_: Any) -> None:
        self.of[model.name] += 1


@pytest.fixture
def calls(dynamodb: Any) -> Iterator[Calls]:
    calls = Calls()
    dynamodb.meta.events.register("before-call.dynamodb", calls.note, "count")
    yield calls
    dynamodb.meta.events.unregister("before-call.dynamodb", calls.note, "count")


async def test_a_provider_that_nobody_has_asked_yet_is_asked(fleet: Fleet) -> None:
    assert await fleet.sandbox().admits(fleet.provider)


async def test_after_five_failures_no_sandbox_asks_it_for_ten_seconds(fleet: Fleet) -> None:
    await fleet.fail(fleet.sandbox(), times=2)
    await fleet.fail(fleet.sandbox(), times=3)

    assert await fleet.admitted(fleet.sandbox(), fleet.sandbox()) == 0
    fleet.clock.advance(OPEN_FOR - 1)
    assert await fleet.admitted(fleet.sandbox(), fleet.sandbox()) == 0
    assert fleet.told == ["opened"]


async def test_after_four_it_is_asked(fleet: Fleet) -> None:
    await fleet.fail(fleet.sandbox(), times=4)

    assert await fleet.admitted(fleet.sandbox()) == 1
    assert fleet.told == []


async def test_a_message_that_was_answered_in_between_makes_failures_count_anew(fleet: Fleet) -> None:
    sandbox = fleet.sandbox()
    await fleet.fail(sandbox, times=4)
    await sandbox.note(fleet.provider, failed=False)
    await fleet.fail(fleet.sandbox(), times=4)

    assert await fleet.admitted(fleet.sandbox()) == 1


async def test_then_one_message_tries_it_out_and_its_answer_lets_all_the_others_in(fleet: Fleet) -> None:
    first, second = fleet.sandbox(), fleet.sandbox()
    await fleet.fail(first)
    fleet.clock.advance(OPEN_FOR)

    assert await first.admits(fleet.provider)
    assert await fleet.admitted(first, second) == 0

    await first.note(fleet.provider, failed=False)
    fleet.clock.advance(1)
    assert await fleet.admitted(first, second) == 2
    assert fleet.told == ["opened", "closed"]


async def test_a_try_that_fails_keeps_all_of_them_away_for_another_ten_seconds(fleet: Fleet) -> None:
    first, second = fleet.sandbox(), fleet.sandbox()
    await fleet.fail(first)
    fleet.clock.advance(OPEN_FOR)
    await first.admits(fleet.provider)
    await first.note(fleet.provider, failed=True)

    fleet.clock.advance(OPEN_FOR - 1)
    assert await fleet.admitted(first, second) == 0
    fleet.clock.advance(1)
    assert await second.admits(fleet.provider)
    assert fleet.told == ["opened", "still_open"]  # so that its alarm lasts as long as the outage


async def test_a_try_that_is_never_heard_of_again_is_followed_by_another_when_its_lease_is_over(fleet: Fleet) -> None:
    first, second = fleet.sandbox(), fleet.sandbox()
    await fleet.fail(first)
    fleet.clock.advance(OPEN_FOR)
    await first.admits(fleet.provider)

    fleet.clock.advance(LEASE - 1)
    assert not await second.admits(fleet.provider)
    fleet.clock.advance(1)
    assert await second.admits(fleet.provider)


async def test_a_clock_that_was_set_back_hides_no_open_circuit(fleet: Fleet) -> None:
    looked, failing = fleet.sandbox(), fleet.sandbox()
    await fleet.admitted(looked)

    fleet.clock.advance(-3600)
    await fleet.fail(failing)

    assert await fleet.admitted(looked) == 0


async def test_an_item_that_expired_and_is_gone_is_a_closed_circuit(fleet: Fleet) -> None:
    sandbox = fleet.sandbox()
    await fleet.fail(sandbox, times=4)
    await fleet.table.delete(f"c#{fleet.provider}", only_if="#ttl > :now", values={":now": {"N": str(fleet.clock())}})

    await fleet.fail(fleet.sandbox(), times=4)

    assert await fleet.admitted(fleet.sandbox()) == 1


async def test_the_item_is_forgotten_a_day_after_its_last_step(fleet: Fleet) -> None:
    await fleet.fail(fleet.sandbox(), times=1)

    item = await fleet.table.get(f"c#{fleet.provider}")

    assert item is not None
    assert item["ttl"] == {"N": str(fleet.clock() + 86_400)}


class TestManyAtOnce:
    async def test_five_failures_of_five_sandboxes_open_it_once(self, exact_fleet: Fleet) -> None:
        await asyncio.gather(*(exact_fleet.fail(exact_fleet.sandbox(), times=1) for _ in range(5)))

        assert await exact_fleet.admitted(exact_fleet.sandbox()) == 0
        assert exact_fleet.told == ["opened"]

    async def test_four_failures_of_four_sandboxes_do_not(self, exact_fleet: Fleet) -> None:
        await asyncio.gather(*(exact_fleet.fail(exact_fleet.sandbox(), times=1) for _ in range(4)))

        assert await exact_fleet.admitted(exact_fleet.sandbox()) == 1

    async def test_a_hundred_failures_of_fifty_sandboxes_open_it_once(self, exact_fleet: Fleet) -> None:
        await asyncio.gather(*(exact_fleet.fail(exact_fleet.sandbox(), times=2) for _ in range(SANDBOXES)))

        assert exact_fleet.told == ["opened"]

    async def test_of_fifty_sandboxes_with_twenty_messages_each_one_message_tries_it_out(
        self, exact_fleet: Fleet
    ) -> None:
        await exact_fleet.fail(exact_fleet.sandbox())
        sandboxes = [exact_fleet.sandbox() for _ in range(SANDBOXES)]

        for _ in range(3):
            exact_fleet.clock.advance(LEASE)
            assert await exact_fleet.admitted(*sandboxes * 20) == 1

    async def test_answers_of_fifty_sandboxes_close_it_once(self, exact_fleet: Fleet) -> None:
        await exact_fleet.fail(exact_fleet.sandbox())
        exact_fleet.clock.advance(OPEN_FOR)
        sandboxes = [exact_fleet.sandbox() for _ in range(SANDBOXES)]
        assert await exact_fleet.admitted(*sandboxes) == 1

        await asyncio.gather(*(sandbox.note(exact_fleet.provider, failed=False) for sandbox in sandboxes))

        assert exact_fleet.told == ["opened", "closed"]


class TestWhatItCosts:
    async def test_a_thousand_messages_in_a_second_are_one_read_and_no_write(
        self, exact_fleet: Fleet, calls: Calls
    ) -> None:
        sandbox = exact_fleet.sandbox()

        assert await exact_fleet.admitted(*[sandbox] * 1000) == 1000
        await asyncio.gather(*(sandbox.note(exact_fleet.provider, failed=False) for _ in range(1000)))

        assert calls.of == {"GetItem": 1}

    async def test_each_second_in_which_somebody_asks_is_another_read(self, exact_fleet: Fleet, calls: Calls) -> None:
        sandbox = exact_fleet.sandbox()

        for _ in range(3):
            await exact_fleet.admitted(*[sandbox] * 10)
            exact_fleet.clock.advance(1)

        assert calls.of == {"GetItem": 3}

    async def test_answers_after_a_failure_are_one_write(self, exact_fleet: Fleet, calls: Calls) -> None:
        sandbox = exact_fleet.sandbox()
        await exact_fleet.fail(sandbox, times=1)

        await asyncio.gather(*(sandbox.note(exact_fleet.provider, failed=False) for _ in range(100)))

        assert calls.of == {"UpdateItem": 2}

    async def test_an_open_one_costs_a_read_a_second(self, exact_fleet: Fleet, calls: Calls) -> None:
        await exact_fleet.fail(exact_fleet.sandbox())
        calls.of.clear()
        sandbox = exact_fleet.sandbox()

        assert await exact_fleet.admitted(*[sandbox] * 100) == 0

        assert calls.of == {"GetItem": 1}


class TestAnAnswerThatGetsLost:
    @pytest.fixture
    async def lossy_fleet(self, aws: EmbeddedAws, resources: Resources) -> Any:
        async with (
            DroppingProxy.start(aws.endpoint) as proxy,
            aws_client("dynamodb", proxy.url, config=CONFIG) as client,
        ):
            fleet = Fleet(Table(client, resources.table))
            yield fleet
            assert len(proxy.of("UpdateItem")) >= 2 * len(proxy.lost) > 0

    async def test_makes_no_failure_count_twice(self, lossy_fleet: Fleet) -> None:
        await lossy_fleet.fail(lossy_fleet.sandbox(), times=4)

        assert lossy_fleet.told == []

    async def test_leaves_one_to_tell_that_it_opened_and_one_to_try_it_out(self, lossy_fleet: Fleet) -> None:
        sandbox = lossy_fleet.sandbox()
        await lossy_fleet.fail(sandbox)
        lossy_fleet.clock.advance(OPEN_FOR)

        assert await lossy_fleet.admitted(*[sandbox] * 5) == 1
        assert lossy_fleet.told == ["opened"]


class TestAStoreThatDoesNotAnswer:
    @pytest.fixture
    async def silent_fleet(self) -> Any:
        async with (
            open_for_business(says_nothing()) as vendor,
            aws_client("dynamodb", vendor.url, config=CONFIG.merge(Config(read_timeout=60))) as client,
        ):
            yield Fleet(Table(client, "nowhere"))

    async def test_lets_every_message_pass_and_is_waited_for_once(self, silent_fleet: Fleet) -> None:
        sandbox = silent_fleet.sandbox(patience=0.2)
        began = asyncio.get_running_loop().time()

        assert await silent_fleet.admitted(*[sandbox] * 100) == 100
        await asyncio.gather(*(sandbox.note(silent_fleet.provider, failed=True) for _ in range(100)))

        assert asyncio.get_running_loop().time() - began < 2  # and not a hundred times 0.2

    async def test_is_told_of_once_a_second(self, silent_fleet: Fleet) -> None:
        sandbox = silent_fleet.sandbox(patience=0.1)

        for _ in range(2):
            await silent_fleet.admitted(*[sandbox] * 10)
            await silent_fleet.fail(sandbox)
            silent_fleet.clock.advance(1)

        assert (
            silent_fleet.journal.lines
            == [
                {
                    "event": "circuit",
                    "provider": silent_fleet.provider,
                    "outcome": "not_known",
                    "reason": "DynamoDB did not answer within 0.1 s",
                }
            ]
            * 2
        )

    async def test_has_what_was_known_forgotten(self, exact_fleet: Fleet, silent_fleet: Fleet) -> None:
        sandbox = exact_fleet.sandbox(patience=0.1)
        await exact_fleet.fail(sandbox)
        assert not await sandbox.admits(exact_fleet.provider)

        sandbox.table = Table(silent_fleet.table.client, "nowhere", patience=0.1)
        exact_fleet.clock.advance(1)

        assert await sandbox.admits(exact_fleet.provider)


async def test_who_is_broken_off_while_it_asks_leaves_the_others_their_answer(exact_fleet: Fleet) -> None:
    sandbox = exact_fleet.sandbox()
    asking = [asyncio.create_task(sandbox.admits(exact_fleet.provider)) for _ in range(10)]
    await asyncio.sleep(0)

    asking[0].cancel()

    answers = await asyncio.gather(*asking, return_exceptions=True)
    assert isinstance(answers[0], asyncio.CancelledError)
    assert answers[1:] == [True] * 9
