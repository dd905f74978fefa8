"""The built functions in Docker containers by `sam local`, against ./salvo up --print-env, as the README has it."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import signal
import socket
import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from infra import artifact, sam
from infra.environments import ROOT
from infra.local.containers import ENV_FILE
from infra.local.embedded_aws import aws_client
from infra.template import functions, read

FUNCTIONS = functions(read())
IMAGE = f"public.ecr.aws/lambda/python:{FUNCTIONS[0].runtime.removeprefix('python')}-{FUNCTIONS[0].architecture}"
BATCH = ROOT / "tests" / "events" / "sqs_batch.json"

_PIPE = asyncio.subprocess.PIPE
_STARTS_WITHIN = 60.0
_ENDS_WITHIN = 30.0
_FETCHED_WITHIN = 80.0

Answer = tuple[int, Any]


@dataclass(frozen=True, slots=True)
class Local:
    """The system that runs outside of the containers."""

    ready: Mapping[str, str]
    http: aiohttp.ClientSession

    async def inbox(self, number: str) -> list[str]:
        async with self.http.get(self.ready["inbox"], params={"to": number}) as answer:
            return [message["text"] for message in await answer.json()]

    async def dead_letters(self) -> list[str]:
        queue_url = self.ready["queue_url"].replace("-queue", "-dead-letters")
        async with aws_client("sqs", self.ready["aws_endpoint"]) as sqs:
            answer = await sqs.receive_message(QueueUrl=queue_url, MaxNumberOfMessages=10)
        return [message["Body"] for message in answer.get("Messages", ())]

    async def ask(self, method: str, url: str, body: Any = None) -> Answer:
        headers = {"Authorization": f"Bearer {self.ready['key']}"}
        async with self.http.request(method, url, json=body, headers=headers) as answer:
            return answer.status, await answer.json(content_type=None)


@pytest.fixture(scope="module", autouse=True)
async def _can_run() -> None:
    if not all((artifact.BUILD / function.name).is_dir() for function in FUNCTIONS):
        pytest.skip("nothing is built: ./salvo build does it")
    if ENV_FILE.exists():
        pytest.skip(f"{ENV_FILE.name} is there: another ./salvo up --print-env runs here")
    docker = shutil.which("docker")
    if docker is None:
        pytest.skip("there is no docker command")
    status, said = await run(docker, "version", "--format", "{{.Server.Version}}")
    if status:
        pytest.skip(f"no Docker daemon answers: {said}")
    if (await run(docker, "image", "inspect", IMAGE))[0]:
        status, said = await run(docker, "pull", IMAGE)
        if status:
            pytest.skip(f"{IMAGE} is not here, and cannot be had: {said}")


@pytest.fixture(scope="module")
async def local() -> AsyncIterator[Local]:
    command = (sys.executable, "-m", "infra.command", "up", "--port", "0", "--latency", "0.05", "--print-env")
    async with running(*command, stdout=_PIPE) as up, aiohttp.ClientSession() as http:
        assert up.stdout is not None
        yield Local(json.loads(await asyncio.wait_for(up.stdout.readline(), _STARTS_WITHIN)), http)


@pytest.fixture(scope="module")
async def api(local: Local, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[str]:
    """The address of `sam local start-api`."""
    log, port = tmp_path_factory.mktemp("sam") / "start-api.log", free_port()
    with log.open("wb") as output:
        command = (str(sam.tool("sam")), "local", "start-api", "--port", str(port))
        async with running(*command, stdout=output, stderr=output) as process:
            while f"Running on http://127.0.0.1:{port}" not in log.read_text(errors="replace"):
                assert process.returncode is None, log.read_text(errors="replace")
                await asyncio.sleep(0.1)
            yield f"http://127.0.0.1:{port}"


async def test_a_batch_is_on_the_phones_and_what_cannot_be_read_is_put_aside(local: Local) -> None:
    bodies = [record["body"] for record in json.loads(BATCH.read_text())["Records"]]
    numbers = [json.loads(body)["to"] for body in bodies if is_json(body)]
    assert 0 < len(numbers) < len(bodies)

    answer = await invoke("SenderFunction", BATCH)

    assert answer == {"batchItemFailures": []}
    assert [len(await local.inbox(number)) for number in numbers] == [1] * len(numbers)
    assert await local.dead_letters() == [body for body in bodies if not is_json(body)]


async def test_a_code_is_asked_for_read_on_the_phone_and_approved(local: Local, api: str) -> None:
    status, started = await local.ask("POST", f"{api}/v1/verifications", {"to": "+4915112345678"})
    assert status == 201
    [text] = await local.inbox("+4915112345678")

    status, checked = await local.ask("POST", f"{api}/v1/verifications/{started['id']}/check", {"code": text[:6]})

    assert (status, checked["valid"], checked["status"]) == (200, True, "approved")


async def test_a_code_for_later_goes_over_the_queue_to_the_sender_outside(local: Local, api: str) -> None:
    async with local.http.post(
        f"{api}/v1/verifications",
        json={"to": "+4915112345679"},
        headers={"Authorization": f"Bearer {local.ready['key']}", "Prefer": "respond-async"},
    ) as answer:
        assert answer.status == 202

    async with asyncio.timeout(10):
        while not await local.inbox("+4915112345679"):  # noqa: ASYNC110 (what is waited for is in another process)
            await asyncio.sleep(0.05)


async def test_a_receipt_with_a_wrong_token_is_refused(local: Local, api: str) -> None:
    status, problem = await local.ask("POST", f"{api}/v1/receipts/yunpian/guessed", [])

    assert (status, problem["code"]) == (404, "not_found")


async def invoke(function: str, event: Path) -> Any:
    """What the function answers. SAM's own exit code is 0 whatever became of it."""
    command = (str(sam.tool("sam")), "local", "invoke", function, "-e", str(event))
    process = await start(*command, stdout=_PIPE, stderr=_PIPE)
    output, error = await process.communicate()
    assert process.returncode == 0, error.decode()
    assert output, error.decode()
    return json.loads(output)


@asynccontextmanager
async def running(*command: str, **streams: Any) -> AsyncIterator[asyncio.subprocess.Process]:
    """Ended in a way that lets it take its containers along."""
    process = await start(*command, **streams)
    try:
        yield process
    finally:
        if process.returncode is None:
            process.send_signal(signal.SIGTERM)
        await asyncio.wait_for(process.communicate(), _ENDS_WITHIN)


async def start(*command: str, **streams: Any) -> asyncio.subprocess.Process:
    return await asyncio.create_subprocess_exec(*command, cwd=ROOT, env=environment(), **streams)


async def run(*command: str) -> Answer:
    """Exit code, and the last line that it said."""
    process = await start(*command, stdout=_PIPE, stderr=asyncio.subprocess.STDOUT)
    try:
        output, _ = await asyncio.wait_for(process.communicate(), _FETCHED_WITHIN)
    except TimeoutError:
        process.kill()
        return 1, f"nothing for {_FETCHED_WITHIN:.0f} s"
    return process.returncode or 0, (output.decode().strip().splitlines() or [""])[-1]


def environment() -> dict[str, str]:
    """Ours without the developer's AWS account: SAM would ask it who it is, and hand its keys to the containers."""
    kept = {name: value for name, value in sam.environment().items() if name not in _ACCOUNT}
    return {**kept, "AWS_CONFIG_FILE": os.devnull, "AWS_SHARED_CREDENTIALS_FILE": os.devnull}


_ACCOUNT = {"AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "AWS_PROFILE", "AWS_ENDPOINT_URL"}


def is_json(text: str) -> bool:
    try:
        json.loads(text)
    except ValueError:
        return False
    return True


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
