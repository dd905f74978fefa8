"""Who calls: bearer keys, known by their SHA-256 only.

A key has 256 random bits, so a plain hash is enough (OWASP ASVS 6.5.2): nothing can be guessed from it. The look-up by
digest tells an attacker's clock nothing of the key.
"""

from __future__ import annotations

import hashlib
from typing import Protocol

from starlette.datastructures import Headers

from functions.web.problems import Unauthorized

_SCHEME = "bearer "


class Callers(Protocol):
    async def name_of(self, key_digest: str) -> str | None:
        """The caller whose key has this SHA-256 (hex), None where there is none. Raises KeysUnavailable."""


def digest_key(key: str) -> str:
    return hashlib.sha256(key.encode()).hexdigest()


async def authenticate(headers: Headers, callers: Callers) -> str:
    """The caller's name. Raises Unauthorized, the same for a missing and a wrong key."""
    header = headers.get("authorization", "")
    if not header[: len(_SCHEME)].lower() == _SCHEME:
        raise Unauthorized("this call needs Authorization: Bearer <key>")
    name = await callers.name_of(digest_key(header[len(_SCHEME) :].strip()))
    if name is None:
        raise Unauthorized("this call needs Authorization: Bearer <key>")
    return name
