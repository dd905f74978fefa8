"""Things go wrong at every step of a message that may go by two providers, in every way, once and again."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace

import pytest

from functions.domain.delivery import DeliveryStatus, Message, Outcome, SendResult
from functions.domain.phone import PhoneNumber
from functions.domain.service import OnUnknown
from functions.usecases.send_batch import QueuedMessage, Unfinished
from functions.usecases.submit import Submit
from tests.harness import UNLIMITED, Harness, Prepared, fresh_number
from tests.integration.test_sender import (
    PLENTY,
    REDELIVERY,
    Gateway,
    Trouble,
    Troubled,
    delivery_of,
    job_for,
    queued,
    record_of,
    stored_by_the_api,
)
from tests.two_providers import A_THEN_B

ANSWERS = [
    (Outcome.ACCEPTED, Outcome.ACCEPTED),
    (Outcome.TRANSIENT, Outcome.ACCEPTED),
    (Outcome.TRANSIENT, Outcome.UNKNOWN),
    (Outcome.TRANSIENT, Outcome.TRANSIENT),
    (Outcome.UNKNOWN, Outcome.ACCEPTED),
    (Outcome.UNKNOWN, Outcome.UNKNOWN),
    (Outcome.UNKNOWN, Outcome.TRANSIENT),
]
"""Of the first and the second provider to the first message that they get; later ones they accept."""
SECOND_DEATHS = [("nowhere", 1), ("put before", 1), ("put after", 1), ("a before", 1), ("a after", 1), ("b before", 1)]


@dataclass
class Told(Prepared):
    """A provider with its own circuit and rate; each call is a step at which things can go wrong."""

    name: str
    first: Outcome
    trouble: Trouble
    timeout: float = 1.0
    answers: list[Outcome] = field(default_factory=list)

    async def send(self, _: Message) -> SendResult:
        await self.trouble.step(f"{self.name} before")
        outcome = Outcome.ACCEPTED if self.answers else self.first
        self.answers.append(outcome)
        await self.trouble.step(f"{self.name} after")
        return SendResult(provider=self.name, outcome=outcome, reason="scripted")

    @property
    def sms(self) -> int:
        """That it sent, or may have sent."""
        return sum(answer in {Outcome.ACCEPTED, Outcome.UNKNOWN} for answer in self.answers)


@dataclass
class Shared:
    """Circuits and rates that let everything through."""

    trouble: Trouble

    async def admits(self, provider: str) -> bool:
        await self.trouble.step(f"circuit of {provider}")
        return True

    async def note(self, provider: str, *, failed: bool) -> None:
        del failed
        await self.trouble.step(f"note on {provider}")

    async def wait(self, provider: str, *, most: float) -> float | None:
        del most
        await self.trouble.step(f"rate of {provider}")
        return 0.0

    def free_in(self, provider: str) -> float:
        del provider
        return 0.0


@dataclass
class Case:
    """One message on its way, and the one thing that goes wrong with each of its deliveries."""

    number: PhoneNumber
    message: QueuedMessage
    providers: tuple[Told, Told]
    troubles: Sequence[Trouble]
    delivered: int = 0

    async def deliver(self, harness: Harness) -> Unfinished | None:
        """What the worker leaves unfinished; None where it did not live to say so."""
        trouble = self.troubles[self.delivered] if self.delivered < len(self.troubles) else Trouble()
        self.delivered += 1
        for provider in self.providers:
            provider.trouble = trouble
        world = Troubled(harness, Gateway(), trouble)
        submit = Submit(
            providers={provider.name: provider for provider in self.providers},
            circuits=Shared(trouble),
            rates=Shared(trouble),
            remaining=lambda: PLENTY,
        )
        send = replace(
            harness.send,
            store=world,
            keys=world,
            reserve=replace(harness.reserve, store=world, keys=world),
            deliver=replace(harness.deliver, submit=submit, store=world),
        )
        batch = replace(harness.send_batch(), send=send)
        trouble.worker = asyncio.create_task(batch([self.message], lambda: PLENTY))
        await asyncio.wait({trouble.worker})
        return None if trouble.worker.cancelled() else trouble.worker.result()

    @property
    def sms(self) -> int:
        return sum(provider.sms for provider in self.providers)

    @property
    def what(self) -> list[str]:
        return [f"{trouble.at}: {trouble.error!r}" for trouble in self.troubles]


async def a_case(
    harness: Harness, answers: tuple[Outcome, Outcome], kind: str, troubles: Sequence[Trouble] = ()
) -> Case:
    number = fresh_number()
    message = (await stored_by_the_api(harness, number))[1] if kind == "stored" else queued(job_for(number))
    a, b = answers
    return Case(number, message, (Told("a", a, Trouble()), Told("b", b, Trouble())), troubles)


async def steps_of(harness: Harness, answers: tuple[Outcome, Outcome], kind: str) -> list[tuple[str, int]]:
    """Of a first delivery in which nothing goes wrong."""
    trouble = Trouble()
    await (await a_case(harness, answers, kind, [trouble])).deliver(harness)
    return [(name, nth) for name, count in trouble.steps.items() for nth in range(1, count + 1)]


async def as_the_queue_does(harness: Harness, cases: Sequence[Case]) -> None:
    """Delivers until nothing is left: soon after a failure, by the queue's own time-out where a claim may stand."""
    soon, later = list(cases), list[Case]()
    for _ in range(6):
        more_soon, more_later = await _deliver_all(harness, soon)
        harness.clock.advance(10)
        soon, later = more_soon, [*later, *more_later]
        if not soon:
            harness.clock.advance(REDELIVERY)
            soon, later = later, []
    assert (soon, later) == ([], [])


async def _deliver_all(harness: Harness, cases: Iterable[Case]) -> tuple[list[Case], list[Case]]:
    cases = list(cases)
    found = list(zip(cases, await asyncio.gather(*(case.deliver(harness) for case in cases)), strict=True))
    soon = [case for case, unfinished in found if unfinished is not None and unfinished.failed]
    return soon, [case for case, unfinished in found if unfinished is None or unfinished.in_doubt]


async def with_copies(harness: Harness, cases: Sequence[Case]) -> None:
    """More deliveries than any queue makes, at once, soon and late."""
    await asyncio.gather(*(case.deliver(harness) for case in cases))
    for _ in range(3):
        await asyncio.gather(*(case.deliver(harness) for case in [*cases, *cases]))
        harness.clock.advance(REDELIVERY)


@pytest.fixture
def with_routes(harness: Harness) -> Harness:
    harness.change_service(routes=A_THEN_B, send_within=600, **UNLIMITED)
    return harness


@pytest.mark.parametrize("answers", ANSWERS, ids="-".join)
@pytest.mark.parametrize(("on_unknown", "most"), [(OnUnknown.NEVER, 1), (OnUnknown.ONCE, 2)])
@pytest.mark.parametrize("kind", ["new", "stored"])
async def test_whatever_goes_wrong_no_message_becomes_more_sms_than_the_service_allows(
    with_routes: Harness, on_unknown: OnUnknown, most: int, kind: str, answers: tuple[Outcome, Outcome]
) -> None:
    with_routes.change_service(on_unknown=on_unknown)
    steps = await steps_of(with_routes, answers, kind)
    cases = [
        await a_case(with_routes, answers, kind, [Trouble(at, error)])
        for at, error in itertools.product(steps, [None, RuntimeError("a bug")])
    ]

    await with_copies(with_routes, cases)

    assert {str(case.what): case.sms for case in cases if case.sms > most} == {}
    assert all(trouble.steps[trouble.at[0]] >= trouble.at[1] for case in cases for trouble in case.troubles)


@pytest.mark.parametrize("answers", [ANSWERS[1], ANSWERS[4]], ids="-".join)
@pytest.mark.parametrize(("on_unknown", "most"), [(OnUnknown.NEVER, 1), (OnUnknown.ONCE, 2)])
@pytest.mark.parametrize("kind", ["new", "stored"])
async def test_none_is_called_submitted_that_nobody_took_though_two_workers_die_of_it(
    with_routes: Harness, on_unknown: OnUnknown, most: int, kind: str, answers: tuple[Outcome, Outcome]
) -> None:
    with_routes.change_service(on_unknown=on_unknown)
    steps = await steps_of(with_routes, answers, kind)
    cases = [
        await a_case(with_routes, answers, kind, [Trouble(first), Trouble(second)])
        for first, second in itertools.product(steps, SECOND_DEATHS)
    ]

    await as_the_queue_does(with_routes, cases)

    wrong = [
        case.what
        for case in cases
        if case.sms == 0 and await delivery_of(with_routes, case.number) is DeliveryStatus.SUBMITTED
    ]
    assert wrong == []
    assert {str(case.what): case.sms for case in cases if case.sms > most} == {}


@pytest.mark.parametrize("kind", ["new", "stored"])
async def test_who_took_it_is_who_is_named(with_routes: Harness, kind: str) -> None:
    answers = (Outcome.TRANSIENT, Outcome.ACCEPTED)
    case = await a_case(with_routes, answers, kind)

    await as_the_queue_does(with_routes, [case])

    delivery = (await record_of(with_routes, case.number)).verification.delivery
    assert (delivery.status, delivery.provider) == (DeliveryStatus.SUBMITTED, "b")
