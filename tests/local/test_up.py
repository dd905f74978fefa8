"""./salvo up, as its user runs it."""

from __future__ import annotations

import asyncio
import json
import signal
import socket
import sys
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from infra.environments import ROOT
from infra.local.embedded_aws import aws_client
from tests.eventually import Eventually
from tests.harness import fresh_number
from tests.local.conftest import is_running


@dataclass(frozen=True, slots=True)
class Running:
    process: asyncio.subprocess.Process
    ready: dict[str, str]
    http: aiohttp.ClientSession

    async def call(self, method: str, path: str, body: Any = None, **headers: str) -> tuple[int, Any]:
        sent = {"Authorization": f"Bearer {self.ready['key']}", **headers}
        async with self.http.request(method, self.ready["api"] + path, json=body, headers=sent) as answer:
            return answer.status, await answer.json()

    async def inbox(self, number: str) -> list[dict[str, Any]]:
        async with self.http.get(self.ready["inbox"], params={"to": number}) as answer:
            messages: list[dict[str, Any]] = await answer.json()
            return messages


async def launch(*arguments: str) -> asyncio.subprocess.Process:
    return await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "infra.command",
        "up",
        *arguments,
        cwd=ROOT,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )


@pytest.fixture(scope="module")
async def up() -> AsyncIterator[Running]:
    process = await launch("--port", "0", "--latency", "0.05")
    assert process.stdout is not None
    ready = json.loads(await asyncio.wait_for(process.stdout.readline(), 30))
    async with aiohttp.ClientSession() as http:
        yield Running(process, ready, http)
    if process.returncode is None:
        process.send_signal(signal.SIGTERM)
        await process.communicate()


async def test_it_says_where_everything_is(up: Running) -> None:
    assert set(up.ready) == {"api", "inbox", "key", "simulator", "aws_endpoint", "table"} | {
        *("queue_url", "bulk_queue_url")
    }


async def test_a_code_arrives_in_the_inbox_and_is_approved(up: Running) -> None:
    number = fresh_number().e164
    status, started = await up.call("POST", "/v1/verifications", {"to": number})
    assert status == 201

    [message] = await up.inbox(number)
    assert set(message) == {"to", "text", "provider", "received_at"}

    status, checked = await up.call("POST", f"/v1/verifications/{started['id']}/check", {"code": message["text"][:6]})
    assert (status, checked["valid"], checked["status"]) == (200, True, "approved")


async def test_what_waits_in_the_queue_is_sent(up: Running, eventually: Eventually) -> None:
    number = fresh_number().e164
    async with aws_client("sqs", up.ready["aws_endpoint"]) as sqs:
        await sqs.send_message(QueueUrl=up.ready["queue_url"], MessageBody=json.dumps({"to": number}))

    async def arrived() -> bool:
        return len(await up.inbox(number)) == 1

    await eventually(arrived)


async def test_a_code_that_was_asked_for_later_is_sent_through_the_queue(up: Running, eventually: Eventually) -> None:
    number = fresh_number().e164
    status, _ = await up.call("POST", "/v1/verifications", {"to": number}, Prefer="respond-async")
    assert status == 202

    async def arrived() -> bool:
        return len(await up.inbox(number)) == 1

    await eventually(arrived)


async def test_the_receipt_shows_in_the_status(up: Running, eventually: Eventually) -> None:
    _, started = await up.call("POST", "/v1/verifications", {"to": fresh_number().e164})

    async def delivered() -> bool:
        _, now = await up.call("GET", f"/v1/verifications/{started['id']}")
        return bool(now["delivery"]["status"] == "delivered")

    await eventually(delivered)


async def test_twenty_callers_at_once_are_all_answered(up: Running) -> None:
    calls = [up.call("POST", "/v1/verifications", {"to": fresh_number().e164}) for _ in range(20)]

    assert {status for status, _ in await asyncio.gather(*calls)} == {201}


@pytest.mark.skipif(not Path("/proc").exists(), reason="looks for left-over processes in /proc")
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_it_stops_cleanly_and_leaves_no_process(number: signal.Signals) -> None:
    process = await launch("--port", "0")
    assert process.stdout is not None
    ready = json.loads(await asyncio.wait_for(process.stdout.readline(), 30))
    family = descendants(process.pid)
    assert len(family) >= 3

    process.send_signal(number)
    await asyncio.wait_for(process.communicate(), 20)

    assert process.returncode == 0
    assert [pid for pid in family if is_running(pid)] == []
    with pytest.raises(aiohttp.ClientConnectorError):
        async with aiohttp.ClientSession() as http, http.get(ready["api"]):
            pass


async def test_the_mistakes_in_the_services_are_all_that_is_told(tmp_path: Path) -> None:
    services = tmp_path / "services.toml"
    services.write_text('[default]\nlifetime = 601\n[[default.routes]]\nproviders = [ { name = "twilio" } ]\n')

    process = await launch("--port", "0", "--services", str(services))
    _, error = await asyncio.wait_for(process.communicate(), 30)

    assert process.returncode == 1
    assert error.decode().splitlines() == [
        f"salvo: {services} has mistakes:",
        "default.lifetime: Expected `int` <= 600",
        "default.routes[0].providers[0]: twilio needs a sender",
    ]


async def test_a_port_that_is_taken_is_named() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = str(taken.getsockname()[1])

        process = await launch("--port", port)
        _, error = await asyncio.wait_for(process.communicate(), 30)

    assert process.returncode == 1
    assert f"could not start on port {port}" in error.decode()


def descendants(pid: int) -> list[int]:
    children = [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    return children + [grandchild for child in children for grandchild in descendants(child)]
