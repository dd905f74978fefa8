"""What a verification costs, summed from what DynamoDB says it consumed."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest

from functions.stores.dynamodb import Table
from functions.stores.verifications import DynamoVerificationStore
from functions.stores.verifications_together import VerificationsTogether
from functions.usecases.check import CheckCommand
from functions.usecases.start import StartCommand
from infra.local.embedded_aws import Resources
from tests.contract.test_verification_store import full_record, new_record
from tests.harness import MORNING, Harness, fresh_number, reveal


@dataclass(slots=True)
class Meter:
    """Listens to a client, through the events that botocore offers for that."""

    units: list[float] = field(default_factory=list)

    def ask(self, params: dict[str, Any], **_: Any) -> None:
        params["ReturnConsumedCapacity"] = "TOTAL"

    def note(self, parsed: dict[str, Any], **_: Any) -> None:
        consumed = parsed["ConsumedCapacity"]
        self.units += [each["CapacityUnits"] for each in (consumed if isinstance(consumed, list) else [consumed])]


WRITES = ("PutItem", "UpdateItem", "DeleteItem", "BatchExecuteStatement")


@pytest.fixture
def meter(dynamodb: Any) -> Iterator[Meter]:
    meter = Meter()
    for operation in WRITES:
        dynamodb.meta.events.register(f"provide-client-params.dynamodb.{operation}", meter.ask, f"ask-{operation}")
        dynamodb.meta.events.register(f"after-call.dynamodb.{operation}", meter.note, f"note-{operation}")
    yield meter
    for operation in WRITES:
        dynamodb.meta.events.unregister(f"provide-client-params.dynamodb.{operation}", meter.ask, f"ask-{operation}")
        dynamodb.meta.events.unregister(f"after-call.dynamodb.{operation}", meter.note, f"note-{operation}")


async def test_a_verification_costs_one_unit_to_start_and_one_to_check(harness: Harness, meter: Meter) -> None:
    to = fresh_number()

    started = await harness.start(StartCommand(to=to, service="default", caller="test"))
    assert meter.units == [1.0]

    code = reveal(harness.provider.code_for(to))
    checked = await harness.check(CheckCommand(id=started.id, code=code, caller="test"))
    assert checked.valid
    assert meter.units == [1.0, 1.0]


async def test_the_largest_record_is_one_write_unit(dynamodb: Any, resources: Resources, meter: Meter) -> None:
    store = DynamoVerificationStore(Table(dynamodb, resources.table), secrets.token_bytes)

    await store.put(full_record(), now=MORNING)

    assert meter.units == [1.0]


async def test_records_that_travel_together_are_one_write_unit_each(
    dynamodb: Any, resources: Resources, meter: Meter
) -> None:
    together = VerificationsTogether(DynamoVerificationStore(Table(dynamodb, resources.table), secrets.token_bytes))

    await asyncio.gather(*(together.put(new_record(), now=MORNING) for _ in range(50)))

    assert sum(meter.units) == 50.0
    assert len(meter.units) == 2
