"""Receipts, pushed by the vendors to their customer: at the address that came with a message, or the console's."""

from __future__ import annotations

import asyncio
import ipaddress
from collections.abc import Sequence
from dataclasses import dataclass, field
from urllib.parse import urlsplit

import aiohttp
from yarl import URL

from infra.local.clock import now
from infra.local.vendors.vendor import Push, Report, Vendor

_PAUSES = (0.25, 0.5, 1.0, 2.0)
"""Seconds before it is tried again."""
_PATIENCE = aiohttp.ClientTimeout(total=10)


@dataclass(frozen=True, slots=True)
class Place:
    """Where reports go, and how long after their messages."""

    provider: str
    url: str
    delay: float


@dataclass(slots=True)
class Pushes:
    """Gathers reports for each place until they are due, and repeats each push until it was acknowledged."""

    http: aiohttp.ClientSession
    _waiting: dict[Place, list[Report]] = field(default_factory=dict)
    _tasks: set[asyncio.Task[None]] = field(default_factory=set)

    def add(self, vendor: Vendor, place: Place, report: Report) -> None:
        """Only for addresses on this machine: the simulation sends nothing to anybody else."""
        if not is_loopback(place.url):
            return
        if place not in self._waiting:
            self._waiting[place] = []
            task = asyncio.create_task(self._push_later(vendor, place))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
        self._waiting[place].append(report)

    async def stop(self) -> None:
        """Whatever was not pushed by now never will be."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _push_later(self, vendor: Vendor, place: Place) -> None:
        await asyncio.sleep(place.delay)
        await self._push(vendor, place.url, self._waiting.pop(place))

    async def _push(self, vendor: Vendor, url: str, reports: Sequence[Report]) -> None:
        for push in vendor.pushes(url, reports, now()):
            for pause in (*_PAUSES, None):
                if await self._acknowledged(vendor, push) or pause is None:
                    break
                await asyncio.sleep(pause)

    async def _acknowledged(self, vendor: Vendor, push: Push) -> bool:
        # Addresses on this machine are https too where a template asks for it, and nothing here has a certificate.
        url = URL(push.url.replace("https://", "http://", 1), encoded=True)
        try:
            async with self.http.request(
                push.method, url, data=push.body, headers=push.headers, timeout=_PATIENCE, allow_redirects=False
            ) as answer:
                return vendor.acknowledged(answer.status, await answer.read())
        except (aiohttp.ClientError, TimeoutError):
            return False


def is_loopback(url: str) -> bool:
    try:
        host = urlsplit(url).hostname or ""
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
