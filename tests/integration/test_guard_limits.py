"""Addresses, blocks of numbers and countries: what a flood gets through, and that nobody else is in its way."""

from __future__ import annotations

import asyncio
import random  # noqa: TID251 - draws people, not secrets
import secrets
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from ipaddress import IPv4Address, IPv6Address
from typing import Any

import pytest
from botocore.exceptions import ClientError

from functions.domain.delivery import Outcome
from functions.domain.errors import BlockedByGuard, NotFound, RateLimited, VerificationError
from functions.domain.guard.attempt import Address
from functions.domain.guard.decision import Mode, Rule, Said
from functions.domain.guard.policy import Policy, unguarded
from functions.domain.identity import number_key
from functions.domain.phone import PhoneNumber, parse_phone_number
from functions.domain.service import Service
from functions.stores.dynamodb import Table
from functions.stores.guard_counters import DynamoCounters
from functions.usecases.check import CheckCommand
from functions.usecases.guard_ports import Check
from functions.usecases.guards.addresses import Addresses
from functions.usecases.guards.blocks import Blocks
from functions.usecases.guards.counting import REFUSED_FOR, Counting
from functions.usecases.guards.countries import Countries
from functions.usecases.guards.destination import Destination
from functions.usecases.guards.refused_lately import RefusedLately
from functions.usecases.ports import StoreUnavailable
from functions.usecases.start import StartCommand, StartVerification
from tests.harness import UNLIMITED, Harness, Response, another, answer, assert_problem, call, reveal

HOUR = 3_600
SANDBOXES = 3


def counting_checks(table: Table) -> list[Check]:
    """Of one sandbox: each remembers for itself."""
    counters = DynamoCounters(table, secrets.token_bytes)
    checks = Addresses(Counting(counters)), Blocks(Counting(counters)), Countries(Counting(counters))
    return [Destination(), RefusedLately(checks), *checks]


@dataclass
class Traffic:
    """Starts that come to several sandboxes in turn, and what became of them."""

    harness: Harness
    sandboxes: list[list[Check]]
    refused: Counter[str] = field(default_factory=Counter)
    _starts: list[StartVerification] = field(default_factory=list)
    _turn: int = 0

    def __post_init__(self) -> None:
        for checks in self.sandboxes:
            self.harness.checks = checks
            self._starts.append(self.harness.start)

    async def start(self, to: PhoneNumber, ip: Address | None = None) -> str | None:
        """The verification's id; None where it was refused."""
        self._turn += 1
        begin = self._starts[self._turn % len(self._starts)]
        try:
            started = await begin(StartCommand(to=to, service="default", caller="test", ip=ip))
        except VerificationError as refusal:
            self.refused[getattr(refusal, "reason", refusal.code)] += 1
            return None
        return started.id

    async def verify(self, to: PhoneNumber, ip: Address | None = None) -> bool:
        """Somebody honest: starts, and types the code in."""
        started = await self.start(to, ip)
        if started is None:
            return False
        code = self.harness.provider.code_for(to)
        return (await self.harness.check(CheckCommand(id=started, code=reveal(code), caller="test"))).valid

    @property
    def sent(self) -> int:
        return len(self.harness.provider.messages)


@pytest.fixture
def traffic(harness: Harness) -> Traffic:
    return Traffic(harness, [counting_checks(harness.table) for _ in range(SANDBOXES)])


@pytest.fixture
def alone(harness: Harness) -> Traffic:
    return Traffic(harness, [counting_checks(harness.table)])


def guarded(traffic: Traffic, **policy: Any) -> None:
    traffic.harness.change_service(guard=Policy(**policy))


def unlimited(**policy: Any) -> dict[str, Any]:
    """A policy of no limits but those that are named."""
    names = ("ip_hour", "ip_day", "ip_prefix_hour", "numbers_1k", "unconverted_1k", "unconverted_10k")
    return dict.fromkeys(names) | {"unconverted_country": None} | policy


def block_of_ten_thousand() -> Callable[[int], PhoneNumber]:
    """Of German mobile numbers, and nobody else's in this run: its numbers by their last four digits."""
    block = f"+491{secrets.choice(['60', '62', '70', '71', '72', '75'])}{secrets.randbelow(1000):03d}"
    return lambda number: parse_phone_number(f"{block}{number:04d}")


def strangers(count: int) -> list[PhoneNumber]:
    """Numbers all over the country."""
    draw = random.Random(secrets.randbits(32))  # noqa: S311
    return [parse_phone_number(f"+4917{draw.choice('34679')}{draw.randrange(10**7):07d}") for _ in range(count)]


def addresses(count: int) -> list[Address]:
    """Public ones, of as many networks."""
    begin = int(IPv4Address("80.0.0.1")) + secrets.randbelow(100_000) * 256
    return [IPv4Address(begin + place * 256) for place in range(count)]


def an_address() -> Address:
    return addresses(1)[0]


class TestAFloodAtABlock:
    """From 500 addresses, in ten minutes."""

    async def test_of_a_thousand_numbers_one_after_the_other_twenty_get_a_code(self, traffic: Traffic) -> None:
        number, ips = block_of_ten_thousand(), addresses(500)

        for place in range(1_000):
            traffic.harness.clock.now += place % 10 // 8
            await traffic.start(number(place), ips[place % 500])

        assert 0 < traffic.sent <= 20

    async def test_of_ten_thousand_fifty_do_and_the_rest_of_the_country_hardly_notices(self, traffic: Traffic) -> None:
        guarded(traffic, home=frozenset({"US"}))
        number, ips, people = block_of_ten_thousand(), addresses(500), strangers(100)
        through = 0

        for place in range(10_000):
            traffic.harness.clock.now += place % 40 == 0
            await traffic.start(number(place), ips[place % 500])
            if place % 100 == 0:
                through += await traffic.verify(people[place // 100], an_address())

        assert traffic.sent - through <= 50
        assert through >= 99

    async def test_costs_next_to_no_writes_once_it_is_refused(self, alone: Traffic, writes: list[str]) -> None:
        guarded(alone, **unlimited(unconverted_10k=3, ip_hour=10))
        number, ips = block_of_ten_thousand(), addresses(500)
        for place in range(4):
            await alone.start(number(place), ips[place])
        writes.clear()

        for place in range(500):
            await alone.start(number(place), ips[place])
        assert writes == []

        alone.harness.clock.advance(REFUSED_FOR)
        await alone.start(number(5), ips[5])
        assert writes == ["UpdateItem"] * 3  # the address, the block, and the address's given back


@pytest.fixture
def writes(dynamodb: Any) -> Any:
    seen: list[str] = []

    def note(model: Any, **_: Any) -> None:
        if model.name != "GetItem":
            seen.append(model.name)

    dynamodb.meta.events.register("before-call.dynamodb", note, "writes")
    yield seen
    dynamodb.meta.events.unregister("before-call.dynamodb", note, "writes")


class TestABlock:
    async def test_takes_more_codes_as_those_before_come_to_use(self, traffic: Traffic) -> None:
        guarded(traffic, **unlimited(unconverted_10k=3))
        number = block_of_ten_thousand()

        verified = [await traffic.verify(number(place * 100)) for place in range(20)]

        assert all(verified)

    async def test_of_which_half_came_to_use_has_the_higher_limit(self, traffic: Traffic) -> None:
        guarded(traffic, **unlimited(unconverted_1k=2, unconverted_1k_good=4))
        number = block_of_ten_thousand()
        for place in range(4):
            await traffic.verify(number(place))

        started = [await traffic.start(number(10 + place)) for place in range(6)]

        assert [verification is not None for verification in started] == [True] * 4 + [False] * 2

    async def test_of_which_none_came_to_use_has_the_lower(self, traffic: Traffic) -> None:
        guarded(traffic, **unlimited(unconverted_1k=2, unconverted_1k_good=4))
        number = block_of_ten_thousand()

        started = [await traffic.start(number(10 + place)) for place in range(6)]

        assert [verification is not None for verification in started] == [True] * 2 + [False] * 4

    async def test_that_is_full_leaves_the_next_thousand_alone(self, traffic: Traffic) -> None:
        guarded(traffic, **unlimited(unconverted_1k=2))
        number = block_of_ten_thousand()
        for place in range(3):
            await traffic.start(number(place))

        assert await traffic.start(number(1_000)) is not None
        assert traffic.refused == {Rule.UNCONVERTED_1K: 1}

    async def test_with_as_many_numbers_as_may_be_lets_those_in_again_and_no_other(self, traffic: Traffic) -> None:
        traffic.harness.change_service(guard=Policy(**unlimited(numbers_1k=2)), **UNLIMITED)
        number = block_of_ten_thousand()
        await traffic.verify(number(1))
        await traffic.verify(number(2))

        assert await traffic.start(number(3)) is None
        assert await traffic.start(number(1)) is not None
        assert traffic.refused == {Rule.NUMBERS_1K: 1}

    async def test_is_open_again_in_the_next_hour(self, alone: Traffic) -> None:
        guarded(alone, **unlimited(unconverted_10k=1))
        number = block_of_ten_thousand()
        alone.harness.clock.now += HOUR - alone.harness.clock.now % HOUR - 1
        await alone.start(number(1))
        assert await alone.start(number(2)) is None

        alone.harness.clock.advance(1)

        assert await alone.start(number(2)) is not None

    async def test_is_not_filled_by_starts_that_send_nothing(self, traffic: Traffic) -> None:
        guarded(traffic, **unlimited(numbers_1k=2, unconverted_1k=2, unconverted_10k=2))
        number = block_of_ten_thousand()
        await traffic.start(number(1))

        for _ in range(5):
            assert await traffic.start(number(1)) is None  # the cooldown
        assert traffic.refused == {"rate_limited": 5}

        assert await traffic.start(number(2)) is not None

    async def test_is_not_filled_by_numbers_that_no_provider_takes(self, traffic: Traffic) -> None:
        guarded(traffic, **unlimited(numbers_1k=2, unconverted_1k=2, unconverted_10k=2))
        number, provider = block_of_ten_thousand(), traffic.harness.provider
        provider.script += [answer(Outcome.TRANSIENT)] * 5
        for place in range(5):
            assert await traffic.start(number(place)) is None

        assert None not in [await traffic.start(number(10 + place)) for place in range(2)]

    async def test_keeps_a_number_that_got_a_code_when_it_asks_too_soon(self, traffic: Traffic) -> None:
        guarded(traffic, **unlimited(numbers_1k=1))
        number = block_of_ten_thousand()
        await traffic.start(number(1))
        await traffic.start(number(1))

        assert await traffic.start(number(2)) is None

    async def test_gets_back_every_code_of_a_verification_that_was_resent(self, traffic: Traffic) -> None:
        traffic.harness.change_service(guard=Policy(**unlimited(unconverted_10k=2)), **UNLIMITED)
        number = block_of_ten_thousand()
        await traffic.start(number(1))
        traffic.harness.clock.advance(1)
        assert await traffic.verify(number(1))

        assert await traffic.start(number(2)) is not None
        assert await traffic.start(number(3)) is not None
        assert await traffic.start(number(4)) is None

    async def test_gets_nothing_back_for_a_wrong_code(self, traffic: Traffic) -> None:
        guarded(traffic, **unlimited(unconverted_10k=1))
        number = block_of_ten_thousand()
        started = await traffic.start(number(1))
        assert started is not None

        wrong = another(traffic.harness.provider.code_for(number(1)))
        await traffic.harness.check(CheckCommand(id=started, code=reveal(wrong), caller="test"))

        assert await traffic.start(number(2)) is None

    async def test_gets_a_code_back_once_where_the_check_is_repeated(self, traffic: Traffic) -> None:
        guarded(traffic, **unlimited(unconverted_10k=2))
        number = block_of_ten_thousand()
        first = await traffic.start(number(1))
        await traffic.start(number(2))
        assert first is not None
        code = reveal(traffic.harness.provider.code_for(number(1)))

        for _ in range(3):
            await traffic.harness.check(CheckCommand(id=first, code=code, caller="test", idempotency_key="once"))

        assert await traffic.start(number(3)) is not None
        assert await traffic.start(number(4)) is None

    async def test_that_is_only_watched_is_told_of_and_refuses_nobody(self, alone: Traffic) -> None:
        watched = {Rule.UNCONVERTED_10K: Mode.MONITOR}
        guarded(alone, modes=watched, **unlimited(unconverted_10k=1))
        number = block_of_ten_thousand()

        assert None not in [await alone.start(number(place)) for place in range(3)]

        said = [finding.said for finding in findings_of(alone, Rule.UNCONVERTED_10K)]
        assert said == [Said.PASS, Said.DENY, Said.DENY]

    async def test_is_told_of_with_its_digits_its_count_and_its_limit(self, alone: Traffic) -> None:
        guarded(alone, **unlimited(unconverted_10k=1))
        number = block_of_ten_thousand()
        await alone.start(number(1))
        await alone.start(number(2))

        passed, denied = findings_of(alone, Rule.UNCONVERTED_10K)

        assert (passed.count, passed.limit, passed.retry_after) == (1, 1, None)
        assert (denied.count, denied.limit, denied.key) == (1, 1, number(1).e164[1:-4])
        assert denied.retry_after == HOUR - alone.harness.clock.now % HOUR


def findings_of(traffic: Traffic, rule: Rule) -> Sequence[Any]:
    kept = traffic.harness.decisions.kept
    return [finding for decision in kept for finding in decision.findings if finding.rule is rule]


class TestAnAddress:
    async def test_gets_ten_of_five_hundred_starts_whatever_the_headers_say(self, traffic: Traffic) -> None:
        numbers, ip = strangers(500), str(an_address())

        async def start(place: int) -> int:
            traffic.harness.checks = traffic.sandboxes[place % SANDBOXES]
            headers = {"x-forwarded-for": f"81.2.{place % 256}.{place // 256}"}
            body = {"to": numbers[place].e164, "ip": ip}
            return (await call(traffic.harness.app, "POST", "/v1/verifications", body, headers=headers)).status

        statuses = Counter(await asyncio.gather(*map(start, range(500))))

        assert statuses == {201: 10, 429: 490}

    async def test_is_one_with_all_that_its_household_has(self, traffic: Traffic) -> None:
        household = int(IPv6Address(f"2a02:{secrets.randbits(16):x}:{secrets.randbits(16):x}:1::"))

        for number in strangers(30):
            await traffic.start(number, IPv6Address(household + secrets.randbits(64)))

        assert traffic.sent == 10

    async def test_has_a_limit_for_the_day_too(self, traffic: Traffic) -> None:
        ip, clock = an_address(), traffic.harness.clock
        clock.now -= clock.now % 86_400
        for number in strangers(30):
            await traffic.start(number, ip)
            clock.advance(HOUR // 5)

        assert traffic.sent == 20

        clock.now += 86_400 - clock.now % 86_400
        assert await traffic.start(strangers(1)[0], ip) is not None

    async def test_of_ten_thousand_in_one_network_thirty_get_a_code(self, traffic: Traffic) -> None:
        network = int(IPv6Address(f"2a01:{secrets.randbits(16):x}:{secrets.randbits(16):x}::"))
        numbers = strangers(500)

        for place in range(10_000):
            await traffic.start(numbers[place % 500], IPv6Address(network + (place << 64)))

        assert traffic.sent == 30

    async def test_has_its_neighbours_beside_it(self, traffic: Traffic) -> None:
        first, *others = strangers(30)
        ip = an_address()
        for number in others:
            await traffic.start(number, ip)

        assert await traffic.start(first, ip + 1) is not None

    async def test_that_nobody_names_is_not_counted(self, traffic: Traffic) -> None:
        assert None not in [await traffic.start(number) for number in strangers(40)]

    async def test_loses_nothing_for_a_number_that_asks_too_soon(self, traffic: Traffic) -> None:
        ip, (number, *others) = an_address(), strangers(10)
        await traffic.start(number, ip)

        for _ in range(20):
            assert await traffic.start(number, ip) is None

        assert None not in [await traffic.start(each, ip) for each in others]

    async def test_is_told_when_it_may_ask_again(self, alone: Traffic) -> None:
        guarded(alone, ip_hour=1)
        first, second = strangers(2)
        ip = an_address()
        await alone.start(first, ip)

        with pytest.raises(RateLimited) as refusal:
            await alone.harness.start(StartCommand(to=second, service="default", caller="test", ip=ip))

        assert refusal.value.retry_after == HOUR - alone.harness.clock.now % HOUR

    async def test_that_is_denied_does_not_touch_its_victims_record(self, traffic: Traffic) -> None:
        ip, (victim, *others) = an_address(), strangers(11)
        for number in others:
            await traffic.start(number, ip)

        assert [await traffic.start(victim, ip) for _ in range(1_000)] == [None] * 1_000

        key = number_key(traffic.harness.keys.ring, "default", victim.e164)
        assert await traffic.harness.store.get(key) is None
        assert await traffic.start(victim) is not None

    @pytest.mark.parametrize("ip", ["10.1.2.3", "192.168.0.7", "::1", "fe80::1", "::ffff:172.16.0.1", "100.64.0.1"])
    async def test_of_a_networks_inside_is_no_end_users(self, harness: Harness, ip: str) -> None:
        answer = await call(harness.app, "POST", "/v1/verifications", {"to": strangers(1)[0].e164, "ip": ip})

        assert (answer.status, answer.json["code"]) == (422, "invalid_request")
        assert harness.provider.messages == []


class TestGuessesFromOneAddress:
    async def test_are_thirty_in_a_minute_and_the_others_use_up_no_attempt(self, alone: Traffic) -> None:
        ids = [await alone.start(number) for number in strangers(12)]
        body = {"code": "000000", "ip": str(an_address())}

        statuses = [(await self.check(alone, ids[place // 3], body)).status for place in range(36)]

        assert statuses == [200] * 30 + [429] * 6
        untouched = await call(alone.harness.app, "GET", f"/v1/verifications/{ids[11]}")
        assert untouched.json["attempts_left"] == 5

    async def test_may_go_on_in_the_next_minute(self, alone: Traffic) -> None:
        guarded(alone, checks_minute=1)
        verification = await alone.start(strangers(1)[0])
        body = {"code": "000000", "ip": str(an_address())}
        await self.check(alone, verification, body)

        refused = await self.check(alone, verification, body)
        assert_problem(refused, 429, "rate_limited")
        alone.harness.clock.advance(refused.json["retry_after"])

        assert (await self.check(alone, verification, body)).status == 200

    async def test_are_not_asked_about_where_nobody_names_it(self, alone: Traffic) -> None:
        guarded(alone, checks_minute=1)
        verification = await alone.start(strangers(1)[0])

        statuses = [(await self.check(alone, verification, {"code": "000000"})).status for _ in range(3)]

        assert statuses == [200] * 3

    async def test_at_what_is_not_there_are_answered_as_ever(self, alone: Traffic) -> None:
        verification = await alone.start(strangers(1)[0])
        assert verification is not None
        body = {"code": "000000", "ip": str(an_address())}

        answer = await self.check(alone, verification[:-1] + ("a" if verification[-1] != "a" else "b"), body)

        assert_problem(answer, 404, "not_found")

    async def test_at_another_services_verification_are_answered_as_if_there_were_none(self, alone: Traffic) -> None:
        guarded(alone, checks_minute=1)
        verification, ip = await alone.start(strangers(1)[0]), an_address()
        assert verification is not None

        for _ in range(2):
            command = CheckCommand(
                id=verification, code=reveal("000000"), caller="test", ip=ip, services=frozenset({"another"})
            )
            with pytest.raises(NotFound):
                await alone.harness.check(command)

    async def check(self, traffic: Traffic, verification: str | None, body: dict[str, str]) -> Response:
        return await call(traffic.harness.app, "POST", f"/v1/verifications/{verification}/check", body)


class TestACountry:
    """Numbers of Iceland, of which this file alone has some."""

    async def test_outside_home_gets_as_many_codes_as_may_go_unused(self, traffic: Traffic) -> None:
        guarded(traffic, **unlimited(unconverted_country=40, home=frozenset({"DE"})))

        for number in icelanders(60):
            await traffic.start(number)

        assert traffic.sent == 40
        assert traffic.refused == {Rule.UNCONVERTED_COUNTRY: 20}

    async def test_gets_more_where_they_come_to_use(self, traffic: Traffic) -> None:
        traffic.harness.clock.advance(HOUR)
        guarded(traffic, **unlimited(unconverted_country=5, home=frozenset({"DE"})))

        assert all([await traffic.verify(number) for number in icelanders(20)])

    async def test_is_held_over_all_its_parts_however_many_ask_at_once(self, traffic: Traffic) -> None:
        traffic.harness.clock.advance(2 * HOUR)
        guarded(traffic, **unlimited(unconverted_country=200, home=frozenset({"DE"})))

        await asyncio.gather(*map(traffic.start, icelanders(400)))

        assert 190 <= traffic.sent <= 200

    async def test_is_not_filled_by_another_service_that_is_at_home_there(self, alone: Traffic) -> None:
        alone.harness.clock.advance(4 * HOUR)
        guarded(alone, **unlimited(unconverted_country=1, home=frozenset({"DE"})))
        alone.harness.services["near"] = Service(guard=Policy(**unlimited(home=frozenset({"IS"}))))
        number, *others = icelanders(10)
        for other in others:
            await alone.harness.start(StartCommand(to=other, service="near", caller="test"))

        assert await alone.start(number) is not None

    async def test_at_home_has_no_end(self, traffic: Traffic) -> None:
        traffic.harness.clock.advance(3 * HOUR)
        guarded(traffic, **unlimited(unconverted_country=1, home=frozenset({"IS"})))

        assert None not in [await traffic.start(number) for number in icelanders(10)]


def icelanders(count: int) -> list[PhoneNumber]:
    begin = secrets.randbelow(9_000)
    return [parse_phone_number(f"+354611{(begin + place) % 10_000:04d}") for place in range(count)]


class TestATableThatIsAway:
    async def test_lets_nobody_through(self, alone: Traffic) -> None:
        alone.harness.checks = counting_checks(Table(_Throttled(), "nowhere"))

        with pytest.raises(StoreUnavailable):
            await alone.harness.start(StartCommand(to=strangers(1)[0], service="default", caller="test"))

        assert alone.sent == 0


class _Throttled:
    """DynamoDB, as it answers for a key that is too hot."""

    async def update_item(self, **_: Any) -> None:
        raise ClientError({"Error": {"Code": "ThrottlingException", "Message": ""}}, "UpdateItem")


async def test_the_table_holds_no_address_and_no_digits_of_a_block(alone: Traffic, dynamodb: Any) -> None:
    number, ip = block_of_ten_thousand()(1234), an_address()
    seen: list[str] = []

    def note(params: Any, **_: Any) -> None:
        seen.append(str(params))

    dynamodb.meta.events.register("before-parameter-build.dynamodb", note, "all")
    await alone.start(number, ip)
    dynamodb.meta.events.unregister("before-parameter-build.dynamodb", note, "all")

    written = " ".join(seen)
    assert len(seen) == 4
    assert not [secret for secret in (number.e164[1:-4], number.e164[-4:], str(ip)) if secret in written]


async def test_a_service_without_a_guard_counts_nothing(alone: Traffic, writes: list[str]) -> None:
    alone.harness.services["default"] = Service(guard=unguarded())

    assert await alone.verify(strangers(1)[0], an_address())
    assert writes == ["PutItem", "UpdateItem"]


async def test_a_refusal_names_its_rule_to_the_caller(alone: Traffic) -> None:
    guarded(alone, **unlimited(unconverted_10k=1))
    number = block_of_ten_thousand()
    await alone.start(number(1))

    with pytest.raises(BlockedByGuard) as refusal:
        await alone.harness.start(StartCommand(to=number(2), service="default", caller="test"))

    assert refusal.value.reason == Rule.UNCONVERTED_10K
