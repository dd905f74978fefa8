"""The routes of a service in services.toml, and the providers' own settings there: read and checked by the key."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Annotated, Any
from urllib.parse import urlsplit

import msgspec
import phonenumbers
from msgspec import Meta

from functions.domain.errors import InvalidRequest
from functions.domain.message import parse_locale
from functions.domain.routing import Route, Via
from functions.providers.catalog import PROVIDERS, Entry

_Weight = Annotated[float, Meta(gt=0, le=1000)]
_Text = Annotated[str, Meta(min_length=1, max_length=200)]
_Rate = Annotated[float, Meta(gt=0, le=500)]

_AWS = "aws_sms"
_OF_A_VIA = frozenset(field.name for field in fields(Via)) - {"provider", "weight"}


@dataclass(frozen=True, slots=True, kw_only=True)
class ProviderSettings:
    """What is not about one service, and no secret."""

    rate: float | None = None
    """Messages a second that the account may send, over all functions. At most 500: all sandboxes count in one item."""
    url: str | None = None
    """Instead of the provider's own address."""
    configuration_set: str | None = None
    """Of AWS's, whose events tell what became of a message."""


class _Via(msgspec.Struct, forbid_unknown_fields=True):
    name: str
    weight: _Weight | None = None
    sender: _Text | None = None
    template: _Text | None = None
    signature: _Text | None = None
    entity: _Text | None = None


class _Route(msgspec.Struct, forbid_unknown_fields=True):
    providers: Annotated[list[_Via], Meta(min_length=1, max_length=10)]
    countries: Annotated[list[str], Meta(min_length=1)] | None = None
    locales: Annotated[list[str], Meta(min_length=1)] | None = None


class _Settings(msgspec.Struct, forbid_unknown_fields=True):
    rate: _Rate | None = None
    url: str | None = None
    configuration_set: _Text | None = None


def parse_routes(value: object, problems: list[str]) -> tuple[Route, ...]:
    """Adds to `problems` what is wrong, each with its place below `routes`."""
    if not isinstance(value, list) or not value:
        problems.append(': must be a list of routes, such as [ { providers = [ { name = "yunpian" } ] } ]')
        return ()
    routes = [_parse_route(f"[{number}]", each, problems) for number, each in enumerate(value)]
    found = tuple(route for route in routes if route is not None)
    problems += _reach_problems(found)
    return found


def parse_providers(table: object, problems: list[str]) -> Mapping[str, ProviderSettings]:
    """The file's table `providers`. Adds to `problems` what is wrong."""
    if not isinstance(table, dict):
        problems.append("providers: must hold tables, such as [providers.twilio]")
        return {}
    found = {}
    for name, value in table.items():
        where = f"providers.{name}"
        if name not in PROVIDERS:
            problems.append(f"{where}: {_unknown_provider()}")
            continue
        settings = _convert(value, _Settings, where, problems)
        if settings is not None:
            problems += [f"{where}.{wrong}" for wrong in _settings_problems(name, settings)]
            found[name] = ProviderSettings(
                rate=settings.rate,
                url=settings.url and settings.url.rstrip("/"),
                configuration_set=settings.configuration_set,
            )
    return found


def _parse_route(where: str, value: object, problems: list[str]) -> Route | None:
    route = _convert(value, _Route, where, problems)
    if route is None:
        return None
    problems += [f"{where}.{wrong}" for wrong in _route_problems(route)]
    return Route(
        providers=tuple(_to_via(via) for via in route.providers),
        countries=frozenset(route.countries or ()),
        locales=frozenset(locale.replace("_", "-").lower() for locale in route.locales or ()),
    )


def _to_via(via: _Via) -> Via:
    named = {name: getattr(via, name) for name in _OF_A_VIA}
    return Via(provider=via.name, weight=via.weight, **named)


def _route_problems(route: _Route) -> list[str]:
    found = [f"countries: {region} is no country's code, such as DE" for region in _unknown(route.countries or ())]
    found += [f"locales: {locale}: {wrong}" for locale in route.locales or () for wrong in _locale_problems(locale)]
    names = [via.name for via in route.providers]
    found += [f"providers: {name} is named twice" for name in sorted({n for n in names if names.count(n) > 1})]
    weighted = sum(via.weight is not None for via in route.providers)
    if weighted not in {0, len(names)}:
        found.append("providers: either each has a weight, or none: then they are tried in this order")
    for number, via in enumerate(route.providers):
        found += [f"providers[{number}]: {wrong}" for wrong in _via_problems(via)]
    return found


def _via_problems(via: _Via) -> list[str]:
    entry = PROVIDERS.get(via.name)
    if entry is None:
        return [f"{via.name}: {_unknown_provider()}"]
    named = {name for name in _OF_A_VIA if getattr(via, name) is not None}
    return _setting_problems(via.name, named, entry)


def _setting_problems(provider: str, named: set[str], entry: Entry) -> list[str]:
    missing = [f"{provider} needs a {name}" for name in sorted(entry.requires - named)]
    idle = [f"{provider} has no use for a {name}" for name in sorted(named - entry.requires - entry.takes)]
    return missing + idle


def _reach_problems(routes: Sequence[Route]) -> list[str]:
    """A route that an earlier one takes everything from is a mistake: its writer thinks that it is used."""
    found = []
    for number, route in enumerate(routes):
        if any(_covers(earlier, route) for earlier in routes[:number]):
            found.append(f"[{number}]: is never reached, for a route before it takes all of its messages")
    return found


def _covers(earlier: Route, later: Route) -> bool:
    countries = not earlier.countries or bool(later.countries and later.countries <= earlier.countries)
    locales = not earlier.locales or bool(later.locales and later.locales <= earlier.locales)
    return countries and locales


def _unknown(countries: Sequence[str]) -> list[str]:
    return [region for region in countries if region not in phonenumbers.SUPPORTED_REGIONS]


def _locale_problems(locale: str) -> list[str]:
    try:
        parse_locale(locale)
    except InvalidRequest as error:
        return [error.detail]
    return []


def _unknown_provider() -> str:
    return f"is no provider; there are {', '.join(sorted(PROVIDERS))}"


def _settings_problems(name: str, settings: _Settings) -> list[str]:
    found = []
    if settings.url is not None and not is_base_url(settings.url):
        found.append("url: must be an http(s) URL without a query")
    if settings.configuration_set is not None and name != _AWS:
        found.append(f"configuration_set: only {_AWS} has one")
    return found


def is_base_url(text: str) -> bool:
    """Whether a path can be put behind it."""
    if re.search(r"[\s?#]", text):
        return False
    try:
        parts = urlsplit(text)
        return parts.scheme in {"http", "https"} and bool(parts.hostname) and parts.port != 0
    except ValueError:  # brackets around no address, a port that is no number
        return False


def _convert(value: object, kind: Any, where: str, problems: list[str]) -> Any:
    try:
        return msgspec.convert(value, kind)
    except msgspec.ValidationError as error:
        problems.append(f"{where}: {error}")
        return None
