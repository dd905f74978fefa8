"""Codes: derived from the verification, stored as a keyed digest only.

No code is at rest anywhere: it is derived anew for each SMS, so a resend needs nothing decrypted. A plain hash of six
digits falls to a second of guessing; an HMAC under a 256-bit pepper needs the pepper.
"""

from __future__ import annotations

import hmac
import re

from functions.domain.errors import InvalidCode
from functions.domain.keys import mac
from functions.domain.sensitive import Sensitive

SHORTEST = 6
"""NIST SP 800-63B-4 section 3.1.3.2: at least six decimal digits."""
LONGEST = 10

# ASCII digits only: \d would take other scripts' digits, and $ a trailing newline.
_SHAPE = re.compile(rf"[0-9]{{{SHORTEST},{LONGEST}}}")
_BLOCK = 8
_DIGEST_BYTES = 16


def derive_code(pepper: bytes, verification_id: str, generation: int, length: int) -> Sensitive:
    """A uniform code of `length` digits: 64-bit draws of the MAC, those that would favour some codes thrown away."""
    space = 10**length
    fair = (1 << (8 * _BLOCK)) // space * space
    counter = 0
    while True:
        stream = mac(pepper, "code", verification_id, str(generation), str(counter))
        for start in range(0, len(stream), _BLOCK):
            draw = int.from_bytes(stream[start : start + _BLOCK], "big")
            if draw < fair:
                return Sensitive(f"{draw % space:0{length}d}")
        counter += 1


def digest_code(pepper: bytes, verification_id: str, code: Sensitive, binding: Sensitive | None = None) -> str:
    """What is stored and compared: 128 bits in hex. The id holds the record's key, and so binds service and number."""
    bound_to = () if binding is None else (binding.reveal(),)
    return mac(pepper, "check", verification_id, code.reveal(), *bound_to)[:_DIGEST_BYTES].hex()


def of_another_number(pepper: bytes, digest: str) -> str:
    """What is counted for a code that was named with another number than its own: no code has this digest."""
    return mac(pepper, "another number", digest)[:_DIGEST_BYTES].hex()


def same_digest(one: str | None, other: str) -> bool:
    """Compares in a time that tells nothing of where they differ."""
    return one is not None and hmac.compare_digest(one.encode(), other.encode())


def parse_code(text: str) -> Sensitive:
    """Raises InvalidCode for anything but 6 to 10 ASCII digits; such input is never counted as an attempt."""
    if not _SHAPE.fullmatch(text):
        raise InvalidCode(f"a code is a string of {SHORTEST} to {LONGEST} digits")
    return Sensitive(text)
