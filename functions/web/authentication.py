"""Who calls: bearer keys, known by their SHA-256 only.

A key has 256 random bits, so a plain hash is enough (OWASP ASVS 6.5.2): nothing can be guessed from it. The look-up by
digest tells an attacker's clock nothing of the key.
"""

from __future__ import annotations

import hashlib
from typing import Protocol

from starlette.requests import Request

from functions.domain.caller import Caller
from functions.domain.part import part
from functions.web.problems import Unauthorized

_SCHEME = "bearer "


class Authenticate(Protocol):
    async def __call__(self, request: Request) -> Caller:
        """Who sent it, told before its body is read. Raises Unauthorized and KeysUnavailable."""


class Callers(Protocol):
    async def caller_of(self, key_digest: str) -> Caller | None:
        """Whose key has this SHA-256 (hex), None where there is none. Raises KeysUnavailable."""


def digest_key(key: str) -> str:
    return hashlib.sha256(key.encode()).hexdigest()


@part
class BearerKeys:
    callers: Callers

    async def __call__(self, request: Request) -> Caller:
        """A missing and a wrong key are told the same."""
        header = request.headers.get("authorization", "")
        if not header[: len(_SCHEME)].lower() == _SCHEME:
            raise Unauthorized("this call needs Authorization: Bearer <key>")
        caller = await self.callers.caller_of(digest_key(header[len(_SCHEME) :].strip()))
        if caller is None:
            raise Unauthorized("this call needs Authorization: Bearer <key>")
        return caller
