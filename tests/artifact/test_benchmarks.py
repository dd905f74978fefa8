"""The benchmarks still measure what they say; what comes out is nobody's business here."""

from __future__ import annotations

import contextlib
import subprocess
import sys
import time
from collections.abc import AsyncIterator

import pytest

from tests.benchmarks import artefact, cold_start, memory, warm_calls
from tests.benchmarks.cpu_share import NoShares, a_share
from tests.benchmarks.laboratory import Laboratory
from tests.benchmarks.report import Table
from tests.emulated import API, RECEIPTS, SENDER, built, python


@pytest.fixture(scope="module")
async def laboratory() -> AsyncIterator[Laboratory]:
    built(API)
    python()
    async with Laboratory.open() as opened:
        yield opened


def first_column(table: Table) -> list[str]:
    return [row[0] for row in table.rows]


async def test_each_function_is_started_beside_a_bare_one(laboratory: Laboratory) -> None:
    table = await cold_start.measure(laboratory, rounds=1)

    assert first_column(table) == ["bare", API, SENDER, RECEIPTS]
    assert table.rows[0][-1] == "1.00"
    assert all(float(row[-1]) > 0 for row in table.rows)


async def test_warm_calls_are_made_beside_the_same_calls_of_dynamodb(laboratory: Laboratory) -> None:
    table = await warm_calls.measure(laboratory, rounds=3)

    assert [(row[0], row[3]) for row in table.rows] == [
        ("start", "PutItem and the gateway's POST"),
        ("start", "PutItem"),
        ("check", "UpdateItem"),
    ]


async def test_what_is_made_bare_is_what_ours_was_overheard_making(laboratory: Laboratory) -> None:
    calls = await warm_calls._overhear(laboratory)

    assert calls.put["Item"]["pk"]["S"].startswith("v#")
    assert calls.put_another("another")["ConditionExpression"] == calls.put["ConditionExpression"]
    assert calls.update_it("another")["UpdateExpression"] == calls.update["UpdateExpression"]


async def test_the_memory_of_a_large_batch_is_measured(laboratory: Laboratory) -> None:
    table = await memory.peak(laboratory)

    assert all(30 < int(row[-1]) < 500 for row in table.rows)


def test_a_share_of_a_processor_is_no_more_than_that() -> None:
    burn = "import time\nend = time.monotonic() + 1.5\nwhile time.monotonic() < end: pass\nprint(time.process_time())"
    with contextlib.ExitStack() as stack:
        try:
            share = stack.enter_context(a_share())
        except NoShares as reason:
            pytest.skip(str(reason))
        share.limit(256)
        process = subprocess.Popen([sys.executable, "-c", f"input()\n{burn}"], stdin=-1, stdout=-1, text=True)
        share.add(process.pid)
        began = time.monotonic()
        used, _ = process.communicate("\n")

    assert float(used) < 2 * 256 / 1769 * (time.monotonic() - began) + 0.2


def test_every_table_says_how_it_was_made() -> None:
    built(API)

    table = artefact.size()

    assert table.note
    assert table.markdown().startswith(f"## {table.title}\n\n| ")
