"""Failover: one provider after the other, never two messages, and within the time that there is."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from typing import Any

import pytest

from functions.domain.delivery import Message, Outcome, Scope, SendResult
from functions.domain.routing import Via
from functions.usecases.submit import MARGIN, PATIENCE, Submit
from tests.adapters import a_message
from tests.harness import GivenRates, OpenCircuits, RecordingProvider
from tests.virtual_time import run_in_virtual_time


def answers(name: str, outcome: Outcome, **more: Any) -> RecordingProvider:
    """A provider that says this to every message."""
    result = SendResult(provider=name, outcome=outcome, reason=f"{name}_says_so", **more)
    return RecordingProvider(name=name, otherwise=lambda _: result)


def takes(name: str, **more: Any) -> RecordingProvider:
    return RecordingProvider(name=name, otherwise=lambda _: SendResult(provider=name, outcome=Outcome.ACCEPTED), **more)


@dataclass
class World:
    providers: list[RecordingProvider]
    circuits: OpenCircuits = field(default_factory=OpenCircuits)
    rates: GivenRates = field(default_factory=GivenRates)
    seconds: float = 20.0
    reported: list[str | None] = field(default_factory=list)

    async def submit(self, *plan: Via, message: Message | None = None) -> SendResult:
        submit = Submit(
            providers={provider.name: provider for provider in self.providers},
            circuits=self.circuits,
            rates=self.rates,
            remaining=lambda: self.seconds,
        )
        vias = plan or tuple(Via(provider=provider.name) for provider in self.providers)
        return await submit(vias, message or a_message(), lambda result, _: self.reported.append(result.provider))

    @property
    def asked(self) -> list[str]:
        return [provider.name for provider in self.providers if provider.messages]


@pytest.mark.parametrize("outcome", [Outcome.CONFIG, Outcome.TRANSIENT, Outcome.THROTTLED_ACCOUNT])
async def test_where_the_first_sent_nothing_the_second_is_asked(outcome: Outcome) -> None:
    world = World([answers("a", outcome), takes("b")])

    result = await world.submit()

    assert (result.provider, result.outcome) == ("b", Outcome.ACCEPTED)
    assert world.reported == ["a", "b"]


@pytest.mark.parametrize(
    "outcome",
    [
        Outcome.ACCEPTED,
        Outcome.REJECTED_NUMBER,
        Outcome.REJECTED_CONTENT,
        Outcome.THROTTLED_RECIPIENT,
        Outcome.UNKNOWN,
    ],
)
async def test_where_the_first_ends_the_matter_nobody_else_is_asked(outcome: Outcome) -> None:
    world = World([answers("a", outcome), takes("b")])

    result = await world.submit()

    assert (result.provider, result.outcome, world.asked) == ("a", outcome, ["a"])


async def test_a_route_that_one_provider_lacks_another_may_have() -> None:
    world = World([answers("a", Outcome.REJECTED_NUMBER, scope=Scope.ROUTE), takes("b")])

    assert (await world.submit()).provider == "b"


async def test_what_the_operator_forbade_nobody_else_is_asked_for() -> None:
    world = World([answers("a", Outcome.CONFIG, scope=Scope.FORBIDDEN), takes("b")])

    assert (await world.submit()).outcome is Outcome.CONFIG
    assert world.asked == ["a"]


async def test_each_provider_is_asked_once_and_gets_the_routes_own_sender() -> None:
    world = World([answers("a", Outcome.TRANSIENT), takes("b")])
    message = a_message()

    await world.submit(
        Via(provider="a", sender="ACME"),
        Via(provider="b", sender="MG1", template="t", signature="s", entity="e"),
        message=message,
    )

    ((to_a,), (to_b,)) = (provider.messages for provider in world.providers)
    assert (to_a.sender, to_a.template) == ("ACME", None)
    assert (to_b.sender, to_b.template, to_b.signature, to_b.entity) == ("MG1", "t", "s", "e")
    assert (
        (to_a.text, to_a.code, to_a.reference)
        == (to_b.text, to_b.code, to_b.reference)
        == (
            message.text,
            message.code,
            message.reference,
        )
    )


async def test_where_all_took_nothing_the_best_hope_is_the_answer() -> None:
    world = World(
        [
            answers("a", Outcome.THROTTLED_ACCOUNT, retry_after=7),
            answers("b", Outcome.REJECTED_NUMBER, scope=Scope.ROUTE),
        ]
    )

    result = await world.submit()

    assert (result.provider, result.retry_after, world.asked) == ("a", 7, ["a", "b"])


class TestTime:
    async def test_the_first_is_always_asked(self) -> None:
        world = World([takes("a")], seconds=0.1)

        assert (await world.submit()).outcome is Outcome.ACCEPTED

    async def test_the_next_is_asked_only_where_it_can_finish(self) -> None:
        b = takes("b", timeout=6.0)
        short = World([answers("a", Outcome.TRANSIENT), b], seconds=6.0 + MARGIN - 0.01)
        enough = World([answers("a", Outcome.TRANSIENT), b], seconds=6.0 + MARGIN)

        assert (await short.submit()).provider == "a"
        assert b.messages == []
        assert (await enough.submit()).provider == "b"


class TestCircuits:
    async def test_a_provider_whose_circuit_is_open_is_passed_over(self) -> None:
        world = World([takes("a"), takes("b")], OpenCircuits(open={"a"}))

        assert (await world.submit()).provider == "b"
        assert world.asked == ["b"]
        assert world.circuits.told == [("b", False)]

    async def test_where_all_circuits_are_open_nothing_is_sent_and_it_may_be_tried_again(self) -> None:
        world = World([takes("a"), takes("b")], OpenCircuits(open={"a", "b"}))

        result = await world.submit()

        assert (result.outcome, result.reason, world.asked) == (Outcome.TRANSIENT, "circuit_open", [])
        assert result.retry_after is not None

    async def test_a_circuit_hears_of_what_speaks_of_its_provider(self) -> None:
        world = World([answers("a", Outcome.CONFIG), answers("b", Outcome.CONFIG, scope=Scope.ROUTE), takes("c")])

        await world.submit()

        assert world.circuits.told == [("a", True), ("b", False), ("c", False)]

    async def test_a_circuit_hears_of_a_number_that_was_refused_that_the_provider_answers(self) -> None:
        world = World([answers("a", Outcome.REJECTED_NUMBER), takes("b")])

        await world.submit()

        assert world.circuits.told == [("a", False)]

    async def test_with_nobody_else_to_go_to_no_circuit_is_asked(self) -> None:
        world = World([answers("a", Outcome.TRANSIENT)], OpenCircuits(open={"a"}))

        await world.submit()

        assert (world.asked, world.circuits.asked, world.circuits.told) == (["a"], [], [])


class TestRates:
    def test_a_message_waits_for_its_place(self) -> None:
        async def scenario() -> float:
            began = asyncio.get_running_loop().time()
            assert (await World([takes("a")], rates=GivenRates({"a": 3.0})).submit()).outcome is Outcome.ACCEPTED
            return asyncio.get_running_loop().time() - began

        assert run_in_virtual_time(scenario()) == pytest.approx(3.0)

    async def test_a_place_that_is_too_far_away_is_left_to_another_provider(self) -> None:
        world = World([takes("a"), takes("b")], rates=GivenRates({"a": PATIENCE + 0.1}))

        assert (await world.submit()).provider == "b"
        assert world.circuits.told == [("b", False)]

    async def test_the_last_provider_is_waited_for_as_long_as_there_is_time(self) -> None:
        world = World([takes("a", timeout=6.0)], rates=GivenRates({"a": 99.0}), seconds=20.0)

        result = await world.submit()

        assert (result.outcome, result.reason) == (Outcome.THROTTLED_ACCOUNT, "account_busy")
        assert world.rates.asked == [("a", 20.0 - 6.0 - MARGIN)]
        assert world.asked == []

    async def test_a_message_without_a_place_is_told_when_the_next_is_free(self) -> None:
        world = World([takes("a")], rates=GivenRates({"a": 98.2}), seconds=20.0)

        assert (await world.submit()).retry_after == 99

    async def test_a_provider_that_is_passed_over_takes_no_place(self) -> None:
        world = World([takes("a"), takes("b")], OpenCircuits(open={"a"}))

        await world.submit()

        assert [provider for provider, _ in world.rates.asked] == ["b"]


async def test_the_longest_send_is_that_of_the_slowest_provider() -> None:
    providers = {"a": RecordingProvider(name="a", timeout=6.0), "b": RecordingProvider(name="b", timeout=10.0)}

    submit = Submit(providers=providers, circuits=OpenCircuits(), rates=GivenRates(), remaining=lambda: 20.0)

    assert submit.longest == 10.0
