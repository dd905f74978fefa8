"""A secret as the functions read it, for the operator's commands."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from botocore.exceptions import ClientError

from functions.stores.secrets_manager import CachedSecret
from functions.usecases.ports import KeysUnavailable


async def read_secret(client: Any, name: str) -> Mapping[str, Any]:
    """Raises KeysUnavailable, with nothing of its content."""
    return await CachedSecret(client, name, clock=lambda: 0).value(newer_than=-1)


async def read_if_there(client: Any, name: str) -> Mapping[str, Any] | None:
    """None where there is no such secret. Raises KeysUnavailable, and AWS's errors."""
    try:
        about = await client.describe_secret(SecretId=name)
    except ClientError as error:
        if error.response["Error"]["Code"] == "ResourceNotFoundException":
            return None
        raise
    if "DeletedDate" in about:
        undo = f"`aws secretsmanager restore-secret --secret-id {name}` takes that back"
        raise KeysUnavailable(f"secret {name} is marked for deletion: {undo}")
    return await read_secret(client, name)
