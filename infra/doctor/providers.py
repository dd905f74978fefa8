"""The SMS gateways that routes name: their secrets, and a call to each that sends nothing and tells whether it would.

A new provider needs nothing here, unless its vendor has such a call: then an entry in dry_runs.py.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping

import aiohttp

from functions.providers.catalog import PROVIDERS
from functions.providers.credentials import Secret, read_secret
from functions.service_file import Configuration
from functions.usecases.ports import KeysUnavailable
from infra.aws import AWS_ERRORS, Aws, explain
from infra.doctor import aws_senders, dry_runs, hooks, yunpian
from infra.doctor.finding import Finding, Level, fail, ok, warn
from infra.doctor.subject import Subject
from infra.provider_secrets import WITH_SECRET, kind_of, prefix, revealed, secret_name, stored
from infra.stored_secret import read_if_there

_OF_AWS: Mapping[str, Callable[[Aws], Awaitable[Finding]]] = {
    "aws_sms": aws_senders.ask_end_user_messaging,
    "sns": aws_senders.ask_sns,
}
_ADDRESSES = {"sinch": ("sinch", "sinch_batch"), "yunpian": ("yunpian", "yunpian_multi")}
"""Whose `url` in services.toml is that of the vendor's dry run too, where it is not the provider of that name alone."""

_BELIEVED_BY = {"vonage_messages": "signature_secret"}
"""Optional entries that receipts hang on."""


async def check_providers(subject: Subject) -> list[Finding]:
    named = sorted(subject.configuration.named)
    return [finding for name in named for finding in await _look_at(subject, name)]


async def check_spare_secrets(subject: Subject) -> list[Finding]:
    """Secrets that no route has a use for: kept for a bad night, or forgotten."""
    stack = subject.stack.name
    used = {secret_name(stack, name) for name in subject.configuration.named if name in WITH_SECRET}
    used |= {f"{prefix(stack)}{kind}" for kind, services in hooks.wanted_by(subject.configuration).items() if services}
    spare = sorted(await stored(subject.aws, stack) - used)
    advice = "keep them for the day that one is needed, or delete them: docs/operations.md"
    return [Finding("spare secrets", Level.OK, f"no route names {', '.join(spare)}", advice)] if spare else []


async def ask(http: aiohttp.ClientSession, provider: str, secret: Secret, configuration: Configuration) -> Finding:
    """What the provider says to these credentials."""
    vendor = PROVIDERS[provider].secret or provider
    url = _url(configuration, vendor)
    if vendor == yunpian.NAME:
        return await yunpian.ask_for_account(http, url, revealed(secret))
    if vendor in dry_runs.DRY_RUNS:
        return await dry_runs.run(http, vendor, revealed(secret), url=url)
    return ok(f"{provider} account", "was not asked: nothing there takes credentials without sending")


async def _look_at(subject: Subject, provider: str) -> list[Finding]:
    """One that can't be looked at hides none of the others."""
    right = [_right_to_send(subject, provider)] if provider in _OF_AWS else []
    try:
        return right + await _check(subject, provider)
    except AWS_ERRORS as error:
        return [*right, fail(f"{provider} account", explain(error), "could not be examined")]


async def _check(subject: Subject, provider: str) -> list[Finding]:
    if provider in _OF_AWS:
        return [await _OF_AWS[provider](subject.aws)]
    about, name = f"{provider} secret", secret_name(subject.stack.name, provider)
    again = f"./salvo credentials {provider} --stack-name {subject.stack.name}"
    async with subject.aws.client("secretsmanager") as client:
        try:
            content = await read_if_there(client, name)
            if content is None:
                return [fail(about, f"there is no secret {name}, and a route names {provider}", again)]
            secret = read_secret(provider, content, kind_of(provider))
        except KeysUnavailable as error:
            return [fail(about, str(error), f"{again}, or put its last good version back")]
    return [_whole(about, provider, secret), await ask(subject.http, provider, secret, subject.configuration)]


def _whole(about: str, provider: str, secret: Secret) -> Finding:
    entry = _BELIEVED_BY.get(provider)
    if entry is None or entry in revealed(secret):
        return ok(about, "everything is in it")
    found = f"without {entry} messages go out, and no receipt is believed"
    return warn(about, found, f"./salvo credentials {provider} --also {entry}")


def _right_to_send(subject: Subject, provider: str) -> Finding:
    about = f"{provider} rights"
    if subject.stack.parameters.get("SendByAws") == "true":
        return ok(about, "the functions may send by it")
    advice = f"./salvo deploy --stack-name {subject.stack.name} --parameter SendByAws=true"
    return fail(about, f"a route names {provider}, and the functions may not send by it", advice)


def _url(configuration: Configuration, vendor: str) -> str | None:
    settings = [configuration.providers.get(name) for name in _ADDRESSES.get(vendor, (vendor,))]
    return next((each.url for each in settings if each is not None and each.url), None)
