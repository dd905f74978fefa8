"""What a line asks for: an item of a batch as the API takes it, checked by the functions' own rules."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias

from functions.domain.errors import Refused
from functions.domain.guard.decision import Mode, Rule
from functions.domain.message import locales_of, parse_app_hash, parse_domain, parse_locale
from functions.domain.metadata import parse_metadata
from functions.domain.phone import PhoneNumber, parse_phone_number
from functions.domain.routing import Route
from functions.domain.service import Service
from infra.send.problems import BadLine, quoted
from infra.send.table import METADATA

Item: TypeAlias = dict[str, Any]

LONGEST_KEY = 255
_PARSERS = {"locale": parse_locale, "app_hash": parse_app_hash, "domain": parse_domain}


@dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    """One SMS that is to be sent."""

    to: PhoneNumber
    service: Service
    route: Route
    locale: str | None
    domain: str | None
    app_hash: str | None


def as_item(cells: Mapping[str, str]) -> Item:
    """Raises BadLine where its metadata makes none."""
    item: Item = {name: cell for name, cell in cells.items() if not name.startswith("metadata")}
    metadata = _json(cells["metadata"]) if "metadata" in cells else _entries(cells)
    return item | {"metadata": metadata} if metadata else item


def as_message(item: Item, services: Mapping[str, Service], default: str) -> Message:
    """Raises BadLine with what the functions would refuse it for."""
    service = services.get(item.get("service", default))
    if service is None:
        raise BadLine("invalid_request", f"there is no service {quoted(item.get('service', default))}")
    number = _checked(item)
    route = _route(service, number, item.get("locale"))
    return Message(
        to=number,
        service=service,
        route=route,
        locale=item.get("locale"),
        domain=item.get("domain"),
        app_hash=item.get("app_hash"),
    )


def _json(text: str) -> dict[str, str]:
    try:
        found = json.loads(text)
    except (ValueError, RecursionError):
        found = None
    if not isinstance(found, dict) or not all(isinstance(value, str) for value in found.values()):
        raise BadLine("invalid_request", 'metadata is a JSON object of texts, such as {"order": "17"}')
    return found


def _entries(cells: Mapping[str, str]) -> dict[str, str]:
    return {name.removeprefix(METADATA): cell for name, cell in cells.items() if name.startswith(METADATA)}


def _checked(item: Item) -> PhoneNumber:
    try:
        number = parse_phone_number(item.get("to", ""))
        for name in _PARSERS.keys() & item.keys():
            _PARSERS[name](item[name])
        parse_metadata(item.get("metadata", {}))
    except Refused as error:
        raise BadLine(error.code, error.detail) from None
    except UnicodeEncodeError:  # half a surrogate pair, by JSON's escapes
        raise BadLine("invalid_request", "has a character that is none") from None
    if len(item.get("key", "")) > LONGEST_KEY:
        raise BadLine("invalid_request", f"a key has at most {LONGEST_KEY} characters")
    return number


def _route(service: Service, number: PhoneNumber, locale: str | None) -> Route:
    policy = service.guard
    locales = locales_of(service, number, locale)
    route = next((route for route in service.routes if route.fits(number.region, locales)), None)
    allowed = not policy.countries or number.region in policy.countries
    if route is None or (policy.mode(Rule.COUNTRY) is Mode.ENFORCE and not allowed):
        raise BadLine("country_blocked", f"service {service.name} sends no codes to {number.region}")
    if policy.mode(Rule.NUMBER_TYPE) is Mode.ENFORCE and not number.takes_sms:
        raise BadLine("number_type_blocked", f"a number of type {number.type.value} takes no SMS")
    if policy.challenge and policy.mode(Rule.CHALLENGE) is Mode.ENFORCE:
        raise BadLine("challenge_required", f"service {service.name} sends nothing without a solved challenge")
    return route
