"""The environment of each function, read once at start-up; everything that is wrong with it is said at once."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from functions.domain.frozen import frozen
from functions.route_file import is_base_url
from functions.service_file import Configuration, ServiceFileError, load_configuration

SHIPPED_SERVICES = Path(__file__).with_name("services.toml")
MOST_IN_FLIGHT = 1000
"""A sandbox has 1,024 file descriptors, and the clients of AWS need some of them."""

_ENVIRONMENT = os.environ  # noqa: TID251 - the one place that reads it
KEYS = "keys"
SINGLE, BULK = "single", "bulk"
"""The lanes: single sends are waited for; bulk ones, of campaigns, leave them a share of each account's rate."""
_LEVELS = ("DEBUG", "INFO", "WARNING", "ERROR")


class SettingsError(Exception):
    """What is wrong, one line a mistake."""


@frozen(kw_only=True)
class Common:
    """What every function needs. A secret is named by its name or ARN."""

    stack: str
    """Names the metrics."""
    log_level: str
    table: str
    provider_secrets: str
    """Where the names of the providers' secrets begin; each goes on with its provider's name."""
    providers_url: str | None
    """A simulator, which each provider is a path of; None on AWS, where they have their own addresses."""
    receipts_url: str | None
    """The public base URL under which providers reach the receipts function; None asks for no receipts."""
    configuration_set: str | None
    """Of AWS's, whose events invoke the receipts function; None where AWS sends nothing itself."""
    configuration: Configuration


@frozen(kw_only=True)
class Sending:
    """What a function needs that sends."""

    keys_secret: str
    queue_url: str
    """Where it puts what is to be done later: a sender, on the queue that it takes from."""
    lane: str = SINGLE


@frozen(kw_only=True)
class ApiSettings:
    common: Common
    sending: Sending
    bulk_queue_url: str
    """For batches: a campaign waits in a queue of its own."""
    callers_secret: str
    authorizer: str
    """Who tells callers apart: `keys`, our own, or API Gateway's authorizer."""


@frozen(kw_only=True)
class SenderSettings:
    common: Common
    sending: Sending
    dead_letter_queue_url: str
    in_flight: int


def api_settings(environment: Mapping[str, str] = _ENVIRONMENT) -> ApiSettings:
    """Raises SettingsError."""
    reader = _Reader(environment)
    settings = ApiSettings(
        common=_common(reader),
        sending=_sending(reader),
        bulk_queue_url=reader.text("BULK_QUEUE_URL"),
        callers_secret=reader.text("CALLERS_SECRET"),
        authorizer=reader.choice("AUTHORIZER", (KEYS, "iam", "jwt"), KEYS),
    )
    reader.finish()
    return settings


def sender_settings(environment: Mapping[str, str] = _ENVIRONMENT) -> SenderSettings:
    """Raises SettingsError."""
    reader = _Reader(environment)
    settings = SenderSettings(
        common=_common(reader),
        sending=_sending(reader),
        dead_letter_queue_url=reader.text("DEAD_LETTER_QUEUE_URL"),
        in_flight=reader.number("MAX_IN_FLIGHT", default=MOST_IN_FLIGHT, highest=MOST_IN_FLIGHT),
    )
    reader.finish()
    return settings


def receipts_settings(environment: Mapping[str, str] = _ENVIRONMENT) -> Common:
    """Raises SettingsError."""
    reader = _Reader(environment)
    settings = _common(reader)
    reader.finish()
    return settings


@dataclass(slots=True)
class _Reader:
    """Gives a stand-in for what is missing or wrong, and remembers it."""

    environment: Mapping[str, str]
    problems: list[str] = field(default_factory=list)

    def text(self, name: str) -> str:
        found = self.environment.get(name, "")
        if not found:
            self.problems.append(f"{name} is not set")
        return found

    def choice(self, name: str, options: tuple[str, ...], default: str) -> str:
        found = self.environment.get(name) or default
        if found not in options:
            self.problems.append(f"{name} must be one of {', '.join(options)}")
        return found

    def number(self, name: str, *, default: int, highest: int) -> int:
        found = self.environment.get(name) or str(default)
        if found.isascii() and found.isdigit() and 1 <= int(found) <= highest:
            return int(found)
        self.problems.append(f"{name} must be a number from 1 to {highest}")
        return default

    def url(self, name: str) -> str | None:
        found = self.environment.get(name)
        if not found:
            return None
        if not is_base_url(found):
            self.problems.append(f"{name} must be an http(s) URL without a query")
        return found.rstrip("/")

    def configuration(self) -> Configuration:
        path = Path(self.environment.get("SERVICES_FILE") or SHIPPED_SERVICES)
        try:
            return load_configuration(path)
        except ServiceFileError as error:
            self.problems += error.problems
            return Configuration()

    def finish(self) -> None:
        if self.problems:
            raise SettingsError("\n".join(self.problems))


def _common(reader: _Reader) -> Common:
    return Common(
        stack=reader.text("STACK_NAME"),
        log_level=reader.choice("LOG_LEVEL", _LEVELS, "INFO"),
        table=reader.text("TABLE_NAME"),
        provider_secrets=reader.text("PROVIDER_SECRETS"),
        providers_url=reader.url("PROVIDERS_URL"),
        receipts_url=reader.url("RECEIPTS_URL"),
        configuration_set=reader.environment.get("SMS_CONFIGURATION_SET") or None,
        configuration=reader.configuration(),
    )


def _sending(reader: _Reader) -> Sending:
    return Sending(
        keys_secret=reader.text("KEYS_SECRET"),
        queue_url=reader.text("QUEUE_URL"),
        lane=reader.choice("LANE", (SINGLE, BULK), SINGLE),
    )
