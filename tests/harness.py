"""The use cases on a real table, with a clock that stands still and a gateway that does as it is told."""

from __future__ import annotations

import asyncio
import itertools
import json
import re
import secrets
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from functions.domain.batch import Batch, Notes
from functions.domain.caller import Caller
from functions.domain.delivery import Message, Outcome, SendResult
from functions.domain.guard.attempt import Attempt
from functions.domain.guard.decision import Decision
from functions.domain.keys import Keyring, derive
from functions.domain.phone import PhoneNumber, parse_phone_number
from functions.domain.sensitive import Sensitive
from functions.domain.service import Limit, Service
from functions.handlers.providers import learning
from functions.hooks.altcha import Altcha
from functions.providers.catalog import TAKE_OUR_ID
from functions.queues.messages import decode_job
from functions.stores.answers import DynamoAnswerStore
from functions.stores.batches import DynamoBatchStore
from functions.stores.dynamodb import Table
from functions.stores.guard_solutions import DynamoSolutions
from functions.stores.verifications import DynamoVerificationStore
from functions.stores.verifications_together import VerificationsTogether
from functions.tokens.signer import TokenSigner
from functions.usecases.check import CheckVerification
from functions.usecases.confirm import ConfirmDelivery
from functions.usecases.count_progress import CountProgress
from functions.usecases.deliver import Deliver
from functions.usecases.follow_up import FollowUp
from functions.usecases.give_feedback import GiveFeedback
from functions.usecases.guard import Guard
from functions.usecases.guard_ports import Check
from functions.usecases.guards.challenge import SolvedOnce
from functions.usecases.guards.destination import Destination
from functions.usecases.hook_ports import Verifier
from functions.usecases.look_up import CancelVerification, LookUpVerification
from functions.usecases.make_challenge import MakeChallenge
from functions.usecases.once import Once
from functions.usecases.ports import BatchStore, HookUnavailable, Job, Keys, Provider, SendJob, StoreUnavailable
from functions.usecases.receive import RecordReceipt
from functions.usecases.reserve import Reserve
from functions.usecases.send import SendQueued
from functions.usecases.send_batch import SendBatch
from functions.usecases.show_batch import ShowBatch
from functions.usecases.start import StartVerification
from functions.usecases.start_batch import StartBatch
from functions.usecases.start_item import StartItem
from functions.usecases.submit import Submit
from functions.web.app import Api, create_app
from functions.web.authentication import BearerKeys, Callers, digest_key
from functions.web.boundary import Boundary

MORNING = 1_800_000_000
"""2027-01-15 08:00:00 UTC."""
API_KEY = "test-key"
PROVIDER = "yunpian"
"""The one that services without routes send by."""

_numbers = itertools.count(secrets.randbelow(90_000_000))
_APART = 61_803_399
"""Each number is so far from the one before it: codes to one block of numbers in a row are what the guard is for."""


def fresh_number() -> PhoneNumber:
    """A valid German mobile number that no other test of this run uses."""
    return parse_phone_number(f"+49151{next(_numbers) * _APART % 100_000_000:08d}")


@dataclass(slots=True)
class ManualClock:
    now: int = MORNING

    def __call__(self) -> int:
        return self.now

    def advance(self, seconds: int) -> None:
        self.now += seconds


@dataclass(slots=True)
class FixedKeys:
    ring: Keyring = field(
        default_factory=lambda: Keyring("k1", {"k1": derive("a test's pepper", "pepper")}, derive("a test's", "index"))
    )

    async def keyring(self) -> Keyring:
        return self.ring

    async def pepper(self, kid: str) -> bytes | None:
        return self.ring.peppers.get(kid)


def accept(message: Message) -> SendResult:
    return SendResult(provider=PROVIDER, outcome=Outcome.ACCEPTED, message_id=message.reference)


def answer(outcome: Outcome, **more: Any) -> Callable[[Message], SendResult]:
    return lambda _: SendResult(provider=PROVIDER, outcome=outcome, reason="scripted", **more)


class Prepared:
    """A provider with nothing wrong about its credentials."""

    __slots__ = ()

    async def prepare(self) -> None:
        pass


@dataclass(slots=True)
class RecordingProvider:
    """Remembers every message. `script` answers the next ones in order, then `otherwise` does."""

    name: str = PROVIDER
    timeout: float = 1.0
    problem: Exception | None = None
    """With its credentials."""
    latency: float = 0.0
    otherwise: Callable[[Message], SendResult] = accept
    script: list[Callable[[Message], SendResult]] = field(default_factory=list)
    messages: list[Message] = field(default_factory=list)
    at_once: int = 0
    most_at_once: int = 0

    async def prepare(self) -> None:
        if self.problem is not None:
            raise self.problem

    async def send(self, message: Message) -> SendResult:
        self.messages.append(message)
        self.at_once += 1
        self.most_at_once = max(self.most_at_once, self.at_once)
        await asyncio.sleep(self.latency)
        self.at_once -= 1
        step = self.script.pop(0) if self.script else self.otherwise
        return step(message)

    def sent_to(self, number: PhoneNumber) -> list[Message]:
        return [message for message in self.messages if message.to == number]

    def code_for(self, number: PhoneNumber) -> str:
        """The code of the latest message to the number."""
        text = self.sent_to(number)[-1].text.reveal()
        found = re.search(r"[0-9]{6,10}", text)
        assert found is not None, "a message without a code"
        return found.group()


@dataclass(slots=True)
class RecordingQueue:
    jobs: list[SendJob] = field(default_factory=list)
    later: list[tuple[Job, int]] = field(default_factory=list)
    """Of the other kinds, with their delays."""
    error: Exception | None = None

    async def put(self, job: Job, *, delay: int = 0) -> None:
        if self.error is not None:
            raise self.error
        if isinstance(job, SendJob):
            self.jobs.append(job)
        else:
            self.later.append((job, delay))


@dataclass(slots=True)
class RecordingBulkQueue:
    jobs: list[SendJob] = field(default_factory=list)
    refused: Callable[[SendJob], bool] = lambda _: False
    """Which jobs it does not take."""

    async def put_all(self, jobs: Sequence[Job]) -> list[int]:
        sends = [job for job in jobs if isinstance(job, SendJob)]
        self.jobs += [job for job in sends if not self.refused(job)]
        return [place for place, job in enumerate(sends) if self.refused(job)]


@dataclass(slots=True)
class RecordingBatches:
    """Notes of any batch; none is ever begun."""

    notes: list[tuple[str, Notes]] = field(default_factory=list)
    away: int = 0
    """How many of the next notes it does not take."""

    async def begin(self, batch: Batch) -> Batch | None:
        raise NotImplementedError

    async def get(self, name: str) -> Batch | None:
        raise NotImplementedError

    async def finish(self, name: str, notes: Notes, *, now: int) -> None:
        raise NotImplementedError

    async def note(self, name: str, notes: Notes, *, now: int) -> None:
        if self.away > 0:
            self.away -= 1
            raise StoreUnavailable("the table is away")
        self.notes.append((name, notes))


@dataclass(slots=True)
class OpenCircuits:
    """Lets everything through but to the providers in `open`, and remembers what it was told."""

    open: set[str] = field(default_factory=set)
    asked: list[str] = field(default_factory=list)
    told: list[tuple[str, bool]] = field(default_factory=list)

    async def admits(self, provider: str) -> bool:
        self.asked.append(provider)
        return provider not in self.open

    async def note(self, provider: str, *, failed: bool) -> None:
        self.told.append((provider, failed))


@dataclass(slots=True)
class GivenRates:
    """Seconds to wait by provider; a message that may not wait so long gets no place."""

    waits: dict[str, float] = field(default_factory=dict)
    asked: list[tuple[str, float]] = field(default_factory=list)

    async def wait(self, provider: str, *, most: float) -> float | None:
        self.asked.append((provider, most))
        seconds = self.waits.get(provider, 0.0)
        return seconds if seconds <= most else None

    def free_in(self, provider: str) -> float:
        return self.waits.get(provider, 0.0)


@dataclass(slots=True)
class GivenTimes:
    known: dict[str, int] = field(default_factory=dict)
    learned: list[tuple[str, int]] = field(default_factory=list)

    async def learn(self, region: str, seconds: int) -> None:
        self.learned.append((region, seconds))

    async def usual(self, region: str) -> int | None:
        return self.known.get(region)


@dataclass(slots=True)
class RecordingDeadLetters:
    bodies: list[tuple[str, str]] = field(default_factory=list)
    error: Exception | None = None

    async def put(self, body: str, *, reason: str) -> None:
        if self.error is not None:
            raise self.error
        self.bodies.append((body, reason))


@dataclass(slots=True)
class RecordingJournal:
    lines: list[dict[str, Any]] = field(default_factory=list)

    def __call__(self, event: str, /, **facts: str | float | None) -> None:
        self.lines.append({"event": event, **facts})

    def of(self, event: str) -> list[dict[str, Any]]:
        return [line for line in self.lines if line["event"] == event]


@dataclass(slots=True)
class RecordingDecisions:
    kept: list[Decision] = field(default_factory=list)

    async def keep(self, decision: Decision, attempt: Attempt) -> None:
        self.kept.append(decision)


class Unsolved:
    async def solved(self, attempt: Attempt) -> bool:
        return False


class Unreachable:
    """A verifier of challenges, for services that have another than our own."""

    async def solved(self, solution: Sensitive, attempt: Attempt) -> str | None:
        raise HookUnavailable("the challenge's verifier: refused")


def easy_altcha(keys: Keys) -> Altcha:
    """Work for a machine that has none to spare."""
    return Altcha(keys, secrets.token_bytes, iterations=10, fewest_tries=4)


@dataclass(slots=True)
class OneCaller:
    async def caller_of(self, key_digest: str) -> Caller | None:
        return Caller(name="tester") if key_digest == digest_key(API_KEY) else None


class Harness:
    """One deployment: everything that the handlers wire up, on `table`, with the world's parts at hand."""

    def __init__(self, table: Table, **services: Service) -> None:
        self.clock = ManualClock()
        self.keys = FixedKeys()
        self.provider = RecordingProvider()
        self.others: dict[str, Provider] = {}
        """Further providers, for services with routes to them."""
        self.circuits = OpenCircuits()
        self.rates = GivenRates()
        self.times = GivenTimes()
        self.heard_of = {PROVIDER, "a", "b"}
        self.checks: list[Check] = [Destination()]
        """Of the guard. Those that count are left to their own tests."""
        self.decisions = RecordingDecisions()
        self.verifier: Verifier = Unreachable()
        """Of challenges that are not our own."""
        self.seconds_left = 20.0
        self.queue = RecordingQueue()
        self.bulk_queue = RecordingBulkQueue()
        self.dead_letters = RecordingDeadLetters()
        self.journal = RecordingJournal()
        self.callers: Callers = OneCaller()
        self.named: list[str] = []
        self.services: dict[str, Service] = {"default": Service(), **services}
        self.table = table
        self.store = DynamoVerificationStore(table, secrets.token_bytes)
        self.answers = DynamoAnswerStore(table, secrets.token_bytes)
        self.batches: BatchStore = DynamoBatchStore(table, secrets.token_bytes)

    @property
    def reserve(self) -> Reserve:
        return Reserve(store=self.store, keys=self.keys, entropy=secrets.token_bytes, clock=self.clock)

    @property
    def submit(self) -> Submit:
        return Submit(
            providers={self.provider.name: self.provider, **self.others},
            circuits=self.circuits,
            rates=self.rates,
            remaining=lambda: self.seconds_left,
        )

    @property
    def follow_up(self) -> FollowUp:
        return FollowUp(
            heard_of=self.heard_of, queue=self.queue, times=self.times, clock=self.clock, journal=self.journal
        )

    @property
    def deliver(self) -> Deliver:
        return Deliver(
            store=self.store,
            submit=self.submit,
            follow_up=self.follow_up,
            clock=self.clock,
            journal=self.journal,
        )

    @property
    def confirm(self) -> ConfirmDelivery:
        return ConfirmDelivery(
            services=self.services,
            store=self.store,
            keys=self.keys,
            deliver=self.deliver,
            clock=self.clock,
            journal=self.journal,
        )

    @property
    def guard(self) -> Guard:
        return Guard(checks=self.checks, challenges=self.challenges, decisions=self.decisions, journal=self.journal)

    @property
    def challenges(self) -> SolvedOnce:
        return SolvedOnce(altcha=self.altcha, external=self.verifier, solutions=DynamoSolutions(self.table))

    @property
    def altcha(self) -> Altcha:
        return easy_altcha(self.keys)

    @property
    def start(self) -> StartVerification:
        return StartVerification(
            services=self.services,
            keys=self.keys,
            guard=self.guard,
            reserve=self.reserve,
            deliver=self.deliver,
            queue=self.queue,
            once=Once(answers=self.answers, clock=self.clock),
            entropy=secrets.token_bytes,
            clock=self.clock,
        )

    @property
    def start_batch(self) -> StartBatch:
        return StartBatch(
            services=self.services,
            keys=self.keys,
            start_item=StartItem(
                services=self.services,
                keys=self.keys,
                guard=self.guard,
                reserve=replace(self.reserve, store=VerificationsTogether(self.store)),
                deliver=self.deliver,
                clock=self.clock,
            ),
            queue=self.bulk_queue,
            batches=self.batches,
            entropy=secrets.token_bytes,
            clock=self.clock,
            journal=self.journal,
        )

    @property
    def check(self) -> CheckVerification:
        return CheckVerification(
            services=self.services,
            store=self.store,
            keys=self.keys,
            guard=self.guard,
            tokens=TokenSigner(self.keys),
            queue=self.queue,
            entropy=secrets.token_bytes,
            clock=self.clock,
            journal=self.journal,
            take_our_id=TAKE_OUR_ID,
        )

    @property
    def look_up(self) -> LookUpVerification:
        return LookUpVerification(services=self.services, store=self.store, clock=self.clock)

    @property
    def cancel(self) -> CancelVerification:
        return CancelVerification(services=self.services, store=self.store, clock=self.clock, journal=self.journal)

    @property
    def receive(self) -> RecordReceipt:
        return RecordReceipt(
            services=self.services, store=self.store, times=self.times, clock=self.clock, journal=self.journal
        )

    @property
    def send(self) -> SendQueued:
        return SendQueued(
            services=self.services,
            store=self.store,
            keys=self.keys,
            guard=self.guard,
            reserve=replace(self.reserve, store=VerificationsTogether(self.store)),
            deliver=self.deliver,
            clock=self.clock,
            journal=self.journal,
        )

    def deliver_by(self, provider: Provider) -> Deliver:
        """With this provider instead."""
        return replace(self.deliver, submit=replace(self.submit, providers={PROVIDER: provider}))

    def send_batch(self, *, in_flight: int = 1000) -> SendBatch:
        return SendBatch(
            decode=decode_job,
            send=self.send,
            confirm=self.confirm,
            give_feedback=GiveFeedback(providers=learning(self.submit.providers), journal=self.journal),
            longest=self.submit.longest,
            dead_letters=self.dead_letters,
            count_progress=CountProgress(batches=self.batches, clock=self.clock, journal=self.journal),
            journal=self.journal,
            in_flight=in_flight,
        )

    @property
    def make_challenge(self) -> MakeChallenge:
        return MakeChallenge(services=self.services, maker=self.altcha, clock=self.clock)

    @property
    def app(self) -> Boundary:
        api = Api(
            start=self.start,
            start_batch=self.start_batch,
            show_batch=ShowBatch(batches=self.batches),
            check=self.check,
            look_up=self.look_up,
            cancel=self.cancel,
            make_challenge=self.make_challenge,
            public_keys=TokenSigner(self.keys).public_keys,
            authenticate=BearerKeys(self.callers),
            name_caller=self.named.append,
        )
        return create_app(api, self.journal)

    def change_service(self, **changes: Any) -> None:
        self.services["default"] = replace(self.services["default"], **changes)


UNLIMITED: dict[str, Any] = {"cooldown": 0, "limits": (Limit(20, 1),)}
"""For tests that are not about the sending limits."""

_PROBLEM = {"type", "title", "status", "code", "detail"}


@dataclass(frozen=True, slots=True)
class Response:
    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)


async def call(
    app: Boundary,
    method: str,
    path: str,
    body: Any = None,
    *,
    headers: Mapping[str, str] | None = None,
    key: str | None = API_KEY,
    query: bytes = b"",
) -> Response:
    """One request to an ASGI app. `body` is JSON, or bytes as they are."""
    raw = body if isinstance(body, bytes) else b"" if body is None else json.dumps(body).encode()
    sent = {**({"authorization": f"Bearer {key}"} if key is not None else {}), **(headers or {})}
    scope = {
        "type": "http",
        "method": method,
        "path": path,
        "raw_path": path.encode(),
        "query_string": query,
        "root_path": "",
        "scheme": "https",
        "server": ("test", 443),
        "http_version": "1.1",
        "headers": [(name.lower().encode(), value.encode("latin-1")) for name, value in sent.items()],
    }
    answered: list[Any] = []

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": raw, "more_body": False}

    async def send(message: Any) -> None:
        answered.append(message)

    await app(scope, receive, send)
    head = {name.decode(): value.decode() for name, value in answered[0]["headers"]}
    return Response(answered[0]["status"], head, b"".join(part.get("body", b"") for part in answered[1:]))


def assert_problem(response: Response, status: int, code: str) -> None:
    """Whether the answer is this error, in the shape that all errors have."""
    assert (response.status, response.json["code"]) == (status, code)
    assert response.headers["content-type"] == "application/problem+json"
    assert response.headers["cache-control"] == "no-store"
    assert _PROBLEM <= response.json.keys() <= _PROBLEM | {"retry_after"}
    assert response.json["status"] == status
    assert response.json["type"] == f"urn:salvo:problem:{code}"


def another(code: str) -> str:
    """A code as long, and wrong."""
    return f"{(int(code) + 1) % 10 ** len(code):0{len(code)}d}"


def reveal(text: str) -> Sensitive:
    """A test's own code."""
    return Sensitive(text)
