"""How callers say who they are: the schemes that several vendors share, and the signatures of several."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from collections.abc import Mapping
from typing import Any

from infra.local.vendors.vendor import Call


def basic(call: Call) -> tuple[str, str] | None:
    """Name and password, where the caller names them (RFC 7617)."""
    kind, _, encoded = call.headers.get("Authorization", "").partition(" ")
    try:
        name, colon, password = base64.b64decode(encoded, validate=True).decode().partition(":")
    except ValueError:
        return None
    return (name, password) if kind == "Basic" and colon else None


def token(call: Call, scheme: str) -> str:
    """What follows the scheme; empty where there is nothing of it."""
    kind, _, found = call.headers.get("Authorization", "").partition(" ")
    return found if kind == scheme else ""


def hs256(claims: Mapping[str, Any], secret: str) -> str:
    """A JSON web token (RFC 7515)."""
    parts = [_base64url(json.dumps(part).encode()) for part in ({"typ": "JWT", "alg": "HS256"}, claims)]
    signature = hmac.digest(secret.encode(), ".".join(parts).encode(), hashlib.sha256)
    return ".".join((*parts, _base64url(signature)))


def sha256(body: bytes) -> str:
    return hashlib.sha256(body).hexdigest()


def mac(key: bytes, text: str | bytes) -> bytes:
    """HMAC-SHA256."""
    return hmac.digest(key, text if isinstance(text, bytes) else text.encode(), hashlib.sha256)


def mac64(key: bytes, text: str | bytes) -> str:
    return base64.b64encode(mac(key, text)).decode()


def _base64url(content: bytes) -> str:
    return base64.urlsafe_b64encode(content).decode().rstrip("=")
