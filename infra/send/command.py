"""./salvo send: a code to each number of a CSV file, through the batch API."""

from __future__ import annotations

import argparse
import sqlite3
from pathlib import Path

from functions.service_file import ServiceFileError
from functions.settings import SHIPPED_SERVICES
from infra.environments import say
from infra.send import ledger
from infra.send.beginning import DEFAULT_SERVICE, begin
from infra.send.going_on import go_on, put_away
from infra.send.problems import Unusable
from infra.send.results import result_path
from infra.send.sending import send
from infra.send.table import COLUMNS, METADATA, open_table
from infra.send.target import Target, local

_LEAST_RATE, _MOST_RATE = 0.1, 100_000


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("file", type=Path, metavar="FILE.csv", help="whom to send to; its first line names the columns")
    where = parser.add_mutually_exclusive_group(required=True)
    where.add_argument("--stack", metavar="NAME", help="through this deployed stack")
    where.add_argument("--local", action="store_true", help="through the system that ./salvo up runs")
    parser.add_argument("--region", help="where the stack is (the region of your AWS configuration)")
    parser.add_argument("--port", type=int, default=8080, help="of the local system (8080)")
    parser.add_argument("--key-file", type=Path, metavar="FILE", help="has the API key; else it is asked for")
    parser.add_argument("--service", metavar="NAME", help=f"of lines that name none ({DEFAULT_SERVICE})")
    parser.add_argument(
        "--services", type=Path, default=SHIPPED_SERVICES, metavar="FILE", help="the stack's, if it is another"
    )
    parser.add_argument("--rate", type=_rate, metavar="N", help="at most so many messages a second")
    parser.add_argument("--skip-bad", action="store_true", help="send to the other lines where some are bad")
    parser.add_argument("--yes", action="store_true", help="do not ask before it is sent")
    parser.add_argument("--again", action="store_true", help="send a file once more whose campaign is over")
    parser.add_argument(
        "--same-caller", action="store_true", help="go on with another key than before: it is the same caller's"
    )
    parser.epilog = (
        f"Columns: {', '.join(COLUMNS)} or {METADATA}NAME. Ends with FILE.result.csv. Whatever stops it, the same "
        "command goes on, and nobody gets a second SMS. docs/campaigns.md tells more."
    )


def main(arguments: argparse.Namespace) -> int:
    try:
        return _run(arguments)
    except Unusable as error:
        say(str(error))
    except ServiceFileError as error:
        say(f"{arguments.services} has mistakes:\n{error}")
    except sqlite3.Error as error:
        say(f"{ledger.folder_of(arguments.file)}: {error}")
    except OSError as error:
        say(f"{error.filename or arguments.file}: {error.strerror or error}")
    return 1


def _run(arguments: argparse.Namespace) -> int:
    table = open_table(arguments.file)
    with ledger.opened(arguments.file) as book:
        begun = book.begun()
        if begun is not None and begun.finished:
            if not arguments.again:
                say(f"this file is sent: {result_path(arguments.file)} has the results. --again sends it once more")
                return 0
            put_away(arguments.file, begun, book)
            begun = None
        there = _target(arguments)
        campaign, key = begin(arguments, table, book, there) if begun is None else go_on(arguments, begun, book, there)
        return send(table, book, campaign, key, most=arguments.rate)


def _target(arguments: argparse.Namespace) -> Target:
    if arguments.local:
        return local(arguments.port)
    from infra.send.stack import target_of  # noqa: PLC0415 - takes longer to load than all else, and AWS is for stacks

    return target_of(arguments.stack, arguments.region)


def _rate(text: str) -> float:
    try:
        rate = float(text)
    except ValueError:
        rate = 0.0
    if not _LEAST_RATE <= rate <= _MOST_RATE:
        raise argparse.ArgumentTypeError(f"must be a number from {_LEAST_RATE} to {_MOST_RATE}, not {text!r}")
    return rate
