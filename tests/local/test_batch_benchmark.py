"""The comparison of batches measures what it says; what comes out is nobody's business here."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace

import pytest

from infra.local.embedded_aws import aws_client
from tests.benchmarks.batch.arena import WARM_UP, Arena, Entrant, Failed
from tests.benchmarks.batch.contestants import FLOOR, PEERS, SINGLE, TOGETHER, Contender, salvo
from tests.benchmarks.batch.tournament import Race, run

KNOWN = salvo(SINGLE, guarded=True, known=True)
NEW = salvo(TOGETHER, guarded=False, known=False)


@pytest.fixture(scope="module")
async def arena() -> AsyncIterator[Arena]:
    async with Arena.open() as opened:
        yield opened


async def revisions(entrant: Entrant) -> list[str]:
    """Of all records of numbers."""
    async with aws_client("dynamodb", entrant.resources.endpoint) as dynamodb:
        found = await dynamodb.scan(TableName=entrant.resources.table)
    return [item["rev"]["N"] for item in found["Items"] if item["pk"]["S"].startswith("v#")]


@pytest.mark.parametrize("contender", [FLOOR, *PEERS], ids=lambda contender: contender.module)
async def test_a_contender_sends_each_code_once(arena: Arena, contender: Contender) -> None:
    async with arena.enter(contender) as entrant:
        measured = await entrant.send(3)

    assert measured.codes == 3
    assert 0 < measured.cpu < 60
    assert measured.wall > 0


async def test_numbers_with_a_record_are_sent_another_code(arena: Arena) -> None:
    async with arena.enter(KNOWN) as entrant:
        await entrant.send(3)

        assert await revisions(entrant) == ["2"] * (WARM_UP + 3)


async def test_new_numbers_have_no_record_before(arena: Arena) -> None:
    async with arena.enter(NEW) as entrant:
        await entrant.send(3)

        assert await revisions(entrant) == ["1"] * (WARM_UP + 3)


async def test_the_gateways_latency_is_waited_for_and_costs_no_cpu(arena: Arena) -> None:
    async with arena.enter(NEW) as entrant:
        measured = await entrant.send(3, latency=0.5)

    assert measured.wall > 0.5
    assert measured.cpu < 0.5


async def test_who_leaves_a_code_out_has_failed(arena: Arena) -> None:
    forgetful = replace(FLOOR, order=lambda numbers: [each.removeprefix("+86") for each in numbers[1:]])

    with pytest.raises(Failed, match=f"should have sent {WARM_UP} codes"):
        async with arena.enter(forgetful):
            pass


async def test_who_ends_in_an_exception_has_failed_and_the_others_go_on() -> None:
    broken = replace(NEW, name="broken", order=lambda numbers: {"Records": numbers})

    results = await run(Race(contenders=(broken, FLOOR), sizes=(60,), rounds=1))

    assert "broken: TypeError" in results.failed["broken"]
    assert results.cpu(broken, 60) is None
    assert results.cpu(FLOOR, 60) is not None
