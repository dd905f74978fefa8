"""Yunpian's status push: it tells the sender what became of a message, at the address that came with it."""

from __future__ import annotations

import asyncio
import ipaddress
import json
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote, urlsplit

import aiohttp

_MOST_IN_A_PUSH = 50
_PAUSES = (0.25, 0.5, 1.0, 2.0)
"""Seconds before it is tried again."""
_PATIENCE = aiohttp.ClientTimeout(total=10)


@dataclass(slots=True)
class StatusPush:
    """Gathers reports by address for `delay` seconds, then pushes them together, until each push was acknowledged."""

    http: aiohttp.ClientSession
    delay: float
    _waiting: dict[str, list[dict[str, Any]]] = field(default_factory=dict)
    _tasks: set[asyncio.Task[None]] = field(default_factory=set)

    def add(self, url: str, report: dict[str, Any]) -> None:
        """Only for addresses on this machine: the simulation sends nothing to anybody else."""
        if not is_loopback(url):
            return
        if url not in self._waiting:
            self._waiting[url] = []
            task = asyncio.create_task(self._push_later(url))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
        self._waiting[url].append(report)

    async def stop(self) -> None:
        """Whatever was not pushed by now never will be."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _push_later(self, url: str) -> None:
        await asyncio.sleep(self.delay)
        reports = self._waiting.pop(url)
        for start in range(0, len(reports), _MOST_IN_A_PUSH):
            await self._push(url, reports[start : start + _MOST_IN_A_PUSH])

    async def _push(self, url: str, reports: list[dict[str, Any]]) -> None:
        # Encoded once more than the form does it, as Yunpian has it in practice.
        form = {"sms_status": quote(json.dumps(reports))}
        for pause in (*_PAUSES, None):
            if await self._acknowledged(url, form) or pause is None:
                return
            await asyncio.sleep(pause)

    async def _acknowledged(self, url: str, form: dict[str, str]) -> bool:
        try:
            # Addresses on this machine are https too where a template asks for it, and nothing here has a certificate.
            plain = url.replace("https://", "http://", 1)
            async with self.http.post(plain, data=form, timeout=_PATIENCE, allow_redirects=False) as answer:
                return (await answer.read()).strip().upper() == b"SUCCESS"
        except (aiohttp.ClientError, TimeoutError):
            return False


def is_loopback(url: str) -> bool:
    try:
        host = urlsplit(url).hostname or ""
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
