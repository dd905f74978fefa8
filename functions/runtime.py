"""The process's one event loop, its clock, and its HTTP sessions that survive a freeze.

A Lambda sandbox is frozen between two invocations. One loop for the sandbox's whole life keeps clients and connections
warm: `asyncio.run` would close the loop, and with it every connection, after each event. mangum runs on this loop too.
"""

from __future__ import annotations

import asyncio
import gc
import logging
import time
from collections.abc import Callable, Coroutine
from contextlib import AsyncExitStack
from random import seed as reseed  # noqa: TID251 - to reseed it, not to draw from it
from typing import Any, TypeVar

import aiohttp
from snapshot_restore_py import register_after_restore

_log = logging.getLogger("asyncio")

Result = TypeVar("Result")

LONGEST_IDLE = 4
"""Seconds of the wall clock after which kept connections are not trusted: gateways and load balancers close idle ones
from 5 s on, and the first POST on a dead one fails with nobody to tell whether it arrived."""


_COLLECT_AFTER = 100_000
"""New objects. A thousand messages side by side are so many that are all in use, and Python would look through them
again at every 700."""
_COLLECT_BETWEEN = 10_000
"""The same between two invocations, when what is left over is garbage, or is kept on purpose."""


def wall_clock() -> int:
    """Seconds since 1970. The wall clock: a frozen sandbox stops the others."""
    return int(time.time())  # noqa: TID251 - the one clock


def wall_clock_in_milliseconds() -> int:
    """For what is finer than a second, and shared with other sandboxes."""
    return int(time.time() * 1000)  # noqa: TID251 - the same clock


class TimeLeft:
    """Seconds that the invocation under way has left, by Lambda's own count. A sandbox has one at a time."""

    def __init__(self) -> None:
        self._milliseconds: Callable[[], int] = lambda: 0

    def begin(self, context: Any) -> None:
        self._milliseconds = context.get_remaining_time_in_millis

    def __call__(self) -> float:
        return self._milliseconds() / 1000


class Runtime:
    """Runs each invocation until its own work is done, and leaves no task behind."""

    def __init__(self) -> None:
        self.loop = asyncio.new_event_loop()
        self.loop.set_exception_handler(_report)
        asyncio.set_event_loop(self.loop)
        self.resources = AsyncExitStack()
        """What lives as long as the sandbox: clients and sessions."""

    def start(self, build: Coroutine[Any, Any, Result]) -> Result:
        """Runs the function's start-up. What it made is kept for good, and later collections pass it over."""
        built = self.run(build)
        gc.freeze()
        gc.enable()
        gc.set_threshold(_COLLECT_AFTER)
        # Libraries draw the waits between their retries from it; sandboxes of one snapshot would all wait alike. Codes,
        # ids and keys come from the system's generator, which no snapshot holds.
        register_after_restore(reseed)
        return built

    def run(self, work: Coroutine[Any, Any, Result]) -> Result:
        try:
            return self.loop.run_until_complete(work)
        finally:
            if gc.get_count()[0] > _COLLECT_BETWEEN:
                gc.collect()

    def close(self) -> None:
        """For tests and local processes: Lambda never says goodbye."""
        self.run(self.resources.aclose())
        self.run(self.loop.shutdown_asyncgens())
        self.loop.close()


def _report(_loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
    """What nobody asked for. asyncio's own line has the whole task in it, and so the text of its exception."""
    _log.error(context["message"], exc_info=context.get("exception"))


class Connections:
    """The HTTP sessions: one for SMS gateways, one for hooks. Call `wake` at the start of each invocation, and ask for
    the session of now at each request.
    """

    def __init__(self, *, limit: int) -> None:
        self._limit = limit
        self._session: aiohttp.ClientSession | None = None
        self._hook_session: aiohttp.ClientSession | None = None
        self._used_at = 0.0

    def session(self) -> aiohttp.ClientSession:
        if self._session is None:
            self._session = self._open()
        return self._session

    def hook_session(self) -> aiohttp.ClientSession:
        """Apart, so that a hook that hangs takes no gateway's place."""
        if self._hook_session is None:
            self._hook_session = self._open()
        return self._hook_session

    async def wake(self) -> None:
        """Lets the loop see what happened to its sockets during the freeze, and drops them after a long one."""
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        idle = time.time() - self._used_at  # noqa: TID251 - the monotonic clock may stand still in a freeze
        if idle > LONGEST_IDLE:
            await self.close()

    def rest(self) -> None:
        """To be called at the end of each invocation."""
        self._used_at = time.time()  # noqa: TID251

    async def close(self) -> None:
        for session in (self._session, self._hook_session):
            if session is not None:
                await session.close()
        self._session = self._hook_session = None

    def _open(self) -> aiohttp.ClientSession:
        connector = aiohttp.TCPConnector(limit=self._limit, keepalive_timeout=LONGEST_IDLE)
        # No cookies: a gateway's must not travel from one person's send to the next.
        return aiohttp.ClientSession(connector=connector, cookie_jar=aiohttp.DummyCookieJar())
