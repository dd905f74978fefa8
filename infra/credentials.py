"""./salvo credentials: asks for what a provider knows you by, tries it, and puts it into the provider's secret."""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
from collections.abc import Mapping
from getpass import getpass

import aiohttp

from functions.usecases.ports import KeysUnavailable
from infra.aws import AWS_ERRORS, Aws, AwsUnavailable, explain
from infra.deployed import NAME, NotDeployed, find
from infra.doctor.finding import Finding, Level
from infra.doctor.keys import read_secret
from infra.doctor.providers import PROVIDERS, Provider
from infra.doctor.subject import PATIENCE
from infra.environments import say

_BY_NAME = {provider.name: provider for provider in PROVIDERS}


class NotStored(Exception):
    """Nothing was changed. The message says why, and nothing of what was typed."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("provider", choices=sorted(_BY_NAME))
    parser.add_argument("--stack-name", default=NAME, metavar="NAME", help=f"the stack's name ({NAME})")
    parser.add_argument("--region", help="where it is (the region of your AWS configuration)")
    parser.add_argument(
        "--untried",
        action="store_true",
        help="store it also where the provider refuses it, or can't be asked from here",
    )
    parser.epilog = "What you type is not shown. From a script: one line of standard input for each entry."


def main(arguments: argparse.Namespace) -> int:
    provider = _BY_NAME[arguments.provider]
    try:
        aws = Aws.of_the_shell(arguments.region)
        typed = {entry: _ask_for(f"{provider.name} {entry}: ") for entry in provider.typed}
        finding = asyncio.run(  # noqa: TID251 - this is no function
            store(aws, arguments.stack_name, provider, typed, untried=arguments.untried)
        )
    except (NotStored, NotDeployed, AwsUnavailable, KeysUnavailable) as error:
        say(str(error))
        return 1
    except AWS_ERRORS as error:
        say(explain(error))
        return 1
    say(f"{finding.about}: {finding.found}")
    say("stored; the functions know it within five minutes")
    return 0


async def store(
    aws: Aws, stack_name: str, provider: Provider, typed: Mapping[str, str], *, untried: bool = False
) -> Finding:
    """What the provider says to it. What else is in the secret stays.

    Raises NotStored, NotDeployed, KeysUnavailable, and AWS's errors.
    """
    stack = await find(aws, stack_name)
    name, url = stack.output(provider.secret), stack.parameter(provider.url)
    async with aws.client("secretsmanager") as client, aiohttp.ClientSession(timeout=PATIENCE) as http:
        secret = {**await read_secret(client, name), **typed}
        finding = await provider.ask(http, url, secret)
        if finding.level is Level.FAIL and not untried:
            why = f"{finding.about}: {finding.found} ({finding.advice})"
            raise NotStored(f"{why}. Nothing was stored; --untried does it all the same")
        await client.put_secret_value(SecretId=name, SecretString=json.dumps(secret))
    return finding


def _ask_for(prompt: str) -> str:
    """Raises NotStored."""
    what = prompt.removesuffix(": ")
    try:
        typed = (getpass(prompt) if sys.stdin.isatty() else sys.stdin.readline()).strip()
    except EOFError:  # Ctrl-D
        typed = ""
    if not typed:
        raise NotStored(f"{what} is empty: nothing was stored")
    if not (typed.isascii() and typed.isprintable()):
        raise NotStored(f"{what} has characters that no key has: copy it once more. Nothing was stored")
    return typed
