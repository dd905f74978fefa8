"""JSON bodies of requests: small, strict, and read in one way only.

A parser that takes the last of two equal keys, or a list where a text belongs, lets an attacker show one thing to the
checks and another to the sender. So both are refused, and so is every field that is not ours.
"""

from __future__ import annotations

import json
from typing import Annotated, Any, NoReturn, TypedDict, TypeVar

import msgspec
from starlette.requests import Request

from functions.domain.batch import MOST_ITEMS
from functions.domain.binding import parse_binding
from functions.domain.code import parse_code
from functions.domain.errors import InvalidCode, InvalidRequest
from functions.domain.guard.attempt import Address, parse_address
from functions.domain.message import parse_app_hash, parse_domain, parse_locale
from functions.domain.metadata import parse_metadata
from functions.domain.phone import PhoneNumber, parse_phone_number
from functions.domain.sensitive import Sensitive
from functions.web.problems import BodyTooLarge

LARGEST = 8192
"""Bytes of a single call's body."""
LARGEST_BATCH = 1_048_576
"""Bytes of a batch's."""
LONGEST_KEY = 255
"""Characters of what names a request."""
LONGEST_SOLUTION = 6144
"""Turnstile's tokens have 2,048 characters at most; hCaptcha names no limit, and more than 4,000 have been seen."""

Body = TypeVar("Body", bound=msgspec.Struct)

_Service = Annotated[str, msgspec.Meta(min_length=1, max_length=32)]


class StartBody(msgspec.Struct, forbid_unknown_fields=True):
    to: str
    service: _Service = "default"
    locale: str | None = None
    code: Any = None
    binding: str | None = None
    ip: str | None = None
    """The end user's address."""
    trusted: bool = False
    challenge: Annotated[str, msgspec.Meta(max_length=LONGEST_SOLUTION)] | None = None
    app_hash: str | None = None
    domain: str | None = None
    metadata: dict[str, str] = {}


class BatchBody(msgspec.Struct, forbid_unknown_fields=True):
    items: Annotated[list[msgspec.Raw], msgspec.Meta(min_length=1, max_length=MOST_ITEMS)]
    """Read one by one (ItemBody), so that a wrong one is its own error."""
    service: _Service | None = None


class ItemBody(msgspec.Struct, forbid_unknown_fields=True):
    to: str
    service: _Service | None = None
    key: Annotated[str, msgspec.Meta(min_length=1, max_length=LONGEST_KEY)] | None = None
    locale: str | None = None
    code: Any = None
    binding: str | None = None
    ip: str | None = None
    trusted: bool = False
    app_hash: str | None = None
    domain: str | None = None
    metadata: dict[str, str] = {}


class ChallengeBody(msgspec.Struct, forbid_unknown_fields=True):
    to: str
    service: _Service = "default"


class CheckBody(msgspec.Struct, forbid_unknown_fields=True):
    code: Any
    """Any: a code that is no text is a malformed code, not a malformed request."""
    to: str | None = None
    ip: str | None = None
    """The end user's address."""
    binding: str | None = None


async def read(request: Request, kind: type[Body], *, largest: int = LARGEST) -> Body:
    """Raises InvalidRequest or BodyTooLarge."""
    raw = await request.body()
    if len(raw) > largest:
        raise BodyTooLarge(f"a body has at most {largest} bytes")
    _refuse_ambiguity(raw)
    return decode(raw, kind)


def decode(raw: bytes | msgspec.Raw, kind: type[Body]) -> Body:
    """Raises InvalidRequest."""
    try:
        return msgspec.json.decode(raw, type=kind)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise InvalidRequest(_first_line(error)) from None


class Asked(TypedDict):
    """What is asked for one number, by itself or in a batch."""

    to: PhoneNumber
    code: Sensitive | None
    binding: Sensitive | None
    locale: str | None
    domain: str | None
    app_hash: str | None
    metadata: tuple[tuple[str, str], ...]
    ip: Address | None
    trusted: bool


def read_asked(body: StartBody | ItemBody) -> Asked:
    """Raises what the parsers of its fields do."""
    return Asked(
        to=parse_phone_number(body.to),
        code=None if body.code is None else read_code(body.code),
        binding=None if body.binding is None else parse_binding(body.binding),
        locale=body.locale and parse_locale(body.locale),
        domain=body.domain and parse_domain(body.domain),
        app_hash=body.app_hash and parse_app_hash(body.app_hash),
        metadata=parse_metadata(body.metadata),
        ip=None if body.ip is None else parse_address(body.ip),
        trusted=body.trusted,
    )


def read_code(found: object) -> Sensitive:
    """Raises InvalidCode."""
    if not isinstance(found, str):
        raise InvalidCode("a code is a string of digits")
    return parse_code(found)


def _refuse_ambiguity(raw: bytes) -> None:
    try:
        json.loads(raw, object_pairs_hook=_refuse_twins, parse_constant=_refuse_constant)
    except (ValueError, RecursionError):
        raise InvalidRequest("the body is not a JSON object") from None


def _refuse_twins(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise InvalidRequest("a field appears twice")
    return found


def _refuse_constant(name: str) -> NoReturn:
    raise InvalidRequest(f"{name} is not JSON")


def _first_line(error: Exception) -> str:
    return str(error).partition("\n")[0]
