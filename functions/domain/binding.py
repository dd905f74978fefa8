"""A binding: what a caller ties a code to, such as a session, or an amount and its payee (PSD2 RTS, article 5).

It is stored nowhere. It goes into the code's digest, so that a check without it, or with another, is a wrong code.
"""

from __future__ import annotations

import base64
import hashlib

from functions.domain.errors import InvalidRequest
from functions.domain.keys import mac
from functions.domain.sensitive import Sensitive

LONGEST = 256
_MARK_BYTES = 8


def parse_binding(text: str) -> Sensitive:
    """Raises InvalidRequest. Taken as it is: two spellings of an amount are two bindings."""
    if not 1 <= len(text) <= LONGEST:
        raise InvalidRequest(f"a binding has 1 to {LONGEST} characters")
    return Sensitive(text)


def mark_of(pepper: bytes, verification_id: str, binding: Sensitive | None) -> str | None:
    """What tells a resend whether the binding has changed. Keyed, for amounts are quickly guessed."""
    if binding is None:
        return None
    return mac(pepper, "binding", verification_id, binding.reveal())[:_MARK_BYTES].hex()


def hash_of(binding: Sensitive) -> str:
    """SHA-256 in base64url, for whoever knows the binding and wants to see that a result is about it."""
    return base64.urlsafe_b64encode(hashlib.sha256(binding.reveal().encode()).digest()).decode().rstrip("=")
