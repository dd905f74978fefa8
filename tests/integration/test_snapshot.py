"""Sandboxes that were made from one snapshot (SnapStart) share nothing but code: no randomness, and no connection."""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import AsyncIterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from functions.domain.identity import parse_id
from functions.runtime import Connections
from infra.local.embedded_aws import EmbeddedAws, Resources, create_resources
from infra.local.gateway import GatewayProcess
from infra.local.processes import REPOSITORY
from tests.harness import fresh_number
from tests.lambda_events import ALL_DONE, API, RECEIPTS, SENDER, Event, body_of, http_event, sqs_event

pytestmark = pytest.mark.skipif(not Path("/proc/self/net").exists(), reason="looks for connections in /proc")


@pytest.fixture(scope="module")
async def resources(aws: EmbeddedAws) -> Resources:
    return await create_resources(aws.endpoint, visibility_timeout=90, prefix="snapshot")


@pytest.fixture(scope="module")
async def environment(resources: Resources) -> AsyncIterator[dict[str, str]]:
    async with GatewayProcess.start(resources.accounts) as gateway:
        yield {**resources.environment(), **gateway.environment()}


async def restore(
    handler: str, environment: Mapping[str, str], events: Sequence[Event], *, hooks: bool = True
) -> dict[str, Any]:
    """What one snapshot of the function was like, and each sandbox that was made from it for one of the events."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "tests.integration.drivers.snapshot", handler),
        env={"PATH": "/usr/bin:/bin", "LANG": "C.UTF-8", **environment},
        cwd=REPOSITORY,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    lines = [json.dumps({"event": event, "hooks": hooks}) for event in events]
    out, err = await process.communicate("\n".join(lines).encode())
    assert process.returncode == 0, err.decode()
    facts: dict[str, Any] = json.loads(out)
    return facts


def starts(count: int) -> list[Event]:
    return [http_event("POST", "/v1/verifications", {"to": fresh_number().e164}) for _ in range(count)]


async def test_each_sandbox_of_a_snapshot_makes_ids_of_its_own(environment: dict[str, str]) -> None:
    facts = await restore(API, environment, starts(3))

    answers = [restored["answer"] for restored in facts["restored"]]
    assert [answer["statusCode"] for answer in answers] == [201] * 3
    assert len({parse_id(body_of(answer)["id"]).nonce for answer in answers}) == 3


async def test_each_sandbox_of_a_snapshot_sends_on_connections_of_its_own(environment: dict[str, str]) -> None:
    events = [sqs_event(json.dumps({"to": fresh_number().e164})) for _ in range(3)]

    facts = await restore(SENDER, environment, events)

    assert [restored["answer"] for restored in facts["restored"]] == [ALL_DONE] * 3


@pytest.mark.parametrize("handler", [API, SENDER, RECEIPTS])
async def test_no_connection_is_there_when_the_snapshot_is_taken(environment: dict[str, str], handler: str) -> None:
    facts = await restore(handler, environment, [])

    assert facts["connections"] == 0


async def test_libraries_draw_other_waits_in_each_sandbox(environment: dict[str, str]) -> None:
    facts = await restore(API, environment, starts(3))

    assert len({restored["drawn"] for restored in facts["restored"]}) == 3


async def test_without_the_hook_they_would_draw_the_same(environment: dict[str, str]) -> None:
    """What makes the test above worth something."""
    facts = await restore(API, environment, starts(3), hooks=False)

    assert len({restored["drawn"] for restored in facts["restored"]}) == 1


async def test_a_session_from_before_the_first_invocation_is_not_used_in_it() -> None:
    connections = Connections(limit=1)
    before = connections.session()

    await connections.wake()

    assert before.closed
    assert connections.session() is not before
    await connections.close()
