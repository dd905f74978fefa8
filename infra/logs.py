"""./salvo logs: what a stack's functions write, all of them merged by time, as lines for people."""

from __future__ import annotations

import argparse
import asyncio
import os
import re
import sys
import time
from collections import deque
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from infra.aws import AWS_ERRORS, Aws, AwsUnavailable, explain
from infra.deployed import FUNCTIONS, NAME, NotDeployed, find
from infra.environments import say
from infra.log_lines import Line, readable

_LOOK_EVERY = 2.0
"""Seconds. CloudWatch allows ten looks a second in an account and region, and shows a line after some seconds."""
_LATE = 30_000
"""Milliseconds that a line may come after a later one, between functions and machines."""
_REMEMBERED = 100_000
"""Lines known by their id, so that looking at the last seconds again shows none twice."""

_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86_400}
_DURATION = re.compile(r"([1-9][0-9]{0,5})([smhd])")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("function", nargs="?", choices=sorted(FUNCTIONS), help="this function only")
    parser.add_argument("--stack-name", default=NAME, metavar="NAME", help=f"the stack's name ({NAME})")
    parser.add_argument("--region", help="where it is (the region of your AWS configuration)")
    parser.add_argument(
        "--since", type=parse_duration, default=600, metavar="TIME", help="how far back: 30s, 10m, 2h, 1d (10m)"
    )
    parser.add_argument(
        "--follow", "-f", action="store_true", help="go on with what is written from now on, until Ctrl-C"
    )
    parser.add_argument(
        "--filter", default="", metavar="TEXT", help="lines that contain this only, such as ERROR or an id"
    )
    parser.add_argument(
        "--platform", action="store_true", help="what Lambda writes about each invocation too, and metrics"
    )


def main(arguments: argparse.Namespace) -> int:
    try:
        asyncio.run(_show(arguments))  # noqa: TID251 - this is no function
    except (NotDeployed, AwsUnavailable) as error:
        say(str(error))
        return 1
    except AWS_ERRORS as error:
        say(explain(error))
        return 1
    except BrokenPipeError:  # whoever read our lines has had enough, as head has
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return 0


async def _show(arguments: argparse.Namespace) -> None:
    aws = Aws.of_the_shell(arguments.region)
    stack = await find(aws, arguments.stack_name)
    names = [arguments.function] if arguments.function else list(FUNCTIONS)
    groups = {name: stack.id_of(FUNCTIONS[name].replace("Function", "Logs")) for name in names}
    since = int((time.time() - arguments.since) * 1000)  # noqa: TID251 - CloudWatch's time is everybody's
    async with aws.client("logs") as client:
        reader = Reader(client, groups)
        lines = reader.follow(since) if arguments.follow else reader.read(since)
        async for line in lines:
            if (arguments.platform or not line.is_noise) and arguments.filter in line.text:
                sys.stdout.write(readable(line) + "\n")
                sys.stdout.flush()


@dataclass(slots=True)
class Reader:
    """Reads log groups side by side. Shows no line twice, however often it looks."""

    client: Any
    """An aiobotocore client of CloudWatch Logs."""
    groups: Mapping[str, str]
    """Log groups by what their lines are marked with."""
    pause: Callable[[], Any] = lambda: asyncio.sleep(_LOOK_EVERY)
    """Awaited between two looks."""
    _seen: set[str] = field(default_factory=set)
    _order: deque[str] = field(default_factory=deque)

    async def read(self, since: int) -> AsyncIterator[Line]:
        """The lines from `since` (milliseconds since 1970), by time. Raises AWS's errors."""
        async for line in _merged([self._lines(name, group, since) for name, group in self.groups.items()]):
            yield line

    async def follow(self, since: int) -> AsyncIterator[Line]:
        """The same without an end; a line that comes late comes late here too. Raises AWS's errors."""
        while True:
            newest = since
            async for line in self.read(since):
                newest = max(newest, line.at)
                yield line
            since = max(since, newest - _LATE)
            await self.pause()

    async def _lines(self, name: str, group: str, since: int) -> AsyncIterator[Line]:
        # Pages may be empty and yet not be the last: the paginator goes by the token.
        pages = self.client.get_paginator("filter_log_events").paginate(logGroupName=group, startTime=since)
        async for page in pages:
            for event in page["events"]:
                # The embedded AWS gives none to what functions write there.
                known_by = event.get("eventId") or f"{group} {event['timestamp']} {event['message']}"
                if self._is_new(known_by):
                    yield Line(name, event["timestamp"], event["message"])

    def _is_new(self, event: str) -> bool:
        if event in self._seen:
            return False
        self._seen.add(event)
        self._order.append(event)
        if len(self._order) > _REMEMBERED:
            self._seen.discard(self._order.popleft())
        return True


async def _merged(sources: Sequence[AsyncIterator[Line]]) -> AsyncIterator[Line]:
    """As much as each source is in order, the whole is; one line of each is held at a time."""
    heads = [(line, source) for source in sources if (line := await anext(source, None)) is not None]
    while heads:
        index = min(range(len(heads)), key=lambda n: heads[n][0].at)
        line, source = heads[index]
        yield line
        following = await anext(source, None)
        if following is None:
            del heads[index]
        else:
            heads[index] = (following, source)


def parse_duration(text: str) -> int:
    found = _DURATION.fullmatch(text)
    if not found:
        raise argparse.ArgumentTypeError("a number and s, m, h or d, such as 10m")
    return int(found[1]) * _UNITS[found[2]]
