"""./salvo demo: a batch of codes through the real queue handler, and what came of each."""

from __future__ import annotations

import argparse
import asyncio
import json
import secrets
import tempfile
import time
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import aiohttp
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from functions.domain.identity import number_key, parse_id
from functions.domain.keys import Keyring
from functions.providers.catalog import PROVIDERS
from functions.runtime import wall_clock
from functions.stores.secrets_manager import CachedSecret, SecretKeys
from infra.environments import say
from infra.local.embedded_aws import Resources, aws_client
from infra.local.event_source import MOST_RECORDS, EventSource
from infra.local.execution_environment import Function, FunctionError
from infra.local.fates import Fate, Result, show
from infra.local.system import Base, start_base
from infra.local.trial_routes import write_services
from infra.local.up import add_gateway_arguments

_SERVICE = "default"
_DEFAULT = "yunpian"
_SENDER_TIMEOUT = 120.0
"""Seconds. Longer than the template's 15, so that one invocation takes a batch of any size."""
_VISIBILITY_TIMEOUT = 150
_GIVE_UP = 300.0
_IN_A_CALL = 10
_LOOK_EVERY = 0.25
_SUBSCRIBERS = 100_000_000
_APART = 61_803_399
"""Each number is so far from the one before it: codes to one block of numbers in a row are what the guard is for."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--codes", type=_codes, default=100, metavar="N", help="how many to send (100)")
    parser.add_argument(
        "--provider",
        type=_providers,
        default=[_DEFAULT],
        metavar="NAMES",
        help="by whom, in the order in which they are asked: one name, or several such as twilio,vonage (yunpian)",
    )
    parser.add_argument(
        "--down",
        type=_providers,
        default=[],
        metavar="NAMES",
        help="which of them refuse everything: the next one takes over then",
    )
    add_gateway_arguments(parser, latency=1.0)
    parser.epilog = f"There are {', '.join(sorted(PROVIDERS))}."


def main(arguments: argparse.Namespace) -> int:
    for provider in arguments.down:
        if provider not in arguments.provider:
            say(f"--down names {provider}, which is not asked: it goes with --provider")
            return 1
    try:
        result = asyncio.run(_run(arguments))  # noqa: TID251 - this is no function
    except FunctionError as error:
        say(f"the sender does not start: {error}")
        return 1
    show(result)
    return 1 if result.lost or result.twice else 0


async def _run(arguments: argparse.Namespace) -> Result:
    say("starting the embedded AWS and the gateways")
    numbers = _numbers(arguments.codes)
    with tempfile.TemporaryDirectory(prefix="salvo-demo-") as folder:
        log, services = Path(folder) / "sender.log", _services(arguments.provider, Path(folder))
        async with start_base(
            latency=arguments.latency, fail=arguments.fail, visibility_timeout=_VISIBILITY_TIMEOUT
        ) as base:
            for provider in arguments.down:
                await base.gateway.change(provider=provider, always={"answer": "refuse"})
            async with Function(
                "functions.handlers.sender.handler",
                base.environment(services=services),
                timeout=_SENDER_TIMEOUT,
                name="sender",
                log=log,
            ) as sender:
                await sender.warm()
                await _enqueue(base.resources, numbers)
                seconds = await _send_all(base, sender, arguments.codes)
            fates = await _fates(base, numbers, log)
            return Result(
                fates=fates,
                seconds=seconds,
                expiries=await _expiries(base.resources),
                providers=arguments.provider,
            )


def _services(providers: Sequence[str], folder: Path) -> Path | None:
    """None for what is shipped."""
    if providers == [_DEFAULT]:
        return None
    write_services(folder / "services.toml", {_SERVICE: providers})
    return folder / "services.toml"


def _numbers(count: int) -> list[str]:
    """German and Chinese mobile numbers; the gateway is simulated, so nobody's phone rings."""
    start = secrets.randbelow(_SUBSCRIBERS)
    spread = ((start + n * _APART) % _SUBSCRIBERS for n in range(count))
    return [f"+49151{each:08d}" if n % 5 else f"+86139{each:08d}" for n, each in enumerate(spread)]


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
    """Brings together what the phones have received, and the sends in the function's log, which name no number."""
    keys = await _keyring(base.resources)
    async with aiohttp.ClientSession() as http:
        counts = await asyncio.gather(*(_messages(http, base.gateway.url, number) for number in numbers))
    sends: defaultdict[str, list[dict[str, Any]]] = defaultdict(list)
    for line in _lines(log):
        if line.get("message") == "send":
            sends[parse_id(line["verification"]).key].append(line)
    return [
        _fate(number, received, sends[number_key(keys, _SERVICE, number)])
        for number, received in zip(numbers, counts, strict=True)
    ]


async def _keyring(resources: Resources) -> Keyring:
    async with aws_client("secretsmanager", resources.endpoint) as client:
        return await SecretKeys(CachedSecret(client, resources.keys_secret, wall_clock)).keyring()


async def _messages(http: aiohttp.ClientSession, gateway: str, number: str) -> int:
    async with http.get(f"{gateway}/inbox.json", params={"to": number}) as answer:
        return len(await answer.json())


def _fate(number: str, received: int, sends: Sequence[Mapping[str, Any]]) -> Fate:
    if not sends:
        return Fate(number=number, outcome="-", received=received)
    last = sends[-1]
    return Fate(
        number=number,
        outcome=last["outcome"],
        provider=last["provider"],
        received=received,
        message_id=last.get("message_id", "-"),
        milliseconds=sum(send["milliseconds"] for send in sends),
        verification=last["verification"],
    )


def _lines(log: Path) -> Iterable[dict[str, Any]]:
    with log.open(encoding="utf-8") as lines:
        for line in lines:
            if line.startswith("{"):
                yield json.loads(line)


async def _expiries(resources: Resources) -> Counter[int]:
    expiries: Counter[int] = Counter()
    async with aws_client("dynamodb", resources.endpoint) as dynamodb:
        async for page in dynamodb.get_paginator("scan").paginate(TableName=resources.table, ConsistentRead=True):
            expiries.update(int(item["expires_at"]["N"]) for item in page["Items"] if "expires_at" in item)
    return expiries


def _codes(text: str) -> int:
    number = int(text)
    if not 1 <= number <= MOST_RECORDS:
        raise argparse.ArgumentTypeError(f"must be from 1 to {MOST_RECORDS}")
    return number


def _providers(text: str) -> list[str]:
    names = [name.strip() for name in text.split(",")]
    for name in names:
        if name not in PROVIDERS:
            raise argparse.ArgumentTypeError(f"{name!r} is no provider; there are {', '.join(sorted(PROVIDERS))}")
        if names.count(name) > 1:
            raise argparse.ArgumentTypeError(f"{name} is named twice")
    return names
