"""A provider's secret: one JSON object, read into the adapter's own type."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar

import msgspec

from functions.domain.receipt_token import SHORTEST_SECRET
from functions.domain.sensitive import Sensitive
from functions.usecases.ports import KeysUnavailable


class Secret(msgspec.Struct, frozen=True, kw_only=True):
    """What every provider's secret holds; an adapter's own adds the rest. Nothing of it shows in a repr."""

    receipt_token: Sensitive
    """Signs the addresses that receipts are sent to: at least SHORTEST_SECRET random characters of our own."""


_QUOTED = re.compile(r"Invalid enum value .* - at ", re.DOTALL)
"""Of msgspec's messages the one that shows what it found, which can be a key that was put into the wrong entry."""

S = TypeVar("S", bound=Secret)


def read_secret(provider: str, value: Mapping[str, Any], kind: type[S]) -> S:
    """Raises KeysUnavailable with the provider's name and the entry that is wrong, and nothing of its content."""
    try:
        secret = msgspec.convert(value, kind, dec_hook=_sensitive)
    except msgspec.ValidationError as error:
        wrong = _QUOTED.sub("Is none of the words that there are - at ", str(error))
        raise KeysUnavailable(f"{provider}: its secret makes no sense: {wrong}") from None
    if len(secret.receipt_token.reveal()) < SHORTEST_SECRET:
        raise KeysUnavailable(f"{provider}: its secret makes no sense: Is too short - at `$.receipt_token`")
    return secret


@dataclass(slots=True)
class Credentials(Generic[S]):
    """The secret in the adapter's type, read anew only where it was fetched anew."""

    provider: str
    fetch: Callable[[], Awaitable[Mapping[str, Any]]] = field(repr=False)
    """Cached by its giver. Raises KeysUnavailable."""
    kind: type[S]
    _made_from: Mapping[str, Any] | None = field(default=None, repr=False)
    _made: S | None = field(default=None, repr=False)

    async def __call__(self) -> S:
        """Raises KeysUnavailable."""
        try:
            value = await self.fetch()
        except KeysUnavailable as error:
            raise KeysUnavailable(f"{self.provider}: {error}") from None
        if self._made is None or value is not self._made_from:
            self._made, self._made_from = read_secret(self.provider, value, self.kind), value
        return self._made


def _sensitive(kind: type, value: object) -> Sensitive:
    """A line break, as a copied key easily has, would make the header that it goes into impossible to send."""
    if kind is not Sensitive or not isinstance(value, str) or not value or not value.isprintable():
        raise ValueError("is no text, an empty one, or one with a line break in it")
    return Sensitive(value)
