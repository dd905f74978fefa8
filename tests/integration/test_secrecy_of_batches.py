"""What a batch tells at DEBUG, in answers, in the queue and in the table: no code, no number, no key of the caller's.

Only the queue's messages name a number: whoever sends them has to know it.
"""

from __future__ import annotations

import contextlib
import io
import secrets
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any

import pytest

from functions import telemetry
from functions.domain.delivery import Outcome
from functions.domain.phone import PhoneNumber
from functions.queues.messages import encode_job
from functions.queues.sqs import SqsSendQueue
from functions.stores.dynamodb import Item, Table
from functions.usecases.ports import SendJob
from functions.usecases.send_batch import QueuedMessage
from infra.local.embedded_aws import EmbeddedAws, aws_client, create_resources
from tests.harness import API_KEY, Harness, accept, answer, call, fresh_number
from tests.integration.test_secrecy import LoggingJournal, logging_as_in_production

PATH = "/v1/verifications/batch"
OWN_CODE, BOUND_TO, ADDRESS = "2718281828", "transfer of 1,234.56 to somebody", "80.14.7.9"


@dataclass(slots=True)
class Told:
    """All that came out, and what must not be in it."""

    harness: Harness
    codes: set[str] = field(default_factory=lambda: {OWN_CODE, BOUND_TO, API_KEY})
    numbers: set[str] = field(default_factory=set)
    keys: set[str] = field(default_factory=set)
    answers: list[str] = field(default_factory=list)
    bodies: list[str] = field(default_factory=list)
    logged: str = ""
    items: list[Item] = field(default_factory=list)

    async def post(self, items: list[dict[str, Any]], headers: dict[str, str]) -> None:
        response = await call(self.harness.app, "POST", PATH, {"items": items}, headers=headers)
        self.answers.append(f"{response.json} {response.headers}")
        if "location" in response.headers:
            shown = await call(self.harness.app, "GET", response.headers["location"])
            self.answers.append(f"{shown.json} {shown.headers}")

    def item(self, **more: Any) -> dict[str, Any]:
        number, key = fresh_number(), f"user {secrets.token_hex(8)}"
        self.numbers.add(number.national)
        self.keys.add(key)
        return {"to": number.e164, "key": key, "ip": ADDRESS, **more}


@pytest.fixture(scope="module")
async def told(aws: EmbeddedAws) -> AsyncIterator[Told]:
    resources = await create_resources(aws.endpoint, visibility_timeout=30, prefix="batched")
    async with aws_client("dynamodb", aws.endpoint) as client, aws_client("sqs", aws.endpoint) as sqs:
        harness = Harness(Table(client, resources.table))
        harness.journal = LoggingJournal()
        harness.change_service(code_length=10)  # which no time stamp and no id spells by chance
        made = Told(harness)
        with logging_as_in_production("DEBUG") as log, contextlib.redirect_stdout(io.StringIO()) as metrics:
            await _all_that_happens(made)
            await SqsSendQueue(sqs, resources.bulk_queue_url).put_all(harness.bulk_queue.jobs)
            telemetry._meter.flush()
        made.logged = log.getvalue() + metrics.getvalue()
        made.items = (await client.scan(TableName=resources.table))["Items"]
        made.codes |= {harness.provider.code_for(message.to) for message in harness.provider.messages}
        yield made


async def _all_that_happens(told: Told) -> None:
    refused: set[PhoneNumber] = set()
    told.harness.provider.otherwise = lambda message: (
        answer(Outcome.REJECTED_NUMBER)(message) if message.to in refused else accept(message)
    )
    at_once = [told.item(), told.item(code=OWN_CODE), told.item(binding=BOUND_TO), told.item(surprise=1)]
    waiting = [told.item(), told.item(code=OWN_CODE), told.item(binding=BOUND_TO), told.item(), {"to": "+1"}]
    for headers in ({}, {"idempotency-key": "spring"}):
        await told.post(at_once, headers)
        await told.post(waiting, {**headers, "prefer": "respond-async", "idempotency-key": "autumn"})
    told.bodies += [encode_job(job) for job in told.harness.bulk_queue.jobs]
    await told.harness.send_batch()([_message(job) for job in told.harness.bulk_queue.jobs], lambda: 60.0)
    await told.post(waiting, {"prefer": "respond-async", "idempotency-key": "autumn"})


def _message(job: SendJob) -> QueuedMessage:
    return QueuedMessage(id=secrets.token_hex(4), body=encode_job(job), handle="h", queued_at=job.send_by or 0)


def test_the_batches_said_all_that_they_can_say(told: Told) -> None:
    """What makes the tests below worth something."""
    assert {line["event"] for line in told.harness.journal.lines} >= {"batch", "send", "decision"}
    assert {item["pk"]["S"][:2] for item in told.items} >= {"p#", "v#"}
    assert len(told.codes) > 4
    assert "'sent': 2" in told.answers[-1]


def test_no_line_of_the_log_tells_of_a_batch_what_is_nobodys_business(told: Told) -> None:
    assert '"batch"' in told.logged
    assert leaked(told.logged, told.codes | told.numbers | told.keys | {ADDRESS}) == set()


def test_no_answer_tells_of_a_batch_what_is_nobodys_business(told: Told) -> None:
    assert leaked(str(told.answers), told.codes | told.numbers | told.keys | {ADDRESS}) == set()


def test_no_item_of_the_table_tells_of_a_batch_what_is_nobodys_business(told: Told) -> None:
    assert leaked(str(told.items), told.codes | told.numbers | told.keys | {ADDRESS}) == set()


def test_no_message_of_a_batch_holds_a_code_or_a_key_of_the_callers(told: Told) -> None:
    assert len(told.bodies) == 2
    assert leaked(str(told.bodies), told.codes | told.keys) == set()


def leaked(where: str, secret: set[str]) -> set[str]:
    return {text for text in secret if text in where}
