"""Providers' receipts → the verifications' delivery. This module's imports are what the cold start pays for."""

from __future__ import annotations

import secrets
from functools import partial
from typing import Any

from mangum import Mangum

from functions.aws import Clients
from functions.providers.yunpian import YunpianReceipts
from functions.runtime import Runtime, wall_clock
from functions.settings import Common, receipts_settings
from functions.stores.dynamodb import Table
from functions.stores.secrets_manager import CachedSecret, text_in
from functions.stores.verifications import DynamoVerificationStore
from functions.telemetry import configure, journal, observed
from functions.usecases.receive import RecordReceipt
from functions.web.boundary import Boundary
from functions.web.receipts import Receipts, ReceiptSource, create_receipts_app


async def build(settings: Common, clients: Clients) -> Boundary:
    store = DynamoVerificationStore(Table(await clients.open("dynamodb"), settings.table), secrets.token_bytes)
    yunpian = CachedSecret(await clients.open("secretsmanager"), settings.yunpian_secret, wall_clock)
    receipts = Receipts(
        sources={YunpianReceipts.name: ReceiptSource(YunpianReceipts(), partial(text_in, yunpian, "receipt_token"))},
        record=RecordReceipt(store=store, clock=wall_clock, journal=journal),
        clock=wall_clock,
    )
    return create_receipts_app(receipts, journal)


settings = receipts_settings()
configure(settings.log_level, settings.stack)
runtime = Runtime()
# mangum would run the app's start-up and shut-down for every event.
asgi = Mangum(runtime.start(build(settings, Clients(runtime.resources))), lifespan="off")


@observed
def handler(event: dict[str, Any], context: Any) -> dict[str, Any]:
    """API Gateway HTTP API, payload format 2.0."""
    return asgi(event, context)
