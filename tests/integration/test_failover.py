"""From a request to the record: another provider takes what the first one certainly did not send."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field, replace
from typing import Any

import pytest

from functions.domain.checking import Guess
from functions.domain.delivery import DeliveryStatus, Message, Outcome, SendResult
from functions.domain.routing import Route, Via
from functions.domain.service import OnUnknown
from functions.domain.verification import Record
from functions.stores.dynamodb import Table
from functions.usecases.ports import Counted, SendJob, StoreUnavailable
from functions.usecases.start import StartCommand
from functions.usecases.submit import MARGIN
from infra.local.embedded_aws import Resources
from tests.harness import Harness, Prepared, RecordingProvider, assert_problem, call, fresh_number
from tests.two_providers import PATH, at_b, hand_out, receipt, record_of, says, shown, start, takes, with_two


async def test_the_second_sends_the_same_code_of_the_same_verification(harness: Harness) -> None:
    with_two(harness, says("a", Outcome.TRANSIENT), takes("b"))
    number = fresh_number()

    started = await start(harness, number)

    (to_a,), (to_b,) = harness.provider.messages, at_b(harness)
    assert (started.status, started.json["provider"]) == (201, "b")
    assert (to_a.code, to_a.reference) == (to_b.code, to_b.reference)
    checked = await _check(harness, started.json["id"], to_b.code.reveal())
    assert checked["valid"]


async def test_the_status_names_who_took_it(harness: Harness) -> None:
    with_two(harness, says("a", Outcome.CONFIG), takes("b"))

    started = (await start(harness)).json
    delivery = (await shown(harness, started["id"]))["delivery"]

    assert (
        delivery
        == started["delivery"]
        == {"status": "submitted", "provider": "b", "reason": None, "at": delivery["at"]}
    )


async def test_the_receipt_of_who_took_it_counts(harness: Harness) -> None:
    with_two(harness, says("a", Outcome.TRANSIENT), takes("b"))
    started = (await start(harness)).json

    await receipt(harness, at_b(harness)[0], "b", DeliveryStatus.FAILED)

    delivery = (await shown(harness, started["id"]))["delivery"]
    assert (delivery["status"], delivery["provider"]) == ("failed", "b")


async def test_a_failure_that_another_provider_reports_is_old_news(harness: Harness) -> None:
    with_two(harness, says("a", Outcome.UNKNOWN), takes("b"), on_unknown=OnUnknown.ONCE)
    started = (await start(harness)).json

    await receipt(harness, at_b(harness)[0], "a", DeliveryStatus.FAILED)

    assert (await shown(harness, started["id"]))["delivery"]["status"] == "submitted"


@pytest.mark.parametrize("status", [DeliveryStatus.SENT, DeliveryStatus.FAILED, DeliveryStatus.DELIVERED])
async def test_the_receipt_of_who_took_it_counts_also_where_it_is_faster_than_its_answer(
    harness: Harness, status: DeliveryStatus
) -> None:
    with_two(harness, says("a", Outcome.TRANSIENT), takes("b"))
    harness.others["b"] = Quick(harness, status)

    started = (await start(harness)).json

    delivery = (await shown(harness, started["id"]))["delivery"]
    assert (delivery["status"], delivery["provider"]) == (status.value, "b")


async def test_a_message_that_its_first_provider_took_is_written_once(dynamodb: Any, resources: Resources) -> None:
    counting = Counting(dynamodb)
    harness = with_two(Harness(Table(counting, resources.table)), takes("a"), takes("b"))

    await start(harness)

    assert counting.writes == 1


async def test_where_nobody_takes_it_the_request_may_be_repeated_and_counts_nothing(harness: Harness) -> None:
    with_two(harness, says("a", Outcome.TRANSIENT), says("b", Outcome.CONFIG))
    number = fresh_number()

    refused = await start(harness, number)
    harness.others = {"b": takes("b")}

    assert_problem(refused, 503, "delivery_unavailable")
    assert (await start(harness, number)).status == 201


async def test_all_circuits_open_is_told_with_the_time_to_come_back(harness: Harness) -> None:
    with_two(harness, takes("a"), takes("b"))
    harness.circuits.open = {"a", "b"}

    refused = await start(harness)

    assert_problem(refused, 503, "delivery_unavailable")
    assert refused.headers["retry-after"] == "10"
    assert (harness.provider.messages, at_b(harness)) == ([], [])


async def test_while_all_circuits_are_open_a_queued_message_comes_again(harness: Harness) -> None:
    with_two(harness, takes("a"), takes("b"))
    harness.circuits.open = {"a", "b"}

    unfinished = await hand_out(harness, SendJob(to=fresh_number().e164, service="default", key="k"))

    assert len(unfinished.failed) == 1
    assert harness.dead_letters.bodies == []


async def test_a_number_that_no_route_leads_to_is_refused_before_anything_is_stored(harness: Harness) -> None:
    harness.change_service(routes=(Route(providers=(Via(provider="yunpian"),), countries=frozenset({"CN"})),))
    number = fresh_number()

    refused = await start(harness, number)

    assert_problem(refused, 403, "country_blocked")
    harness.change_service(routes=(Route(providers=(Via(provider="yunpian"),)),))
    assert (await start(harness, number)).status == 201


async def test_a_queued_message_that_no_route_leads_to_is_done_with(harness: Harness) -> None:
    harness.change_service(routes=(Route(providers=(Via(provider="yunpian"),), countries=frozenset({"CN"})),))

    unfinished = await hand_out(harness, SendJob(to=fresh_number().e164, service="default", key="k"))

    assert list(unfinished) == []
    assert [line["reason"] for line in harness.journal.of("left")] == ["country_blocked"]


class TestAnUnknownOutcome:
    async def test_is_left_alone(self, harness: Harness) -> None:
        with_two(harness, says("a", Outcome.UNKNOWN), takes("b"))

        started = await start(harness)

        assert (started.status, started.json["delivery"]["status"]) == (201, "unknown")
        assert at_b(harness) == []

    async def test_has_the_next_one_send_where_the_service_wants_it(self, harness: Harness) -> None:
        with_two(harness, says("a", Outcome.UNKNOWN), takes("b"), on_unknown=OnUnknown.ONCE)

        started = await start(harness)

        assert (started.status, started.json["provider"], len(at_b(harness))) == (201, "b", 1)
        assert (await record_of(harness, started.json["id"])).verification.delivery.tries == 2

    async def test_of_the_second_too_is_the_end_of_it(self, harness: Harness) -> None:
        with_two(harness, says("a", Outcome.UNKNOWN), says("b", Outcome.UNKNOWN), on_unknown=OnUnknown.ONCE)
        job = SendJob(to=fresh_number().e164, service="default", key="k")

        first = await hand_out(harness, job)
        harness.clock.advance(90)
        again = await hand_out(harness, job)

        assert (list(first), list(again)) == ([], [])
        assert (len(harness.provider.messages), len(at_b(harness))) == (1, 1)

    async def test_is_claimed_again_before_the_second_is_asked(self, harness: Harness) -> None:
        """Its worker dies while the second one sends: the record tells of two tries, so there is no third."""
        b = Stuck(name="b")
        with_two(harness, says("a", Outcome.UNKNOWN), b, on_unknown=OnUnknown.ONCE)
        job = SendJob(to=fresh_number().e164, service="default", key="k")
        worker = asyncio.create_task(hand_out(harness, job))
        await b.reached.wait()
        worker.cancel()
        await asyncio.wait({worker})

        harness.clock.advance(90)
        await hand_out(harness, job)

        assert (len(harness.provider.messages), len(b.messages)) == (1, 1)

    async def test_is_not_passed_on_where_the_second_could_not_finish_in_time(self, harness: Harness) -> None:
        with_two(harness, says("a", Outcome.UNKNOWN), takes("b"), on_unknown=OnUnknown.ONCE)
        harness.seconds_left = 1.0 + MARGIN - 0.1

        started = await start(harness)

        assert (started.status, started.json["delivery"]["status"]) == (201, "unknown")
        assert at_b(harness) == []

    async def test_is_then_left_to_the_next_delivery_and_the_second_is_the_first_to_be_asked(
        self, harness: Harness
    ) -> None:
        with_two(harness, says("a", Outcome.UNKNOWN), takes("b"), on_unknown=OnUnknown.ONCE)
        job = SendJob(to=fresh_number().e164, service="default", key="k")
        harness.seconds_left = 1.0 + MARGIN - 0.1
        assert len((await hand_out(harness, job)).failed) == 1

        harness.seconds_left = 15.0
        assert list(await hand_out(harness, job)) == []

        assert (len(harness.provider.messages), len(at_b(harness))) == (1, 1)


async def test_what_cannot_be_written_of_a_message_that_is_out_is_no_failure(harness: Harness) -> None:
    with_two(harness, says("a", Outcome.TRANSIENT), takes("b"))
    start_it = replace(harness.start, deliver=replace(harness.deliver, store=Silent()))

    started = await start_it(StartCommand(to=fresh_number(), service="default", caller="tester"))

    assert started.provider == "b"
    assert len(harness.journal.of("unrecorded")) == 1


async def test_what_could_not_be_written_of_it_its_receipt_tells(harness: Harness) -> None:
    with_two(harness, says("a", Outcome.TRANSIENT), takes("b"))
    start_it = replace(harness.start, deliver=replace(harness.deliver, store=Silent()))
    started = await start_it(StartCommand(to=fresh_number(), service="default", caller="tester"))

    await receipt(harness, at_b(harness)[0], "b", DeliveryStatus.FAILED)

    delivery = (await shown(harness, started.id))["delivery"]
    assert (delivery["status"], delivery["provider"]) == ("failed", "b")


async def _check(harness: Harness, verification: str, code: str) -> Any:
    return (await call(harness.app, "POST", f"{PATH}/{verification}/check", {"code": code})).json


@dataclass(slots=True)
class Stuck(RecordingProvider):
    """Takes the message and never answers."""

    reached: asyncio.Event = field(default_factory=asyncio.Event)

    async def send(self, message: Any) -> Any:
        self.messages.append(message)
        self.reached.set()
        await asyncio.get_running_loop().create_future()


@dataclass
class Quick(Prepared):
    """Provider b. Its receipt comes before its answer."""

    harness: Harness
    status: DeliveryStatus
    name: str = "b"
    timeout: float = 1.0

    async def send(self, message: Message) -> SendResult:
        await receipt(self.harness, message, "b", self.status)
        return SendResult(provider="b", outcome=Outcome.ACCEPTED)


class Silent:
    """A store that does not answer any more."""

    async def get(self, key: str) -> Record | None:
        raise StoreUnavailable(key)

    async def put(self, record: Record, *, now: int) -> Record | None:
        raise StoreUnavailable("no answer")

    async def count_guess(self, guess: Guess) -> Counted:
        raise StoreUnavailable("no answer")


@dataclass(slots=True)
class Counting:
    """A DynamoDB client that counts writes."""

    client: Any
    writes: int = 0

    def __getattr__(self, operation: str) -> Any:
        self.writes += operation in {"put_item", "update_item"}
        return getattr(self.client, operation)
