"""Challenges and the operator's own service, wired together. Their secrets are asked for where a service has them."""

from __future__ import annotations

import secrets
from typing import Any

from functions.domain.part import part
from functions.hooks.altcha import Altcha
from functions.hooks.risk import HttpRiskHook
from functions.hooks.secret import CHALLENGE_SECRET, RISK_SECRET
from functions.hooks.verifier import HttpVerifier
from functions.providers.transport import Sessions
from functions.runtime import wall_clock
from functions.settings import Common
from functions.stores.dynamodb import Table
from functions.stores.guard_solutions import DynamoSolutions
from functions.stores.secrets_manager import ASK_AGAIN_AFTER, CachedSecret
from functions.telemetry import journal
from functions.usecases.guards.challenge import SolvedOnce
from functions.usecases.ports import Keys


@part
class Hooks:
    challenges: SolvedOnce
    risk: HttpRiskHook


def build_hooks(common: Common, table: Table, keys: Keys, secrets_client: Any, session: Sessions) -> Hooks:
    def secret(name: str) -> CachedSecret:
        secret_id = common.provider_secrets + name
        return CachedSecret(secrets_client, secret_id, wall_clock, failure_stands=ASK_AGAIN_AFTER)

    return Hooks(
        challenges=SolvedOnce(
            altcha=Altcha(keys, secrets.token_bytes),
            external=HttpVerifier(secret(CHALLENGE_SECRET).value, session, journal),
            solutions=DynamoSolutions(table),
        ),
        risk=HttpRiskHook(secret(RISK_SECRET).value, session, journal),
    )
