"""A campaign's beginning: the whole file is looked through, what it will cost is shown, and somebody says yes."""

from __future__ import annotations

import argparse
import asyncio
import secrets
import sys

import aiohttp

from functions.service_file import Configuration, load_configuration
from infra.environments import say
from infra.send.client import Api
from infra.send.display import examining
from infra.send.estimate import estimate
from infra.send.examination import Examiner, fingerprint
from infra.send.forecast import warnings
from infra.send.key import read_key
from infra.send.ledger import Begun, Ledger
from infra.send.numbers import Numbers, numbers_on_disk
from infra.send.problems import BadLine, Unusable
from infra.send.results import result_path
from infra.send.statement import show
from infra.send.table import Table
from infra.send.tally import Tally
from infra.send.target import Target

DEFAULT_SERVICE = "default"
_NAME_BYTES = 6


def begin(arguments: argparse.Namespace, table: Table, ledger: Ledger, target: Target) -> tuple[Begun, str]:
    """The campaign as the ledger has it now, and the API key. Raises Unusable, ServiceFileError and OSError."""
    configuration, service = load_configuration(arguments.services), arguments.service or DEFAULT_SERVICE
    ledger.forget()
    if result_path(table.path).exists():
        raise Unusable(f"{result_path(table.path)} is there already, of another campaign: move it away first")
    file = fingerprint(table.path)
    with numbers_on_disk() as numbers:
        tally = _examined(table, configuration, service, numbers, ledger)
        _check(tally, skip_bad=arguments.skip_bad)
        found = estimate(tally, configuration, concurrency=target.concurrency, most=arguments.rate)
        show(found, warnings(tally, numbers, configuration, seconds=found.seconds))
    asyncio.run(_check_reachable(target))  # noqa: TID251 - this is no function
    _ask(tally, target, yes=arguments.yes)
    key = target.key or read_key(arguments.key_file)
    campaign = Begun(
        name=f"cmp_{secrets.token_hex(_NAME_BYTES)}",
        file=file,
        target=target.url,
        service=service,
        messages=tally.total,
        bad=tally.bad,
        rate=found.rate,
    )
    ledger.begin(campaign)
    return campaign, key


def _examined(table: Table, configuration: Configuration, service: str, numbers: Numbers, ledger: Ledger) -> Tally:
    """Tells every bad line on standard output."""

    def found_bad(line: int, error: BadLine) -> None:
        ledger.note_bad(line, error.code)
        sys.stdout.write(f"line {line}: {error.reason}\n")

    examiner = Examiner(table=table, configuration=configuration, service=service, numbers=numbers)
    with examining(table.path.stat().st_size) as told:
        tally = examiner.examine(found_bad, told)
    sys.stdout.flush()
    return tally


def _check(tally: Tally, *, skip_bad: bool) -> None:
    if not tally.total:
        raise Unusable("there is nobody to send to in it")
    if tally.bad and not skip_bad:
        raise Unusable(
            f"{tally.bad:,} of {tally.bad + tally.total:,} lines are bad, and nothing was sent: mend them, or send to"
            " the others with --skip-bad"
        )


async def _check_reachable(target: Target) -> None:
    async with aiohttp.ClientSession() as http:
        await Api(http, target.url, "").check()


def _ask(tally: Tally, target: Target, *, yes: bool) -> None:
    without = f", without {tally.bad:,} bad lines" if tally.bad else ""
    what = f"{tally.total:,} messages by {target.url}{without}"
    if yes:
        say(f"sending {what}")
        return
    if not sys.stdin.isatty():
        raise Unusable(f"nobody is here to be asked, so nothing was sent: --yes sends {what}")
    sys.stderr.write(f"Send {what}? [y/N] ")
    sys.stderr.flush()
    if sys.stdin.readline().strip().lower() not in {"y", "yes"}:
        raise Unusable("nothing was sent")
