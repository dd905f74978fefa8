"""The last part of a receipts address: proof that we gave the address away.

Most gateways are told an address with each message. Its token then vouches for this message alone, and carries its
reference, so that nothing has to be stored to find the verification:

    vfy_k1_….1.<22 characters>

Where the address is set once in a gateway's console, it ends with the account's token, the 22 characters alone.
"""

from __future__ import annotations

import base64
import hashlib
import hmac

from functions.domain.errors import NotFound
from functions.domain.sensitive import Sensitive

SHORTEST_SECRET = 32
"""Characters. An address is seen by its provider, who could try out a short one until it makes the same."""

_BYTES = 16


def account_token(secret: Sensitive, provider: str) -> str:
    return _sign(secret, "account", provider)


def message_token(secret: Sensitive, provider: str, reference: str) -> str:
    return f"{reference}.{_sign(secret, 'message', provider, reference)}"


def read_token(secret: Sensitive, provider: str, token: str) -> str | None:
    """The reference that the token vouches for; None where it is the account's. Raises NotFound."""
    reference = token.rpartition(".")[0]
    expected = message_token(secret, provider, reference) if reference else account_token(secret, provider)
    if not hmac.compare_digest(expected.encode(), token.encode()):
        raise NotFound("there is nothing here")
    return reference or None


def _sign(secret: Sensitive, *scope: str) -> str:
    mac = hmac.digest(secret.reveal().encode(), "|".join(("receipts", *scope)).encode(), hashlib.sha256)
    return base64.urlsafe_b64encode(mac[:_BYTES]).decode().rstrip("=")
