"""Simulated SMS gateways with phones behind them: each speaks its vendor's protocol, slow and faulty as it is told.

    echo '{"yunpian": {"apikey": "…"}}' | python -m infra.local.gateway --port 0 --latency 5 --fail 0.1

takes the accounts in the first line of its standard input (keys are in no process's arguments), prints {"url": …} when
it is ready, and ends on TERM. It is cheap enough to hold 10,000 requests open at once, for it stands beside the
functions whose speed is measured.

    ANY    /{provider}/…                a vendor's own API, such as /twilio/2010-04-01/Accounts/AC…/Messages.json
    GET    /inbox.json[?to=%2B49…]      what the phones have received
    GET    /inbox/count.json            {"messages", "numbers", "max_per_number"}
    DELETE /inbox                       forgets it, and what was asked
    GET    /control, PUT /control       latency, share of failures, script of faults, caps, receipts (faults.py);
                                        with "provider" in it for one vendor, else for all
    DELETE /control                     back to how it was started
    GET    /control/requests.json       every message that was asked for, and what became of it [?provider=…]
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import resource
import signal
import sys
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import aiohttp
from aiohttp import web

from infra.local.accounts import Accounts
from infra.local.faults import Caps, Faults
from infra.local.gateway_app import Gateway
from infra.local.processes import Child, start_module

_HOST = "127.0.0.1"
_BACKLOG = 4096
_START_SECONDS = 30.0


@dataclass(frozen=True, slots=True)
class GatewayProcess:
    """The gateways as a child process."""

    url: str
    """Of all of them: each is found below it by its name."""
    child: Child

    @classmethod
    @contextlib.asynccontextmanager
    async def start(
        cls,
        accounts: Accounts,
        *,
        latency: float = 0.0,
        fail: float = 0.0,
        seed: int = 0,
        receipt_delay: float = 0.5,
        keep_alive: float = 75.0,
        caps: bool = False,
        port: int = 0,
        log: Path | None = None,
    ) -> AsyncIterator[Self]:
        """Runs until the block is left. Raises RuntimeError when it does not start."""
        options = {
            "port": port,
            "latency": latency,
            "fail": fail,
            "seed": seed,
            "receipt-delay": receipt_delay,
            "keep-alive": keep_alive,
        }
        arguments = [f"--{name}={value}" for name, value in options.items()] + ["--caps"] * caps
        with contextlib.ExitStack() as files:
            output = files.enter_context(log.open("ab")) if log else None
            pipe = asyncio.subprocess.PIPE
            child = await start_module(
                "infra.local.gateway", *arguments, env={}, stdin=pipe, stdout=pipe, stderr=output
            )
        try:
            await child.write_line(json.dumps(accounts).encode())
            yield cls(await _announced_url(child), child)
        finally:
            await child.stop()

    def of(self, provider: str) -> str:
        """Where this one is, instead of its own address."""
        return f"{self.url}/{provider}"

    def environment(self) -> dict[str, str]:
        """Leads the functions here."""
        return {"PROVIDERS_URL": self.url}

    async def change(self, **settings: Any) -> None:
        """As PUT /control. Raises ValueError where that makes no sense."""
        async with aiohttp.ClientSession() as http, http.put(f"{self.url}/control", json=settings) as answer:
            if answer.status != 200:  # noqa: PLR2004 - HTTP's own
                raise ValueError((await answer.json())["error"])


async def _announced_url(child: Child) -> str:
    async with asyncio.timeout(_START_SECONDS):
        line = await child.read_line()
    if not line:
        raise RuntimeError("the gateway did not start")
    return str(json.loads(line)["url"])


async def _serve(options: argparse.Namespace, accounts: Accounts) -> None:
    stopped = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stopped.set)
    faults = Faults(
        latency=options.latency,
        fail=options.fail,
        receipt_delay=options.receipt_delay,
        seed=options.seed,
        caps=Caps() if options.caps else None,
    )
    app = Gateway(accounts, faults).application()
    # Requests that are held open would hold up the end for as long.
    runner = web.AppRunner(app, access_log=None, keepalive_timeout=options.keep_alive, shutdown_timeout=0.1)
    await runner.setup()
    try:
        await web.TCPSite(runner, _HOST, options.port, backlog=_BACKLOG).start()
        sys.stdout.write(json.dumps({"url": f"http://{_HOST}:{runner.addresses[0][1]}"}) + "\n")
        sys.stdout.flush()
        await stopped.wait()
    finally:
        await runner.cleanup()


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="infra.local.gateway", description="Simulated SMS gateways. Accounts: a line of JSON on standard input."
    )
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--latency", type=float, default=0.0, help="seconds for each request")
    parser.add_argument("--fail", type=float, default=0.0, help="share of requests that go wrong, 0 to 1")
    parser.add_argument("--seed", type=int, default=0, help="which ones")
    parser.add_argument("--receipt-delay", type=float, default=0.5, help="seconds")
    parser.add_argument("--keep-alive", type=float, default=75.0, help="seconds until an idle connection is closed")
    parser.add_argument("--caps", action="store_true", help="one message in 30 s and three in an hour for a number")
    return parser.parse_args()


def _raise_file_limit() -> None:
    """Each request held open is an open file."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    with contextlib.suppress(ValueError, OSError):
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


if __name__ == "__main__":
    _raise_file_limit()
    with asyncio.Runner() as runner:
        runner.run(_serve(_options(), json.loads(sys.stdin.readline())))
