"""Logins beside a campaign, on the local system: who waits for a code never waits behind a hundred thousand others."""

from __future__ import annotations

import asyncio
import json
import math
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

import aiohttp
import pytest

from functions.usecases.lanes import AHEAD
from infra.local.clock import now
from infra.local.embedded_aws import EmbeddedAws, aws_client, create_resources
from infra.local.execution_environment import Function
from infra.local.ready import LOCAL_KEY
from infra.local.system import BULK_TIMEOUT, System, bulk_source, start_system
from tests.eventually import eventually
from tests.harness import fresh_number

CAMPAIGN = 100_000
RATE = 20
"""Messages a second of the account, which keeps the campaign from taking the whole machine."""
GATEWAY = 2.0
"""Seconds that it takes for a message."""
LOGINS, EVERY = 120, 0.25
"""And the seconds between two of them: two a second by each account, as many as the campaign leaves free."""
WARM_UP = 30
UNDER_WAY = 50
"""Messages of the campaign after which it is going."""
OF_USE = 7_200
"""Seconds for which its codes are."""

SERVICES = f"""
[default.guard]
enabled = false
[calm]
[[calm.routes]]
providers = [{{ name = "twilio", sender = "+15005550006" }}]
[calm.guard]
enabled = false
[providers.yunpian]
rate = {RATE}
"""


@dataclass(frozen=True, slots=True)
class Logins:
    """Seconds from each request to the phone."""

    default: list[float]
    """By the account that has the campaign too."""
    calm: list[float]
    """By an account that has not, in the same time: how busy the machine is they feel alike."""


@dataclass(frozen=True, slots=True)
class Lanes:
    system: System
    http: aiohttp.ClientSession
    other: EmbeddedAws
    """Where the campaign waits. An embedded AWS looks through all that wait whenever one is taken, and the table in it
    would be as slow; SQS is not."""
    queue_url: str
    services: Path

    async def log_in(self, count: int) -> Logins:
        """Sent within the request and through the queue in turns."""
        begun: dict[str, list[tuple[str, float]]] = {"default": [], "calm": []}
        async with asyncio.TaskGroup() as requests:
            for number in range(count):
                service, to = ("default", "calm")[number % 2], fresh_number().e164
                begun[service].append((to, now()))
                requests.create_task(self._start(service, to, {"Prefer": "respond-async"} if number % 4 > 1 else {}))
                await asyncio.sleep(EVERY)
        return Logins(
            **{service: [await self._received_at(to) - at for to, at in logins] for service, logins in begun.items()}
        )

    async def _start(self, service: str, to: str, preferred: dict[str, str]) -> None:
        headers = {"Authorization": f"Bearer {LOCAL_KEY}", **preferred}
        body = {"to": to, "service": service}
        async with self.http.post(f"{self.system.url}/v1/verifications", json=body, headers=headers) as answer:
            assert answer.status == (202 if preferred else 201)

    async def _received_at(self, to: str) -> float:
        async def found() -> Any:
            async with self.http.get(f"{self.system.base.gateway.url}/inbox.json", params={"to": to}) as answer:
                return await answer.json()

        (message,) = await eventually(found, within=20)
        return float(message["received_at"])

    async def sent(self) -> int:
        async with self.http.get(f"{self.system.base.gateway.url}/inbox/count.json") as answer:
            return int((await answer.json())["messages"])

    @asynccontextmanager
    async def campaign(self) -> AsyncIterator[None]:
        """Queued, and going."""
        await self._put_campaign()
        environment = {
            **self.system.base.environment(receipts_url=self.system.url, services=self.services),
            "POWERTOOLS_METRICS_DISABLED": "true",
            "QUEUE_URL": self.queue_url,
            "LANE": "bulk",
            "AWS_ENDPOINT_URL_SQS": self.other.endpoint,
        }
        before = await self.sent()
        async with (
            Function("functions.handlers.sender.handler", environment, timeout=BULK_TIMEOUT, name="campaign") as sender,
            bulk_source(sender, endpoint=self.other.endpoint, queue_url=self.queue_url),
        ):
            await eventually(lambda: self._has_sent(before + UNDER_WAY), within=30)
            yield

    async def _has_sent(self, count: int) -> bool:
        return await self.sent() >= count

    async def _put_campaign(self) -> None:
        for hundreds in range(0, CAMPAIGN, 200):
            await asyncio.gather(*(self._put_ten(hundreds + ten) for ten in range(0, 200, 10)))

    async def _put_ten(self, first: int) -> None:
        """Without an SDK, which takes most of a minute for all of them."""
        of_use_until = int(now()) + OF_USE
        bodies = [{"to": f"+49152{number:08d}", "send_by": of_use_until} for number in range(first, first + 10)]
        entries = [{"Id": str(place), "MessageBody": json.dumps(body)} for place, body in enumerate(bodies)]
        headers = {"X-Amz-Target": "AmazonSQS.SendMessageBatch", "Content-Type": "application/x-amz-json-1.0"}
        call = json.dumps({"QueueUrl": self.queue_url, "Entries": entries})
        async with self.http.post(self.other.endpoint, data=call, headers=headers) as answer:
            assert len((await answer.json(content_type=None))["Successful"]) == len(entries)

    async def waiting(self) -> int:
        names = ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"]
        async with aws_client("sqs", self.other.endpoint) as sqs:
            answer = await sqs.get_queue_attributes(QueueUrl=self.queue_url, AttributeNames=names)
        return sum(int(answer["Attributes"][name]) for name in names)


@pytest.fixture
async def lanes(tmp_path: Path) -> AsyncIterator[Lanes]:
    services = tmp_path / "services.toml"
    services.write_text(SERVICES)
    async with (
        start_system(port=0, latency=GATEWAY, fail=0, services=services) as system,
        EmbeddedAws.start() as other,
        aiohttp.ClientSession() as http,
    ):
        campaign = await create_resources(other.endpoint, visibility_timeout=90)
        yield Lanes(system, http, other, campaign.bulk_queue_url, services)


@pytest.mark.timeout(300)
async def test_with_a_hundred_thousand_bulk_messages_queued_a_login_takes_as_long_as_with_none(lanes: Lanes) -> None:
    await lanes.log_in(WARM_UP)
    alone = await lanes.log_in(LOGINS)

    async with lanes.campaign():
        before = await lanes.sent()
        beside = await lanes.log_in(LOGINS)
        by_campaign = await lanes.sent() - before - LOGINS
        waiting = await lanes.waiting()

    assert waiting >= 0.98 * CAMPAIGN
    if slowest_hundredth(beside.calm) > 1.1 * slowest_hundredth(alone.calm):
        pytest.skip("this machine is too busy to tell: logins that share nothing with the campaign are late too")
    assert by_campaign >= LOGINS * EVERY * RATE / 3  # it was going all the time
    assert median(beside.default) - median(beside.calm) <= AHEAD + 1 / RATE
    assert slowest_hundredth(beside.default) <= 1.1 * slowest_hundredth(alone.default)


def slowest_hundredth(seconds: Sequence[float]) -> float:
    """The 99th percentile."""
    return sorted(seconds)[math.ceil(0.99 * len(seconds)) - 1]
