"""The SMS gateways: their secrets, and a call to each that sends nothing and yet tells whether it would take a message.

A new provider is an entry in PROVIDERS and a module with its call.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any

import aiohttp

from functions.usecases.ports import KeysUnavailable
from infra.doctor import yunpian
from infra.doctor.finding import Finding, fail, ok
from infra.doctor.keys import read_secret
from infra.doctor.subject import Subject


@dataclass(frozen=True, slots=True, kw_only=True)
class Provider:
    name: str
    secret: str
    """The stack's output that names its secret."""
    entries: tuple[str, ...]
    """What has to be in it."""
    typed: tuple[str, ...]
    """Those that only the account's owner knows."""
    url: str
    """The stack's parameter that holds its address."""
    ask: Callable[[aiohttp.ClientSession, str, Mapping[str, Any]], Awaitable[Finding]]
    """The dry run: session, address, secret."""


PROVIDERS = (
    Provider(
        name=yunpian.NAME,
        secret="YunpianSecretName",  # noqa: S106 (an output's name)
        entries=("apikey", "receipt_token"),
        typed=("apikey",),
        url="YunpianUrl",
        ask=yunpian.ask_for_account,
    ),
)


async def check_providers(subject: Subject) -> list[Finding]:
    return [finding for provider in PROVIDERS for finding in await _check(subject, provider)]


async def _check(subject: Subject, provider: Provider) -> list[Finding]:
    about, name = f"{provider.name} secret", subject.stack.output(provider.secret)
    async with subject.aws.client("secretsmanager") as client:
        try:
            secret = await read_secret(client, name)
        except KeysUnavailable as error:
            return [fail(about, str(error), "nothing is sent without it: put its last good version back")]
    if missing := [entry for entry in provider.entries if not _is_text(secret.get(entry))]:
        again = f"./salvo credentials {provider.name} --stack-name {subject.stack.name}"
        advice = again if set(missing) <= set(provider.typed) else f"put it into the secret {name}"
        return [fail(about, f"{' and '.join(missing)} missing or empty", advice)]
    there = ok(about, f"{' and '.join(provider.entries)} are there")
    return [there, await provider.ask(subject.http, subject.stack.parameter(provider.url), secret)]


def _is_text(entry: object) -> bool:
    return isinstance(entry, str) and entry != ""
