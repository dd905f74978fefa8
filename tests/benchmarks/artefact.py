"""The built functions in AWS's own runtime, each beside its bare counterpart."""

from __future__ import annotations

import argparse
from collections.abc import AsyncIterator

from infra import artifact
from infra.environments import say
from tests.benchmarks import cold_start, memory, warm_calls
from tests.benchmarks.cpu_share import NoShares
from tests.benchmarks.laboratory import API, Laboratory
from tests.benchmarks.report import Table


async def tables(arguments: argparse.Namespace) -> AsyncIterator[Table]:
    """Raises NothingBuilt or EnvironmentUnavailable."""
    async with Laboratory.open() as laboratory:
        yield size()
        yield await cold_start.measure(laboratory, arguments.colds)
        yield await warm_calls.measure(laboratory, arguments.warms)
        yield await memory.peak(laboratory)
    async with Laboratory.open(latency=memory.GATEWAY) as laboratory:
        try:
            yield await memory.measure(laboratory, arguments.sizes)
        except NoShares as reason:
            say(f"memory sizes are not measured: {reason}")


def size() -> Table:
    folder = artifact.BUILD / API
    return Table(
        title="The artefact",
        columns=("", "MB"),
        rows=[
            ("unpacked", f"{artifact.size(folder) / 1e6:.1f}"),
            ("zipped", f"{artifact.zipped_size(folder) / 1e6:.1f}"),
        ],
        note=f"The build refuses more than {artifact.MOST_ZIPPED / 1e6:g} MB zipped.",
    )
