"""CPU for each code, in units of the two bare calls, in a minute: what whoever works on the sender looks at."""

from __future__ import annotations

import asyncio
import pstats
from pathlib import Path

from infra.environments import say
from tests.benchmarks.batch import tables
from tests.benchmarks.batch.arena import Arena, Entrant
from tests.benchmarks.batch.contestants import FLOORS, SALVO
from tests.benchmarks.batch.tournament import Race, run
from tests.benchmarks.report import Table

_SHOWN = 50
"""Functions of a profile."""


async def measure(*, codes: int, rounds: int) -> Table:
    race = Race(contenders=(*FLOORS, *SALVO), sizes=(codes,), rounds=rounds)
    return tables.cpu(race, await run(race))


async def profile(*, codes: int, folder: Path) -> None:
    """What the time of the worker's process went into, for each of its variants."""
    await asyncio.to_thread(folder.mkdir, parents=True, exist_ok=True)
    async with Arena.open() as arena:
        for contender in SALVO:
            async with arena.enter(contender) as entrant:
                say(f"profile in {await _profile(entrant, codes, folder)}")


async def _profile(entrant: Entrant, codes: int, folder: Path) -> Path:
    """A file for pstats and what reads the same, and the functions that took most, as text."""
    watched = folder / f"{'-'.join(entrant.contender.name.replace(':', '').replace(',', '').split())}.prof"
    await entrant.send(codes, profile=watched)
    with watched.with_suffix(".txt").open("w", encoding="utf-8") as text:
        for order in ("tottime", "cumulative"):
            pstats.Stats(str(watched), stream=text).sort_stats(order).print_stats(_SHOWN)
    return watched.with_suffix(".txt")
