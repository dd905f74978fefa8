"""The routes of a service in services.toml, and the providers' own settings there: read and checked by the key."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import fields, replace
from typing import Annotated, Any
from urllib.parse import urlsplit

import msgspec
import phonenumbers
from msgspec import Meta

from functions.domain.errors import InvalidRequest
from functions.domain.frozen import frozen
from functions.domain.message import parse_locale
from functions.domain.routing import Route, Via
from functions.providers.address import is_safe
from functions.providers.catalog import PROVIDERS, Entry

_Weight = Annotated[float, Meta(gt=0, le=1000)]
_Text = Annotated[str, Meta(min_length=1, max_length=200)]
_Rate = Annotated[float, Meta(gt=0, le=500)]

_AWS = "aws_sms"
_OF_A_VIA = frozenset(field.name for field in fields(Via)) - {"provider", "weight"}


@frozen(kw_only=True)
class ProviderSettings:
    """What is not about one service, and no secret."""

    rate: float | None = None
    """Messages a second that the account may send, over all functions. At most 500: all sandboxes count in one item."""
    url: str | None = None
    """Instead of the provider's own address."""
    configuration_set: str | None = None
    """Of AWS's, whose events tell what became of a message."""


_SETTINGS: Mapping[str, Any] = {"rate": _Rate, "url": str, "configuration_set": _Text}
_ROUTE: Mapping[str, Any] = {
    "providers": Annotated[list[Any], Meta(min_length=1, max_length=10)],
    "countries": Annotated[list[str], Meta(min_length=1)],
    "locales": Annotated[list[str], Meta(min_length=1)],
}
_VIA: Mapping[str, Any] = {"name": str, "weight": _Weight, **dict.fromkeys(sorted(_OF_A_VIA), _Text)}


def parse_routes(value: object, problems: list[str]) -> tuple[Route, ...]:
    """Adds to `problems` what is wrong, each with its place below `routes`."""
    if not isinstance(value, list) or not value:
        problems.append(': must be a list of routes, such as [ { providers = [ { name = "yunpian" } ] } ]')
        return ()
    routes = [_parse_route(f"[{number}]", each, problems) for number, each in enumerate(value)]
    problems += _reach_problems(routes)
    return tuple(route for route in routes if route is not None)


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
        settings = ProviderSettings(**_read(value, _SETTINGS, where, problems))
        problems += [f"{where}.{wrong}" for wrong in _settings_problems(name, settings)]
        found[name] = replace(settings, url=settings.url and settings.url.rstrip("/"))
    return found


def _parse_route(where: str, value: object, problems: list[str]) -> Route | None:
    """None where nobody knows which messages it is for."""
    found = _read(value, _ROUTE, where, problems, needs="providers")
    countries, locales = found.get("countries", []), found.get("locales", [])
    problems += [f"{where}.countries: {region} is no country's code, such as DE" for region in _unknown(countries)]
    problems += [f"{where}.locales: {locale}: {wrong}" for locale in locales for wrong in _locale_problems(locale)]
    providers = _parse_vias(f"{where}.providers", found.get("providers", []), problems)
    if not isinstance(value, dict) or (value.keys() & {"countries", "locales"}) - found.keys():
        return None
    tags = frozenset(locale.replace("_", "-").lower() for locale in locales)
    return Route(providers=providers, countries=frozenset(countries), locales=tags)


def _parse_vias(where: str, values: Sequence[object], problems: list[str]) -> tuple[Via, ...]:
    problems += [f"{where}: {wrong}" for wrong in _side_by_side_problems(values)]
    vias = []
    for number, value in enumerate(values):
        here = f"{where}[{number}]"
        found = _read(value, _VIA, here, problems, needs="name")
        if "name" in found:
            name = found.pop("name")
            problems += [f"{here}: {wrong}" for wrong in _via_problems(name, value)]
            vias.append(Via(provider=name, **found))
    return tuple(vias)


def _side_by_side_problems(values: Sequence[object]) -> list[str]:
    vias = [value for value in values if isinstance(value, dict)]
    names = [via["name"] for via in vias if isinstance(via.get("name"), str)]
    found = [f"{name} is named twice" for name in sorted({n for n in names if names.count(n) > 1})]
    if sum("weight" in via for via in vias) not in {0, len(vias)}:
        found.append("either each has a weight, or none: then they are tried in this order")
    return found


def _via_problems(name: str, value: Any) -> list[str]:
    entry = PROVIDERS.get(name)
    if entry is None:
        return [f"{name}: {_unknown_provider()}"]
    return _setting_problems(name, value.keys() & _OF_A_VIA, entry)


def _setting_problems(provider: str, named: set[str], entry: Entry) -> list[str]:
    missing = [f"{provider} needs a {name}" for name in sorted(entry.requires - named)]
    idle = [f"{provider} has no use for a {name}" for name in sorted(named - entry.requires - entry.takes)]
    return missing + idle


def _reach_problems(routes: Sequence[Route | None]) -> list[str]:
    """A route that an earlier one takes everything from is a mistake: its writer thinks that it is used."""
    found = []
    for number, route in enumerate(routes):
        if route and any(earlier and _covers(earlier, route) for earlier in routes[:number]):
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


def _settings_problems(name: str, settings: ProviderSettings) -> list[str]:
    found = []
    if settings.url is not None and not (is_base_url(settings.url) and is_safe(settings.url)):
        found.append("url: must be an https URL without a query or a password")
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


def _read(
    value: object, types: Mapping[str, Any], where: str, problems: list[str], *, needs: str | None = None
) -> dict[str, Any]:
    """Those entries of a table that are right, one by one: a mistake does not hide the next."""
    if not isinstance(value, dict):
        problems.append(f"{where}: must be a table, with {', '.join(types)}")
        return {}
    found = {}
    for key, each in value.items():
        try:
            if key not in types:
                problems.append(f"{where}.{key}: is no setting here; there are {', '.join(types)}")
            else:
                found[key] = msgspec.convert(each, types[key])
        except msgspec.ValidationError as error:
            problems.append(f"{where}.{key}: {error}")
    if needs is not None and needs not in value:
        problems.append(f"{where}: needs {needs}")
    return found
