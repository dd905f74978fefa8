"""One process over many invocations: its loop, its clients, its freezes, and what it does when nobody answers."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import json
import secrets
import sys
import time
import weakref
from collections import Counter
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Self

import aiohttp
import pytest

from functions.domain.identity import NONCE_BYTES, VerificationId, nonce_from
from functions.runtime import Connections, Runtime
from infra.local.embedded_aws import EmbeddedAws, Resources, create_resources
from infra.local.execution_environment import ExecutionEnvironment
from infra.local.gateway import GatewayProcess
from infra.local.processes import REPOSITORY
from tests.dropping_proxy import DroppingProxy
from tests.harness import fresh_number
from tests.lambda_events import (
    ALL_DONE,
    API,
    RECEIPTS,
    SENDER,
    Event,
    body_of,
    failures,
    http_event,
    running,
    sqs_event,
)

INVOCATIONS = 1000
CARELESS = "tests.integration.drivers.careless"
COMPLAINTS = ("Unclosed", "ResourceWarning", "Task was destroyed", "never awaited", "never retrieved", "Traceback")


def start_event(**headers: str) -> Event:
    return http_event("POST", "/v1/verifications", {"to": fresh_number().e164}, **headers)


def check_event() -> Event:
    """Of a verification that does not exist; the store has to be asked for it all the same."""
    return http_event("POST", f"/v1/verifications/{made_up_id()}/check", {"code": "123456"})


def receipt_event(token: str) -> Event:
    reports = [{"uid": f"{made_up_id()}.1", "report_status": "SUCCESS"}]
    return http_event("POST", f"/v1/receipts/yunpian/{token}", f"sms_status={json.dumps(reports)}")


def made_up_id() -> VerificationId:
    return VerificationId("k1", nonce_from(secrets.token_bytes(15)), nonce_from(secrets.token_bytes(NONCE_BYTES)))


def send_event(messages: int = 1) -> Event:
    return sqs_event(*(json.dumps({"to": fresh_number().e164}) for _ in range(messages)))


@dataclass(frozen=True, slots=True)
class Facts:
    """What a process was like after its invocations."""

    facts: Mapping[str, Any]
    stderr: str

    def __getitem__(self, name: str) -> Any:
        return self.facts[name]

    @property
    def complaints(self) -> set[str]:
        return {complaint for complaint in COMPLAINTS if complaint in self.stderr}


async def drive(handler: str, events: Sequence[Event], environment: Mapping[str, str]) -> Facts:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-X", "dev", "-W", "error", "-m", "tests.integration.drivers.invocations", handler),
        # The allocator's part of -X dev finds nothing in Python code, and is slow.
        env={"PATH": "/usr/bin:/bin", "LANG": "C.UTF-8", "PYTHONMALLOC": "pymalloc", **environment},
        cwd=REPOSITORY,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    out, err = await process.communicate("\n".join(map(json.dumps, events)).encode())
    assert process.returncode == 0, err.decode()
    return Facts(json.loads(out), err.decode())


@pytest.fixture(scope="module")
async def resources(aws: EmbeddedAws) -> Resources:
    return await create_resources(aws.endpoint, visibility_timeout=90, prefix="runtime")


@pytest.fixture(scope="module")
async def gateway(resources: Resources) -> AsyncIterator[GatewayProcess]:
    async with GatewayProcess.start(resources.accounts, keep_alive=1) as running:
        yield running


@pytest.fixture(scope="module")
def environment(resources: Resources, gateway: GatewayProcess) -> dict[str, str]:
    return {**resources.environment(), **gateway.environment()}


@dataclass(frozen=True, slots=True)
class Watched:
    facts: Facts
    proxy: DroppingProxy
    """Stood between the process and AWS, and lost nothing."""


@pytest.fixture(scope="module")
async def thousands(resources: Resources, environment: dict[str, str]) -> dict[str, Watched]:
    """A process of each handler after its thousand invocations."""
    token = resources.account_token("yunpian")
    events = {
        SENDER: [send_event() for _ in range(INVOCATIONS)],
        API: [turn for _ in range(INVOCATIONS // 2) for turn in (start_event(), check_event())],
        RECEIPTS: [receipt_event(token) for _ in range(INVOCATIONS)],
    }

    async def watch(handler: str) -> Watched:
        async with DroppingProxy.start(resources.endpoint, lose=()) as proxy:
            through = {**environment, "AWS_ENDPOINT_URL": proxy.url}
            return Watched(await drive(handler, events[handler], through), proxy)

    return dict(zip(events, await asyncio.gather(*map(watch, events)), strict=True))


@pytest.fixture(scope="module")
async def careless() -> Facts:
    """A process of a handler that does all of it wrong."""
    return await drive(CARELESS, [http_event("GET", "/")] * 3, {})


@pytest.mark.parametrize("handler", [SENDER, API, RECEIPTS])
class TestAThousandInvocations:
    def test_do_their_work(self, thousands: dict[str, Watched], handler: str) -> None:
        expected = {
            SENDER: [ALL_DONE] * INVOCATIONS,
            API: [201, 404] * (INVOCATIONS // 2),
            RECEIPTS: [200] * INVOCATIONS,
        }

        answers = thousands[handler].facts["answers"]

        assert [answer.get("statusCode", answer) for answer in answers] == expected[handler]

    def test_run_on_one_loop(self, thousands: dict[str, Watched], handler: str) -> None:
        assert thousands[handler].facts["journal"] >= INVOCATIONS
        assert thousands[handler].facts["loops"] == 1

    def test_leave_no_task_behind(self, thousands: dict[str, Watched], handler: str) -> None:
        assert thousands[handler].facts["tasks_left"] == 0

    def test_share_one_client_for_each_service(self, thousands: dict[str, Watched], handler: str) -> None:
        services = {
            SENDER: {"dynamodb": 1, "secretsmanager": 1},  # nothing goes to SQS, so nobody made a client for it
            API: {"dynamodb": 1, "secretsmanager": 1},
            RECEIPTS: {"dynamodb": 1, "secretsmanager": 1},
        }
        facts = thousands[handler].facts

        assert facts["clients"] == services[handler]
        to_the_gateway = handler != RECEIPTS
        assert facts["sessions"] <= len(services[handler]) + to_the_gateway

    def test_share_one_connection_to_each_service(self, thousands: dict[str, Watched], handler: str) -> None:
        proxy = thousands[handler].proxy

        # A call that a busy machine did not answer within a second is made again, on a connection of its own.
        repeats = len(proxy.requests) - len({request.call for request in proxy.requests})
        assert len(proxy.requests) > INVOCATIONS
        # Nothing goes to SQS. Of a block and of its country the guard reads counts and breaker at the same time.
        at_once = {RECEIPTS: 1}.get(handler, 4)
        assert 2 <= len(proxy.peers) <= 1 + at_once + repeats

    def test_look_each_secret_up_once(self, thousands: dict[str, Watched], resources: Resources, handler: str) -> None:
        looked_up = Counter(request.body["SecretId"] for request in thousands[handler].proxy.of("GetSecretValue"))
        del looked_up[resources.callers_secret]  # after a minute it is stale

        yunpian = f"{resources.provider_secrets}yunpian"
        secrets_of = {RECEIPTS: {yunpian: 1}}
        both = {resources.keys_secret: 1, yunpian: 1}
        assert looked_up == secrets_of.get(handler, both)

    def test_start_the_application_up_once(self, thousands: dict[str, Watched], handler: str) -> None:
        """At import: mangum would do it, and shut it down again, in each invocation."""
        assert thousands[handler].facts["lifespan"] == 0

    def test_give_the_interpreter_nothing_to_complain_of(self, thousands: dict[str, Watched], handler: str) -> None:
        assert thousands[handler].facts.complaints == set()


class TestACarelessHandler:
    """Without these, the tests above might be blind."""

    def test_is_caught_with_three_loops(self, careless: Facts) -> None:
        assert careless["loops"] == 3

    def test_is_caught_with_tasks(self, careless: Facts) -> None:
        assert careless["tasks_left"] > 0

    def test_is_caught_starting_up_for_each_event(self, careless: Facts) -> None:
        assert careless["lifespan"] >= 3

    def test_is_complained_of(self, careless: Facts) -> None:
        assert careless.complaints >= {"Unclosed", "ResourceWarning", "Task was destroyed"}


@dataclass(frozen=True, slots=True)
class Frozen:
    """What came out of invocations after freezes."""

    sent: int
    arrived: int
    posted: int
    posted_plainly: int


ENVIRONMENTS, POSTING, FREEZES, FREEZE = 20, 2, 5, 1.6


@pytest.fixture(scope="module")
async def frozen(environment: dict[str, str], gateway: GatewayProcess) -> Frozen:
    async with aiohttp.ClientSession() as http:
        await http.delete(f"{gateway.url}/inbox")
        sent, posted, plainly = await asyncio.gather(
            asyncio.gather(*(send_between_freezes(environment) for _ in range(ENVIRONMENTS))),
            asyncio.gather(*(post_between_freezes(gateway, plain=False) for _ in range(POSTING))),
            asyncio.gather(*(post_between_freezes(gateway, plain=True) for _ in range(POSTING))),
        )
        async with http.get(f"{gateway.url}/inbox/count.json") as answer:
            arrived = (await answer.json())["messages"]
    return Frozen(sum(sent), arrived, sum(posted), sum(plainly))


async def send_between_freezes(environment: dict[str, str]) -> int:
    """How many invocations after a freeze sent their message."""
    async with running(SENDER, environment) as function:
        assert await function.invoke(send_event()) == ALL_DONE
        answers = [await after_a_freeze(function, send_event()) for _ in range(FREEZES)]
    return answers.count(ALL_DONE)


async def post_between_freezes(gateway: GatewayProcess, *, plain: bool) -> int:
    """How many posts after a freeze were answered."""
    event = {"url": gateway.url, "plain": plain}
    async with running("tests.integration.drivers.sessions", {}) as function:
        assert await function.invoke(event)
        answers = [await after_a_freeze(function, event) for _ in range(FREEZES)]
    return sum(answers)


async def after_a_freeze(function: ExecutionEnvironment, event: Event) -> Any:
    function.freeze()
    await asyncio.sleep(FREEZE)
    return await function.invoke(event)


class TestAFreeze:
    """The gateway closes an idle connection after a second, and nobody is awake to hear of it."""

    def test_breaks_no_send(self, frozen: Frozen) -> None:
        assert frozen.sent == ENVIRONMENTS * FREEZES == 100
        assert frozen.arrived == ENVIRONMENTS * (FREEZES + 1)

    def test_breaks_no_post_on_the_session_that_the_runtime_keeps(self, frozen: Frozen) -> None:
        """With nothing before it that would wake the loop."""
        assert frozen.posted == POSTING * FREEZES

    def test_would_break_posts_on_a_plain_session(self, frozen: Frozen) -> None:
        """Else the others would prove nothing."""
        assert frozen.posted_plainly < POSTING * FREEZES


class TestTheConnectionsToAGateway:
    async def test_are_kept_over_a_short_rest(self) -> None:
        connections = Connections(limit=1)
        session = connections.session()
        connections.rest()

        await connections.wake()

        assert connections.session() is session
        await connections.close()

    async def test_are_replaced_when_they_may_have_rested_long(self) -> None:
        connections = Connections(limit=1)
        session = connections.session()

        await connections.wake()

        assert session.closed
        assert not connections.session().closed
        await connections.close()

    async def test_are_not_shared_with_the_operators_hooks(self) -> None:
        connections = Connections(limit=1)
        for_gateways, for_hooks = connections.session(), connections.hook_session()

        assert for_gateways.connector is not for_hooks.connector
        await connections.wake()

        assert (for_gateways.closed, for_hooks.closed) == (True, True)


@dataclass
class BlackHole:
    """Accepts connections and never answers."""

    url: str
    connections: int = 0
    _writers: list[asyncio.StreamWriter] = field(default_factory=list)

    @classmethod
    @contextlib.asynccontextmanager
    async def start(cls) -> AsyncIterator[Self]:
        hole = cls("")
        async with await asyncio.start_server(hole._swallow, "127.0.0.1", 0) as server:
            hole.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
            yield hole
            for writer in hole._writers:
                writer.close()

    async def _swallow(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        self._writers.append(writer)
        with contextlib.suppress(ConnectionError):
            while await reader.read(65_536):
                pass


@dataclass(frozen=True, slots=True)
class Timed:
    event: Event
    answer: Any
    seconds: float


@dataclass(frozen=True, slots=True)
class Unanswered:
    """Invocations to which AWS gave no answer."""

    api: list[Timed]
    sender: Timed
    short_of_time: Timed
    hole: BlackHole


@pytest.fixture(scope="module")
async def unanswered(environment: dict[str, str]) -> AsyncIterator[Unanswered]:
    async with BlackHole.start() as hole:
        no_table = {**environment, "AWS_ENDPOINT_URL_DYNAMODB": hole.url}
        no_queue = {**environment, "AWS_ENDPOINT_URL_SQS": hole.url}

        async def timed(handler: str, event: Event, env: dict[str, str], limit: float) -> Timed:
            async with running(handler, env, limit=limit) as function:
                began = time.monotonic()
                answer = await function.invoke(event)
                return Timed(event, answer, time.monotonic() - began)

        *api, sender, short_of_time = await asyncio.gather(
            timed(API, start_event(), no_table, 15),
            timed(API, start_event(**{"idempotency-key": "k"}), no_table, 15),
            timed(API, check_event(), no_table, 15),
            timed(SENDER, send_event(10), no_table | no_queue, 15),
            timed(SENDER, send_event(10), no_queue, 2),
        )
        yield Unanswered(api, sender, short_of_time, hole)


class TestWhenAwsDoesNotAnswer:
    def test_the_api_says_so_within_seven_seconds(self, unanswered: Unanswered) -> None:
        assert [each.answer["statusCode"] for each in unanswered.api] == [503] * 3
        assert [body_of(each.answer)["code"] for each in unanswered.api] == ["unavailable"] * 3
        assert max(each.seconds for each in unanswered.api) <= 7

    def test_the_sender_returns_its_batch_before_its_time_is_over(self, unanswered: Unanswered) -> None:
        """Were its time over first, there would be no answer: its environment is killed then."""
        sender = unanswered.sender

        assert sorted(map(str, sender.answer["batchItemFailures"])) == sorted(map(str, failures(sender.event)))

    def test_the_sender_does_not_wait_for_the_queue_longer_than_it_has_time(self, unanswered: Unanswered) -> None:
        """Two seconds are too short to begin a send, and too short for the SDK to give up."""
        assert unanswered.short_of_time.answer["batchItemFailures"] == failures(unanswered.short_of_time.event)

    def test_somebody_did_accept_the_connections(self, unanswered: Unanswered) -> None:
        assert unanswered.hole.connections >= 3 + 10 + 1


class Knot:
    """Garbage that only the collector finds."""

    def __init__(self) -> None:
        self.itself = self


def test_what_an_invocation_leaves_in_knots_is_gone_before_the_next() -> None:
    runtime, thresholds = Runtime(), gc.get_threshold()
    runtime.start(asyncio.sleep(0))
    try:
        knots: list[weakref.ref[Knot]] = []

        async def invocation() -> None:
            knots.extend(weakref.ref(Knot()) for _ in range(20_000))

        runtime.run(invocation())

        assert not any(knot() for knot in knots)
    finally:
        runtime.close()
        gc.set_threshold(*thresholds)
        gc.unfreeze()
