"""./salvo scale: how long a campaign takes on a fleet of functions, at what price, and what gives way first."""

from __future__ import annotations

import argparse
import asyncio
import importlib
import math
import sys
from collections.abc import Callable
from dataclasses import replace

from infra.environments import say
from infra.scale.costs import costs
from infra.scale.model import Fleet, Latency, as_salvo_send_does
from infra.scale.report import as_json, as_text
from infra.scale.simulation import simulate

_DEFAULT = Fleet()
_MOST_CODES = 10_000_000


def add_arguments(parser: argparse.ArgumentParser) -> None:
    _add_campaign(parser)
    _add_stack(parser)
    parser.add_argument("--json", action="store_true", help="for machines")
    parser.add_argument(
        "--check", action="store_true", help="compare with real runs on this machine, some three minutes"
    )
    parser.add_argument("--write", action="store_true", help="put tables and plots into docs/scale.md, a minute or two")


def main(arguments: argparse.Namespace) -> int:
    if arguments.check or arguments.write:
        return _documented(check=arguments.check, write=arguments.write)
    if arguments.latency_p99 < arguments.latency:
        say("--latency-p99 is what one answer in a hundred takes longer than: it is no less than --latency")
        return 1
    run = simulate(_fleet(arguments))
    lines = costs(run, sms_price=arguments.sms_price)
    sys.stdout.write(as_json(run, lines) if arguments.json else as_text(run, lines))
    return 0


def _documented(*, check: bool, write: bool) -> int:
    """Imported for this alone: one starts the local system, the other draws."""
    checking, pages = importlib.import_module("infra.scale.check"), importlib.import_module("infra.scale.pages")
    blocks: dict[str, str] = {}
    if check:
        say("real runs at small scale, beside the same ones simulated")
        try:
            found = asyncio.run(checking.check())  # noqa: TID251 - this is no function
        except checking.CheckFailed as failure:
            say(str(failure))
            return 1
        blocks["check"] = pages.check_block(*found)
        sys.stdout.write(blocks["check"])
    if write:
        say("simulating what the page shows")
        pages.write(blocks)
    return 0


def _add_campaign(parser: argparse.ArgumentParser) -> None:
    _add(parser, "--codes", _count(1, _MOST_CODES), _DEFAULT.codes, "N", "of the campaign")
    parser.add_argument(
        "--rate",
        type=_number(0.1, math.inf),
        action="append",
        metavar="N",
        help="codes a second that an account at a provider may send; again for each further account (100)",
    )
    _add(parser, "--latency", _number(0.001, 60), _DEFAULT.latency.p50, "S", "of the gateways' answers, the median")
    _add(parser, "--latency-p99", _number(0.001, 60), _DEFAULT.latency.p99, "S", "which one in a hundred exceeds")
    _add(parser, "--fail", _number(0, 1), _DEFAULT.fails, "P", "share of sends that are not taken for now, 0 to 1")
    _add(parser, "--arriving", _number(0.1, math.inf), _DEFAULT.arriving, "N", "codes posted a second")
    parser.add_argument(
        "--at-once", action="store_true", help="post all of them at once, and not as ./salvo send does: 30 s of work"
    )
    _add(parser, "--logins", _number(0, 10_000), _DEFAULT.logins, "N", "login codes a second by the same accounts")
    parser.add_argument("--sms-price", type=_number(0, 100), default=0.0, metavar="USD", help="of one SMS")
    _add(parser, "--seed", _count(0, 2**32), _DEFAULT.seed, "N", "of what is drawn")


def _add_stack(parser: argparse.ArgumentParser) -> None:
    _add(parser, "--concurrency", _count(1, 1_000), _DEFAULT.concurrency, "N", "the stack's BulkConcurrency")
    _add(parser, "--account-concurrency", _count(1, 100_000), _DEFAULT.account_concurrency, "N", "of the AWS account")
    _add(parser, "--batch-size", _count(1, 10_000), _DEFAULT.batch_size, "N", "messages of an invocation")
    _add(parser, "--window", _number(0, 300), _DEFAULT.window, "S", "for which a batch is waited for")
    _add(parser, "--memory", _count(128, 10_240), _DEFAULT.memory, "MB", "of the function")
    _add(parser, "--cpu", _number(0, 1), _DEFAULT.cpu, "S", "of a whole processor for each code")
    _add(parser, "--fresh-for", _number(1, 43_200), _DEFAULT.fresh_for, "S", "the service's batch_send_within")
    _add(parser, "--table-units", _number(1, 1e6), _DEFAULT.table_units, "N", "write units a second of the table")


def _add(
    parser: argparse.ArgumentParser, name: str, read: Callable[[str], float], default: float, unit: str, text: str
) -> None:
    parser.add_argument(name, type=read, default=default, metavar=unit, help=f"{text} ({default:g})")


def _fleet(arguments: argparse.Namespace) -> Fleet:
    fleet = Fleet(
        codes=arguments.codes,
        rates=tuple(arguments.rate or _DEFAULT.rates),
        latency=Latency(p50=arguments.latency, p99=arguments.latency_p99),
        fails=arguments.fail,
        arriving=arguments.arriving,
        logins=arguments.logins,
        concurrency=arguments.concurrency,
        account_concurrency=arguments.account_concurrency,
        batch_size=arguments.batch_size,
        window=arguments.window,
        memory=arguments.memory,
        cpu=arguments.cpu,
        fresh_for=arguments.fresh_for,
        table_units=arguments.table_units,
        seed=arguments.seed,
    )
    return fleet if arguments.at_once else replace(fleet, unfinished=as_salvo_send_does(fleet))


def _count(least: int, most: int) -> Callable[[str], int]:
    def read(text: str) -> int:
        if not (text.isascii() and text.isdigit() and least <= int(text) <= most):
            raise argparse.ArgumentTypeError(f"must be a whole number from {least:,} to {most:,}, not {text!r}")
        return int(text)

    return read


def _number(least: float, most: float) -> Callable[[str], float]:
    def read(text: str) -> float:
        try:
            number = float(text)
        except ValueError:
            number = math.nan
        if not least <= number <= most:
            raise argparse.ArgumentTypeError(f"must be a number from {least:g} to {most:g}, not {text!r}")
        return number

    return read
