"""JSON web tokens that providers sign their pushes with: HMAC-SHA256 (HS256), by a secret that both sides have."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from typing import Any

import jwt

from functions.domain.errors import InvalidSignature
from functions.domain.sensitive import Sensitive

LEEWAY = 10
"""Seconds that two machines' clocks may be apart. A token is made for one push, moments before it."""

# The claims of time are judged by the caller's clock, which PyJWT takes none of. No audience or issuer is agreed upon.
_BY_US: Any = dict.fromkeys(
    ("verify_exp", "verify_nbf", "verify_iat", "verify_aud", "verify_iss", "verify_sub", "verify_jti"), False
)


def claims(token: str, secret: Sensitive, now: int) -> Mapping[str, Any]:
    """What the token says. `exp` and `nbf` are checked where they are there; the other claims are the caller's.

    Raises InvalidSignature for another algorithm, a wrong signature, a token that is not valid now, and what is none.
    """
    try:
        with warnings.catch_warnings():
            # It is the provider that decides how long its secrets are.
            warnings.simplefilter("ignore", jwt.InsecureKeyLengthWarning)
            said = jwt.decode(token, secret.reveal(), algorithms=["HS256"], options=_BY_US)
    except (jwt.PyJWTError, ValueError):
        raise InvalidSignature("the token in the signature's header was not made with our secret") from None
    if not (_is_before(said.get("nbf"), now + LEEWAY) and _is_after(said.get("exp"), now - LEEWAY)):
        raise InvalidSignature("the token in the signature's header is not valid now")
    return said


def _is_before(time: object, limit: int) -> bool:
    return time is None or (isinstance(time, int | float) and time <= limit)


def _is_after(time: object, limit: int) -> bool:
    return time is None or (isinstance(time, int | float) and time > limit)
