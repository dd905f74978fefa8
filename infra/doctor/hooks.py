"""The secrets of challenges and of the operator's own service: made by hand, and missed by nobody before a start needs
them.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from functions.hooks.secret import CHALLENGE_SECRET, RISK_SECRET, entry_of
from functions.providers import standard_webhooks
from functions.service_file import Configuration
from functions.usecases.ports import KeysUnavailable
from infra.doctor.finding import Finding, fail, ok
from infra.doctor.subject import Subject
from infra.provider_secrets import prefix
from infra.stored_secret import read_if_there

_SETTINGS = {CHALLENGE_SECRET: "challenge_url", RISK_SECRET: "risk_url"}


async def check_hooks(subject: Subject) -> list[Finding]:
    """Of those that a service names an address of."""
    wanted = wanted_by(subject.configuration)
    return [await _check(subject, kind, services) for kind, services in wanted.items() if services]


def wanted_by(configuration: Configuration) -> dict[str, list[str]]:
    """The services that need an entry, by the end of the secret's name."""
    return {
        kind: sorted(name for name, service in configuration.services.items() if getattr(service.guard, setting))
        for kind, setting in _SETTINGS.items()
    }


async def _check(subject: Subject, kind: str, services: list[str]) -> Finding:
    about, name = f"{_SETTINGS[kind]} secret", f"{prefix(subject.stack.name)}{kind}"
    advice = f"aws secretsmanager create-secret --name {name}, or put-secret-value: docs/operations.md, keys"
    async with subject.aws.client("secretsmanager") as client:
        try:
            secret = await read_if_there(client, name)
            if secret is None:
                return fail(about, f"there is no secret {name}, and {', '.join(services)} needs it", advice)
            for service in services:
                _look_at(kind, secret, service)
        except (KeysUnavailable, ValueError) as error:
            return fail(about, f"{name}: {error}", advice)
    return ok(about, "everything is in it")


def _look_at(kind: str, secret: Mapping[str, Any], service: str) -> None:
    """Raises KeysUnavailable, and ValueError, which show nothing of it."""
    entry = entry_of(secret, service)
    if kind == RISK_SECRET:
        standard_webhooks.keys(entry)
