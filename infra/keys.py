"""./salvo key: makes an API key for a caller. Only its SHA-256 is stored, so this is the one time that it is seen."""

from __future__ import annotations

import argparse
import asyncio
import json
import secrets
import sys

from functions.web.authentication import digest_key
from infra.aws import AWS_ERRORS, Aws, AwsUnavailable, explain
from infra.environments import say

_KEY_BYTES = 32


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("name", help="who will use it; stands in the logs and scopes idempotency keys")
    parser.add_argument("--secret", metavar="ID", help="add its digest to this secret (the stack's CallersSecret)")
    parser.add_argument("--region", help="where it is (the region of your AWS configuration)")


def main(arguments: argparse.Namespace) -> int:
    key = f"sk_{secrets.token_urlsafe(_KEY_BYTES)}"
    entry = {digest_key(key): {"name": arguments.name}}
    if arguments.secret:
        try:
            aws = Aws.of_the_shell(arguments.region)
            asyncio.run(_add(aws, arguments.secret, entry))  # noqa: TID251 - this is no function
        except (AwsUnavailable, TypeError, ValueError, *AWS_ERRORS) as error:
            why = explain(error) if isinstance(error, AWS_ERRORS) else str(error)
            say(f"could not add the key to {arguments.secret}: {why}")
            return 1
        say(f"added to {arguments.secret}; the functions know it within a minute")
    else:
        say(f"add this to the stack's CallersSecret: {json.dumps(entry)}")
    sys.stdout.write(key + "\n")
    return 0


async def _add(aws: Aws, secret: str, entry: dict[str, dict[str, str]]) -> None:
    async with aws.client("secretsmanager") as client:
        stored = json.loads((await client.get_secret_value(SecretId=secret))["SecretString"])
        if not isinstance(stored, dict):
            raise TypeError("the secret is not a JSON object")
        await client.put_secret_value(SecretId=secret, SecretString=json.dumps({**stored, **entry}))
