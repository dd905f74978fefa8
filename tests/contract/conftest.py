"""Each contract runs on every engine: ministack, which is exact under concurrency, and moto's server, for the shape."""

from __future__ import annotations

import secrets
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest
from moto.server import ThreadedMotoServer

from functions.stores.dynamodb import Table
from infra.local.embedded_aws import EmbeddedAws, aws_client, create_resources


@pytest.fixture(scope="session")
def moto_endpoint() -> Iterator[str]:
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    yield f"http://{host}:{port}"
    server.stop()


@pytest.fixture(scope="session", params=["ministack", "moto"])
async def table(request: pytest.FixtureRequest, aws: EmbeddedAws, moto_endpoint: str) -> AsyncIterator[Table]:
    endpoint = aws.endpoint if request.param == "ministack" else moto_endpoint
    made = await create_resources(endpoint, visibility_timeout=2, prefix=f"contract-{secrets.token_hex(4)}")
    async with aws_client("dynamodb", endpoint) as client:
        yield Table(client, made.table)


@pytest.fixture(scope="session")
async def exact_client(aws: EmbeddedAws) -> AsyncIterator[Any]:
    async with aws_client("dynamodb", aws.endpoint) as client:
        yield client


@dataclass(slots=True)
class Meter:
    """Listens to a client, through the events that botocore offers for that."""

    units: list[float] = field(default_factory=list)

    def ask(self, params: dict[str, Any], **_: Any) -> None:
        params["ReturnConsumedCapacity"] = "TOTAL"

    def note(self, parsed: dict[str, Any], **_: Any) -> None:
        consumed = parsed["ConsumedCapacity"]
        self.units += [each["CapacityUnits"] for each in (consumed if isinstance(consumed, list) else [consumed])]


WRITES = ("PutItem", "UpdateItem", "DeleteItem", "BatchExecuteStatement")


@pytest.fixture
def meter(dynamodb: Any) -> Iterator[Meter]:
    meter = Meter()
    for operation in WRITES:
        dynamodb.meta.events.register(f"provide-client-params.dynamodb.{operation}", meter.ask, f"ask-{operation}")
        dynamodb.meta.events.register(f"after-call.dynamodb.{operation}", meter.note, f"note-{operation}")
    yield meter
    for operation in WRITES:
        dynamodb.meta.events.unregister(f"provide-client-params.dynamodb.{operation}", meter.ask, f"ask-{operation}")
        dynamodb.meta.events.unregister(f"after-call.dynamodb.{operation}", meter.note, f"note-{operation}")
