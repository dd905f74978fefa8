"""What `sam local` needs of us: the forwarder that lets containers in, env.json, and samconfig.toml. Without Docker."""

from __future__ import annotations

import asyncio
import json
import sys
import tomllib
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from infra.environments import ROOT
from infra.local.containers import (
    ENV_FILE,
    HOST,
    ContainersUnavailable,
    address_of,
    forwarder,
    opened_to_containers,
    overrides,
)
from infra.local.embedded_aws import REGION, Resources, aws_client
from infra.template import Function, functions, read

FUNCTIONS = functions(read())

Answer = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Coroutine[Any, Any, None]]

each_function = pytest.mark.parametrize("function", FUNCTIONS, ids=lambda function: function.name)


@asynccontextmanager
async def listening(answer: Answer) -> AsyncIterator[int]:
    """A server on 127.0.0.1, by its port."""
    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()


async def echo_all(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Waits for the whole of what is said, so an answer needs a connection that is closed in one direction only."""
    writer.write(await reader.read())
    writer.close()
    await writer.wait_closed()


async def echo_lines(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while line := await reader.readline():
        writer.write(line)
    writer.close()
    await writer.wait_closed()


async def ask(port: int, said: bytes) -> bytes:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(said)
    writer.write_eof()
    answer = await reader.read()
    writer.close()
    await writer.wait_closed()
    return answer


def variables(**more: str) -> dict[str, str]:
    return {"AWS_ENDPOINT_URL": "http://127.0.0.1:4566", "PROVIDERS_URL": "http://127.0.0.1:4567", **more}


async def test_what_is_said_to_the_forwarder_is_answered_by_the_service() -> None:
    long = bytes(range(256)) * 4096

    async with listening(echo_all) as port, forwarder("127.0.0.1", port) as entrance:
        assert entrance != port
        assert await ask(entrance, long) == long


async def test_twenty_connections_at_once_get_their_own_answers() -> None:
    said = [f"{number}".encode() * 1000 for number in range(20)]

    async with listening(echo_all) as port, forwarder("127.0.0.1", port) as entrance:
        assert await asyncio.gather(*(ask(entrance, each) for each in said)) == said


async def test_where_nothing_listens_the_connection_ends() -> None:
    async with listening(echo_all) as port:
        pass

    async with forwarder("127.0.0.1", port) as entrance:
        reader, writer = await asyncio.open_connection("127.0.0.1", entrance)
        assert await asyncio.wait_for(reader.read(), 5) == b""
        writer.close()
        await writer.wait_closed()


async def test_connections_that_are_kept_alive_do_not_hold_up_the_end() -> None:
    async with listening(echo_lines) as port:
        async with forwarder("127.0.0.1", port) as entrance:
            reader, writer = await asyncio.open_connection("127.0.0.1", entrance)
            writer.write(b"hello\n")
            assert await reader.readline() == b"hello\n"

        assert await asyncio.wait_for(reader.read(), 5) == b""
        writer.close()
        await writer.wait_closed()
        with pytest.raises(ConnectionRefusedError):
            await asyncio.open_connection("127.0.0.1", entrance)


async def test_queues_are_found_by_their_urls_on_whatever_address(resources: Resources) -> None:
    port = int(resources.endpoint.rpartition(":")[2])

    async with forwarder("127.0.0.1", port) as entrance, aws_client("sqs", f"http://127.0.0.1:{entrance}") as sqs:
        answer = await sqs.get_queue_attributes(QueueUrl=resources.queue_url, AttributeNames=["QueueArn"])

    assert answer["Attributes"]["QueueArn"].startswith("arn:aws:sqs:")


@pytest.mark.parametrize(
    ("networks", "address"),
    [
        ([{"Subnet": "127.0.0.0/8", "Gateway": "127.0.0.1"}], "127.0.0.1"),
        ([{"Subnet": "127.0.0.0/8"}], "127.0.0.1"),
        ([{"Subnet": "fd00:1::/64", "Gateway": "fd00:1::1"}, {"Subnet": "127.0.0.0/8"}], "127.0.0.1"),
        ([{"Subnet": "203.0.113.0/24", "Gateway": "203.0.113.1"}], None),
        ([], None),
    ],
    ids=["named", "left out", "after one of IPv6", "in a virtual machine", "no network"],
)
def test_the_bridge_is_where_docker_says_if_that_is_this_machine(
    networks: list[dict[str, str]], address: str | None
) -> None:
    assert address_of(networks) == address


async def test_with_a_bridge_containers_come_in_over_it(tmp_path: Path) -> None:
    async with listening(echo_all) as port:
        outside = variables(AWS_ENDPOINT_URL=f"http://127.0.0.1:{port}")
        async with opened_to_containers(outside, "127.0.0.1", tmp_path / "env.json"):
            inside = json.loads((tmp_path / "env.json").read_text())["ApiFunction"]["AWS_ENDPOINT_URL"]

            host, _, entrance = inside.removeprefix("http://").partition(":")
            assert host == HOST
            assert int(entrance) != port
            assert await ask(int(entrance), b"hello") == b"hello"


async def test_without_a_bridge_the_services_keep_their_ports(tmp_path: Path) -> None:
    async with opened_to_containers(variables(), None, tmp_path / "env.json"):
        written = json.loads((tmp_path / "env.json").read_text())

    assert written["SenderFunction"] == {
        "AWS_ENDPOINT_URL": f"http://{HOST}:4566",
        "PROVIDERS_URL": f"http://{HOST}:4567",
    }


async def test_the_file_goes_with_the_system(tmp_path: Path) -> None:
    async with opened_to_containers(variables(), None, tmp_path / "env.json"):
        assert (tmp_path / "env.json").exists()

    assert not (tmp_path / "env.json").exists()


async def test_a_file_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    with pytest.raises(ContainersUnavailable, match=r"could not write .*/nowhere/env\.json: No such file"):
        async with opened_to_containers(variables(), None, tmp_path / "nowhere" / "env.json"):
            pass


@each_function
def test_a_function_is_told_everything_that_only_a_deployed_stack_knows(
    function: Function, resources: Resources
) -> None:
    known = overrides({**resources.environment(), "PROVIDERS_URL": "http://gateway", "RECEIPTS_URL": ""})[function.name]

    unknown_to_sam = {name for name, value in function.environment.items() if "Fn::GetAtt" in value}
    assert unknown_to_sam <= known.keys()
    assert known["AWS_ENDPOINT_URL"] == resources.endpoint


@each_function
def test_a_function_is_told_of_no_variable_that_the_template_does_not_name(
    function: Function, resources: Resources
) -> None:
    assert overrides(resources.environment())[function.name].keys() <= function.environment.keys()


def test_the_bulk_sender_is_told_of_its_own_queue(resources: Resources) -> None:
    told = overrides(resources.environment())

    assert told["BulkSenderFunction"]["QUEUE_URL"] == resources.bulk_queue_url
    assert told["SenderFunction"]["QUEUE_URL"] == told["ApiFunction"]["QUEUE_URL"] == resources.queue_url


def test_no_secret_is_written(resources: Resources) -> None:
    written = json.dumps(overrides(resources.environment()))

    held = {value for account in resources.accounts.values() for value in account.values()}
    assert len(held) > 30
    assert [value for value in held if value in written] == []


@each_function
def test_on_aws_a_function_uses_aws(function: Function) -> None:
    assert function.environment["AWS_ENDPOINT_URL"] == {"Ref": "AWS::NoValue"}


@pytest.mark.parametrize("command", ["local_invoke", "local_start_api", "local_start_lambda"])
def test_sam_looks_where_the_system_is(command: str) -> None:
    told = tomllib.loads((ROOT / "samconfig.toml").read_text())["default"][command]["parameters"]

    assert ROOT / told["env_vars"] == ENV_FILE
    assert told["region"] == REGION
    assert told["add_host"] == [f"{HOST}:host-gateway"]


async def test_without_docker_up_says_so_before_it_starts_anything(tmp_path: Path) -> None:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "infra.command", "up", "--port", "0", "--print-env"),
        cwd=ROOT,
        env={"PATH": str(tmp_path)},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    output, error = await asyncio.wait_for(process.communicate(), 30)

    assert process.returncode == 1
    assert (output, error.decode()) == (
        b"",
        "salvo: `sam local` needs Docker, and there is no docker command: install it\n",
    )
