"""The whole system on this machine: embedded AWS, simulated gateway, real handlers in processes of their own."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path

from infra.local.embedded_aws import EmbeddedAws, Resources, create_resources
from infra.local.event_source import EventSource
from infra.local.execution_environment import Function
from infra.local.gateway import GatewayProcess
from infra.local.http_front import proxied, serve
from infra.local.ports import bindable

API_TIMEOUT = 15.0
SENDER_TIMEOUT = 15.0
"""Seconds, as in template.yaml."""
VISIBILITY_TIMEOUT = 90
"""Seconds, as in infra/messaging.yaml."""

_ENVIRONMENTS = 10
"""Of one function, at most."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Base:
    """What the functions stand on."""

    resources: Resources
    gateway: GatewayProcess

    def environment(self, receipts_url: str = "") -> dict[str, str]:
        return {**self.resources.environment(), "YUNPIAN_URL": self.gateway.url, "RECEIPTS_URL": receipts_url}


@contextlib.asynccontextmanager
async def start_base(
    *, latency: float, fail: float, visibility_timeout: int = VISIBILITY_TIMEOUT, log: Path | None = None
) -> AsyncIterator[Base]:
    """AWS and gateway, until the block is left. `latency` in seconds, `fail` the share of sends that go wrong."""
    async with EmbeddedAws.start() as aws:
        resources = await create_resources(aws.endpoint, visibility_timeout=visibility_timeout)
        async with GatewayProcess.start(
            apikey=resources.yunpian_apikey, latency=latency, fail=fail, log=log
        ) as gateway:
            yield Base(resources=resources, gateway=gateway)


@dataclass(frozen=True, slots=True, kw_only=True)
class System:
    base: Base
    url: str
    """Of the API, the receipts and the phones' inbox."""


@contextlib.asynccontextmanager
async def start_system(
    *, port: int, latency: float, fail: float, services: Path | None = None
) -> AsyncIterator[System]:
    """Everything that template.yaml deploys, until the block is left. Raises OSError where the port is taken."""
    port = bindable(port)
    async with AsyncExitStack() as stack:
        base = await stack.enter_async_context(start_base(latency=latency, fail=fail))
        environment = base.environment(receipts_url=f"http://127.0.0.1:{port}")
        environment["POWERTOOLS_METRICS_DISABLED"] = "true"  # they are for CloudWatch; here they come between the lines
        if services is not None:
            environment["SERVICES_FILE"] = str(services)
        api = await stack.enter_async_context(_function("api", environment, API_TIMEOUT))
        sender = await stack.enter_async_context(_function("sender", environment, SENDER_TIMEOUT))
        receipts = await stack.enter_async_context(_function("receipts", environment, API_TIMEOUT))
        inbox = proxied("/inbox.json", base.gateway.url)
        url = await stack.enter_async_context(serve({"/": api, "/v1/receipts": receipts}, port=port, mounted=[inbox]))
        await api.warm()
        await stack.enter_async_context(
            EventSource.start(sender, endpoint=base.resources.endpoint, queue_url=base.resources.queue_url)
        )
        yield System(base=base, url=url)


def _function(name: str, environment: dict[str, str], timeout: float) -> Function:
    return Function(
        f"functions.handlers.{name}.handler", environment, timeout=timeout, name=name, max_concurrency=_ENVIRONMENTS
    )
