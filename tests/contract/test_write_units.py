"""What a verification costs, summed from what DynamoDB says it consumed."""

from __future__ import annotations

import asyncio
import secrets
from functools import partial
from ipaddress import IPv6Address
from typing import Any

import pytest

from functions.domain import identity
from functions.domain.batch import NAME_BYTES, SENT, Batch, Notes, name_from
from functions.domain.guard.attempt import Attempt
from functions.domain.guard.policy import Policy, unguarded
from functions.domain.phone import parse_phone_number
from functions.domain.verification import Sent
from functions.stores.dynamodb import Table
from functions.stores.guard_counters import DynamoCounters
from functions.stores.verifications import DynamoVerificationStore
from functions.stores.verifications_together import VerificationsTogether
from functions.usecases.check import CheckCommand
from functions.usecases.guard_ports import Check, Outcome
from functions.usecases.guards.addresses import Addresses
from functions.usecases.guards.blocks import Blocks
from functions.usecases.guards.counting import Counting
from functions.usecases.guards.countries import Countries
from functions.usecases.start import StartCommand
from infra.local.embedded_aws import Resources
from tests.contract.conftest import Meter
from tests.contract.test_verification_store import full_record, new_record
from tests.harness import MORNING, FixedKeys, Harness, another, fresh_number, reveal


async def test_a_verification_costs_one_unit_to_start_and_one_to_check(harness: Harness, meter: Meter) -> None:
    to = fresh_number()

    started = await harness.start(StartCommand(to=to, service="default", caller="test"))
    assert meter.units == [1.0]

    code = reveal(harness.provider.code_for(to))
    checked = await harness.check(CheckCommand(id=started.id, code=code, caller="test"))
    assert checked.valid
    assert meter.units == [1.0, 1.0]


async def test_a_first_wrong_guess_costs_one_more_and_so_does_a_right_one_after_it(
    harness: Harness, meter: Meter
) -> None:
    to = fresh_number()
    started = await harness.start(StartCommand(to=to, service="default", caller="test"))
    code = harness.provider.code_for(to)
    meter.units.clear()

    for guess, units in [(another(code), 2), (another(code), 1), (code, 2)]:
        await harness.check(CheckCommand(id=started.id, code=reveal(guess), caller="test"))
        assert sum(meter.units) == units
        meter.units.clear()


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


def default_checks(table: Table) -> list[Check]:
    """All that write in a deployment of one service with no prices."""
    counters = DynamoCounters(table, secrets.token_bytes)
    return [Addresses(Counting(counters)), Blocks(Counting(counters)), Countries(Counting(counters))]


async def test_with_the_guard_a_start_costs_four_units_and_an_approval_two_more(harness: Harness, meter: Meter) -> None:
    harness.checks, to = default_checks(harness.table), fresh_number()

    started = await harness.start(
        StartCommand(to=to, service="default", caller="test", ip=IPv6Address(secrets.token_bytes(16)))
    )
    assert meter.units == [1.0] * 4

    code = reveal(harness.provider.code_for(to))
    assert (await harness.check(CheckCommand(id=started.id, code=code, caller="test"))).valid
    assert meter.units == [1.0] * 7


async def test_without_the_guard_it_costs_one(harness: Harness, meter: Meter) -> None:
    harness.checks = default_checks(harness.table)
    harness.change_service(guard=unguarded())

    await harness.start(
        StartCommand(to=fresh_number(), service="default", caller="test", ip=IPv6Address(secrets.token_bytes(16)))
    )

    assert meter.units == [1.0]


async def test_the_fullest_block_that_the_defaults_let_through_is_one_write_unit(
    dynamodb: Any, resources: Resources, meter: Meter
) -> None:
    blocks = Blocks(Counting(DynamoCounters(Table(dynamodb, resources.table), secrets.token_bytes)))
    block, begin = secrets.randbelow(100), MORNING
    pseudonym = partial(identity.pseudonym, FixedKeys().ring)

    for number in range(200):
        to = parse_phone_number(f"+4916099{block:02d}{number // 20}{number % 20:03d}")
        at = begin + number * 18
        attempt = Attempt(to=to, service="default", policy=Policy(), request=f"r{number}", at=at, pseudonym=pseudonym)
        findings = await blocks.look(attempt)
        assert not [finding for finding in findings if finding.decides]
        await blocks.approved(
            Outcome(
                service="default",
                region="DE",
                block=attempt.block,
                sent=(Sent(at, f"r{number}"),),
                at=at,
                policy=Policy(),
            )
        )

    assert set(meter.units) == {1.0}


@pytest.mark.parametrize(("in_an_invocation", "units"), [(100, 22), (10, 201)])
async def test_the_progress_of_a_thousand_costs_a_write_an_invocation_of_its_items_size(
    harness: Harness, meter: Meter, in_an_invocation: int, units: int
) -> None:
    """A unit a kilobyte, and a thousand indexes are some three: by a hundred that is 0.02 a code, by tens 0.2."""
    name = name_from(secrets.token_bytes(NAME_BYTES))
    batch = Batch(
        name=name, caller="c", services=frozenset({"default"}), fingerprint="f", total=1000, created_at=MORNING
    )

    await harness.batches.begin(batch)
    for start in range(0, 1000, in_an_invocation):
        await harness.batches.note(name, Notes({SENT: set(range(start, start + in_an_invocation))}), now=MORNING)

    assert len(meter.units) == 1 + 1000 // in_an_invocation
    assert sum(meter.units) == units
