"""The simulated gateways in a test's hand: what their phones have received, and how they behave for now."""

from __future__ import annotations

import contextlib
import re
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any, Self

import aiohttp

from functions.domain.phone import PhoneNumber
from infra.local.accounts import Accounts
from infra.local.gateway import GatewayProcess


@dataclass(frozen=True, slots=True)
class Gateway:
    url: str
    http: aiohttp.ClientSession

    @classmethod
    @contextlib.asynccontextmanager
    async def start(cls, accounts: Accounts, **options: Any) -> AsyncIterator[Self]:
        """In a process of its own; `options` are those of GatewayProcess."""
        async with (
            GatewayProcess.start(accounts, **options) as process,
            aiohttp.ClientSession() as http,
        ):
            yield cls(process.url, http)

    def of(self, provider: str) -> str:
        """Where this one is, instead of its own address."""
        return f"{self.url}/{provider}"

    def environment(self) -> dict[str, str]:
        """Leads the functions here."""
        return {"PROVIDERS_URL": self.url}

    async def inbox(self, number: PhoneNumber) -> list[str]:
        async with self.http.get(f"{self.url}/inbox.json", params={"to": number.e164}) as answer:
            return [message["text"] for message in await answer.json()]

    async def code_for(self, number: PhoneNumber) -> str:
        (text,) = await self.inbox(number)
        found = re.search(r"[0-9]{6}", text)
        assert found is not None
        return found.group()

    async def count(self) -> dict[str, int]:
        """`messages`, `numbers` and `max_per_number` of all phones together."""
        return await self._get("inbox/count.json")

    async def open(self) -> int:
        """How many sends it holds unanswered."""
        return int((await self._get("control"))["open"])

    async def most_open(self) -> int:
        return int((await self._get("control"))["most_open"])

    async def forget(self) -> None:
        """What the phones have received, and what was asked."""
        async with self.http.delete(f"{self.url}/inbox") as answer:
            assert answer.status == 204

    async def asked(self, provider: str) -> list[dict[str, Any]]:
        """Every message that the provider was asked to send, and what became of it, from the oldest on."""
        async with self.http.get(f"{self.url}/control/requests.json", params={"provider": provider}) as answer:
            found: list[dict[str, Any]] = await answer.json()
            return found

    async def reset(self) -> None:
        """Back to how it was started."""
        async with self.http.delete(f"{self.url}/control") as answer:
            assert answer.status == 204

    async def change(self, **settings: Any) -> None:
        """As PUT /control."""
        async with self.http.put(f"{self.url}/control", json=settings) as answer:
            assert answer.status == 200, await answer.text()

    @contextlib.asynccontextmanager
    async def down(self, provider: str) -> AsyncIterator[None]:
        """Refuses every message for reasons of its own, for now, as a provider does whose own systems are broken."""
        await self.change(provider=provider, always={"answer": "refuse"})
        try:
            yield
        finally:
            await self.change(provider=provider, always=None)

    @contextlib.asynccontextmanager
    async def slow(self, seconds: float) -> AsyncIterator[None]:
        """Takes that long for each message, for now."""
        await self.change(latency=seconds)
        try:
            yield
        finally:
            await self.change(latency=0)

    @contextlib.asynccontextmanager
    async def busy(self, messages: int = 1000) -> AsyncIterator[None]:
        """Refuses the next messages, for now."""
        await self.change(script=[{"answer": "refuse"}] * messages)
        try:
            yield
        finally:
            await self.change(script=[])

    async def _get(self, path: str) -> dict[str, Any]:
        async with self.http.get(f"{self.url}/{path}") as answer:
            found: dict[str, Any] = await answer.json()
            return found
