"""What a signed result says: that a code was right, for whom, and what it was bound to. The claims of RFC 7519.

    {"sub": "vfy_k1_…", "jti": "vfy_k1_…", "aud": "default", "iat": 1795399000, "exp": 1795399300,
     "phone_number": "+4915112345678", "binding": "<SHA-256 in base64url>"}

`phone_number` is there where the check named the number: it is not stored. A verification is approved once, so its id
tells a second use of the same result.
"""

from __future__ import annotations

from typing import TypeAlias

from functions.domain.binding import hash_of
from functions.domain.keys import mac
from functions.domain.phone import PhoneNumber
from functions.domain.sensitive import Sensitive
from functions.domain.verification import Record

LIFETIME = 300
"""Seconds: to carry it to the next service, not to log in with."""

Claims: TypeAlias = dict[str, str | int]


def claims_of(record: Record, at: int, *, to: PhoneNumber | None, binding: Sensitive | None) -> Claims:
    name = str(record.verification.id)
    claims: Claims = {"sub": name, "jti": name, "aud": record.service, "iat": at, "exp": at + LIFETIME}
    if to is not None:
        claims["phone_number"] = to.e164
    if binding is not None:
        claims["binding"] = hash_of(binding)
    return claims


def signing_seed(pepper: bytes) -> bytes:
    """The private key, 32 bytes, that goes with a pepper: named, and changed, with it."""
    return mac(pepper, "result token")
