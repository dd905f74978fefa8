"""Pumped blocks and countries are closed and open again, and spraying is answered by challenges."""

from __future__ import annotations

import itertools
import secrets
from dataclasses import dataclass, field

import pytest

from functions.domain.errors import BlockedByGuard, ChallengeRequired, RateLimited
from functions.domain.guard.conversion import FEWEST, SETTLED_AFTER, SLICE, TRIALS
from functions.domain.guard.decision import Mode, Rule
from functions.domain.guard.policy import Policy, unguarded
from functions.domain.guard.spraying import FEWEST as WRONG_GUESSES
from functions.domain.phone import PhoneNumber, parse_phone_number
from functions.stores.dynamodb import Table
from functions.stores.guard_conversion import DynamoConversions
from functions.stores.guard_counters import DynamoCounters
from functions.stores.guard_spraying import ONE_IN, DynamoGuesses
from functions.stores.reads_together import ReadsTogether
from functions.usecases.check import CheckCommand
from functions.usecases.guard_ports import Check
from functions.usecases.guards.blocks import Blocks
from functions.usecases.guards.conversion import Conversion
from functions.usecases.guards.counting import Counting
from functions.usecases.guards.countries import Countries
from functions.usecases.guards.destination import Destination
from functions.usecases.guards.spraying import FRESH_FOR, Spraying
from functions.usecases.start import StartCommand
from functions.usecases.views import VerificationView
from tests.harness import MORNING, UNLIMITED, Harness, another, fresh_number, reveal

UNCAPPED = Policy(
    numbers_1k=None,
    unconverted_1k=None,
    unconverted_1k_good=None,
    unconverted_10k=None,
    unconverted_country=None,
    modes={Rule.CONVERSION_COUNTRY: Mode.OFF},
)
"""Only what comes to use decides, and of blocks: a closed country would be closed to all other tests."""
COUNTRIES = Policy(
    modes={Rule.CONVERSION_COUNTRY: Mode.ENFORCE},
    unconverted_country=None,
    numbers_1k=None,
    unconverted_1k=None,
    unconverted_10k=None,
)
AN_HOUR_OF_ITS_OWN = itertools.count(MORNING + 365 * 86_400, 3 * 86_400)


def pumped_checks(harness: Harness) -> list[Check]:
    """Of one sandbox."""
    counters = DynamoCounters(harness.table, secrets.token_bytes)
    return [
        Destination(),
        Blocks(Counting(counters)),
        Countries(Counting(counters)),
        Conversion(DynamoConversions(harness.table, ReadsTogether(harness.table)), harness.journal),
    ]


@dataclass
class Range:
    """Numbers in sequence, which no other test has, and people with phones."""

    harness: Harness
    prefix: str = field(default_factory=lambda: f"+49151{secrets.randbelow(10_000):04d}")
    _numbers: itertools.count[int] = field(default_factory=itertools.count)

    def number(self) -> PhoneNumber:
        return parse_phone_number(f"{self.prefix}{next(self._numbers):04d}")

    async def start(self, to: PhoneNumber | None = None) -> VerificationView:
        return await self.harness.start(StartCommand(to=to or self.number(), service="default", caller="test"))

    async def pump(self, times: int) -> None:
        for _ in range(times):
            await self.start()

    async def verify(self) -> None:
        to = self.number()
        started = await self.start(to)
        code = reveal(self.harness.provider.code_for(to))
        assert (await self.harness.check(CheckCommand(id=started.id, code=code, caller="test"))).valid

    def settle(self) -> None:
        self.harness.clock.advance(SLICE + SETTLED_AFTER)

    async def get_closed(self) -> int:
        """Seconds that it is closed for."""
        await self.pump(FEWEST)
        self.settle()
        with pytest.raises(BlockedByGuard) as refused:
            await self.start()
        assert refused.value.retry_after is not None
        return refused.value.retry_after


@pytest.fixture
def pumped(harness: Harness) -> Range:
    harness.clock.now = next(AN_HOUR_OF_ITS_OWN)
    harness.change_service(guard=UNCAPPED, **UNLIMITED)
    harness.checks = pumped_checks(harness)
    return Range(harness)


class TestABlock:
    async def test_of_whose_codes_nobody_used_one_is_closed_for_an_hour(self, pumped: Range) -> None:
        await pumped.pump(FEWEST)
        pumped.settle()

        with pytest.raises(BlockedByGuard) as refused:
            await pumped.start()

        assert refused.value.reason == Rule.CONVERSION_BLOCK
        assert refused.value.retry_after is not None
        assert 3600 <= refused.value.retry_after < 3600 + SLICE
        assert len(pumped.harness.provider.messages) == FEWEST

    async def test_whose_people_use_their_codes_stays_open(self, pumped: Range) -> None:
        for n in range(2 * FEWEST):
            await (pumped.verify() if n % 2 else pumped.start())
            pumped.harness.clock.advance(20)

        await pumped.start()

    async def test_that_is_closed_is_no_other_blocks_business(self, pumped: Range) -> None:
        await pumped.get_closed()

        await Range(pumped.harness).start()

    async def test_opens_again_by_itself_when_people_come_back(self, pumped: Range) -> None:
        pumped.harness.clock.advance(await pumped.get_closed())

        for _ in range(TRIALS):
            await pumped.verify()
        with pytest.raises(BlockedByGuard):
            await pumped.verify()
        pumped.settle()
        for _ in range(3 * TRIALS):
            await pumped.verify()

        assert [line["outcome"] for line in pumped.harness.journal.of("breaker")] == ["opened", "closed"]

    async def test_that_is_still_pumped_is_closed_for_twice_as_long(self, pumped: Range) -> None:
        pumped.harness.clock.advance(await pumped.get_closed())
        await pumped.pump(TRIALS)
        pumped.settle()

        with pytest.raises(BlockedByGuard) as refused:
            await pumped.start()

        assert refused.value.retry_after is not None
        assert refused.value.retry_after >= 2 * 3600

    async def test_that_is_tried_out_loses_no_trial_to_a_number_that_had_its_codes(self, pumped: Range) -> None:
        pumped.harness.change_service(cooldown=600)
        pumped.harness.clock.advance(await pumped.get_closed())
        to = pumped.number()
        await pumped.start(to)

        for _ in range(2 * TRIALS):
            with pytest.raises(RateLimited):
                await pumped.start(to)

        await pumped.pump(TRIALS - 1)
        with pytest.raises(BlockedByGuard):
            await pumped.start()


async def test_a_country_is_closed_by_what_all_its_blocks_show_together(pumped: Range) -> None:
    pumped.harness.change_service(guard=COUNTRIES)
    for n in range(FEWEST):
        await pumped.start(in_iceland(block=n))
    pumped.settle()

    with pytest.raises(BlockedByGuard) as refused:
        await pumped.start(in_iceland(block=FEWEST))

    assert refused.value.reason == Rule.CONVERSION_COUNTRY


def in_iceland(*, block: int) -> PhoneNumber:
    return parse_phone_number(f"+354{611 + block // 10}{block % 10}345")


@dataclass
class Guessers:
    """At a deployment whose every guess is written down, and counts for as many as a sampled one."""

    harness: Harness

    async def guess_wrongly(self, to: PhoneNumber | None = None, key: str | None = None) -> None:
        to = to or fresh_number()
        started = await self.harness.start(StartCommand(to=to, service="default", caller="test"))
        wrong = another(self.harness.provider.code_for(to))
        command = CheckCommand(id=started.id, code=reveal(wrong), caller="test", idempotency_key=key)
        await self.harness.check(command)
        if key is not None:
            await self.harness.check(command)

    async def counted(self) -> int:
        recent, _ = await self.guesses.read("default", self.harness.clock())
        return recent.wrong

    @property
    def guesses(self) -> DynamoGuesses:
        return DynamoGuesses(self.harness.table, bytes)


@pytest.fixture
def guessers(harness: Harness) -> Guessers:
    harness.clock.now = next(AN_HOUR_OF_ITS_OWN)
    harness.change_service(**UNLIMITED)
    guessers = Guessers(harness)
    harness.checks = [Spraying(guessers.guesses, alone=True, journal=harness.journal)]
    return guessers


class TestSpraying:
    async def test_is_answered_by_asking_for_a_challenge(self, guessers: Guessers) -> None:
        for _ in range(WRONG_GUESSES // ONE_IN + 1):
            await guessers.guess_wrongly()
        guessers.harness.clock.advance(FRESH_FOR)

        with pytest.raises(ChallengeRequired) as refused:
            await guessers.guess_wrongly()

        assert refused.value.reason == Rule.SPRAYING
        assert guessers.harness.journal.of("spraying")[0]["outcome"] == "noticed"

    async def test_is_told_by_guesses_that_were_counted_and_not_by_repeats(self, guessers: Guessers) -> None:
        await guessers.guess_wrongly(key="again")

        assert await guessers.counted() == ONE_IN

    async def test_is_not_told_by_services_without_a_guard(self, guessers: Guessers) -> None:
        guessers.harness.change_service(guard=unguarded())

        await guessers.guess_wrongly()

        assert await guessers.counted() == 0

    async def test_that_cannot_be_counted_leaves_a_right_code_right(self, guessers: Guessers, harness: Harness) -> None:
        to = fresh_number()
        started = await harness.start(StartCommand(to=to, service="default", caller="test"))
        gone = DynamoGuesses(Table(harness.table.client, "no-such-table"), bytes)
        harness.checks = [Spraying(gone, alone=True, journal=harness.journal)]

        code = reveal(harness.provider.code_for(to))

        assert (await harness.check(CheckCommand(id=started.id, code=code, caller="test"))).valid
