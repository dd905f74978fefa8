"""Vonage's `sig` of a delivery receipt: a hash over its fields, sorted by name, with the account's signature secret.

Source: `auth.py` of the Python SDK (vonage-http-client 1.5.2), which knows the HMACs; the older MD5 hash is the one
that accounts have unless they choose another.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Mapping
from typing import Literal, TypeAlias

from functions.domain.errors import InvalidSignature
from functions.domain.sensitive import Sensitive
from functions.providers.freshness import is_of_now

Method: TypeAlias = Literal["md5hash", "md5", "sha1", "sha256", "sha512"]
"""As the account's settings name them: the MD5 hash, or the HMAC with one of the others."""


def check_signature(fields: Mapping[str, str], secret: Sensitive, method: Method, now: int) -> None:
    """Raises InvalidSignature for a wrong or missing signature, and for one that is not of now."""
    presented = fields.get("sig", "").lower().encode(errors="replace")
    text = listed({name: value for name, value in fields.items() if name != "sig"})
    if not hmac.compare_digest(presented, sign(text, secret, method).encode()):
        raise InvalidSignature("sig is missing or wrong")
    if not is_of_now(fields.get("timestamp", ""), now):
        raise InvalidSignature("the timestamp is not of now")


def listed(fields: Mapping[str, str]) -> str:
    """What is signed. Values lose what the list itself is written with."""
    return "".join(f"&{name}={value.translate(_SAFE)}" for name, value in sorted(fields.items()))


_SAFE = str.maketrans("&=", "__")


def sign(text: str, secret: Sensitive, method: Method) -> str:
    key = secret.reveal()
    if method == "md5hash":
        # Not our choice: it is what accounts are given.
        return hashlib.md5((text + key).encode(errors="replace")).hexdigest()  # noqa: S324
    return hmac.new(key.encode(), text.encode(errors="replace"), method).hexdigest()
