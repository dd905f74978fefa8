"""What the guard tells at DEBUG, as in production (API-5): no number, code, key, address, solution or binding.

It is asked with all that it counts by, and denies by address, by block and by money, and asks for a challenge.
"""

from __future__ import annotations

import contextlib
import io
import json
import secrets
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, field
from typing import Any

import altcha
import pytest

from functions import telemetry
from functions.domain.guard.attempt import Attempt
from functions.domain.guard.decision import Decision
from functions.domain.guard.policy import Policy
from functions.domain.phone import PhoneNumber, parse_phone_number
from functions.stores.dynamodb import Item, Table
from functions.stores.guard_budget import DynamoAccounts
from functions.stores.guard_conversion import DynamoConversions
from functions.stores.guard_counters import DynamoCounters
from functions.stores.guard_decisions import DynamoDecisions
from functions.stores.guard_lists import DynamoLists
from functions.stores.guard_spraying import DynamoGuesses
from functions.stores.reads_together import ReadsTogether
from functions.usecases.guard_ports import Check
from functions.usecases.guards.addresses import Addresses
from functions.usecases.guards.blocks import Blocks
from functions.usecases.guards.challenge import AlwaysChallenge
from functions.usecases.guards.conversion import Conversion
from functions.usecases.guards.counting import Counting
from functions.usecases.guards.countries import Countries
from functions.usecases.guards.destination import Destination
from functions.usecases.guards.listed import Listed
from functions.usecases.guards.spending import Spending
from functions.usecases.guards.spraying import Spraying
from functions.usecases.ports import Journal
from infra.local.embedded_aws import EmbeddedAws, aws_client, create_resources
from tests.harness import API_KEY, Harness, RecordingDecisions, another, call
from tests.integration.test_secrecy import LoggingJournal, logging_as_in_production

PATH = "/v1/verifications"
AT_HOME, AT_WORK = "80.14.7.9", "2a02:2e0:3fe:1001:302::7"
BOUND_TO = "transfer of 1,234.56 to somebody"
PRICE = 75_000


def all_checks(table: Table, journal: Journal) -> list[Check]:
    counting = Counting(DynamoCounters(table, secrets.token_bytes))
    return [
        Listed(DynamoLists(table)),
        Destination(),
        Spraying(DynamoGuesses(table, secrets.token_bytes), alone=True, journal=journal),
        Addresses(counting),
        Blocks(counting),
        Countries(counting),
        Conversion(DynamoConversions(table, ReadsTogether(table)), journal),
        AlwaysChallenge(),
        Spending(DynamoAccounts(table), lambda _: PRICE, 100 * PRICE, journal),
    ]


def numbers_in_a_row() -> Iterator[PhoneNumber]:
    """Of one block of a thousand."""
    return (parse_phone_number(f"+4916012345{number:03d}") for number in range(1000))


@dataclass(slots=True)
class DecisionsInTheTable(RecordingDecisions):
    table: DynamoDecisions | None = None

    async def keep(self, decision: Decision, attempt: Attempt) -> None:
        await RecordingDecisions.keep(self, decision, attempt)
        assert self.table is not None
        await self.table.keep(decision, attempt)


@dataclass(slots=True)
class Told:
    """All that came out, and what must not be in it."""

    harness: Harness
    answers: list[str] = field(default_factory=list)
    secret: set[str] = field(default_factory=lambda: {API_KEY, AT_HOME, AT_WORK, BOUND_TO})
    logged: str = ""
    measured: str = ""
    items: list[Item] = field(default_factory=list)
    numbers: Iterator[PhoneNumber] = field(default_factory=numbers_in_a_row)

    async def start(self, **more: Any) -> Any:
        number: PhoneNumber = more.pop("number", None) or next(self.numbers)
        self.secret.add(number.national)
        response = await call(self.harness.app, "POST", PATH, {"to": number.e164, "binding": BOUND_TO, **more})
        shown = {name: value for name, value in response.json.items() if name != "to"}
        self.answers.append(f"{shown} {response.headers}")
        if response.status == 201:
            code = self.harness.provider.code_for(number)
            self.secret.add(code)
            for guess in (another(code), code):
                check = {"code": guess, "binding": BOUND_TO, "ip": AT_HOME}
                checked = await call(self.harness.app, "POST", f"{PATH}/{response.json['id']}/check", check)
                self.answers.append(str({name: value for name, value in checked.json.items() if name != "token"}))
        return response.json

    async def solve(self) -> None:
        number = next(self.numbers)
        made = await call(self.harness.app, "POST", "/v1/challenges", {"to": number.e164})
        self.answers.append(f"{made.json} {made.headers}")
        challenge = altcha.Challenge.from_dict(made.json)
        solved = altcha.solve_challenge(challenge)
        assert solved is not None
        solution = altcha.Payload(challenge, solved).to_base64()
        self.secret.add(solution)
        for _ in range(2):
            await self.start(number=number, challenge=solution)


@pytest.fixture(scope="module")
async def told(aws: EmbeddedAws) -> AsyncIterator[Told]:
    resources = await create_resources(aws.endpoint, visibility_timeout=30, prefix="guarded")
    async with aws_client("dynamodb", aws.endpoint) as client:
        harness = Harness(Table(client, resources.table))
        harness.journal = LoggingJournal()
        harness.change_service(code_length=10)
        harness.checks = all_checks(harness.table, harness.journal)
        harness.decisions = DecisionsInTheTable(table=DynamoDecisions(harness.table))
        made = Told(harness)
        with logging_as_in_production("DEBUG") as log, contextlib.redirect_stdout(io.StringIO()) as metrics:
            await _all_that_happens(made)
            telemetry._meter.flush()
        made.logged, made.measured = log.getvalue(), metrics.getvalue()
        made.items = (await client.scan(TableName=resources.table))["Items"]
        yield made


async def _all_that_happens(told: Told) -> None:
    harness = told.harness
    for whence in ({"ip": AT_HOME}, {"ip": AT_WORK}, {}):
        for _ in range(12):
            await told.start(**whence)
    harness.change_service(code_length=10, guard=Policy(budget=2 * PRICE, ip_hour=None, numbers_1k=None))
    for _ in range(4):
        await told.start(ip=AT_WORK)
    harness.change_service(code_length=10, guard=Policy(challenge=True, numbers_1k=None))
    await told.start()
    await told.solve()


def test_the_guard_said_all_that_it_can_say(told: Told) -> None:
    """What makes the tests below worth something."""
    rules = {line.get("rule") for line in told.harness.journal.of("decision")}

    assert rules >= {None, "ip", "numbers_1k", "budget_service", "challenge"}
    assert {line["event"] for line in told.harness.journal.lines} >= {"decision", "spent", "budget", "refused"}


def test_no_line_of_the_log_holds_what_is_nobodys_business(told: Told) -> None:
    assert leaked(told, told.logged) == set()
    assert {json.loads(line)["message"] for line in told.logged.splitlines()} >= {"decision", "send", "check"}


def test_no_answer_no_metric_and_no_decision_holds_it(told: Told) -> None:
    assert "Denied" in told.measured
    assert leaked(told, f"{told.answers} {told.measured} {told.harness.decisions.kept}") == set()


def test_no_item_of_the_guard_holds_it(told: Told) -> None:
    kinds = {item["pk"]["S"].partition("#")[0] for item in told.items}

    assert kinds >= set("vibnmhd")
    assert leaked(told, str(told.items)) == set()


def leaked(told: Told, where: str) -> set[str]:
    return {text for text in told.secret if text in where}
