"""The providers' secrets: one a provider, named after the stack, made and filled by ./salvo credentials.

They are not of the template: which providers there are is said in services.toml, and what is typed in outlives a stack.
"""

from __future__ import annotations

import importlib
import json
from collections.abc import Iterable, Mapping
from typing import Any

import msgspec
from botocore.exceptions import ClientError

from functions.domain.sensitive import Sensitive
from functions.providers.catalog import PROVIDERS
from functions.providers.credentials import Secret
from infra.aws import Aws

WITH_SECRET = tuple(sorted(name for name, entry in PROVIDERS.items() if entry.secret is not None))
"""The providers that know us by something. AWS's own know the functions by their role."""
OF_AWS = frozenset(PROVIDERS.keys() - set(WITH_SECRET))
OURS = "receipt_token"
"""The one entry that nobody types: it is made up."""
TOLD_IN_A_CONSOLE = frozenset({"aliyun", "aliyun_batch", "tencent", "vonage", "yunpian", "yunpian_multi"})
"""The providers that take no address for receipts with a message, or a short one at most, or only if asked to."""


def secret_name(stack: str, provider: str) -> str:
    """Of one that has a secret; two providers of the same vendor share one."""
    return f"{prefix(stack)}{PROVIDERS[provider].secret}"


def prefix(stack: str) -> str:
    return f"{stack}-provider-"


def kind_of(provider: str) -> type[Secret]:
    """What its adapter reads the secret into."""
    module = importlib.import_module(f"functions.providers.{provider}")
    (kind,) = (each for each in vars(module).values() if _is_secret(each))
    return kind  # type: ignore[no-any-return]


def entries(kind: type[Secret], *, required: bool) -> list[str]:
    """Those that the account's owner knows: what has to be there, or what may be."""
    fields = msgspec.structs.fields(kind)
    return [field.encode_name for field in fields if field.required is required and field.name != OURS]


def read_typed(text: str) -> object:
    """What an entry holds: text, but for the few that are a list, an object, or true or false, written as JSON."""
    try:
        value = json.loads(text)
    except ValueError:
        return text
    return value if isinstance(value, bool | list | dict) else text


def revealed(secret: Secret) -> Mapping[str, str]:
    """What is text in it, in clear."""
    found = {field.encode_name: getattr(secret, field.name) for field in msgspec.structs.fields(secret)}
    texts = {name: value.reveal() if isinstance(value, Sensitive) else value for name, value in found.items()}
    return {name: text for name, text in texts.items() if isinstance(text, str)}


async def store(client: Any, name: str, content: Mapping[str, Any], *, stack: str, key: str) -> None:
    """Over what is there, or as a new secret under the KMS key (none: AWS's own). Raises AWS's errors."""
    text = json.dumps(content)
    try:
        await client.put_secret_value(SecretId=name, SecretString=text)
    except ClientError as error:
        if error.response["Error"]["Code"] != "ResourceNotFoundException":
            raise
        own_key = {"KmsKeyId": key} if key else {}
        await client.create_secret(
            Name=name,
            SecretString=text,
            Description="What an SMS provider knows us by, and the token in the addresses of its receipts.",
            Tags=[{"Key": "salvo:stack", "Value": stack}],
            **own_key,
        )


async def without(aws: Aws, stack: str, named: Iterable[str]) -> list[str]:
    """Those of the named providers whose secret is not there. Raises AWS's errors."""
    there = await stored(aws, stack)
    return sorted(name for name in named if name in WITH_SECRET and secret_name(stack, name) not in there)


async def stored(aws: Aws, stack: str) -> frozenset[str]:
    """The names of the secrets that there are. Raises AWS's errors."""
    async with aws.client("secretsmanager") as client:
        # The filter takes whatever begins like this, of other stacks too.
        pages = client.get_paginator("list_secrets").paginate(Filters=[{"Key": "name", "Values": [prefix(stack)]}])
        return frozenset([each["Name"] async for page in pages for each in page["SecretList"]])


def _is_secret(thing: object) -> bool:
    return isinstance(thing, type) and issubclass(thing, Secret) and thing is not Secret
