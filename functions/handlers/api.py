"""HTTP events → the API. This module's imports are what the function's cold start pays for."""

from __future__ import annotations

import secrets
from dataclasses import replace
from typing import Any

from mangum import Mangum

from functions.aws import Clients
from functions.handlers.authorizer import GatewayAuthorizer
from functions.handlers.providers import Readiness
from functions.handlers.sending import SendingParts, build_sending
from functions.hooks.altcha import Altcha
from functions.providers.catalog import TAKE_OUR_ID
from functions.queues.sqs import SqsSendQueue
from functions.runtime import Connections, Runtime, TimeLeft, wall_clock
from functions.settings import KEYS, ApiSettings, api_settings
from functions.stores.answers import DynamoAnswerStore
from functions.stores.batches import DynamoBatchStore
from functions.stores.callers import SecretCallers
from functions.stores.secrets_manager import CachedSecret
from functions.stores.verifications_together import VerificationsTogether
from functions.telemetry import configure, journal, name_caller, observed
from functions.tokens.signer import TokenSigner
from functions.usecases.check import CheckVerification
from functions.usecases.look_up import CancelVerification, LookUpVerification
from functions.usecases.make_challenge import MakeChallenge
from functions.usecases.once import Once
from functions.usecases.show_batch import ShowBatch
from functions.usecases.start import StartVerification
from functions.usecases.start_batch import MOST_AT_ONCE, StartBatch
from functions.usecases.start_item import StartItem
from functions.web.app import Api, create_app
from functions.web.authentication import Authenticate, BearerKeys
from functions.web.boundary import Boundary

CALLERS_FRESH_FOR = 60
"""Seconds after which a key that was taken away is refused by every sandbox."""
CONNECTIONS = MOST_AT_ONCE
"""To the gateways: an HTTP invocation sends one message, or the items of a batch all at once."""


async def build(
    settings: ApiSettings, clients: Clients, connections: Connections, remaining: TimeLeft
) -> tuple[Boundary, Readiness]:
    services = settings.common.configuration.services
    parts = await build_sending(settings.common, settings.sending, clients, connections, remaining)
    tokens, batches = TokenSigner(parts.keys), DynamoBatchStore(parts.table, secrets.token_bytes)
    api = Api(
        start=_start(settings, parts),
        start_batch=_start_batch(settings, parts, batches),
        show_batch=ShowBatch(batches=batches),
        check=CheckVerification(
            services=services,
            store=parts.store,
            keys=parts.keys,
            guard=parts.guard,
            tokens=tokens,
            queue=parts.queue,
            entropy=secrets.token_bytes,
            clock=wall_clock,
            journal=journal,
            take_our_id=TAKE_OUR_ID,
        ),
        look_up=LookUpVerification(services=services, store=parts.store, clock=wall_clock),
        cancel=CancelVerification(services=services, store=parts.store, clock=wall_clock, journal=journal),
        make_challenge=MakeChallenge(
            services=services, maker=Altcha(parts.keys, secrets.token_bytes), clock=wall_clock
        ),
        public_keys=tokens.public_keys,
        authenticate=_authenticate(settings, parts.secrets_client),
        name_caller=name_caller,
    )
    return create_app(api, journal), parts.ready


def _start(settings: ApiSettings, parts: SendingParts) -> StartVerification:
    return StartVerification(
        services=settings.common.configuration.services,
        keys=parts.keys,
        guard=parts.guard,
        reserve=parts.reserve,
        deliver=parts.deliver,
        queue=parts.queue,
        once=Once(answers=DynamoAnswerStore(parts.table, secrets.token_bytes), clock=wall_clock),
        entropy=secrets.token_bytes,
        clock=wall_clock,
    )


def _start_batch(settings: ApiSettings, parts: SendingParts, batches: DynamoBatchStore) -> StartBatch:
    services = settings.common.configuration.services
    return StartBatch(
        services=services,
        keys=parts.keys,
        start_item=StartItem(
            services=services,
            keys=parts.keys,
            guard=parts.guard,
            reserve=replace(parts.reserve, store=VerificationsTogether(parts.store)),
            deliver=parts.deliver,
            clock=wall_clock,
        ),
        queue=SqsSendQueue(parts.sqs, settings.bulk_queue_url),
        batches=batches,
        entropy=secrets.token_bytes,
        clock=wall_clock,
        journal=journal,
    )


def _authenticate(settings: ApiSettings, secrets_client: Any) -> Authenticate:
    if settings.authorizer != KEYS:
        return GatewayAuthorizer()
    secret = CachedSecret(secrets_client, settings.callers_secret, wall_clock, fresh_for=CALLERS_FRESH_FOR)
    return BearerKeys(SecretCallers(secret))


settings = api_settings()
configure(settings.common.log_level, settings.common.stack)
runtime = Runtime()
connections = Connections(limit=CONNECTIONS)
remaining = TimeLeft()
# The clients are made here, at start-up, because Lambda lends a whole CPU to it.
app, ready = runtime.start(build(settings, Clients(runtime.resources), connections, remaining))
# mangum would run the app's start-up and shut-down for every event.
asgi = Mangum(app, lifespan="off")


@observed
def handler(event: dict[str, Any], context: Any) -> dict[str, Any]:
    """API Gateway HTTP API, payload format 2.0."""
    remaining.begin(context)
    runtime.run(_begin())
    try:
        return asgi(event, context)
    finally:
        connections.rest()


async def _begin() -> None:
    await connections.wake()
    await ready()
