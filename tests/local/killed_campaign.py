"""A campaign on the local system that is killed at random moments and begun again each time, and what the phones have.

.venv/bin/python -m tests.local.killed_campaign --numbers 100000 --kills 10
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import csv
import json
import secrets
import signal
import sys
import tempfile
import time
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import aiohttp

from infra.environments import ROOT, say
from infra.local.system import start_system
from infra.send.results import result_path

SERVICES = """
[default]
[campaign]
[campaign.guard]
enabled = false
"""
_SUBSCRIBERS, _APART = 100_000_000, 61_803_399
_LOOK_EVERY = 0.1
_WHILE_IT_STARTS = 3.0
"""Seconds: some kills come before anything is sent, or while the campaign goes on from where it was."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Killed:
    kills: int
    codes: list[int]
    """The command's, one after the other."""
    messages: int
    phones: int
    most: int
    """SMS that one phone has."""
    results: Counter[str]
    """Lines of the result file by status."""
    lines: int
    """Different ones."""
    seconds: float


async def run(folder: Path, *, numbers: int, kills: int, rate: float | None = None) -> Killed:
    """Until the command ends by itself."""
    path, services = folder / "phones.csv", folder / "services.toml"
    services.write_text(SERVICES)
    with path.open("w") as file:
        file.write("to\n")
        file.writelines(f"+49151{n * _APART % _SUBSCRIBERS:08d}\n" for n in range(numbers))
    moments = sorted((secrets.randbelow(numbers) for _ in range(kills)), reverse=True)
    codes, began = list[int](), time.monotonic()
    async with (
        start_system(port=0, latency=0.2, fail=0.0, services=services) as system,
        aiohttp.ClientSession() as http,
    ):
        phones = f"{system.base.gateway.url}/inbox/count.json"
        while not codes or codes[-1] == -signal.SIGKILL:
            process = await _start(path, services, system.url.rpartition(":")[2], rate)
            if moments:
                await _kill_at(process, http, phones, moments.pop())
            codes.append(await process.wait())
        async with http.get(phones) as answer:
            count = json.loads(await answer.read())
    with result_path(path).open(newline="") as file:
        rows = list(csv.DictReader(file))
    return Killed(
        kills=codes.count(-signal.SIGKILL),
        codes=codes,
        messages=count["messages"],
        phones=count["numbers"],
        most=count["max_per_number"],
        results=Counter(row["status"] for row in rows),
        lines=len({row["line"] for row in rows}),
        seconds=time.monotonic() - began,
    )


async def _start(path: Path, services: Path, port: str, rate: float | None) -> asyncio.subprocess.Process:
    slowly = () if rate is None else ("--rate", str(rate))
    return await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "infra.command", "send", str(path), "--local", "--port", port, "--yes"),
        *("--service", "campaign", "--services", str(services), *slowly),
        cwd=ROOT,
        stdout=asyncio.subprocess.DEVNULL,
    )


async def _kill_at(process: asyncio.subprocess.Process, http: aiohttp.ClientSession, phones: str, moment: int) -> None:
    """Once the phones have so many messages, and up to some seconds after the command has begun."""
    await asyncio.sleep(secrets.randbelow(1000) / 1000 * _WHILE_IT_STARTS)
    while process.returncode is None:
        async with http.get(phones) as answer:
            if json.loads(await answer.read())["messages"] >= moment:
                break
        await asyncio.sleep(_LOOK_EVERY)
    with contextlib.suppress(ProcessLookupError):
        process.kill()


def _main() -> None:
    parser = argparse.ArgumentParser(prog="tests.local.killed_campaign", description=__doc__)
    parser.add_argument("--numbers", type=int, default=2_000)
    parser.add_argument("--kills", type=int, default=10)
    parser.add_argument("--rate", type=float)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="salvo-killed-") as folder, asyncio.Runner() as runner:
        found = runner.run(run(Path(folder), numbers=options.numbers, kills=options.kills, rate=options.rate))
    say(str(found))


if __name__ == "__main__":
    _main()
