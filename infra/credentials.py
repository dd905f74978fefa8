"""./salvo credentials: asks for what a provider knows you by, tries it, and puts it into the provider's secret."""

from __future__ import annotations

import argparse
import asyncio
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import aiohttp

from functions.domain.receipt_token import account_token
from functions.domain.sensitive import Sensitive
from functions.providers.catalog import PROVIDERS
from functions.providers.credentials import read_secret
from functions.service_file import Configuration, ServiceFileError, load_configuration
from functions.settings import SHIPPED_SERVICES
from functions.usecases.ports import KeysUnavailable
from infra import provider_secrets
from infra.aws import AWS_ERRORS, Aws, AwsUnavailable, explain
from infra.deployed import NAME, Deployed, NotDeployed, find
from infra.doctor.finding import Finding, Level
from infra.doctor.providers import ask
from infra.doctor.subject import PATIENCE
from infra.environments import say
from infra.provider_secrets import OURS, WITH_SECRET
from infra.stored_secret import read_if_there
from infra.typed import typed_unseen

_TOKEN_BYTES = 32


class NotStored(Exception):
    """Nothing was changed. The message says why, and nothing of what was typed."""


@dataclass(frozen=True, slots=True)
class Stored:
    finding: Finding
    """What the provider says to it."""
    left_out: list[str]
    """Optional entries that are not in it."""
    receipts: str | None = field(repr=False)
    """The account's address for receipts. Whoever knows it can forge one: for the provider's console only."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("provider", choices=WITH_SECRET)
    parser.add_argument(
        "--also",
        action="append",
        default=[],
        metavar="ENTRY",
        help="ask for this optional entry too; may be given several times. docs/providers.md has them",
    )
    parser.add_argument("--stack-name", default=NAME, metavar="NAME", help=f"the stack's name ({NAME})")
    parser.add_argument("--region", help="where it is (the region of your AWS configuration)")
    parser.add_argument("--services", type=Path, default=SHIPPED_SERVICES, metavar="FILE", help="another services.toml")
    parser.add_argument(
        "--untried",
        action="store_true",
        help="store it also where the provider refuses it, or can't be asked from here",
    )
    parser.epilog = "What you type is not shown. From a script: one line of standard input for each entry."


def main(arguments: argparse.Namespace) -> int:
    provider = arguments.provider
    try:
        configuration = load_configuration(arguments.services)
        aws = Aws.of_the_shell(arguments.region)
        entries = wanted(provider, arguments.also)
        typed = {entry: provider_secrets.read_typed(_ask_for(f"{provider} {entry}: ")) for entry in entries}
        stored = asyncio.run(  # noqa: TID251 - this is no function
            store(aws, arguments.stack_name, provider, typed, configuration, untried=arguments.untried)
        )
    except (NotStored, NotDeployed, AwsUnavailable, KeysUnavailable, ServiceFileError) as error:
        say(str(error))
        return 1
    except AWS_ERRORS as error:
        say(explain(error))
        return 1
    _tell(provider, stored, configuration)
    return 0


def wanted(provider: str, also: Sequence[str]) -> list[str]:
    """The entries to ask for. Raises NotStored where there is none of that name."""
    kind = provider_secrets.kind_of(provider)
    optional = provider_secrets.entries(kind, required=False)
    if unknown := sorted(set(also) - set(optional)):
        there = f"it has {', '.join(optional)}" if optional else "it has none"
        raise NotStored(f"{provider} has no optional entry {', '.join(unknown)}; {there}")
    return [*provider_secrets.entries(kind, required=True), *also]


async def store(
    aws: Aws,
    stack_name: str,
    provider: str,
    typed: Mapping[str, object],
    configuration: Configuration,
    *,
    untried: bool = False,
) -> Stored:
    """Makes the secret where there is none. What else is in it stays.

    Raises NotStored, NotDeployed, KeysUnavailable, and AWS's errors.
    """
    stack = await find(aws, stack_name)
    name = provider_secrets.secret_name(stack_name, provider)
    async with aws.client("secretsmanager") as client, aiohttp.ClientSession(timeout=PATIENCE) as http:
        before = await read_if_there(client, name) or {}
        content = {OURS: secrets.token_urlsafe(_TOKEN_BYTES), **before, **typed}
        secret = read_secret(provider, content, provider_secrets.kind_of(provider))
        finding = await ask(http, provider, secret, configuration)
        if finding.level is Level.FAIL and not untried:
            why = f"{finding.about}: {finding.found} ({finding.advice})"
            raise NotStored(f"{why}. Nothing was stored; --untried does it all the same")
        key = stack.parameters.get("KmsKeyArn", "")
        await provider_secrets.store(client, name, content, stack=stack_name, key=key)
    optional = provider_secrets.entries(type(secret), required=False)
    left_out = [entry for entry in optional if entry not in content]
    return Stored(finding, left_out, _receipts(stack, provider, secret.receipt_token))


def _receipts(stack: Deployed, provider: str, token: Sensitive) -> str | None:
    url = stack.parameters.get("ReceiptsUrl", "").rstrip("/")
    return f"{url}/v1/receipts/{provider}/{account_token(token, provider)}" if url else None


def _tell(provider: str, stored: Stored, configuration: Configuration) -> None:
    say(f"{stored.finding.about}: {stored.finding.found}")
    say("stored; the functions know it within five minutes")
    if stored.left_out:
        say(f"not in it, for nobody asked (--also): {', '.join(stored.left_out)}")
    if provider in provider_secrets.TOLD_IN_A_CONSOLE:
        told = stored.receipts or "none, before the stack has a ReceiptsUrl: `./salvo deploy` says how"
        say(f"the address for receipts, for the provider's console (keep it to yourself): {told}")
    if provider not in configuration.named:
        needs = "".join(f', {each} = "…"' for each in sorted(PROVIDERS[provider].requires))
        say(f'no route names it yet: in services.toml, {{ name = "{provider}"{needs} }}; then ./salvo deploy')


def _ask_for(prompt: str) -> str:
    """Raises NotStored."""
    what = prompt.removesuffix(": ")
    typed = typed_unseen(prompt)
    if not typed:
        raise NotStored(f"{what} is empty: nothing was stored")
    if not (typed.isascii() and typed.isprintable()):
        raise NotStored(f"{what} has characters that no key has: copy it once more. Nothing was stored")
    return typed
