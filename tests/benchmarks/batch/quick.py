"""CPU for each code, in units of the two bare calls, in a minute: what whoever works on the sender looks at."""

from __future__ import annotations

import asyncio
import pstats
from collections.abc import Sequence
from pathlib import Path
from statistics import median

from tests.benchmarks.batch.arena import Arena, Entrant, Measured
from tests.benchmarks.batch.contestants import FLOOR, SALVO
from tests.benchmarks.report import Table

_SHOWN = 50
"""Functions of a profile."""


async def measure(*, codes: int, rounds: int, profiles: Path | None = None) -> Table:
    found: dict[str, list[Measured]] = {}
    if profiles is not None:
        await asyncio.to_thread(profiles.mkdir, parents=True, exist_ok=True)
    async with Arena.open() as arena:
        for contender in (FLOOR, *SALVO):
            async with arena.enter(contender) as entrant:
                found[contender.name] = [await entrant.send(codes) for _ in range(rounds)]
                if profiles is not None and contender is not FLOOR:
                    await _profile(entrant, codes, profiles)
    return _table(found, codes)


async def _profile(entrant: Entrant, codes: int, folder: Path) -> None:
    """Once more, watched: for snakeviz and the like, and the fifty functions that took most, as text."""
    stem = folder / entrant.contender.name.replace(", ", "-").replace(" ", "-")
    watched = stem.with_suffix(".prof")
    await entrant.send(codes, profile=watched)
    with stem.with_suffix(".txt").open("w", encoding="utf-8") as text:
        for order in ("tottime", "cumulative"):
            pstats.Stats(str(watched), stream=text).sort_stats(order).print_stats(_SHOWN)


def _table(found: dict[str, list[Measured]], codes: int) -> Table:
    unit = _cpu(found[FLOOR.name])
    return Table(
        title=f"CPU for a code, {codes:,} at once",
        columns=("contender", "CPU, ms", "of the two bare calls", "wall, ms"),
        rows=[
            (name, f"{_cpu(each) * 1e3:.3f}", f"{_cpu(each) / unit:.2f}", f"{_wall(each) * 1e3:.3f}")
            for name, each in found.items()
        ],
        note=f"Medians of {len(found[FLOOR.name])}, a code.",
    )


def _cpu(measured: Sequence[Measured]) -> float:
    return median(each.cpu / each.codes for each in measured)


def _wall(measured: Sequence[Measured]) -> float:
    return median(each.wall / each.codes for each in measured)
