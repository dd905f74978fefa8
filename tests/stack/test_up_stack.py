"""./salvo up --stack, as its user runs it."""

from __future__ import annotations

import asyncio
import json
import os
import re
import signal
import socket
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from infra.environments import ROOT
from infra.local.up_stack import is_built
from tests.eventually import Eventually
from tests.harness import fresh_number
from tests.local.conftest import is_running
from tests.local.test_up import descendants

pytestmark = pytest.mark.skipif(not Path("/proc").exists(), reason="looks for left-over processes in /proc")


async def launch(folder: Path, *arguments: str) -> asyncio.subprocess.Process:
    """Its temporary files go to the folder."""
    inherited: Mapping[str, str] = os.environ  # noqa: TID251 - handed on, not read
    return await asyncio.create_subprocess_exec(
        sys.executable,
        *("-m", "infra.command", "up", "--stack", "--port", "0", *arguments),
        cwd=ROOT,
        env={**inherited, "TMPDIR": str(folder)},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )


def names_in(folder: Path) -> list[str]:
    return [path.name for path in folder.iterdir()]


@pytest.fixture
def current(deployable: Path) -> None:
    if not is_built():
        pytest.skip("what is built is not what stands here: ./salvo build, or this test would build it")


@pytest.mark.usefixtures("current")
async def test_it_runs_like_up_and_leaves_nothing_behind(tmp_path: Path) -> None:
    process = await launch(tmp_path, "--latency", "0.05")
    assert process.stdout is not None
    ready = json.loads(await asyncio.wait_for(process.stdout.readline(), 90))
    printed = {"api", "inbox", "key", "simulator", "aws_endpoint", "table", "queue_url", "bulk_queue_url", "stack"}
    assert set(ready) == printed

    assert (await _verify(ready))["valid"] is True

    family = descendants(process.pid)
    assert len(family) >= 3
    process.send_signal(signal.SIGTERM)
    await asyncio.wait_for(process.communicate(), 20)
    assert process.returncode == 0
    assert [pid for pid in family if is_running(pid)] == []
    assert names_in(tmp_path) == []


@pytest.mark.usefixtures("current")
async def test_it_stops_in_the_middle_of_the_deployment_too(tmp_path: Path, eventually: Eventually) -> None:
    process = await launch(tmp_path)

    async def deploying() -> bool:
        return any(name.startswith("salvo-deploy-") for name in names_in(tmp_path))

    await eventually(deploying, within=60)
    family = descendants(process.pid)
    process.send_signal(signal.SIGINT)
    output, _ = await asyncio.wait_for(process.communicate(), 20)

    assert (process.returncode, output) == (0, b"")
    assert [pid for pid in family if is_running(pid)] == []
    assert names_in(tmp_path) == []


async def test_a_port_that_is_taken_is_named_before_anything_is_done(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = str(taken.getsockname()[1])

        process = await launch(tmp_path, "--port", port)
        _, error = await asyncio.wait_for(process.communicate(), 30)

    assert process.returncode == 1
    assert error.decode().splitlines() == [f"salvo: could not start on port {port}: Address already in use"]


async def test_a_services_toml_to_try_out_is_refused(tmp_path: Path) -> None:
    process = await launch(tmp_path, "--services", "services.toml")
    _, error = await asyncio.wait_for(process.communicate(), 30)

    assert process.returncode == 1
    [line] = error.decode().splitlines()
    assert line.startswith("salvo: --services does not go with --stack")


async def _verify(ready: Mapping[str, str]) -> Any:
    number = fresh_number().e164
    headers = {"Authorization": f"Bearer {ready['key']}"}
    async with aiohttp.ClientSession(headers=headers) as http:
        async with http.post(f"{ready['api']}/v1/verifications", json={"to": number}) as answer:
            verification = (await answer.json())["id"]
        async with http.get(ready["inbox"], params={"to": number}) as answer:
            [message] = await answer.json()
        [code] = re.findall(r"[0-9]{6}", message["text"])
        url = f"{ready['api']}/v1/verifications/{verification}/check"
        async with http.post(url, json={"code": code}) as answer:
            return await answer.json()
