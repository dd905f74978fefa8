"""The whole comparison: CPU and memory without a gateway's latency, the time with it, tables and drawings."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

from tests.benchmarks.batch import figures, peers, plots, tables
from tests.benchmarks.batch.contestants import FLOORS, PEERS, SALVO, SINGLE, TOGETHER, salvo
from tests.benchmarks.batch.tournament import Race, Results, run
from tests.benchmarks.report import Table

SIZES = (10, 100, 1_000, 10_000)
"""Codes at once, without latency."""
SLOW_SIZES = (figures.FEW, figures.MANY)
LATENCY = 5.0
"""Seconds that a slow gateway takes."""

_SLOW = (
    *PEERS,
    salvo(SINGLE, guarded=False, known=False),
    salvo(SINGLE, guarded=True, known=False),
    salvo(TOGETHER, guarded=False, known=False),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    rounds: int
    sizes: tuple[int, ...] = SIZES
    slow_sizes: tuple[int, ...] = SLOW_SIZES
    latency: float = LATENCY

    drawings: tuple[str, ...] = ("cpu", "wall", "memory")

    async def tables(self, folder: Path | None) -> AsyncIterator[Table]:
        """Each as soon as it is there. `folder` is where the drawings go, if anywhere."""
        quick = Race(contenders=(*FLOORS, *PEERS, *SALVO), sizes=self.sizes, rounds=self.rounds)
        quickly = await run(quick)
        yield tables.cpu(quick, quickly)
        yield tables.memory(quick, quickly)
        slow = Race(contenders=_SLOW, sizes=self.slow_sizes, rounds=self.rounds, latency=self.latency)
        slowly = await run(slow)
        yield tables.wall(slow, slowly)
        yield tables.memory(slow, slowly)
        yield figures.table(quickly, slowly, latency=self.latency)
        yield peers.table()
        if folder is not None:
            await asyncio.to_thread(_draw, folder, (quick, quickly), (slow, slowly))


def _draw(folder: Path, quick: tuple[Race, Results], slow: tuple[Race, Results]) -> None:
    """The files that `drawings` names."""
    folder.mkdir(exist_ok=True)
    plots.cpu(*quick, folder / "cpu.svg")
    plots.wall(*slow, folder / "wall.svg")
    plots.memory(*quick, folder / "memory.svg")
