"""What the secret of a team's own gateway holds, and what of it cannot be."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Annotated

import msgspec

from functions.domain.sensitive import Sensitive
from functions.providers import standard_webhooks
from functions.providers.address import is_safe
from functions.providers.credentials import Secret

FIELDS = frozenset(
    {"to", "text", "code", "reference", "valid_for", "receipts", "sender", "template", "signature", "entity"}
)

_HEADER = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+")
_HEADER_VALUE = re.compile(r"[\x20-\x7e]+")
_OURS = re.compile(r"content-.*|host|transfer-encoding|webhook-.*")
"""Headers that are not the secret's to set."""


class WebhookSecret(Secret, frozen=True, kw_only=True):
    url: Sensitive | None = None
    headers: dict[str, Sensitive] = msgspec.field(default_factory=dict)
    signing_secret: Sensitive | None = None
    receipts_secret: Sensitive | None = None
    format: Annotated[str, msgspec.Meta(pattern=r"\A(json|form)\Z")] = "json"
    numbers: Annotated[str, msgspec.Meta(pattern=r"\A(e164|digits)\Z")] = "e164"
    fields: dict[str, str] = msgspec.field(default_factory=dict)
    extra: dict[str, Sensitive] = msgspec.field(default_factory=dict)
    any_answer: bool = False

    def __post_init__(self) -> None:
        """Raises ValueError, whose text names the entry and shows nothing of it."""
        for entry in ("signing_secret", "receipts_secret"):
            _check_signing(entry, getattr(self, entry))
        if self.url is not None and not is_safe(self.url.reveal()):
            raise ValueError("url must be an https URL, without a password in it")
        if not all(_is_header(name, value.reveal()) for name, value in self.headers.items()):
            raise ValueError("headers: one has a name or a value that no header of ours can have")
        if self.fields and not _is_complete(self.fields):
            raise ValueError(f"fields must name to, and text or code, each once; there are {', '.join(sorted(FIELDS))}")


def _check_signing(entry: str, secrets: Sensitive | None) -> None:
    try:
        if secrets is not None:
            standard_webhooks.keys(secrets)
    except ValueError as error:
        raise ValueError(f"{entry} {error}") from None


def _is_header(name: str, value: str) -> bool:
    return bool(_HEADER.fullmatch(name) and _HEADER_VALUE.fullmatch(value)) and not _OURS.fullmatch(name.lower())


def _is_complete(fields: Mapping[str, str]) -> bool:
    once = len(set(fields.values())) == len(fields)
    return once and FIELDS.issuperset(fields) and "to" in fields and not {"text", "code"}.isdisjoint(fields)
