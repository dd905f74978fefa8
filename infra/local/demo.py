"""./salvo demo: a batch of codes through the real queue handler, and what came of each."""

from __future__ import annotations

import argparse
import asyncio
import json
import secrets
import tempfile
import time
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import aiohttp
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from infra.environments import say
from infra.local.embedded_aws import Resources, aws_client
from infra.local.event_source import MOST_RECORDS, EventSource
from infra.local.execution_environment import Function, FunctionError
from infra.local.system import Base, start_base
from infra.local.up import add_gateway_arguments

_ROWS = 20
_SENDER_TIMEOUT = 120.0
"""Seconds. Longer than the template's 15, so that one invocation takes a batch of any size."""
_VISIBILITY_TIMEOUT = 150
_GIVE_UP = 300.0
_IN_A_CALL = 10
_LOOK_EVERY = 0.25


@dataclass(frozen=True, slots=True, kw_only=True)
class Fate:
    """What became of one number."""

    number: str
    outcome: str
    received: int
    """Messages on the phone."""
    message_id: str = "-"
    milliseconds: int = 0
    verification: str = "-"


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    fates: list[Fate]
    seconds: float
    expiries: Counter[int]
    """Codes stored in the table, by the second in which they expire."""

    @property
    def twice(self) -> list[Fate]:
        return [fate for fate in self.fates if fate.received > 1]

    @property
    def lost(self) -> list[Fate]:
        """Not on the phone, and nothing in the log says why."""
        return [fate for fate in self.fates if not fate.received and fate.outcome in {"-", "accepted"}]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--codes", type=_codes, default=100, metavar="N", help="how many to send (100)")
    add_gateway_arguments(parser, latency=1.0)


def main(arguments: argparse.Namespace) -> int:
    try:
        result = asyncio.run(_run(arguments.codes, arguments.latency, arguments.fail))  # noqa: TID251 - no function
    except FunctionError as error:
        say(f"the sender does not start: {error}")
        return 1
    _show(result, Console(width=max(Console().width, 120)))
    return 1 if result.lost or result.twice else 0


async def _run(codes: int, latency: float, fail: float) -> Result:
    say("starting the embedded AWS and the gateway")
    numbers = _numbers(codes)
    with tempfile.TemporaryDirectory(prefix="salvo-demo-") as folder:
        log = Path(folder) / "sender.log"
        async with start_base(latency=latency, fail=fail, visibility_timeout=_VISIBILITY_TIMEOUT) as base:
            async with Function(
                "functions.handlers.sender.handler",
                base.environment(),
                timeout=_SENDER_TIMEOUT,
                name="sender",
                log=log,
            ) as sender:
                await sender.warm()
                await _enqueue(base.resources, numbers)
                seconds = await _send_all(base, sender, codes)
            fates = await _fates(base, numbers, log)
            return Result(fates=fates, seconds=seconds, expiries=await _expiries(base.resources))


def _numbers(count: int) -> list[str]:
    """German and Chinese mobile numbers; the gateway is simulated, so nobody's phone rings."""
    start = secrets.randbelow(90_000_000)
    return [f"+49151{start + n:08d}" if n % 5 else f"+86139{start + n:08d}" for n in range(count)]


async def _enqueue(resources: Resources, numbers: list[str]) -> None:
    async with aws_client("sqs", resources.endpoint) as sqs:
        for start in range(0, len(numbers), _IN_A_CALL):
            entries = [
                {"Id": str(n), "MessageBody": json.dumps({"v": 1, "to": number})}
                for n, number in enumerate(numbers[start : start + _IN_A_CALL])
            ]
            await sqs.send_message_batch(QueueUrl=resources.queue_url, Entries=entries)


async def _send_all(base: Base, sender: Function, codes: int) -> float:
    """Seconds from the first message's receipt from the queue to the last one's end."""
    columns = (TextColumn("sending"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    began = time.monotonic()
    async with (
        EventSource.start(
            sender,
            endpoint=base.resources.endpoint,
            queue_url=base.resources.queue_url,
            batch_size=codes,
            window=5.0,
        ) as source,
        aiohttp.ClientSession() as http,
        aws_client("sqs", base.resources.endpoint) as sqs,
    ):
        with Progress(*columns, console=Console(stderr=True)) as progress:
            bar = progress.add_task("sending", total=codes)
            while (done := source.counters.succeeded) < codes:
                progress.update(bar, completed=max(done, await _on_phones(http, base.gateway.url)))
                if source.counters.failed and done + await _dead_letters(sqs, base.resources) >= codes:
                    break
                if time.monotonic() - began > _GIVE_UP:
                    say("giving up: not every message came to an end")
                    break
                await asyncio.sleep(_LOOK_EVERY)
            progress.update(bar, completed=codes)
        return time.monotonic() - began


async def _on_phones(http: aiohttp.ClientSession, gateway: str) -> int:
    async with http.get(f"{gateway}/inbox/count.json") as answer:
        return int((await answer.json())["messages"])


async def _dead_letters(sqs: Any, resources: Resources) -> int:
    answer = await sqs.get_queue_attributes(
        QueueUrl=resources.dead_letter_queue_url, AttributeNames=["ApproximateNumberOfMessages"]
    )
    return int(answer["Attributes"]["ApproximateNumberOfMessages"])


async def _fates(base: Base, numbers: list[str], log: Path) -> list[Fate]:
    """Brings together the functions' log, what the gateway was asked, and what the phones have received."""
    async with aiohttp.ClientSession() as http:
        async with http.get(f"{base.gateway.url}/control/requests.json") as answer:
            asked = await answer.json()
        counts = await asyncio.gather(*(_messages(http, base.gateway.url, number) for number in numbers))
    received = dict(zip(numbers, counts, strict=True))
    sends = {line["verification"]: line for line in _lines(log) if line.get("message") == "send"}
    owners = {_e164(request["mobile"]): request["uid"].partition(".")[0] for request in asked}
    return [_fate(number, received[number], sends.get(owners.get(number, "")), owners) for number in numbers]


async def _messages(http: aiohttp.ClientSession, gateway: str, number: str) -> int:
    async with http.get(f"{gateway}/inbox.json", params={"to": number}) as answer:
        return len(await answer.json())


def _fate(number: str, received: int, send: Mapping[str, Any] | None, owners: Mapping[str, str]) -> Fate:
    if send is None:
        return Fate(number=number, outcome="-", received=received)
    return Fate(
        number=number,
        outcome=send["outcome"],
        received=received,
        message_id=send.get("message_id", "-"),
        milliseconds=send["milliseconds"],
        verification=owners[number],
    )


def _lines(log: Path) -> Iterable[dict[str, Any]]:
    with log.open(encoding="utf-8") as lines:
        for line in lines:
            if line.startswith("{"):
                yield json.loads(line)


def _e164(mobile: str) -> str:
    return mobile if mobile.startswith("+") else f"+86{mobile}"


async def _expiries(resources: Resources) -> Counter[int]:
    expiries: Counter[int] = Counter()
    async with aws_client("dynamodb", resources.endpoint) as dynamodb:
        async for page in dynamodb.get_paginator("scan").paginate(TableName=resources.table, ConsistentRead=True):
            expiries.update(int(item["expires_at"]["N"]) for item in page["Items"])
    return expiries


def _show(result: Result, console: Console) -> None:
    table = Table("number", "message id", "latency", "verification", "outcome")
    for fate in result.fates[:_ROWS]:
        latency = f"{fate.milliseconds / 1000:.2f} s" if fate.milliseconds else "-"
        table.add_row(fate.number, fate.message_id, latency, fate.verification, fate.outcome)
    console.print(table)
    if len(result.fates) > _ROWS:
        console.print(f"… and {len(result.fates) - _ROWS} more")
    for line in _summary(result):
        console.print(line, highlight=False)


def _summary(result: Result) -> Iterable[str]:
    count = len(result.fates)
    sent = sum(fate.received > 0 for fate in result.fates)
    one_by_one = sum(fate.milliseconds for fate in result.fates) / 1000
    yield f"{sent} of {count} codes sent in {result.seconds:.1f} s: {sent / result.seconds:.0f} a second"
    yield f"one after the other they would have taken {one_by_one:.0f} s"
    if result.expiries:
        first, last = (_clock(second) for second in (min(result.expiries), max(result.expiries)))
        yield f"{result.expiries.total()} codes are stored in the table and expire from {first} to {last} UTC"
    for outcome, number in Counter(fate.outcome for fate in result.fates if not fate.received).most_common():
        yield f"{number} not sent: {_WORDS.get(outcome, outcome)}"
    yield f"lost: {len(result.lost)}, sent twice: {len(result.twice)}"


_WORDS = {
    "unknown": "the gateway broke off, and nobody knows whether it took them; they are not sent again unasked",
    "transient": "refused five times, now in the dead-letter queue",
}


def _clock(second: int) -> str:
    return datetime.fromtimestamp(second, UTC).strftime("%H:%M:%S")


def _codes(text: str) -> int:
    number = int(text)
    if not 1 <= number <= MOST_RECORDS:
        raise argparse.ArgumentTypeError(f"must be from 1 to {MOST_RECORDS}")
    return number
