"""./salvo bench: measures batches beside every other way to send them, and the artefact in AWS's own runtime."""

from __future__ import annotations

import argparse
import asyncio
import os
import platform
import sys
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime
from pathlib import Path

from infra.environments import ROOT, say
from infra.local.embedded_aws import EmbeddedAwsFailed
from tests.benchmarks import artefact, document
from tests.benchmarks.batch import quick
from tests.benchmarks.batch.arena import Failed
from tests.benchmarks.batch.measure import Comparison
from tests.benchmarks.laboratory import NothingBuilt
from tests.benchmarks.report import Table

REPORT = ROOT / "docs" / "benchmarks.md"
DRAWINGS = REPORT.with_suffix("")

ARTEFACT, BATCH = "artefact", "batch"

_ROUNDS = 5


class Unclear(Exception):
    """Options that do not go together. The message says which."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    count = _count(1, 10_000)
    parser.add_argument("--only", choices=(BATCH, ARTEFACT), help="measure this part alone")
    parser.add_argument("--write", action="store_true", help=f"write tables and plots to {REPORT.relative_to(ROOT)}")
    batch = parser.add_argument_group("batches")
    batch.add_argument("--rounds", type=count, metavar="N", help=f"of each contender ({_ROUNDS}, with --quick 1)")
    batch.add_argument("--quick", action="store_true", help="only what a code costs the sender, in half a minute")
    batch.add_argument("--codes", type=count, default=500, metavar="N", help="at once, with --quick (500)")
    batch.add_argument(
        "--profile", type=_folder, metavar="FOLDER", help="with --quick: write there what the sender's time went into"
    )
    built = parser.add_argument_group("the artefact")
    built.add_argument("--colds", type=count, default=11, metavar="N", help="sandboxes of each kind (11)")
    built.add_argument("--warms", type=count, default=300, metavar="N", help="warm calls of each kind (300)")
    built.add_argument("--sizes", type=count, default=20, metavar="N", help="calls for each memory size (20)")


def main(arguments: argparse.Namespace) -> int:
    work = _quick(arguments) if arguments.quick else _whole(arguments)
    try:
        asyncio.run(work)  # noqa: TID251 - this is no function
    except (Unclear, NothingBuilt, EmbeddedAwsFailed, Failed, document.PartMissing) as error:
        say(str(error))
        return 1
    return 0


async def _quick(arguments: argparse.Namespace) -> None:
    if arguments.only == ARTEFACT or arguments.write:
        raise Unclear("--quick is of batches, and writes nothing: leave out --only artefact and --write")
    _show(await quick.measure(codes=arguments.codes, rounds=arguments.rounds or 1))
    if arguments.profile is not None:
        await quick.profile(codes=arguments.codes, folder=arguments.profile)


async def _whole(arguments: argparse.Namespace) -> None:
    """The artefact first: it is the shorter one, and may not be built."""
    if arguments.profile is not None:
        raise Unclear("--profile goes with --quick")
    parts = [part for part in (ARTEFACT, BATCH) if arguments.only in {None, part}]
    for part in parts if arguments.write else []:
        document.check(REPORT, part)
    for part in parts:
        texts = await (_artefact(arguments) if part == ARTEFACT else _batch(arguments))
        if arguments.write:
            document.write(REPORT, part, "\n".join(texts))
            say(f"written to {REPORT.relative_to(ROOT)}")


async def _artefact(arguments: argparse.Namespace) -> list[str]:
    options = f"--only artefact --colds {arguments.colds} --warms {arguments.warms} --sizes {arguments.sizes}"
    return [_made_by(options), *await _shown(artefact.tables(arguments))]


async def _batch(arguments: argparse.Namespace) -> list[str]:
    comparison = Comparison(rounds=arguments.rounds or _ROUNDS)
    tables = await _shown(comparison.tables(DRAWINGS if arguments.write else None))
    return [_made_by(f"--only batch --rounds {comparison.rounds}"), *tables, *map(_drawing, comparison.drawings)]


async def _shown(tables: AsyncIterator[Table]) -> list[str]:
    return [_show(table) async for table in tables]


def _show(table: Table) -> str:
    text = table.markdown()
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()
    return text


def _made_by(options: str) -> str:
    today = datetime.now(UTC)  # noqa: TID251 - the day of the report
    machine = f"{os.cpu_count()} shared cores, {platform.system()} on {platform.machine()}"
    return f"Made by `./salvo bench {options} --write` on {today:%Y-%m-%d}: {machine}.\n"


def _drawing(name: str) -> str:
    return f"![{name}]({DRAWINGS.name}/{name}.svg)\n"


def _folder(text: str) -> Path:
    folder = Path(text)
    if folder.exists() and not folder.is_dir():
        raise argparse.ArgumentTypeError(f"{text} is a file, and a folder is wanted")
    return folder


def _count(least: int, most: int) -> Callable[[str], int]:
    def read(text: str) -> int:
        if not (text.isascii() and text.isdigit() and least <= int(text) <= most):
            raise argparse.ArgumentTypeError(f"must be a whole number from {least} to {most}, not {text!r}")
        return int(text)

    return read
