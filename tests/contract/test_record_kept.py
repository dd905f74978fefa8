"""How long a record is kept: a day after its code, a month where no right guess has ended the wrong ones (API-8)."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest

from functions.domain.delivery import DeliveryStatus, Outcome, SendResult
from functions.domain.sending import settle
from functions.domain.verification import DAY, MONTH, Record
from functions.stores.dynamodb import Item, Table
from functions.stores.record_item import record_pk
from functions.stores.verifications import DynamoVerificationStore
from functions.usecases.ports import StoreUnavailable
from infra.local.embedded_aws import Resources
from tests.contract.test_verification_store import RIGHT, WRONG, full_record, guess, new_record
from tests.harness import MORNING


class FailingAfterTheCount(Table):
    """Whose second update goes wrong."""

    async def update(self, pk: str, change: str, *, only_if: str, values: Item) -> Item:
        if ":ttl" in values:
            raise StoreUnavailable("scripted")
        return await super().update(pk, change, only_if=only_if, values=values)


@pytest.fixture
def store(table: Table) -> DynamoVerificationStore:
    return DynamoVerificationStore(table, secrets.token_bytes)


async def kept_for(store: DynamoVerificationStore, record: Record) -> int:
    """Seconds after its code's end, as the table has it."""
    item = await store.table.get(record_pk(record.key))
    assert item is not None
    return int(item["ttl"]["N"]) - record.verification.expires_at


@pytest.mark.parametrize(
    ("macs", "seconds"),
    [
        ([], DAY),
        ([RIGHT], DAY),
        ([WRONG], MONTH),
        ([WRONG] * 5, MONTH),
        ([WRONG, RIGHT], DAY),
        ([WRONG] * 4 + [RIGHT], DAY),
    ],
)
async def test_a_record_is_kept_as_long_as_it_asks_for(
    store: DynamoVerificationStore, macs: Sequence[str], seconds: int
) -> None:
    record = new_record()
    await store.put(record, now=MORNING)

    for mac in macs:
        await store.count_guess(guess(record, mac))

    assert await kept_for(store, record) == seconds


async def test_guesses_at_once_leave_it_as_the_last_of_them_says(dynamodb: Any, resources: Resources) -> None:
    store = DynamoVerificationStore(Table(dynamodb, resources.table), secrets.token_bytes)
    records = [new_record() for _ in range(20)]
    for record in records:
        await store.put(record, now=MORNING)

    wrong = [guess(record) for record in records for _ in range(4)]
    await asyncio.gather(*map(store.count_guess, [*wrong, *(guess(record, RIGHT) for record in records)]))

    for record in records:
        assert await kept_for(store, record) == DAY


async def test_a_step_between_sees_to_it_itself(store: DynamoVerificationStore) -> None:
    record = new_record()
    await store.put(record, now=MORNING)
    counted = (await store.count_guess(guess(record))).record
    assert counted is not None

    taken = SendResult(provider="yunpian", outcome=Outcome.ACCEPTED)
    settled = settle(counted, counted.verification.delivery.request, MORNING, taken, DeliveryStatus.SUBMITTED)
    assert settled is not None
    await store.put(settled, now=MORNING)

    assert await kept_for(store, record) == MONTH


async def test_the_verdict_stands_where_that_cannot_be_written_down(
    table: Table, caplog: pytest.LogCaptureFixture
) -> None:
    record = new_record()
    await DynamoVerificationStore(table, secrets.token_bytes).put(record, now=MORNING)
    failing = DynamoVerificationStore(FailingAfterTheCount(table.client, table.name), secrets.token_bytes)

    counted = await failing.count_guess(guess(record))

    assert counted.counted
    assert "how long wrong guesses are remembered is not written down" in caplog.text


async def test_what_was_not_written_down_is_by_the_next_guess_though_it_does_not_count(
    table: Table, store: DynamoVerificationStore
) -> None:
    record = new_record()
    await store.put(record, now=MORNING)
    lost = guess(record)
    await DynamoVerificationStore(FailingAfterTheCount(table.client, table.name), secrets.token_bytes).count_guess(lost)
    assert await kept_for(store, record) == DAY

    assert not (await store.count_guess(lost)).counted

    assert await kept_for(store, record) == MONTH


async def test_which_codes_were_vouched_is_remembered(store: DynamoVerificationStore) -> None:
    record = full_record()
    record = replace(
        record, sent=tuple(replace(sent, vouched=place % 2 == 0) for place, sent in enumerate(record.sent))
    )

    await store.put(record, now=MORNING)

    assert await store.get(record.key) == record
