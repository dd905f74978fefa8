"""Fleets of sandboxes that share what they know of a provider, on a real table and in simulated time."""

from __future__ import annotations

import asyncio
import random  # noqa: TID251 - when codes are asked for, and where, not which
import secrets
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

import pytest

from functions.domain.delivery import Message, Outcome, SendResult
from functions.domain.routing import Via
from functions.stores.circuits import DynamoCircuits
from functions.stores.rates import DynamoRates
from functions.usecases.submit import Submit
from infra.local.embedded_aws import EmbeddedAws, Resources
from tests.adapters import a_message
from tests.harness import MORNING, RecordingJournal
from tests.simulated_time import ObservedTable, Simulate, most_in_a_second, simulation

OUTAGE = 600
"""Seconds."""
GENEROUS = 30.0
"""Seconds of patience with the table: a busy machine is no silent store."""


@dataclass
class Gateway:
    """Takes `seconds` for each message; while it is down it takes none, and says so or not."""

    name: str
    timeout: float = 10.0
    down_until: float = 0
    fails_with: Outcome = Outcome.TRANSIENT
    seconds: float = 0.2
    asked: list[float] = field(default_factory=list)
    taken: list[tuple[float, str]] = field(default_factory=list)
    """When, and which."""

    async def prepare(self) -> None:
        """There is nothing to look at."""

    async def send(self, message: Message) -> SendResult:
        now = asyncio.get_running_loop().time()
        self.asked.append(now)
        down = now < self.down_until
        if not down:
            self.taken.append((now, message.reference))
        await asyncio.sleep(self.seconds if down else 0.2)
        return SendResult(provider=self.name, outcome=self.fails_with if down else Outcome.ACCEPTED)

    def times_taken(self) -> Counter[str]:
        return Counter(reference for _, reference in self.taken)


@dataclass
class Fleet:
    """Sandboxes with a memory of their own each, over one table."""

    table: ObservedTable
    size: int
    gateways: Sequence[Gateway]
    rates: dict[str, float] = field(default_factory=dict)
    journal: RecordingJournal = field(default_factory=RecordingJournal)
    chance: random.Random = field(default_factory=lambda: random.Random(11))  # noqa: S311
    results: list[SendResult] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.plan = [Via(provider=gateway.name) for gateway in self.gateways]
        self.sandboxes = [self._sandbox() for _ in range(self.size)]

    def _sandbox(self) -> Submit:
        return Submit(
            providers={gateway.name: gateway for gateway in self.gateways},
            circuits=DynamoCircuits(self.table, self.clock, self.journal, secrets.token_bytes, GENEROUS),
            rates=DynamoRates(self.table, self.milliseconds, self.rates, self.journal, GENEROUS),
            remaining=lambda: 15.0,
        )

    def clock(self) -> int:
        return self.milliseconds() // 1_000

    def milliseconds(self) -> int:
        return MORNING * 1_000 + int(asyncio.get_running_loop().time() * 1_000)

    async def send(self, name: str, *, at: float) -> SendResult:
        """By whichever sandbox."""
        await asyncio.sleep(at - asyncio.get_running_loop().time())
        submit = self.chance.choice(self.sandboxes)
        result = await submit(self.plan, a_message(reference=name), lambda _result, _seconds: None)
        self.results.append(result)
        return result

    def some_time(self, begin: float, end: float) -> float:
        return self.chance.uniform(begin, end)


@pytest.fixture
def simulate(aws: EmbeddedAws, resources: Resources) -> Simulate:
    return simulation(aws, resources)


class TestAProviderThatIsDownForTenMinutes:
    async def test_costs_no_code_and_two_hundred_calls_at_most_and_has_its_messages_back_within_twenty_seconds(
        self, simulate: Simulate
    ) -> None:
        first = Gateway(f"p{secrets.token_hex(4)}", down_until=OUTAGE, seconds=2)
        second = Gateway(f"p{secrets.token_hex(4)}")

        async def outage(table: ObservedTable) -> None:
            fleet = Fleet(table, 50, [first, second])
            during = [fleet.send(f"during {n}", at=fleet.some_time(0, OUTAGE)) for n in range(1000)]
            after = [fleet.send(f"after {n}", at=fleet.some_time(OUTAGE, OUTAGE + 60)) for n in range(100)]
            await asyncio.gather(*during, *after)

            assert Counter(result.outcome for result in fleet.results) == {Outcome.ACCEPTED: 1100}
            told = [line["outcome"] for line in fleet.journal.of("circuit")]
            assert (told[0], set(told[1:-1]), told[-1]) == ("opened", {"still_open"}, "closed")

        await simulate(outage)

        assert Counter((first.times_taken() + second.times_taken()).values()) == {1: 1100}
        assert {f"during {n}" for n in range(1000)} <= second.times_taken().keys()
        assert sum(at < OUTAGE for at in first.asked) <= 200
        assert max(at for at, _ in second.taken) <= OUTAGE + 20

    async def test_and_swallows_what_it_gets_has_two_hundred_codes_at_most(self, simulate: Simulate) -> None:
        first = Gateway(f"p{secrets.token_hex(4)}", down_until=OUTAGE, seconds=8, fails_with=Outcome.UNKNOWN)
        second = Gateway(f"p{secrets.token_hex(4)}")

        async def outage(table: ObservedTable) -> None:
            fleet = Fleet(table, 50, [first, second])
            await asyncio.gather(*(fleet.send(f"{n}", at=fleet.some_time(0, OUTAGE)) for n in range(1000)))

            assert Counter(result.outcome for result in fleet.results) == {
                Outcome.UNKNOWN: len(first.asked),  # whether it took them nobody knows: nobody else is asked
                Outcome.ACCEPTED: 1000 - len(first.asked),
            }

        await simulate(outage)

        assert len(first.asked) <= 200
        assert Counter(second.times_taken().values()) == {1: 1000 - len(first.asked)}

    async def test_is_asked_two_hundred_times_at_most_where_fifty_messages_come_at_once(
        self, simulate: Simulate
    ) -> None:
        first = Gateway(f"p{secrets.token_hex(4)}", down_until=OUTAGE)
        second = Gateway(f"p{secrets.token_hex(4)}")

        async def outage(table: ObservedTable) -> None:
            fleet = Fleet(table, 50, [first, second])
            at_first = [fleet.send(f"{at} {n}", at=at) for at in range(5) for n in range(50)]
            later = [fleet.send(f"{at}", at=at) for at in range(5, OUTAGE)]
            await asyncio.gather(*at_first, *later)

        await simulate(outage)

        assert len(first.asked) <= 200
        assert set(second.times_taken().values()) == {1}


class TestAProviderThatRefusesAThousandMessagesAtOnce:
    """They wait in the queue, and each sender takes ten of them at a time."""

    @pytest.mark.parametrize(("senders", "most"), [(10, 110), (20, 200)])
    async def test_is_asked_by_those_who_were_under_way_and_then_by_few(
        self, simulate: Simulate, senders: int, most: int
    ) -> None:
        first = Gateway(f"p{secrets.token_hex(4)}", down_until=OUTAGE)
        second = Gateway(f"p{secrets.token_hex(4)}")

        await simulate(lambda table: self._drain(Fleet(table, senders, [first, second])))

        assert len(first.asked) <= most
        assert Counter(second.times_taken().values()) == {1: 1000}

    async def test_is_asked_once_for_each_where_there_is_nobody_else(self, simulate: Simulate) -> None:
        only = Gateway(f"p{secrets.token_hex(4)}", down_until=OUTAGE)

        await simulate(lambda table: self._drain(Fleet(table, 10, [only])))

        assert len(only.asked) == 1000

    async def _drain(self, fleet: Fleet) -> None:
        waiting = [a_message(reference=f"{n}") for n in range(1000)]

        async def work(submit: Submit) -> None:
            while waiting:
                batch = [waiting.pop() for _ in range(10)]
                await asyncio.gather(*(submit(fleet.plan, message, lambda *_: None) for message in batch))

        await asyncio.gather(*(work(sandbox) for sandbox in fleet.sandboxes))


class TestAnAccountOfTenMessagesASecond:
    async def test_never_gets_more_than_eleven_in_a_second_of_twenty_sandboxes_and_none_is_lost(
        self, simulate: Simulate
    ) -> None:
        only = Gateway(f"p{secrets.token_hex(4)}")

        async def rush(table: ObservedTable) -> None:
            fleet = Fleet(table, 20, [only], {only.name: 10.0})

            async def until_taken(name: str, at: float) -> None:
                """As the queue does it: what found no place is delivered again some seconds later."""
                while (await fleet.send(name, at=at)).outcome is not Outcome.ACCEPTED:
                    at = asyncio.get_running_loop().time() + fleet.some_time(3, 6)

            at_once = [until_taken(f"at once {n}", 0) for n in range(200)]
            in_between = [until_taken(f"in between {n}", fleet.some_time(30, 90)) for n in range(100)]
            after_a_pause = [until_taken(f"after a pause {n}", 120) for n in range(200)]
            await asyncio.gather(*at_once, *in_between, *after_a_pause)

            assert fleet.journal.lines == []
            assert Outcome.THROTTLED_ACCOUNT in {result.outcome for result in fleet.results}

        await simulate(rush)

        assert Counter(only.times_taken().values()) == {1: 500}
        assert most_in_a_second(only.asked) <= 11

    async def test_is_used_to_the_full(self, simulate: Simulate) -> None:
        only = Gateway(f"p{secrets.token_hex(4)}")

        async def rush(table: ObservedTable) -> None:
            fleet = Fleet(table, 20, [only], {only.name: 10.0})
            await asyncio.gather(*(fleet.send(f"{n}", at=n / 50) for n in range(100)))

            assert Counter(result.outcome for result in fleet.results) == {
                Outcome.ACCEPTED: len(only.taken),
                Outcome.THROTTLED_ACCOUNT: 100 - len(only.taken),
            }

        await simulate(rush)

        # 3.5 s of 15 may be waited, then 11.5 are the provider's and the answer's; the last ones come after 2.
        assert len(only.taken) >= 54

    async def test_has_a_message_go_by_the_second_provider_rather_than_wait_for_more_than_a_second(
        self, simulate: Simulate
    ) -> None:
        first, second = Gateway(f"p{secrets.token_hex(4)}"), Gateway(f"p{secrets.token_hex(4)}")

        async def rush(table: ObservedTable) -> None:
            fleet = Fleet(table, 20, [first, second], {first.name: 10.0})
            await asyncio.gather(*(fleet.send(f"{n}", at=0) for n in range(50)))

        await simulate(rush)

        assert (len(first.taken), len(second.taken)) == (11, 39)
        assert max(at for at, _ in first.taken) <= 1
