"""What contenders stand on: one embedded AWS and one simulated gateway for all, a process and a table for each."""

from __future__ import annotations

import asyncio
import contextlib
import json
import secrets
import tempfile
from collections.abc import AsyncIterator, Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Self

import aiohttp

from infra.local.embedded_aws import EmbeddedAws, Resources, aws_client, create_resources
from infra.local.execution_environment import Configuration
from infra.local.gateway import GatewayProcess
from infra.local.proc import usage_of
from infra.local.processes import Child, start_module
from tests.benchmarks.batch.contestants import Contender, numbers
from tests.benchmarks.batch.earlier import codes_three_hours_ago
from tests.benchmarks.batch.place import Place

WARM_UP = 20
"""Codes before the first that counts: imports, connections, keys, tables of numbers."""

_SECONDS = 900
"""That one order may take."""
_VISIBILITY_TIMEOUT = 90
_SHOWN, _WIDE = 15, 500
"""Lines, and characters of each, of what a contender printed before it failed."""
_PROVIDER = "yunpian"


class Failed(Exception):
    """The contender did not send every code. The message says what it said."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """Of one order."""

    codes: int
    cpu: float
    """Seconds of the contender's process alone."""
    wall: float
    memory: int
    """Bytes that the process had more at its peak than when it was warmed up."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Arena:
    aws: EmbeddedAws
    resources: Resources
    gateway: GatewayProcess

    @classmethod
    @contextlib.asynccontextmanager
    async def open(cls) -> AsyncIterator[Self]:
        async with EmbeddedAws.start() as aws:
            resources = await create_resources(aws.endpoint, visibility_timeout=_VISIBILITY_TIMEOUT)
            async with GatewayProcess.start(resources.accounts) as gateway:
                yield cls(aws=aws, resources=resources, gateway=gateway)

    @contextlib.asynccontextmanager
    async def enter(self, contender: Contender) -> AsyncIterator[Entrant]:
        """The contender in a process of its own, warmed up, with a table of its own."""
        with tempfile.TemporaryDirectory(prefix="salvo-bench-") as place:
            folder = Path(place)
            resources = await self._resources()
            environment = self._environment(contender, resources, folder)
            with (folder / "output").open("wb") as output:
                child = await _start(contender, environment, output.fileno())
            entrant = Entrant(contender, child, resources, self.gateway, folder / "output")
            try:
                await entrant.begin(self._place(contender, resources))
                yield entrant
            finally:
                await child.kill()
                await _drop(resources)

    async def _resources(self) -> Resources:
        """With the accounts that the gateway knows, and a table in which no rule has counted anything yet."""
        prefix = f"bench-{secrets.token_hex(4)}"
        own = await create_resources(self.aws.endpoint, visibility_timeout=_VISIBILITY_TIMEOUT, prefix=prefix)
        return replace(own, accounts=self.resources.accounts, provider_secrets=self.resources.provider_secrets)

    def _environment(self, contender: Contender, resources: Resources, folder: Path) -> dict[str, str]:
        own = {}
        if contender.services:
            own["SERVICES_FILE"] = str(folder / "services.toml")
            Path(own["SERVICES_FILE"]).write_text(contender.services, encoding="utf-8")
        env = {**resources.environment(), **self.gateway.environment(), **own}
        return Configuration(handler=contender.module, env=env, name=contender.module, timeout=_SECONDS).environment()

    def _place(self, contender: Contender, resources: Resources) -> Place:
        account = self.resources.accounts[_PROVIDER]
        return Place(table=resources.table, gateway=self.gateway.of(_PROVIDER), apikey=account["apikey"])


@dataclass(slots=True)
class Entrant:
    contender: Contender
    child: Child
    resources: Resources
    gateway: GatewayProcess
    output: Path
    """What the contender printed."""
    _at_rest: int = 0
    """Bytes."""

    async def begin(self, place: Place) -> None:
        await self._ask({"contender": self.contender.module, "place": asdict(place)})
        await self.send(WARM_UP)
        self._at_rest = usage_of(self.child.pid).resident

    async def send(self, codes: int, *, latency: float = 0.0, profile: Path | None = None) -> Measured:
        """Raises Failed. `latency` is the gateway's, in seconds, for each request."""
        people = numbers(codes)
        if self.contender.known:
            await codes_three_hours_ago(people, self.resources)
        await self._forget_the_inbox()
        await self.gateway.change(latency=latency)
        told = await self._ask({"order": self.contender.order(people), "profile": profile and str(profile)})
        sent = await self._inbox()
        if sent != {"messages": codes, "numbers": codes, "max_per_number": 1}:
            raise Failed(f"{self.contender.name} should have sent {codes} codes, and this arrived: {sent}")
        return Measured(codes=codes, cpu=told["cpu"], wall=told["wall"], memory=told["peak"] - self._at_rest)

    async def _ask(self, question: Mapping[str, Any]) -> dict[str, Any]:
        async with asyncio.timeout(_SECONDS):
            await self.child.write_line(json.dumps(question).encode())
            answer = await self.child.read_line()
        told: dict[str, Any] = json.loads(answer) if answer else {"error": "it ended"}
        if "error" in told:
            raise Failed(f"{self.contender.name}: {told['error']}\n{_last_lines(self.output)}")
        return told

    async def _forget_the_inbox(self) -> None:
        async with aiohttp.ClientSession() as http, http.delete(f"{self.gateway.url}/inbox"):
            pass

    async def _inbox(self) -> dict[str, int]:
        async with aiohttp.ClientSession() as http, http.get(f"{self.gateway.url}/inbox/count.json") as answer:
            found: dict[str, int] = await answer.json()
            return found


def _last_lines(output: Path) -> str:
    """Without those of the metrics, which are long."""
    lines = output.read_text(encoding="utf-8", errors="replace").splitlines()
    return "\n".join([line[:_WIDE] for line in lines if not line.startswith('{"_aws"')][-_SHOWN:])


async def _drop(resources: Resources) -> None:
    async with aws_client("dynamodb", resources.endpoint) as dynamodb:
        await dynamodb.delete_table(TableName=resources.table)


async def _start(contender: Contender, environment: Mapping[str, str], output: int) -> Child:
    pipe = asyncio.subprocess.PIPE
    return await start_module(
        "tests.benchmarks.batch.stopwatch", env=environment, stdin=pipe, stdout=pipe, stderr=output
    )
