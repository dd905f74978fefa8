"""What the functions that send have in common: keys, store and gateway, wired together."""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from functools import partial
from typing import Any

from functions.aws import Clients
from functions.providers.yunpian import BASE_URL, Yunpian, YunpianCredentials
from functions.runtime import Connections, wall_clock
from functions.settings import Common, Sending
from functions.stores.dynamodb import Table
from functions.stores.secrets_manager import CachedSecret, SecretKeys, text_in
from functions.stores.verifications import DynamoVerificationStore
from functions.telemetry import journal
from functions.usecases.deliver import Deliver
from functions.usecases.reserve import Reserve


@dataclass(frozen=True, slots=True, kw_only=True)
class SendingParts:
    table: Table
    store: DynamoVerificationStore
    secrets_client: Any
    keys: SecretKeys
    provider: Yunpian
    reserve: Reserve
    deliver: Deliver


async def build_sending(common: Common, sending: Sending, clients: Clients, connections: Connections) -> SendingParts:
    table = Table(await clients.open("dynamodb"), common.table)
    store = DynamoVerificationStore(table, secrets.token_bytes)
    secrets_client = await clients.open("secretsmanager")
    keys = SecretKeys(CachedSecret(secrets_client, sending.keys_secret, wall_clock))
    provider = Yunpian(
        credentials=partial(_credentials, CachedSecret(secrets_client, common.yunpian_secret, wall_clock)),
        session=connections.session,
        base_url=sending.yunpian_url or BASE_URL,
        receipts_url=sending.receipts_url,
    )
    return SendingParts(
        table=table,
        store=store,
        secrets_client=secrets_client,
        keys=keys,
        provider=provider,
        reserve=Reserve(store=store, keys=keys, entropy=secrets.token_bytes, clock=wall_clock),
        deliver=Deliver(store=store, provider=provider, clock=wall_clock, journal=journal),
    )


async def _credentials(secret: CachedSecret) -> YunpianCredentials:
    return YunpianCredentials(
        apikey=await text_in(secret, "apikey"), receipt_token=await text_in(secret, "receipt_token")
    )
