"""The contract of BatchStore, on every engine."""

from __future__ import annotations

import asyncio
import secrets
from dataclasses import replace
from typing import Any

import pytest

from functions.domain.batch import NAME_BYTES, SENT, TOO_LATE, UNKNOWN, Batch, Ending, Notes, Status, name_from
from functions.stores.batches import KEPT, DynamoBatchStore
from functions.stores.dynamodb import Table
from infra.local.embedded_aws import Resources
from tests.harness import MORNING

LIMITED = Ending(Status.REFUSED, "rate_limited")


@pytest.fixture
def batches(table: Table) -> DynamoBatchStore:
    return DynamoBatchStore(table, secrets.token_bytes)


@pytest.fixture
def exact_batches(dynamodb: Any, resources: Resources) -> DynamoBatchStore:
    """On ministack: moto has no lock for its writes."""
    return DynamoBatchStore(Table(dynamodb, resources.table), secrets.token_bytes)


@pytest.fixture
def batch() -> Batch:
    return Batch(
        name=name_from(secrets.token_bytes(NAME_BYTES)),
        caller="tester",
        services=frozenset({"default", "shop"}),
        fingerprint="request",
        total=5,
        created_at=MORNING,
        endings={Ending(Status.REFUSED, "invalid_number"): frozenset({4})},
    )


async def now(batches: DynamoBatchStore, batch: Batch) -> Batch:
    found = await batches.get(batch.name)
    assert found is not None
    return found


async def test_a_batch_is_begun_once(batches: DynamoBatchStore, batch: Batch) -> None:
    assert await batches.begin(batch) is None

    assert await batches.begin(replace(batch, fingerprint="another", created_at=MORNING + 60)) == batch


async def test_of_many_who_begin_a_batch_at_once_one_does(exact_batches: DynamoBatchStore, batch: Batch) -> None:
    found = await asyncio.gather(*(exact_batches.begin(batch) for _ in range(20)))

    assert sorted(each is None for each in found) == [False] * 19 + [True]
    assert [each for each in found if each is not None] == [batch] * 19


async def test_a_batch_is_read_as_it_was_begun(batches: DynamoBatchStore, batch: Batch) -> None:
    await batches.begin(batch)

    assert await now(batches, batch) == batch


async def test_there_is_no_batch_that_nobody_began(batches: DynamoBatchStore, batch: Batch) -> None:
    assert await batches.get(batch.name) is None


async def test_notes_of_many_invocations_add_up(batches: DynamoBatchStore, batch: Batch) -> None:
    await batches.begin(batch)

    await batches.note(batch.name, Notes({SENT: {0, 1}}), now=MORNING)
    await batches.note(batch.name, Notes({SENT: {2}, LIMITED: {3}}), now=MORNING)

    assert (await now(batches, batch)).settled() == {
        0: SENT,
        1: SENT,
        2: SENT,
        3: LIMITED,
        4: Ending(Status.REFUSED, "invalid_number"),
    }


async def test_the_same_notes_again_change_nothing(batches: DynamoBatchStore, batch: Batch) -> None:
    notes = Notes({SENT: {0, 1}, TOO_LATE: {2}}, {0: "vfy_k1_a"})
    await batches.begin(batch)
    await batches.note(batch.name, notes, now=MORNING)
    before = await now(batches, batch)

    await batches.note(batch.name, notes, now=MORNING + 5)

    assert await now(batches, batch) == before


async def test_another_id_is_told_of_its_item(batches: DynamoBatchStore, batch: Batch) -> None:
    await batches.begin(batch)

    await batches.note(batch.name, Notes({SENT: {0, 1}}, {0: "vfy_k1_a", 1: "vfy_k1_b"}), now=MORNING)

    assert (await now(batches, batch)).ids == {0: "vfy_k1_a", 1: "vfy_k1_b"}


async def test_a_batch_is_on_the_queue_when_that_is_told(batches: DynamoBatchStore, batch: Batch) -> None:
    await batches.begin(batch)
    assert not (await now(batches, batch)).queued

    await batches.finish(batch.name, Notes({Ending(Status.FAILED, "delivery_unavailable"): {1}}), now=MORNING)

    found = await now(batches, batch)
    assert found.queued
    assert found.settled()[1].code == "delivery_unavailable"


async def test_a_batch_of_which_the_queue_took_all_has_nothing_more_to_note(
    batches: DynamoBatchStore, batch: Batch
) -> None:
    await batches.begin(batch)

    await batches.finish(batch.name, Notes({UNKNOWN: set()}), now=MORNING)

    assert await now(batches, batch) == replace(batch, queued=True)


async def test_what_is_noted_of_no_batch_makes_none(batches: DynamoBatchStore, batch: Batch) -> None:
    await batches.note(batch.name, Notes({SENT: {0}}), now=MORNING)

    assert await batches.get(batch.name) is None
    assert await batches.begin(batch) is None
    assert await now(batches, batch) == batch


async def test_what_is_noted_of_no_batch_is_forgotten_too(
    batches: DynamoBatchStore, batch: Batch, table: Table
) -> None:
    await batches.note(batch.name, Notes({SENT: {0}}), now=MORNING)

    item = await table.get(f"p#{batch.name}")
    assert item is not None
    assert item["ttl"]["N"] == str(MORNING + KEPT)


async def test_a_batch_is_kept_for_a_week(batches: DynamoBatchStore, batch: Batch) -> None:
    await batches.begin(batch)
    later = replace(batch, fingerprint="another", created_at=MORNING + KEPT)

    assert await batches.begin(replace(later, created_at=MORNING + KEPT - 1)) == batch
    assert await batches.begin(later) is None


async def test_a_thousand_items_fit_with_an_id_for_each(batches: DynamoBatchStore, batch: Batch) -> None:
    await batches.begin(replace(batch, total=1000, endings={}))
    ids = {place: f"vfy_k1_{secrets.token_hex(20)}" for place in range(1000)}

    await batches.note(batch.name, Notes({SENT: set(range(1000))}, ids), now=MORNING)

    found = await now(batches, batch)
    assert (len(found.settled()), found.ids) == (1000, ids)


async def test_notes_at_the_same_time_are_all_there(exact_batches: DynamoBatchStore, batch: Batch) -> None:
    await exact_batches.begin(replace(batch, total=1000, endings={}))
    tens = [set(range(start, start + 10)) for start in range(0, 1000, 10)]

    await asyncio.gather(*(exact_batches.note(batch.name, Notes({SENT: ten}), now=MORNING) for ten in tens))

    assert len((await now(exact_batches, batch)).settled()) == 1000
