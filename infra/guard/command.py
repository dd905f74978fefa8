"""./salvo guard: shows what the rules against abuse do, changes the lists, and tries out changed rules."""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
from collections.abc import Awaitable, Callable, Iterable, Sequence
from pathlib import Path
from typing import TypeVar

from rich import box
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from functions.domain.errors import InvalidPhoneNumber, InvalidRequest
from functions.domain.guard.kept import Kept
from functions.domain.guard.lists import Effect
from functions.service_file import Configuration, ServiceFileError, load_configuration
from functions.settings import SHIPPED_SERVICES
from functions.usecases.ports import KeysUnavailable
from infra.aws import AWS_ERRORS, Aws, AwsUnavailable, explain
from infra.deployed import NAME, NotDeployed
from infra.environments import say
from infra.guard.deployment import Deployment, opened
from infra.guard.lists import NotChanged, change
from infra.guard.odds import odds
from infra.guard.replay import Unreadable, changes, kept_since, notes, read, replay, summary, write
from infra.guard.status import Section, status
from infra.logs import parse_duration

_EFFECTS = {"allow": Effect.ALLOW, "block": Effect.BLOCK, "unblock": None}
_WIDTH = 120
_LONGEST_WHY = 200

_Result = TypeVar("_Result")


class Unusable(Exception):
    """The options don't go together, or name what there is not. The message says which."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    commands = parser.add_subparsers(dest="what", required=True, metavar="WHAT")
    _add_status(commands.add_parser("status", help="lists, closed blocks, budgets, denials, conversion by country"))
    for name, text in (
        ("allow", "let a number, block or country pass the rules that it runs into"),
        ("block", "send no code to a number, block or country"),
        ("unblock", "take it off the lists"),
    ):
        _add_change(commands.add_parser(name, help=text), ends=name != "unblock")
    _add_replay(commands.add_parser("replay", help="what a changed services.toml would have decided"))
    _add_services(commands.add_parser("odds", help="how likely codes are to be guessed, by services.toml"))


def main(arguments: argparse.Namespace) -> int:
    try:
        return _COMMANDS[arguments.what](arguments)
    except (NotDeployed, AwsUnavailable, KeysUnavailable, NotChanged, Unreadable, Unusable) as error:
        say(str(error))
    except (InvalidRequest, InvalidPhoneNumber) as error:
        say(error.detail)
    except ServiceFileError as error:
        say("\n".join(error.problems))
    except OSError as error:
        say(f"{error.filename}: {error.strerror}")
    except AWS_ERRORS as error:
        say(explain(error))
    return 1


def _add_status(parser: argparse.ArgumentParser) -> None:
    _add_stack(parser)
    _add_services(parser)
    parser.add_argument("--service", metavar="NAME", help="budgets and denials of this service only")
    parser.add_argument(
        "--since", type=parse_duration, default=10_800, metavar="TIME", help="how far back: 30m, 2h, 1d (3h)"
    )
    parser.add_argument("--json", action="store_true", help="print JSON instead of tables")


def _add_change(parser: argparse.ArgumentParser, *, ends: bool) -> None:
    parser.add_argument("who", help="a number, such as +4915112345678, a block, +4915112345xxx, or a country, DE")
    parser.add_argument("--why", required=True, type=_why, metavar="TEXT", help="stands in the lists with your name")
    if ends:
        parser.add_argument(
            "--for", dest="seconds", type=parse_duration, metavar="TIME", help="30m, 12h, 7d (until you unblock it)"
        )
    else:
        parser.set_defaults(seconds=None)
    _add_stack(parser)


def _add_replay(parser: argparse.ArgumentParser) -> None:
    source = parser.add_mutually_exclusive_group(required=True)
    source.add_argument("file", nargs="?", type=Path, metavar="FILE", help="decisions that --save wrote")
    source.add_argument("--since", type=parse_duration, metavar="TIME", help="the stack's own, of the last 24h, 7d")
    parser.add_argument(
        "--services", type=Path, default=SHIPPED_SERVICES, metavar="FILE", help="the changed services.toml"
    )
    parser.add_argument(
        "--before",
        type=Path,
        default=SHIPPED_SERVICES,
        metavar="FILE",
        help="the services.toml that the stack has (this checkout's)",
    )
    parser.add_argument("--save", type=Path, metavar="FILE", help="write the decisions there too, for another replay")
    _add_stack(parser)


def _add_stack(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--stack-name", default=NAME, metavar="NAME", help=f"the stack's name ({NAME})")
    parser.add_argument("--region", help="where it is (the region of your AWS configuration)")


def _add_services(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--services", type=Path, default=SHIPPED_SERVICES, metavar="FILE", help="another services.toml")


def _status(arguments: argparse.Namespace) -> int:
    configuration, service = load_configuration(arguments.services), arguments.service
    if service is not None and service not in configuration.services:
        raise Unusable(f"{arguments.services} has no service {service}")

    async def look(deployment: Deployment) -> list[Section]:
        return await status(deployment, configuration, seconds=arguments.since, service=service)

    sections = _in_the_stack(arguments, look)
    if arguments.json:
        sys.stdout.write(_as_json(sections) + "\n")
    else:
        _show(sections)
    return 0


def _change(arguments: argparse.Namespace) -> int:
    async def make(deployment: Deployment) -> str:
        effect = _EFFECTS[arguments.what]
        made = await change(deployment, arguments.who, effect, why=arguments.why, seconds=arguments.seconds)
        return made.told

    sys.stdout.write(_in_the_stack(arguments, make) + "\n")
    say("every function knows it within six seconds")
    return 0


def _replay(arguments: argparse.Namespace) -> int:
    before, after = load_configuration(arguments.before), load_configuration(arguments.services)
    decisions = _decisions(arguments)
    if arguments.save is not None:
        write(arguments.save, decisions)
    replayed = replay(decisions, before, after)
    _show([changes(replayed)])
    for line in (*summary(decisions, replayed), *notes(before, after, decisions)):
        sys.stdout.write(line + "\n")
    return 0


def _decisions(arguments: argparse.Namespace) -> list[Kept]:
    if arguments.file is not None:
        return read(arguments.file)

    async def load(deployment: Deployment) -> list[Kept]:
        return await kept_since(deployment, arguments.since)

    return _in_the_stack(arguments, load)


def _odds(arguments: argparse.Namespace) -> int:
    configuration: Configuration = load_configuration(arguments.services)
    _show(
        [
            Section(f"service {name}", ["what", "odds"], list(odds(service, configuration.spending)), "")
            for name, service in configuration.services.items()
        ]
    )
    return 0


_COMMANDS: dict[str, Callable[[argparse.Namespace], int]] = {
    "status": _status,
    **dict.fromkeys(_EFFECTS, _change),
    "replay": _replay,
    "odds": _odds,
}


def _in_the_stack(arguments: argparse.Namespace, work: Callable[[Deployment], Awaitable[_Result]]) -> _Result:
    async def run() -> _Result:
        async with opened(Aws.of_the_shell(arguments.region), arguments.stack_name) as deployment:
            return await work(deployment)

    return asyncio.run(run())  # noqa: TID251 - this is no function


def _show(sections: Iterable[Section]) -> None:
    console = Console(width=max(Console().width, _WIDTH))
    for section in sections:
        if not section.rows:
            console.print(f"{section.title}: {section.nothing}\n", markup=False, highlight=False)
            continue
        table = Table(box=box.SIMPLE_HEAD, pad_edge=False, title=section.title, title_justify="left")
        for column in section.columns:
            table.add_column(column, overflow="fold")
        for row in section.rows:
            table.add_row(*map(escape, row))
        console.print(table)


def _as_json(sections: Sequence[Section]) -> str:
    found = {
        section.title: [dict(zip(section.columns, row, strict=True)) for row in section.rows] for section in sections
    }
    return json.dumps(found, indent=2)


def _why(text: str) -> str:
    if not text.strip() or not text.isprintable() or len(text) > _LONGEST_WHY:
        raise argparse.ArgumentTypeError(f"a reason is 1 to {_LONGEST_WHY} characters on one line")
    return text.strip()
