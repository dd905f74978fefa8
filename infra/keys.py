"""./salvo key: makes an API key for a caller, or takes one away.

Only a key's SHA-256 is stored, so this is the one time that it is seen. The first characters of the digest name it.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import secrets
import sys
from collections.abc import Callable
from typing import Any, TypeAlias

from functions.domain.caller import MOST_SERVICES, Scope
from functions.web.authentication import digest_key
from infra.aws import AWS_ERRORS, Aws, AwsUnavailable, explain
from infra.environments import say

MOST_LIVE = 2
"""Keys of one caller: the one in use, and the one that takes its place."""
_KEY_BYTES = 32
_NAME_LENGTH = 8
_WITHIN = "the functions know it within a minute"

Stored: TypeAlias = dict[str, Any]


class KeyRefused(Exception):
    """Why not, in a sentence."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("name", help="who will use it; stands in the logs and scopes idempotency keys")
    scopes = [scope.value for scope in Scope]
    parser.add_argument("--scope", action="append", choices=scopes, help="what it is good for, again for each (all)")
    parser.add_argument("--service", action="append", help="what services it is for, again for each (every one)")
    parser.add_argument(
        "--revoke", nargs="?", const="", metavar="KEY", help="take a key away instead; which, if there are two"
    )
    parser.add_argument("--secret", metavar="ID", help="add its digest to this secret (the stack's CallersSecret)")
    parser.add_argument("--region", help="where it is (the region of your AWS configuration)")


def main(arguments: argparse.Namespace) -> int:
    try:
        return _make(arguments) if arguments.revoke is None else _revoke(arguments)
    except KeyRefused as error:
        say(str(error))
    except (AwsUnavailable, TypeError, ValueError, *AWS_ERRORS) as error:
        done = "add the key to" if arguments.revoke is None else "revoke a key in"
        why = explain(error) if isinstance(error, AWS_ERRORS) else str(error)
        say(f"could not {done} {arguments.secret}: {why}")
    return 1


def _make(arguments: argparse.Namespace) -> int:
    key = f"sk_{secrets.token_urlsafe(_KEY_BYTES)}"
    digest, entry = digest_key(key), _entry(arguments)
    if arguments.secret:
        _change(arguments, lambda stored: with_key(stored, digest, entry))
        say(f"added to {arguments.secret} as {digest[:_NAME_LENGTH]}; {_WITHIN}")
    else:
        say(f"add this to the stack's CallersSecret: {json.dumps({digest: entry})}")
    sys.stdout.write(key + "\n")
    return 0


def _revoke(arguments: argparse.Namespace) -> int:
    if not arguments.secret:
        raise KeyRefused("a key is revoked where it is stored: pass --secret with the stack's CallersSecret")
    if arguments.scope or arguments.service:
        raise KeyRefused("a key is revoked whole: leave --scope and --service out")
    _change(arguments, lambda stored: without_key(stored, arguments.name, arguments.revoke))
    say(f"taken out of {arguments.secret}; {_WITHIN}")
    return 0


def _entry(arguments: argparse.Namespace) -> Stored:
    """What is not named is everything."""
    if len(arguments.service or ()) > MOST_SERVICES:
        raise KeyRefused(f"a key names {MOST_SERVICES} services at most")
    entry: Stored = {"name": arguments.name}
    if arguments.scope:
        entry["scopes"] = sorted(set(arguments.scope))
    if arguments.service:
        entry["services"] = sorted(set(arguments.service))
    return entry


def with_key(stored: Stored, digest: str, entry: Stored) -> Stored:
    """Raises KeyRefused."""
    live = _keys_of(stored, entry["name"])
    if len(live) >= MOST_LIVE:
        raise KeyRefused(f"{entry['name']} has {_told(live)} already: revoke one first")
    return {**stored, digest: entry}


def without_key(stored: Stored, name: str, which: str) -> Stored:
    """Raises KeyRefused."""
    live = _keys_of(stored, name)
    named = [digest for digest in live if digest.startswith(which)]
    if not named:
        raise KeyRefused(f"{name} has no key {which}".rstrip() + f", but {_told(live)}" * bool(live))
    if len(named) > 1:
        raise KeyRefused(f"{name} has {_told(live)}: say which, after --revoke")
    return {digest: entry for digest, entry in stored.items() if digest != named[0]}


def _keys_of(stored: Stored, name: str) -> list[str]:
    """Digests, the oldest first."""
    return [digest for digest, entry in stored.items() if isinstance(entry, dict) and entry.get("name") == name]


def _told(live: list[str]) -> str:
    names = " and ".join(digest[:_NAME_LENGTH] for digest in live)
    return f"the keys {names} (the oldest first)" if len(live) > 1 else f"the key {names}"


def _change(arguments: argparse.Namespace, change: Callable[[Stored], Stored]) -> None:
    aws = Aws.of_the_shell(arguments.region)
    asyncio.run(_rewrite(aws, arguments.secret, change))  # noqa: TID251 - this is no function


async def _rewrite(aws: Aws, secret: str, change: Callable[[Stored], Stored]) -> None:
    async with aws.client("secretsmanager") as client:
        stored = json.loads((await client.get_secret_value(SecretId=secret))["SecretString"])
        if not isinstance(stored, dict):
            raise TypeError("the secret is not a JSON object")
        await client.put_secret_value(SecretId=secret, SecretString=json.dumps(change(stored)))
