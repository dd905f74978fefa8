"""Result tokens as JWS with Ed25519 (RFC 8037), and the public keys that verify them."""

from __future__ import annotations

import base64
from dataclasses import field
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import msgspec

from functions.domain.keys import Keyring
from functions.domain.part import part
from functions.domain.result_token import Claims, signing_seed
from functions.usecases.ports import Keys

if TYPE_CHECKING:
    from nacl.signing import SigningKey


@part
class TokenSigner:
    keys: Keys = field(repr=False)

    async def sign(self, claims: Claims) -> str:
        """With the current key. Raises KeysUnavailable."""
        ring = await self.keys.keyring()
        header = {"alg": "EdDSA", "kid": ring.current, "typ": "JWT"}
        signed = b".".join(_base64url(msgspec.json.encode(part)) for part in (header, claims))
        signature = _key(ring.peppers[ring.current]).sign(signed).signature
        return b".".join((signed, _base64url(signature))).decode()

    async def public_keys(self) -> dict[str, Any]:
        """A JWK set: all keys there are, so that a new one is known before it signs. Raises KeysUnavailable."""
        return {"keys": _published(await self.keys.keyring())}


def _published(ring: Keyring) -> list[dict[str, str]]:
    return [
        {
            "kty": "OKP",
            "crv": "Ed25519",
            "use": "sig",
            "alg": "EdDSA",
            "kid": kid,
            "x": _base64url(bytes(_key(pepper).verify_key)).decode(),
        }
        for kid, pepper in sorted(ring.peppers.items())
    ]


@lru_cache(maxsize=8)
def _key(pepper: bytes) -> SigningKey:
    from nacl.signing import SigningKey  # noqa: PLC0415 - a cold start that signs nothing does not pay for it

    return SigningKey(signing_seed(pepper))


def _base64url(raw: bytes) -> bytes:
    return base64.urlsafe_b64encode(raw).rstrip(b"=")
