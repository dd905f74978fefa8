"""Standard Webhooks 1.0: who pushes something signs its id, its time and its body with a secret that both sides have.

    webhook-id: msg_1
    webhook-timestamp: 1704067200
    webhook-signature: v1,<base64 of HMAC-SHA256 over «id.timestamp.body»> [v1,…]

A secret is `whsec_` and its bytes in base64, with or without a `v1,` before it. While one secret takes another's place
both are in use, with a | between them: whoever signs signs with each, whoever checks is content with one.

Source: standard-webhooks/standard-webhooks b2fa7b8 (`spec/standard-webhooks.md`). It puts a space between several
signatures; some senders put a comma and a space, and are understood too.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import re
from collections.abc import Mapping

from functions.domain.errors import InvalidSignature
from functions.domain.sensitive import Sensitive
from functions.providers.freshness import is_of_now

_SECRET = re.compile(r"(?:v1,)?whsec_([A-Za-z0-9+/]+={0,2})")
_SHORTEST, _LONGEST = 24, 64
"""Bytes of a secret, as the specification has them."""
_SIGNATURE = re.compile(r"(?:^|[\s,])v1,([A-Za-z0-9+/]+={0,2})")


def keys(secrets: Sensitive) -> tuple[bytes, ...]:
    """Raises ValueError, whose text shows nothing of them."""
    return tuple(_key(secret.strip()) for secret in secrets.reveal().split("|"))


def sign(secrets: Sensitive, *, name: str, at: int, body: bytes) -> dict[str, str]:
    """The headers of a push: `name` is its id, the same where the same is pushed again."""
    signatures = [base64.b64encode(_mac(key, name, str(at), body)).decode() for key in keys(secrets)]
    return {
        "webhook-id": name,
        "webhook-timestamp": str(at),
        "webhook-signature": " ".join(f"v1,{signature}" for signature in signatures),
    }


def check(secrets: Sensitive, headers: Mapping[str, str], body: bytes, now: int) -> None:
    """`headers` with their names in lower case. Raises InvalidSignature."""
    name, at = headers.get("webhook-id", ""), headers.get("webhook-timestamp", "")
    if not is_of_now(at, now):
        raise InvalidSignature("the push was not signed now")
    expected = [base64.b64encode(_mac(key, name, at, body)) for key in keys(secrets)]
    found = [signature.encode() for signature in _SIGNATURE.findall(headers.get("webhook-signature", ""))]
    if not any(hmac.compare_digest(ours, theirs) for ours in expected for theirs in found):
        raise InvalidSignature("the push is not signed with our secret")


def _key(secret: str) -> bytes:
    encoded = _SECRET.fullmatch(secret)
    if encoded is None:
        raise ValueError("is no secret of Standard Webhooks, which begins with whsec_ and goes on in base64")
    key = base64.b64decode(encoded[1].rstrip("=") + "==")  # some leave the = out
    if not _SHORTEST <= len(key) <= _LONGEST:
        raise ValueError(f"is no secret of Standard Webhooks, which has {_SHORTEST} to {_LONGEST} bytes")
    return key


def _mac(key: bytes, name: str, at: str, body: bytes) -> bytes:
    return hmac.digest(key, f"{name}.{at}.".encode() + body, hashlib.sha256)
