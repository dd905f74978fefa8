"""The whole system by each provider in turn: the code arrives, its receipt shows, the right code is approved."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import pytest

from functions.providers.catalog import PROVIDERS
from infra.local.system import System, start_system
from infra.local.trial_routes import write_services
from tests.eventually import Eventually
from tests.harness import fresh_number

WITHOUT_RECEIPTS = {"sns"}
"""docs/providers.md says why."""


@pytest.fixture(scope="module")
async def system(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[System]:
    """A service for each provider, called by its name, and one that has b take what a does not."""
    services = tmp_path_factory.mktemp("services") / "services.toml"
    write_services(services, {name: [name] for name in PROVIDERS} | {"both": ["twilio", "vonage"]})
    async with start_system(port=0, latency=0, fail=0, services=services) as running:
        yield running


@pytest.fixture(scope="module")
async def http() -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession(headers={"Authorization": "Bearer local"}) as session:
        yield session


async def start(system: System, http: aiohttp.ClientSession, number: str, service: str) -> dict[str, Any]:
    url, body = f"{system.url}/v1/verifications", {"to": number, "service": service}
    async with http.post(url, json=body) as answer:
        found: dict[str, Any] = await answer.json()
        assert answer.status == 201, found
        return found


async def inbox(system: System, http: aiohttp.ClientSession, number: str) -> list[dict[str, Any]]:
    async with http.get(f"{system.url}/inbox.json", params={"to": number}) as answer:
        messages: list[dict[str, Any]] = await answer.json()
        return messages


async def delivery(system: System, http: aiohttp.ClientSession, verification: str) -> dict[str, Any]:
    async with http.get(f"{system.url}/v1/verifications/{verification}") as answer:
        found: dict[str, Any] = (await answer.json())["delivery"]
        return found


@pytest.mark.parametrize("provider", PROVIDERS)
async def test_a_code_arrives_its_receipt_shows_and_it_is_approved(
    system: System, http: aiohttp.ClientSession, eventually: Eventually, provider: str
) -> None:
    number = fresh_number().e164

    started = await start(system, http, number, provider)

    assert (started["provider"], started["delivery"]["status"]) == (provider, "submitted")
    (message,) = await inbox(system, http, number)
    code = re.search(r"[0-9]{6}", message["text"])
    assert code is not None
    if provider not in WITHOUT_RECEIPTS:

        async def delivered() -> bool:
            status: str = (await delivery(system, http, started["id"]))["status"]
            return status == "delivered"

        await eventually(delivered)
    async with http.post(f"{system.url}/v1/verifications/{started['id']}/check", json={"code": code.group()}) as answer:
        assert (await answer.json())["valid"]


async def test_what_one_provider_does_not_take_the_next_one_sends(
    system: System, http: aiohttp.ClientSession, eventually: Eventually
) -> None:
    number = fresh_number().e164
    gateway = system.base.gateway
    await gateway.change(provider="twilio", always={"answer": "refuse"})

    started = await start(system, http, number, "both")
    await gateway.change(provider="twilio", always=None)

    (message,) = await inbox(system, http, number)
    assert (started["provider"], message["provider"]) == ("vonage", "vonage")

    async def delivered() -> bool:
        found = await delivery(system, http, started["id"])
        return (found["status"], found["provider"]) == ("delivered", "vonage")

    await eventually(delivered)
