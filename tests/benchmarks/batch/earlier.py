"""Numbers that have a record already: each had a code three hours ago, which nobody typed in."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Sequence

from functions.domain.phone import parse_phone_number
from functions.runtime import wall_clock
from functions.service_file import load_configuration
from functions.settings import SHIPPED_SERVICES
from functions.stores.dynamodb import Table
from functions.stores.secrets_manager import CachedSecret, SecretKeys
from functions.stores.verifications import DynamoVerificationStore
from functions.stores.verifications_together import VerificationsTogether
from functions.usecases.reserve import Reserve, Wish
from infra.local.embedded_aws import Resources, aws_client

_AGO = 3 * 3600
"""Seconds: the code is over, and no limit of the shipped services counts it any more but the day's ten."""
_AT_ONCE = 500


async def codes_three_hours_ago(numbers: Sequence[str], resources: Resources) -> None:
    """As the sender reserves them, by a clock that is late."""
    async with (
        aws_client("dynamodb", resources.endpoint) as dynamodb,
        aws_client("secretsmanager", resources.endpoint) as secretsmanager,
    ):
        store = VerificationsTogether(DynamoVerificationStore(Table(dynamodb, resources.table), secrets.token_bytes))
        keys = SecretKeys(CachedSecret(secretsmanager, resources.keys_secret, wall_clock))
        reserve = Reserve(store=store, keys=keys, entropy=secrets.token_bytes, clock=lambda: wall_clock() - _AGO)
        (service,) = load_configuration(SHIPPED_SERVICES).services.values()
        for start in range(0, len(numbers), _AT_ONCE):
            await asyncio.gather(
                *(
                    reserve(Wish(to=parse_phone_number(number), service=service, request=secrets.token_hex(12)))
                    for number in numbers[start : start + _AT_ONCE]
                )
            )
