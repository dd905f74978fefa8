"""Providers' receipts → the verifications' delivery. This module's imports are what the cold start pays for."""

from __future__ import annotations

import secrets
from typing import Any

from mangum import Mangum

from functions.aws import Clients
from functions.handlers.providers import module_of, secret_of
from functions.runtime import Runtime, wall_clock
from functions.settings import Common, receipts_settings
from functions.stores.delivery_times import DynamoDeliveryTimes
from functions.stores.dynamodb import Table
from functions.stores.secrets_manager import ASK_AGAIN_AFTER
from functions.stores.verifications import DynamoVerificationStore
from functions.telemetry import configure, journal, observed
from functions.usecases.receive import RecordReceipt
from functions.web.boundary import Boundary
from functions.web.receipts import Receipts, ReceiptSource, create_receipts_app


async def build(settings: Common, clients: Clients) -> tuple[Boundary, RecordReceipt]:
    table = Table(await clients.open("dynamodb"), settings.table)
    secrets_client = await clients.open("secretsmanager")
    record = RecordReceipt(
        services=settings.configuration.services,
        store=DynamoVerificationStore(table, secrets.token_bytes),
        times=DynamoDeliveryTimes(table, wall_clock),
        clock=wall_clock,
        journal=journal,
    )
    receipts = Receipts(
        sources=_sources(settings, secrets_client),
        record=record,
        receipts_url=settings.receipts_url or "",
        clock=wall_clock,
    )
    return create_receipts_app(receipts, journal), record


def _sources(settings: Common, secrets_client: Any) -> dict[str, ReceiptSource]:
    """Of the providers that a route names and that push to an address.

    A secret is needed before a token can be told from a made-up one. Where there is none, anybody's requests must not
    each become one to Secrets Manager, which has its price.
    """
    modules = {name: module_of(name) for name in settings.configuration.named}
    return {
        name: ReceiptSource(module.RECEIPTS, secret_of(name, settings, secrets_client, failure_stands=ASK_AGAIN_AFTER))
        for name, module in modules.items()
        if hasattr(module, "RECEIPTS")
    }


settings = receipts_settings()
configure(settings.log_level, settings.stack)
runtime = Runtime()
app, record = runtime.start(build(settings, Clients(runtime.resources)))
# mangum would run the app's start-up and shut-down for every event.
asgi = Mangum(app, lifespan="off")


@observed
def handler(event: dict[str, Any], context: Any) -> dict[str, Any] | None:
    """API Gateway HTTP API, payload format 2.0; and AWS's own events, from SNS or EventBridge."""
    if "requestContext" in event:
        return asgi(event, context)
    runtime.run(_record_all(event))
    return None


async def _record_all(event: dict[str, Any]) -> None:
    """Whose event it is IAM has checked. What can't be written raises, so that AWS hands the event out again."""
    for receipt in module_of("aws_sms").read_event(event, wall_clock()) or ():
        await record(receipt)
