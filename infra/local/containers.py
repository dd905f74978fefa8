"""What `sam local` needs to run the functions in containers against the local system: a way to it, and env.json.

The system listens on 127.0.0.1, which in a container is the container. Docker Desktop leads host.docker.internal to the
host's own 127.0.0.1. On Linux that name means the host's address on Docker's bridge: there a forwarder listens, on that
address alone, so that the network around the machine gets no way in.
"""

from __future__ import annotations

import asyncio
import contextlib
import ipaddress
import json
import socket
import subprocess
from collections.abc import AsyncIterator, Iterable, Iterator, Mapping
from pathlib import Path
from urllib.parse import urlsplit

from infra.deployed import FUNCTIONS
from infra.environments import ROOT
from infra.template import functions, read

ENV_FILE = ROOT / "env.json"
"""Where samconfig.toml has `sam local` look for it."""
HOST = "host.docker.internal"
"""The host, as containers call it. On Linux they know the name because samconfig.toml gives it to them."""

_SERVICES = ("AWS_ENDPOINT_URL", "PROVIDERS_URL")
"""What functions connect to. A queue's URL is only its name to them; RECEIPTS_URL is for the gateway, on the host."""
_LOOPBACK = "127.0.0.1"
_ANSWERS_WITHIN = 10.0
_AT_ONCE = 64 * 1024


class ContainersUnavailable(Exception):
    """Containers cannot be served. The message says what to do about it."""


@contextlib.asynccontextmanager
async def opened_to_containers(
    variables: Mapping[str, str], bridge: str | None, file: Path = ENV_FILE
) -> AsyncIterator[None]:
    """Until the block is left, containers reach the system, and `file` tells `sam local` where it is.

    `variables` are the functions' as they are outside of containers. Raises ContainersUnavailable.
    """
    async with contextlib.AsyncExitStack() as ways:
        inside = dict(variables)
        for name in _SERVICES:
            port = urlsplit(variables[name]).port or 80
            if bridge is not None:
                port = await ways.enter_async_context(forwarder(bridge, port))
            inside[name] = f"http://{HOST}:{port}"
        with _written(file, json.dumps(overrides(inside), indent=2) + "\n"):
            yield


@contextlib.contextmanager
def _written(file: Path, text: str) -> Iterator[None]:
    try:
        file.write_text(text, encoding="utf-8")
    except OSError as error:
        raise ContainersUnavailable(f"could not write {file}: {error.strerror}") from None
    try:
        yield
    finally:
        # With it left behind, the next `sam local` would wait for what is no more instead of missing the file.
        file.unlink(missing_ok=True)


def overrides(variables: Mapping[str, str]) -> dict[str, dict[str, str]]:
    """What SAM's --env-vars takes: of each function's variables those that are known here.

    What the template gives a value of its own keeps that. SAM sets no variable that the template does not name.
    """
    return {
        function.name: {name: known[name] for name in function.environment if name in known}
        for function in functions(read())
        for known in [_known_to(function.name, variables)]
    }


def _known_to(function: str, variables: Mapping[str, str]) -> Mapping[str, str]:
    """The bulk sender's own queue is another."""
    if function != FUNCTIONS["bulk-sender"] or "BULK_QUEUE_URL" not in variables:
        return variables
    return {**variables, "QUEUE_URL": variables["BULK_QUEUE_URL"]}


def bridge_address() -> str | None:
    """The address that Docker's bridge has on this machine; None where Docker runs in a virtual one (Docker Desktop).

    Raises ContainersUnavailable where there is no Docker.
    """
    return address_of(json.loads(_docker("network", "inspect", "bridge", "--format", "{{json .IPAM.Config}}")))


def address_of(networks: Iterable[Mapping[str, str]]) -> str | None:
    """The first that is this machine's among the gateways of Docker's networks."""
    for network in networks:
        # Some daemons name no gateway where nobody chose one: it is the subnet's first address then.
        gateway = network.get("Gateway") or str(next(ipaddress.ip_network(network["Subnet"]).hosts()))
        if _is_ours(gateway):
            return gateway
    return None


def _docker(*arguments: str) -> str:
    try:
        finished = subprocess.run(  # noqa: S603
            ["docker", *arguments],  # noqa: S607 (the one on PATH, whoever installed it)
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=_ANSWERS_WITHIN,
            check=True,
        )
    except FileNotFoundError:
        raise ContainersUnavailable("`sam local` needs Docker, and there is no docker command: install it") from None
    except subprocess.TimeoutExpired:
        raise ContainersUnavailable(f"Docker has not answered for {_ANSWERS_WITHIN:.0f} s: is it starting?") from None
    except subprocess.CalledProcessError as error:
        raise ContainersUnavailable(f"`sam local` needs Docker, and it says: {error.stderr.strip()}") from None
    return finished.stdout


def _is_ours(address: str) -> bool:
    with socket.socket() as probe:
        try:
            probe.bind((address, 0))
        except OSError:
            return False
    return True


@contextlib.asynccontextmanager
async def forwarder(address: str, port: int) -> AsyncIterator[int]:
    """Passes what comes to `address` on to `port` of 127.0.0.1, until the block is left. Gives its own port."""
    connections: set[asyncio.Task[None]] = set()

    def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        connection = asyncio.create_task(_connect(reader, writer, port))
        connections.add(connection)
        connection.add_done_callback(connections.discard)

    server = await asyncio.start_server(accept, address, 0)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()
        # Warm containers keep connections open for as long as they live.
        for connection in connections:
            connection.cancel()
        await asyncio.gather(*connections, return_exceptions=True)
        await server.wait_closed()


async def _connect(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, port: int) -> None:
    async with _closing(writer):
        try:
            there = await asyncio.open_connection(_LOOPBACK, port)
        except OSError:
            return  # nothing listens: the other side sees its connection end
        async with _closing(there[1]):
            try:
                async with asyncio.TaskGroup() as directions:
                    directions.create_task(_pass_on(reader, there[1]))
                    directions.create_task(_pass_on(there[0], writer))
            except* OSError:
                pass  # it broke on one side, and ends on both


async def _pass_on(source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
    """One direction, to its end. The other may go on after it."""
    while data := await source.read(_AT_ONCE):
        sink.write(data)
        await sink.drain()
    sink.write_eof()


@contextlib.asynccontextmanager
async def _closing(writer: asyncio.StreamWriter) -> AsyncIterator[None]:
    try:
        yield
    finally:
        writer.close()
        with contextlib.suppress(OSError):
            await writer.wait_closed()
