"""What a thief of the table learns (SEC-6), and what leaves the system beside the SMS (SEC-10): no code and no number.

The table is dumped after 1,000 verifications with ten-digit codes (which no time stamp or digest spells by chance) and
some of six digits, in all the states that they can be in. The thief's attack on the codes:

* all 10⁶ six-digit codes through SHA-1, SHA-224 and SHA-256 without salt, against every attribute of every item;
* the same behind the id or the number as a salt: six schemes, each on a record of its own, since all records are
  written by the same code;
* for every record the right code only (which is what all candidates together would find), with eight salts before it
  and behind it, and four separators between.

An attribute is hit where it holds the first eight bytes of a hash at any place: raw, in hex, base64 or base32.

For what leaves the system, the real adapters talk to a simulated gateway and to SQS, and whoever can goes wrong: each
outcome of a send, a gateway that is away, an error with the message in its text, malformed requests, guessed keys and
tokens, receipts, copies and poison in the queue. Codes have ten digits there too.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import hashlib
import io
import itertools
import json
import logging
import re
import secrets
from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any
from urllib.parse import quote, urlencode

import aiohttp
import pytest

from functions import telemetry
from functions.domain.code import digest_code
from functions.domain.delivery import Message, Outcome, SendResult
from functions.domain.identity import parse_id
from functions.domain.keys import Keyring, derive
from functions.domain.phone import PhoneNumber
from functions.domain.sensitive import Sensitive
from functions.domain.service import Service
from functions.providers import yunpian
from functions.queues.messages import encode_job
from functions.queues.sqs import SqsDeadLetters, SqsSendQueue
from functions.stores.dynamodb import Table
from functions.telemetry import configure, journal
from functions.usecases.ports import Job, Provider, SendJob
from functions.usecases.send_batch import QueuedMessage
from functions.web.receipts import Receipts, ReceiptSource, create_receipts_app
from infra.local.embedded_aws import EmbeddedAws, Resources, aws_client, create_resources
from infra.local.gateway import GatewayProcess
from tests.adapters import an_account
from tests.harness import (
    API_KEY,
    UNLIMITED,
    Harness,
    RecordingDeadLetters,
    RecordingJournal,
    RecordingProvider,
    RecordingQueue,
    Response,
    accept,
    another,
    answer,
    call,
    fresh_number,
)

PATH = "/v1/verifications"
ASYNC = {"prefer": "respond-async"}

Item = dict[str, Any]
Salt = Callable[["Issued"], str]


@pytest.fixture(scope="module")
async def own_resources(aws: EmbeddedAws) -> Resources:
    """A table with nothing in it but the thief's thousand, and queues that nobody else reads."""
    return await create_resources(aws.endpoint, visibility_timeout=30, prefix="secrecy")


# --- The stolen table ---


@dataclass(frozen=True, slots=True)
class Issued:
    id: str
    number: PhoneNumber
    code: str


@dataclass(frozen=True, slots=True)
class Stolen:
    items: list[Item]
    targets: set[bytes] = field(repr=False)
    long: list[Issued]
    short: list[Issued]
    keys: Keyring

    def item_of(self, issued: Issued) -> Item:
        return next(item for item in self.items if item.get("id") == {"S": issued.id})

    def recomputed(self, keys: Keyring) -> int:
        """How many of the digests somebody with these keys, and the codes, can make."""
        digests = {item["id"]["S"]: item["digest"]["S"] for item in self.items if "id" in item}
        return sum(
            digests[one.id] == digest_code(keys.peppers[parse_id(one.id).kid], one.id, Sensitive(one.code))
            for one in self.long
        )


@pytest.fixture(scope="module")
async def stolen(dynamodb: Any, own_resources: Resources) -> Stolen:
    harness = Harness(
        Table(dynamodb, own_resources.table),
        long=Service(name="long", code_length=10, **UNLIMITED),
        short=Service(name="short", code_length=6, **UNLIMITED),
    )
    harness.provider.otherwise = unknown_for_eights
    slots = asyncio.Semaphore(16)

    async def issue_in_turn(service: str) -> Issued:
        async with slots:
            return await issue(harness, service)

    long = await asyncio.gather(*(issue_in_turn("long") for _ in range(1000)))
    short = await asyncio.gather(*(issue_in_turn("short") for _ in range(12)))
    items = await scan(dynamodb, own_resources.table)
    return Stolen(items, targets_in(items), long, short, harness.keys.ring)


def unknown_for_eights(message: Message) -> SendResult:
    return answer(Outcome.UNKNOWN)(message) if message.to.e164.endswith("8") else accept(message)


async def issue(harness: Harness, service: str) -> Issued:
    """One verification, in a state that the number's last digit decides."""
    number = fresh_number()
    way = int(number.e164[-1])
    body: dict[str, Any] = {"to": number.e164, "service": service, "metadata": {"order": "17"}}
    if way == 2:
        length = harness.services[service].code_length
        body["code"] = f"{secrets.randbelow(10**length):0{length}d}"
    headers = {3: {"idempotency-key": f"login of {number.e164}"}, 4: ASYNC}.get(way, {})
    started = await call(harness.app, "POST", PATH, body, headers=headers)
    if way == 4:
        job = next(job for job in harness.queue.jobs if job.to == number.e164)
        await harness.send(job, message_id="m1", queued_at=harness.clock.now)
    issued = Issued(started.json["id"], number, harness.provider.code_for(number))
    await go_on(harness, way, issued, body)
    return issued


async def go_on(harness: Harness, way: int, issued: Issued, body: dict[str, Any]) -> None:
    verification = f"{PATH}/{issued.id}"
    match way:
        case 0:
            await call(harness.app, "POST", f"{verification}/check", {"code": another(issued.code)})
        case 1:
            await call(harness.app, "POST", f"{verification}/check", {"code": issued.code})
        case 5:
            await call(harness.app, "POST", PATH, body)
        case 6:
            await call(harness.app, "DELETE", verification)


async def scan(dynamodb: Any, table: str) -> list[Item]:
    found: list[Item] = []
    async for page in dynamodb.get_paginator("scan").paginate(TableName=table, ConsistentRead=True):
        found += page["Items"]
    return found


def texts_in(value: Any) -> Iterator[str]:
    """Every name and value of an item, at any depth; bytes as characters."""
    if isinstance(value, Mapping):
        for name, below in value.items():
            yield name
            yield from texts_in(below)
    elif isinstance(value, list):
        for below in value:
            yield from texts_in(below)
    elif isinstance(value, bytes):
        yield value.decode("latin-1")
    else:
        yield str(value)


def spellings(number: PhoneNumber) -> list[str]:
    digits, national = number.e164[1:], number.national
    return [number.e164, digits, national, f"0{national}", f"00{digits}"]


def disguises(text: str) -> list[str]:
    """The text plain, in hex, and in base64 as far as what may follow does not change it."""
    whole = text[: len(text) // 3 * 3].encode()
    return [text, text.encode().hex(), base64.b64encode(whole).decode()]


def found_in(items: Iterable[Item], texts: Iterable[str]) -> set[str]:
    everything = "\n".join({text for item in items for text in texts_in(item)})
    return {text for text in texts if any(disguise in everything for disguise in disguises(text))}


def test_the_stolen_table_has_every_verification_in_every_state(stolen: Stolen) -> None:
    records = [item for item in stolen.items if "id" in item]

    assert len(records) == 1012
    assert {item["delivery"]["M"]["status"]["S"] for item in records} == {"submitted", "unknown"}
    assert {item["canceled"]["BOOL"] for item in records} == {True, False}
    assert {item["own_code"]["BOOL"] for item in records} == {True, False}
    assert {item["sends"]["N"] for item in records} == {"1", "2"}
    assert {"last_mac" in item for item in records} == {True, False}
    assert sum("answer" in item for item in stolen.items) >= 100


def test_no_attribute_holds_a_code(stolen: Stolen) -> None:
    codes = [one.code for one in stolen.long]

    assert found_in(stolen.items, codes) == set()
    assert found_in([*stolen.items, {"x": {"S": f"your code: {codes[7]}."}}], codes) == {codes[7]}


def test_no_attribute_holds_a_number_in_any_spelling(stolen: Stolen) -> None:
    numbers = [text for one in (*stolen.long, *stolen.short) for text in spellings(one.number)]

    assert found_in(stolen.items, numbers) == set()
    for spelling in spellings(stolen.long[7].number):
        for disguise in disguises(spelling):
            assert spelling in found_in([{"x": {"M": {"y": {"B": disguise.encode()}}}}], numbers)


def test_with_the_pepper_every_digest_can_be_recomputed(stolen: Stolen) -> None:
    """What makes the attacks below worth something: the digests are there, and of these codes."""
    assert stolen.recomputed(stolen.keys) == 1000


def test_with_another_pepper_no_digest_can_be_recomputed(stolen: Stolen) -> None:
    assert stolen.recomputed(Keyring("k1", {"k1": derive("another", "pepper")}, stolen.keys.index)) == 0


# --- The attack ---

ALGORITHMS: Mapping[str, Callable[[bytes], Any]] = {
    "SHA-1": hashlib.sha1,
    "SHA-224": hashlib.sha224,
    "SHA-256": hashlib.sha256,
}
SIX_DIGITS = [f"{code:06d}".encode() for code in range(10**6)]
BYTES = 8
"""Of a hash: enough to tell it from a million others, and short enough to find one that was cut."""
_ENCODINGS: list[tuple[re.Pattern[str], int, Callable[[str], bytes]]] = [
    (re.compile(r"[0-9a-fA-F]{16,}"), 16, bytes.fromhex),
    (re.compile(r"[A-Za-z0-9+/]{11,}"), 11, lambda text: base64.b64decode(text + "=")),
    (re.compile(r"[A-Za-z0-9_-]{11,}"), 11, lambda text: base64.urlsafe_b64decode(text + "=")),
    (re.compile(r"[A-Z2-7]{13,}"), 13, lambda text: base64.b32decode(text + "===")),
    (re.compile(r"[a-z2-7]{13,}"), 13, lambda text: base64.b32decode(text.upper() + "===")),
]


def targets_in(items: Iterable[Item]) -> set[bytes]:
    """Every eight bytes that an attribute spells, at any place and in any encoding."""
    texts = {text for item in items for text in texts_in(item)}
    found: set[bytes] = set()
    for text in texts:
        found.update(_windows(text.encode("latin-1", "replace"), BYTES))
        for pattern, length, decode in _ENCODINGS:
            for run in pattern.findall(text):
                found.update(decode(window) for window in _windows(run, length))
    return found


def _windows(text: Any, length: int) -> Iterator[Any]:
    return (text[start : start + length] for start in range(len(text) - length + 1))


def hits(targets: set[bytes], algorithm: Callable[[bytes], Any], candidates: Iterable[bytes]) -> list[bytes]:
    return [candidate for candidate in candidates if algorithm(candidate).digest()[:BYTES] in targets]


def planted(code: bytes) -> Iterator[tuple[str, bytes | str]]:
    """The hashes of a code as careless services keep them."""
    for algorithm in ALGORITHMS.values():
        digest = algorithm(code).digest()
        yield from (("B", digest), ("S", digest.hex()), ("S", digest.hex().upper()), ("S", digest.hex()[:16]))
        yield from (("S", encode(digest).decode()) for encode in (base64.b64encode, base64.urlsafe_b64encode))
        yield from (("S", f"$sha${base64.b32encode(digest).decode()}"), ("S", f"v1:{digest.hex()}"))


def test_the_attack_finds_every_hash_that_is_there() -> None:
    code = b"271828"
    for kind, value in planted(code):
        targets = targets_in([{"digest": {"M": {"of": {kind: value}}}}])

        assert any(hits(targets, algorithm, [b"314159", code]) == [code] for algorithm in ALGORITHMS.values()), value


@pytest.mark.parametrize("algorithm", ALGORITHMS.values(), ids=ALGORITHMS.keys())
def test_no_attribute_holds_a_hash_of_a_code(stolen: Stolen, algorithm: Callable[[bytes], Any]) -> None:
    assert hits(stolen.targets, algorithm, SIX_DIGITS) == []


@pytest.mark.parametrize("algorithm", ALGORITHMS.values(), ids=ALGORITHMS.keys())
@pytest.mark.parametrize("salt", [lambda one: one.id, lambda one: one.number.e164], ids=["id", "number"])
def test_no_attribute_holds_a_salted_hash_of_a_code(
    stolen: Stolen, algorithm: Callable[[bytes], Any], salt: Salt
) -> None:
    victim = secrets.choice(stolen.short)
    text = salt(victim).encode()

    assert hits(targets_in([stolen.item_of(victim)]), algorithm, (text + code for code in SIX_DIGITS)) == []


def seasoned(one: Issued, text: str) -> Iterator[bytes]:
    """The text with every salt, before it and behind it."""
    found = parse_id(one.id)
    salts = (one.id, found.key, found.nonce, f"v#{found.key}", "long", found.kid, one.number.e164, one.number.national)
    yield text.encode()
    for salt, separator in itertools.product(salts, ("", ":", "|", ".")):
        yield f"{salt}{separator}{text}".encode()
        yield f"{text}{separator}{salt}".encode()


@pytest.mark.parametrize("algorithm", ALGORITHMS.values(), ids=ALGORITHMS.keys())
def test_no_attribute_holds_a_hash_of_any_code_or_number_with_any_salt(
    stolen: Stolen, algorithm: Callable[[bytes], Any]
) -> None:
    candidates = (
        candidate
        for one in (*stolen.long, *stolen.short)
        for text in (one.code, *spellings(one.number))
        for candidate in seasoned(one, text)
    )

    assert hits(stolen.targets, algorithm, candidates) == []


# --- What leaves the system ---

GUESSED_KEY = "a-key-that-somebody-guessed"
GUESSED_TOKEN = "a-token-that-somebody-guessed"


@dataclass(slots=True)
class OverYunpian(RecordingProvider):
    """The real adapter, unless the script says something else."""

    yunpian: Provider | None = None

    async def send(self, message: Message) -> SendResult:
        self.messages.append(message)
        if self.script:
            return self.script.pop(0)(message)
        assert self.yunpian is not None
        return await self.yunpian.send(message)


@dataclass(slots=True)
class OverSqs(RecordingQueue):
    sqs: SqsSendQueue | None = None

    async def put(self, job: Job, *, delay: int = 0) -> None:
        await RecordingQueue.put(self, job, delay=delay)  # a class with slots loses its super()
        assert self.sqs is not None
        await self.sqs.put(job)


@dataclass(slots=True)
class DeadLettersOverSqs(RecordingDeadLetters):
    sqs: SqsDeadLetters | None = None

    async def put(self, body: str, *, reason: str) -> None:
        self.bodies.append((body, reason))
        assert self.sqs is not None
        await self.sqs.put(body, reason=reason)


@dataclass(slots=True)
class LoggingJournal(RecordingJournal):
    def __call__(self, event: str, /, **facts: str | float | None) -> None:
        RecordingJournal.__call__(self, event, **facts)
        journal(event, **facts)


@contextlib.contextmanager
def logging_as_in_production(level: str) -> Iterator[io.StringIO]:
    """The functions' own configuration, into a text; afterwards everything is as it was."""
    known = [logging.getLogger(), *(logging.getLogger(name) for name in logging.root.manager.loggerDict)]
    before = [(logger, logger.level, logger.handlers[:]) for logger in known]
    written = io.StringIO()
    with contextlib.redirect_stderr(written):
        configure(level, "tests")
    try:
        yield written
    finally:
        for logger, its_level, handlers in before:
            logger.setLevel(its_level)
            logger.handlers[:] = handlers


@dataclass(slots=True)
class Traffic:
    """Everything that callers, providers and workers do, well and badly, and all that comes out of it."""

    harness: Harness
    resources: Resources
    sqs: Any
    unreachable: Provider
    answers: list[str] = field(default_factory=list)
    queued: list[str] = field(default_factory=list)
    dead: list[str] = field(default_factory=list)
    logged: str = ""
    measured: str = ""
    numbers: list[PhoneNumber] = field(default_factory=list)

    def fresh(self) -> PhoneNumber:
        self.numbers.append(fresh_number())
        return self.numbers[-1]

    async def start(self, number: PhoneNumber, key: str | None = API_KEY, **more: Any) -> Response:
        headers = {"idempotency-key": f"login of {number.e164}", **more.pop("headers", {})}
        body = {"to": number.e164, **more}
        response = await call(self.harness.app, "POST", PATH, body, headers=headers, key=key)
        shown = dict(response.json)
        if response.status in {201, 202}:
            assert shown.pop("to") == number.e164
        self.answers.append(f"{json.dumps(shown)} {dict(response.headers)}")
        return response

    async def call(self, method: str, path: str, body: Any = None, **more: Any) -> None:
        response = await call(self.harness.app, method, path, body, **more)
        self.answers.append(f"{response.body.decode()} {dict(response.headers)}")

    async def push(self, token: str, body: bytes) -> None:
        source = ReceiptSource(yunpian.RECEIPTS, self._secret)
        receipts = Receipts(
            sources={"yunpian": source},
            record=self.harness.receive,
            receipts_url="https://salvo.invalid",
            clock=self.harness.clock,
        )
        app = create_receipts_app(receipts, self.harness.journal)
        response = await call(app, "POST", f"/v1/receipts/yunpian/{token}", body, key=None)
        self.answers.append(f"{response.body.decode()} {dict(response.headers)}")

    async def _secret(self) -> Mapping[str, Any]:
        return self.resources.secrets["yunpian"]

    async def of_a_verification(self) -> None:
        number = self.fresh()
        started = await self.start(number)
        code, verification = self.harness.provider.code_for(number), f"{PATH}/{started.json['id']}"
        await self.start(number)
        await self.start(number, headers={"idempotency-key": "another"})
        await self.start(number, locale="fr")
        for guess in (another(code), code, code, f"{code} ", int(code), [code]):
            await self.call("POST", f"{verification}/check", {"code": guess})
        await self.call("GET", verification)
        await self.call("DELETE", verification)
        await self.of_receipts(number, code, self.harness.provider.sent_to(number)[0].reference)

    async def of_receipts(self, number: PhoneNumber, code: str, reference: str) -> None:
        report = {"uid": reference, "report_status": "FAIL", "mobile": number.e164, "error_msg": f"{code}!"[-3:]}
        body = urlencode({"sms_status": quote(json.dumps([report]))}).encode()
        for token in (GUESSED_TOKEN, self.resources.account_token("yunpian")):
            await self.push(token, body)
        await self.push(self.resources.account_token("yunpian"), f"sms_status={number.e164}{code}".encode())

    async def of_refusals(self) -> None:
        number, own = self.fresh(), f"{secrets.randbelow(10**10):010d}"
        await self.start(number, code=own)
        await self.start(self.fresh(), key=GUESSED_KEY)
        await self.start(number, code=f"{own}x")
        await self.start(number, service=number.e164)
        await self.start(number, locale=own, headers={"idempotency-key": f"ä {number.e164}"})
        await self.start(number, code=own, headers=ASYNC)
        await self.call("POST", PATH, {"to": f"{number.e164} "})
        await self.call("POST", PATH, f'{{"to":"{number.e164}","to":"{own}"'.encode())
        await self.call("POST", f"{PATH}/{number.e164}/check", {"code": own})
        await self.call("GET", f"{PATH}/{own}")

    async def of_faults(self) -> None:
        provider = self.harness.provider
        assert isinstance(provider, OverYunpian)
        for outcome in Outcome:
            provider.script = [answer(outcome)]
            await self.start(self.fresh())
        provider.script = [explode]
        await self.start(self.fresh())
        reachable, provider.yunpian = provider.yunpian, self.unreachable
        await self.start(self.fresh())
        provider.yunpian = reachable

    async def of_the_queue(self) -> None:
        number = self.fresh()
        await self.start(number, headers=ASYNC)
        self.queued = await self._drain(self.resources.queue_url)
        poison = encode_job(SendJob(to=self.fresh().e164, service="nobody"))
        rubbish = json.dumps({"to": self.fresh().e164, "text": "hello"})
        provider = self.harness.provider
        provider.script = [explode]
        bodies = [encode_job(SendJob(to=self.fresh().e164, service="default")), *self.queued, poison, rubbish]
        await self.harness.send_batch(in_flight=1)(list(map(self._message, bodies)), lambda: 60.0)
        assert self.harness.provider.sent_to(number)
        self.dead = await self._drain(self.resources.dead_letter_queue_url)

    def _message(self, body: str) -> QueuedMessage:
        return QueuedMessage(id=secrets.token_hex(8), body=body, handle="h", queued_at=self.harness.clock.now)

    async def _drain(self, url: str) -> list[str]:
        answer = await self.sqs.receive_message(
            QueueUrl=url, MaxNumberOfMessages=10, MessageAttributeNames=["All"], AttributeNames=["All"]
        )
        return [message["Body"] for message in answer["Messages"]]


def explode(message: Message) -> SendResult:
    raise RuntimeError(f"{message.to.e164}: {message.text.reveal()}")


@pytest.fixture(scope="module")
async def traffic(
    aws: EmbeddedAws, dynamodb: Any, resources: Resources, own_resources: Resources
) -> AsyncIterator[Traffic]:
    harness = Harness(Table(dynamodb, resources.table))
    harness.change_service(code_length=10)
    async with (
        GatewayProcess.start(own_resources.accounts) as gateway,
        aiohttp.ClientSession() as session,
        aws_client("sqs", aws.endpoint) as sqs,
    ):
        secret = own_resources.secrets["yunpian"]
        account = an_account(secret, session, url=f"{gateway.url}/yunpian", receipts_url="https://salvo.invalid")
        harness.provider = OverYunpian(yunpian=await yunpian.open_provider(account))
        harness.queue = OverSqs(sqs=SqsSendQueue(sqs, own_resources.queue_url))
        harness.dead_letters = DeadLettersOverSqs(sqs=SqsDeadLetters(sqs, own_resources.dead_letter_queue_url))
        harness.journal = LoggingJournal()
        unreachable = await yunpian.open_provider(replace(account, url="http://127.0.0.1:1"))
        made = Traffic(harness, own_resources, sqs, unreachable)
        with contextlib.redirect_stdout(io.StringIO()):
            telemetry._meter.flush()  # what other tests of this process counted
        with logging_as_in_production("DEBUG") as log:
            await made.of_a_verification()
            await made.of_refusals()
            await made.of_faults()
            await made.of_the_queue()
            made.logged = log.getvalue()
        with contextlib.redirect_stdout(io.StringIO()) as metrics:
            telemetry._meter.flush()
        made.measured = metrics.getvalue()
        yield made


def codes_of(traffic: Traffic) -> set[str]:
    return {
        code
        for message in traffic.harness.provider.messages
        for code in re.findall(r"[0-9]{10}", message.text.reveal())
    }


def keys_of(traffic: Traffic) -> set[str]:
    ring = traffic.harness.keys.ring
    raw = (*ring.peppers.values(), ring.index)
    yunpian = traffic.resources.secrets["yunpian"]
    token = traffic.resources.account_token("yunpian")
    shown = {API_KEY, yunpian["apikey"], yunpian["receipt_token"], token}
    return shown | {key.hex() for key in raw} | {base64.b64encode(key).decode() for key in raw}


def numbers_of(traffic: Traffic) -> set[str]:
    return {number.national for number in traffic.numbers}


def leaked(secret: Iterable[str], where: Iterable[str]) -> set[str]:
    everything = "\n".join(where)
    return {text for text in secret if text in everything}


def test_the_traffic_was_of_every_kind(traffic: Traffic) -> None:
    """What makes the tests below worth something."""
    events = {line["event"] for line in traffic.harness.journal.lines}
    refusals = {line["code"] for line in traffic.harness.journal.of("refused")}
    outcomes = {line["outcome"] for line in traffic.harness.journal.of("send")}

    assert events == {"send", "check", "refused", "receipt", "left", "failed", "buried", "decision"}
    assert refusals >= {"internal", "unauthorized", "rate_limited", "idempotency_mismatch", "invalid_code", "not_found"}
    assert outcomes == set(Outcome)
    assert len(codes_of(traffic)) >= 10
    assert numbers_of(traffic) > {message.to.national for message in traffic.harness.provider.messages}
    assert (len(traffic.queued), len(traffic.dead)) == (1, 2)


def test_no_answer_holds_a_code_a_key_or_a_number(traffic: Traffic) -> None:
    assert leaked(codes_of(traffic) | keys_of(traffic) | numbers_of(traffic), traffic.answers) == set()


def test_no_line_of_the_journal_holds_a_code_a_key_or_a_number(traffic: Traffic) -> None:
    secret = codes_of(traffic) | keys_of(traffic) | numbers_of(traffic) | {GUESSED_KEY, GUESSED_TOKEN}

    assert leaked(secret, map(repr, traffic.harness.journal.lines)) == set()


def test_no_line_of_the_log_holds_a_code_a_key_or_a_number(traffic: Traffic) -> None:
    secret = codes_of(traffic) | keys_of(traffic) | numbers_of(traffic) | {GUESSED_KEY, GUESSED_TOKEN}

    assert leaked(secret, [traffic.logged]) == set()
    assert {json.loads(line)["message"] for line in traffic.logged.splitlines()} >= {"send", "check", "unexpected"}


def test_no_metric_names_a_code_a_key_or_a_number(traffic: Traffic) -> None:
    """In CloudWatch dimensions are for everybody to read, and stay for fifteen months."""
    told = [json.loads(line) for line in traffic.measured.splitlines()]

    names = {name for line in told for name in line}
    texts = {value for line in told for value in line.values() if isinstance(value, str)}
    assert names <= {"_aws", "stack", "provider", "region", "rule", *telemetry.METRICS}
    assert texts <= {"tests", "salvo", "yunpian", "DE", "number"}
    assert {"Sent", "SendUnknown", "Approved", "Refused"} <= names
    assert {"Sent", "Approved"} <= {name for line in told if line.get("region") == "DE" for name in line}


def test_no_body_of_the_queues_holds_a_code_or_a_key(traffic: Traffic) -> None:
    bodies = [*traffic.queued, *traffic.dead]

    assert leaked(codes_of(traffic) | keys_of(traffic), bodies) == set()
    assert leaked(numbers_of(traffic), bodies) != set(), "the body that was sent is not here"


async def test_the_libraries_would_tell_what_the_configuration_keeps_from_the_log(aws: EmbeddedAws) -> None:
    """What makes the test of the log worth something: it is at the level where they do."""
    job = SendJob(to=fresh_number().e164, service="default")
    async with aws_client("sqs", aws.endpoint) as sqs:
        created = await sqs.create_queue(QueueName="loud")
        queue = SqsSendQueue(sqs, created["QueueUrl"])
        with logging_as_in_production("DEBUG") as quiet:
            await queue.put(job)
        with logging_as_in_production("DEBUG") as loud:
            logging.getLogger("botocore").setLevel(logging.DEBUG)
            await queue.put(job)

    assert job.to not in quiet.getvalue()
    assert job.to in loud.getvalue()
