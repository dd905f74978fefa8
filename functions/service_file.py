"""services.toml: read and checked as a whole, with every mistake named by its key."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Callable, Mapping
from dataclasses import field
from pathlib import Path
from typing import Annotated, Any

import msgspec
from msgspec import Meta

from functions.domain.errors import InvalidRequest
from functions.domain.frozen import frozen
from functions.domain.message import (
    ANY_LOCALE,
    brand_problems,
    parse_app_hash,
    parse_domain,
    parse_locale,
    text_problems,
)
from functions.domain.service import REMEMBERED_SENDS, Limit, OnResend, OnUnknown, Service
from functions.guard_file import SPENDING_TABLE, Spending, parse_policy, parse_spending, unpriced
from functions.route_file import ProviderSettings, parse_providers, parse_routes

PROVIDERS_TABLE = "providers"
"""With guard_file's table of money the only ones that are no services."""

_NAME = re.compile(r"[A-Za-z0-9_-]{1,32}")
_Limits = Annotated[tuple[Limit, ...], Meta(max_length=5)]

# NIST SP 800-63B-4, sections 3.1.3.2 and 3.2.2: where code_length begins, and lifetime and failures_in_a_row end.
_TYPES: Mapping[str, Any] = {
    "brand": str,
    "code_length": Annotated[int, Meta(ge=6, le=10)],
    "lifetime": Annotated[int, Meta(ge=60, le=600)],
    "max_attempts": Annotated[int, Meta(ge=3, le=10)],
    "max_sends": Annotated[int, Meta(ge=1, le=10)],
    "cooldown": Annotated[int, Meta(ge=0, le=600)],
    "longest_cooldown": Annotated[int, Meta(ge=0, le=3600)],
    "limits": _Limits,
    "failures_per_day": Annotated[int, Meta(ge=1, le=100)],
    "failures_in_a_row": Annotated[int, Meta(ge=1, le=100)],
    "send_within": Annotated[int, Meta(ge=10, le=600)],
    "batch_send_within": Annotated[int, Meta(ge=10, le=43_200)],  # as long as the bulk queue keeps a message
    "on_unknown": OnUnknown,
    "on_resend": OnResend,
    "confirm_within": Annotated[int, Meta(ge=10, le=300)],
    "locale": str,
    "texts": dict[str, str],
    "domain": str,
    "app_hash": str,
}


class ServiceFileError(Exception):
    def __init__(self, problems: list[str]) -> None:
        super().__init__("\n".join(problems))
        self.problems = problems


@frozen(kw_only=True)
class Configuration:
    """What services.toml says."""

    services: Mapping[str, Service] = field(default_factory=dict)
    providers: Mapping[str, ProviderSettings] = field(default_factory=dict)
    spending: Spending = field(default_factory=Spending)

    @property
    def named(self) -> frozenset[str]:
        """The providers that a route names."""
        routes = [route for service in self.services.values() for route in service.routes]
        return frozenset(via.provider for route in routes for via in route.providers)


def load_configuration(path: Path) -> Configuration:
    """Raises ServiceFileError."""
    try:
        document = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ServiceFileError([f"{path.name}: {error}"]) from None
    return parse_configuration(document)


def parse_configuration(document: Mapping[str, Any]) -> Configuration:
    """Raises ServiceFileError with every mistake."""
    problems: list[str] = []
    tables = dict(document)
    providers = parse_providers(tables.pop(PROVIDERS_TABLE, {}), problems)
    spending = parse_spending(tables.pop(SPENDING_TABLE, {}), problems)
    services = {name: _parse_service(name, table, problems) for name, table in tables.items()}
    problems += unpriced({name: service.guard for name, service in services.items()}, spending)
    if problems:
        raise ServiceFileError(problems)
    return Configuration(services=services, providers=providers, spending=spending)


def _parse_service(name: str, table: object, problems: list[str]) -> Service:
    if not _NAME.fullmatch(name):
        problems.append(f"{name}: a service's name has 1 to 32 of A-Z, a-z, 0-9, - and _")
    if not isinstance(table, dict):
        problems.append(f"{name}: must be a table, such as [{name}]")
        return Service(name=name)
    found: dict[str, Any] = {}
    for key, value in table.items():
        if key in _TABLES:
            found[key] = _read_below(f"{name}.{key}", _TABLES[key], value, problems)
            continue
        wrong = _read(key, value, found)
        problems += [f"{name}.{key}: {problem}" for problem in wrong]
    problems += [f"{name}.texts.{problem}" for problem in _wording_problems(found)]
    return Service(name=name, **found)


def _read(key: str, value: object, found: dict[str, Any]) -> list[str]:
    """Puts the value where it belongs if nothing is wrong with it."""
    if key not in _TYPES:
        return ["is no setting of a service"]
    try:
        typed = msgspec.convert(value, _TYPES[key])
    except msgspec.ValidationError as error:
        return [str(error)]
    problems = _CHECKS[key](typed) if key in _CHECKS else []
    if not problems:
        found[key] = typed
    return problems


_TABLES: Mapping[str, Callable[[object, list[str]], Any]] = {"routes": parse_routes, "guard": parse_policy}
"""Settings that have settings of their own."""


def _read_below(where: str, parse: Callable[[object, list[str]], Any], value: object, problems: list[str]) -> Any:
    wrong: list[str] = []
    found = parse(value, wrong)
    problems += [f"{where}{each}" for each in wrong]
    return found


def _limit_problems(limits: tuple[Limit, ...]) -> list[str]:
    return [
        f"{{ count = {limit.count}, seconds = {limit.seconds} }}: count is 1 to {REMEMBERED_SENDS}, seconds 1 to 86400"
        for limit in limits
        if not (1 <= limit.count <= REMEMBERED_SENDS and 1 <= limit.seconds <= 86_400)  # noqa: PLR2004 - a day
    ]


def _locales_problems(texts: Mapping[str, str]) -> list[str]:
    return [
        f"{locale}: {wrong}" for locale in texts if locale != ANY_LOCALE for wrong in _refusals(parse_locale)(locale)
    ]


def _wording_problems(found: Mapping[str, Any]) -> list[str]:
    """The texts as they will be sent: with the service's brand in them."""
    texts, brand = found.get("texts", {}), found.get("brand", "")
    return [f"{locale}: {wrong}" for locale, text in texts.items() for wrong in text_problems(text, brand=brand)]


def _refusals(parse: Callable[[str], str]) -> Callable[[str], list[str]]:
    def problems(text: str) -> list[str]:
        try:
            parse(text)
        except InvalidRequest as error:
            return [error.detail]
        return []

    return problems


_CHECKS: Mapping[str, Callable[[Any], list[str]]] = {
    "brand": brand_problems,
    "limits": _limit_problems,
    "texts": _locales_problems,
    "locale": _refusals(parse_locale),
    "domain": _refusals(parse_domain),
    "app_hash": _refusals(parse_app_hash),
}
