"""The whole system on this machine: embedded AWS, simulated gateways, real handlers in processes of their own."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, AsyncExitStack
from dataclasses import dataclass
from pathlib import Path

from infra.local import consoles
from infra.local.embedded_aws import EmbeddedAws, Resources, create_resources
from infra.local.event_source import EventSource
from infra.local.execution_environment import Function
from infra.local.gateway import GatewayProcess
from infra.local.http_front import handed_over, proxied, serve
from infra.local.ports import bindable

API_TIMEOUT = 20.0
SENDER_TIMEOUT = 15.0
BULK_TIMEOUT = 60.0
RECEIPTS_TIMEOUT = 15.0
"""Seconds, as in template.yaml."""
VISIBILITY_TIMEOUT = 90
"""Seconds, as in infra/messaging.yaml."""

SENDER_CONCURRENCY = 10
BULK_BATCH, BULK_WINDOW, BULK_CONCURRENCY = 100, 1.0, 5
"""Messages, seconds and senders at once, as in template.yaml."""

_ENVIRONMENTS = 10
"""Of one function, at most."""
_AWS_EVENTS = "/aws-events"
_CONFIGURATION_SET = "salvo"
"""At AWS: template.yaml makes one for those who send by AWS."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Base:
    """What the functions stand on."""

    resources: Resources
    gateway: GatewayProcess

    def environment(self, *, receipts_url: str = "", services: Path | None = None) -> dict[str, str]:
        """The functions'. `services` is a file instead of the one that is shipped with them."""
        named = {} if services is None else {"SERVICES_FILE": str(services)}
        own = {"RECEIPTS_URL": receipts_url, "SMS_CONFIGURATION_SET": _CONFIGURATION_SET}
        return {**self.resources.environment(), **self.gateway.environment(), **own, **named}


@contextlib.asynccontextmanager
async def start_base(
    *, latency: float, fail: float, visibility_timeout: int = VISIBILITY_TIMEOUT, log: Path | None = None
) -> AsyncIterator[Base]:
    """AWS and gateways, until the block is left. `latency` in seconds, `fail` the share of sends that go wrong."""
    async with EmbeddedAws.start() as aws:
        resources = await create_resources(aws.endpoint, visibility_timeout=visibility_timeout)
        async with GatewayProcess.start(resources.accounts, latency=latency, fail=fail, log=log) as gateway:
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
        url = f"http://127.0.0.1:{port}"
        environment = base.environment(receipts_url=url, services=services)
        environment["POWERTOOLS_METRICS_DISABLED"] = "true"  # they are for CloudWatch; here they come between the lines
        api = await stack.enter_async_context(_function("api", environment, API_TIMEOUT))
        sender = await stack.enter_async_context(_function("sender", environment, SENDER_TIMEOUT))
        bulk_environment = {**environment, **base.resources.bulk_environment()}
        bulk = await stack.enter_async_context(_function("sender", bulk_environment, BULK_TIMEOUT, name="bulk-sender"))
        receipts = await stack.enter_async_context(_function("receipts", environment, RECEIPTS_TIMEOUT))
        around = [proxied("/inbox.json", base.gateway.url), handed_over(_AWS_EVENTS, receipts)]
        await stack.enter_async_context(serve({"/": api, "/v1/receipts": receipts}, port=port, mounted=around))
        await consoles.fill_in(base.gateway, base.resources.accounts, url)
        await base.gateway.change(provider="aws_sms", receipts_url=url + _AWS_EVENTS)
        await api.warm()
        await stack.enter_async_context(
            EventSource.start(
                sender,
                endpoint=base.resources.endpoint,
                queue_url=base.resources.queue_url,
                max_concurrency=SENDER_CONCURRENCY,
            )
        )
        await stack.enter_async_context(
            bulk_source(bulk, endpoint=base.resources.endpoint, queue_url=base.resources.bulk_queue_url)
        )
        yield System(base=base, url=url)


def bulk_source(bulk: Function, *, endpoint: str, queue_url: str) -> AbstractAsyncContextManager[EventSource]:
    return EventSource.start(
        bulk,
        endpoint=endpoint,
        queue_url=queue_url,
        batch_size=BULK_BATCH,
        window=BULK_WINDOW,
        max_concurrency=BULK_CONCURRENCY,
    )


def _function(handler: str, environment: dict[str, str], timeout: float, *, name: str = "") -> Function:
    return Function(
        f"functions.handlers.{handler}.handler",
        environment,
        timeout=timeout,
        name=name or handler,
        max_concurrency=_ENVIRONMENTS,
    )
