"""./salvo bench: measures the artefact in AWS's own runtime, each thing beside its bare counterpart, in one run."""

from __future__ import annotations

import argparse
import asyncio
import os
import platform
import sys
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path

from infra import artifact
from infra.environments import ROOT, say
from tests.benchmarks import cold_start, memory, warm_calls
from tests.benchmarks.batch import quick
from tests.benchmarks.cpu_share import NoShares
from tests.benchmarks.laboratory import API, Laboratory, NothingBuilt
from tests.benchmarks.report import Table

REPORT = ROOT / "docs" / "benchmarks.md"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--colds", type=int, default=11, metavar="N", help="sandboxes of each kind (11)")
    parser.add_argument("--warms", type=int, default=300, metavar="N", help="warm calls of each kind (300)")
    parser.add_argument("--sizes", type=int, default=20, metavar="N", help="calls for each memory size (20)")
    parser.add_argument("--only", choices=("artefact", "batch"), help="measure this part alone")
    parser.add_argument("--quick", action="store_true", help="of the batch: CPU for each code of ours, in a minute")
    parser.add_argument("--codes", type=int, default=500, metavar="N", help="codes at once, for --quick (500)")
    parser.add_argument("--rounds", type=int, default=1, metavar="N", help="of which the median is taken (1)")
    parser.add_argument(
        "--profile", type=Path, metavar="FOLDER", help="with --quick: write what the worker's time went into"
    )
    parser.add_argument("--write", action="store_true", help=f"write the tables to {REPORT.relative_to(ROOT)}")


def main(arguments: argparse.Namespace) -> int:
    try:
        report = asyncio.run(_report(arguments))  # noqa: TID251 - this is no function
    except NothingBuilt as error:
        say(str(error))
        return 1
    if arguments.write:
        REPORT.write_text(report, encoding="utf-8")
        say(f"written to {REPORT.relative_to(ROOT)}")
    return 0


async def _report(arguments: argparse.Namespace) -> str:
    parts = [_head(arguments)]
    async for table in _tables(arguments):
        sys.stdout.write(f"{table.markdown()}\n")
        sys.stdout.flush()
        parts.append(table.markdown())
    return "\n".join(parts)


async def _tables(arguments: argparse.Namespace) -> AsyncIterator[Table]:
    if arguments.quick:
        yield await quick.measure(codes=arguments.codes, rounds=arguments.rounds, profiles=arguments.profile)
        return
    async with Laboratory.open() as laboratory:
        yield _size()
        yield await cold_start.measure(laboratory, arguments.colds)
        yield await warm_calls.measure(laboratory, arguments.warms)
        yield await memory.peak(laboratory)
    async with Laboratory.open(latency=memory.GATEWAY) as laboratory:
        try:
            yield await memory.measure(laboratory, arguments.sizes)
        except NoShares as reason:
            say(f"memory sizes are not measured: {reason}")


def _size() -> Table:
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


def _head(arguments: argparse.Namespace) -> str:
    today = datetime.now(UTC)  # noqa: TID251 - the day of the report
    options = f"--colds {arguments.colds} --warms {arguments.warms} --sizes {arguments.sizes}"
    return f"""# Benchmarks

Made by `./salvo bench {options} --write` on {today:%Y-%m-%d}: {os.cpu_count()} shared cores,
{platform.system()} on {platform.machine()}. How each figure comes about, and what it is not, is in
[tests/benchmarks/README.md](../tests/benchmarks/README.md). The machine is noisy: ratios count, not milliseconds.
"""
