"""The secret keys that everything derives from, and the one way to take a MAC of several fields."""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Mapping

from functions.domain.frozen import frozen

_MAC_BYTES = 32


@frozen(repr=False)
class Keyring:
    """Peppers by key id, and the index key.

    A pepper makes and checks codes; each record names its own, so a new one can take over while older codes live on.
    The index key turns a number into the key of its record. It stays when a pepper is changed. While another one takes
    its place, a number without a record is looked for under the one before too: else every limit would begin anew.
    """

    current: str
    peppers: Mapping[str, bytes]
    index: bytes
    index_before: bytes | None = None

    def __repr__(self) -> str:
        return f"Keyring(current={self.current!r}, peppers={sorted(self.peppers)})"


def mac(key: bytes, purpose: str, *fields: str) -> bytes:
    """HMAC-SHA-256 over the purpose and the fields, each behind its length so that no two lists of fields are alike."""
    parts = [field.encode() for field in (purpose, *fields)]
    return hmac.digest(key, b"".join([len(part).to_bytes(4, "big") + part for part in parts]), hashlib.sha256)


def derive(entry: str, purpose: str) -> bytes:
    """A key for one purpose from a secret's entry (any text with at least 256 bits in it)."""
    return mac(entry.encode(), purpose)[:_MAC_BYTES]
