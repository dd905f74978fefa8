"""What the functions that send have in common: keys, store and providers, wired together."""

from __future__ import annotations

import secrets
from collections.abc import Collection, Mapping
from typing import Any

from functions.aws import Clients
from functions.domain.part import part
from functions.handlers.guarding import build_guard
from functions.handlers.hooks import build_hooks
from functions.handlers.providers import Accounts, Readiness, heard_of
from functions.queues.sqs import SqsSendQueue
from functions.runtime import Connections, TimeLeft, wall_clock, wall_clock_in_milliseconds
from functions.settings import BULK, Common, Sending
from functions.stores.circuits import DynamoCircuits
from functions.stores.delivery_times import DynamoDeliveryTimes
from functions.stores.dynamodb import Table
from functions.stores.rates import DynamoRates
from functions.stores.secrets_manager import CachedSecret, SecretKeys
from functions.stores.verifications import DynamoVerificationStore
from functions.telemetry import journal
from functions.usecases.deliver import Deliver
from functions.usecases.follow_up import FollowUp
from functions.usecases.guard import Guard
from functions.usecases.lanes import BULK_SHARE, BulkRates
from functions.usecases.ports import Provider, Rates
from functions.usecases.reserve import Reserve
from functions.usecases.submit import Submit


@part
class SendingParts:
    table: Table
    store: DynamoVerificationStore
    secrets_client: Any
    sqs: Any
    queue: SqsSendQueue
    keys: SecretKeys
    providers: Mapping[str, Provider]
    ready: Readiness
    guard: Guard
    reserve: Reserve
    deliver: Deliver


async def build_sending(
    common: Common, sending: Sending, clients: Clients, connections: Connections, remaining: TimeLeft
) -> SendingParts:
    table = Table(await clients.open("dynamodb"), common.table)
    store = DynamoVerificationStore(table, secrets.token_bytes)
    secrets_client, sqs = await clients.open("secretsmanager"), clients.later("sqs")
    keys = SecretKeys(CachedSecret(secrets_client, sending.keys_secret, wall_clock))
    queue = SqsSendQueue(sqs, sending.queue_url)
    providers = await Accounts(
        common=common, clients=clients, secrets_client=secrets_client, session=connections.session
    ).open_all()
    hooks = build_hooks(common, table, keys, secrets_client, connections.hook_session)
    return SendingParts(
        table=table,
        store=store,
        secrets_client=secrets_client,
        sqs=sqs,
        queue=queue,
        keys=keys,
        providers=providers,
        ready=Readiness(providers.values(), journal),
        guard=build_guard(table, common.configuration, hooks),
        reserve=Reserve(store=store, keys=keys, entropy=secrets.token_bytes, clock=wall_clock),
        deliver=Deliver(
            store=store,
            submit=_submit(common, table, providers, remaining, sending.lane),
            follow_up=FollowUp(
                heard_of=heard_of(common),
                queue=queue,
                times=DynamoDeliveryTimes(table, wall_clock),
                clock=wall_clock,
                journal=journal,
            ),
            clock=wall_clock,
            journal=journal,
        ),
    )


def _submit(common: Common, table: Table, providers: Mapping[str, Provider], remaining: TimeLeft, lane: str) -> Submit:
    return Submit(
        providers=providers,
        circuits=DynamoCircuits(table, wall_clock, journal, secrets.token_bytes),
        rates=_rates(common, table, providers, lane),
        remaining=remaining,
    )


def _rates(common: Common, table: Table, providers: Collection[str], lane: str) -> Rates:
    settings = common.configuration.providers
    found = {name: settings[name].rate for name in providers if name in settings}
    rates = {name: rate for name, rate in found.items() if rate is not None}
    account = DynamoRates(table, wall_clock_in_milliseconds, rates, journal)
    if lane != BULK:
        return account
    shares = {name: rate * BULK_SHARE for name, rate in rates.items()}
    own = DynamoRates(table, wall_clock_in_milliseconds, shares, journal, lane=f"#{BULK}")
    return BulkRates(share=own, account=account, rated=frozenset(rates))
