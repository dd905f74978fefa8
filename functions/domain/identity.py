"""The names of things: a number's key in the table, a verification's id, a request's digest.

    vfy_k1_<24 characters: the number's key><16 characters: random>

The id carries the record's key, so a check finds its record with no index and no second item, and 80 random bits, so
nobody can guess at codes that others asked for. The key is an HMAC of service and number under the index key: the table
holds no number, and a stolen table cannot be searched for one.
"""

from __future__ import annotations

import base64
import re
from dataclasses import replace

from functions.domain.errors import NotFound
from functions.domain.frozen import frozen
from functions.domain.keys import Keyring, mac

_KEY_BYTES = 15
NONCE_BYTES = 10
REQUEST_BYTES = 12
_KEY_ID = r"[a-z0-9]{1,8}"
_ID = re.compile(rf"vfy_({_KEY_ID})_([a-z2-7]{{24}})([a-z2-7]{{16}})")


@frozen()
class VerificationId:
    kid: str
    """Which pepper made the code."""
    key: str
    """The number's record."""
    nonce: str
    """The random part."""

    def __str__(self) -> str:
        return f"vfy_{self.kid}_{self.key}{self.nonce}"


def parse_id(text: str) -> VerificationId:
    """Raises NotFound: a text that is no id is answered as an id that does not exist."""
    found = _ID.fullmatch(text)
    if found is None:
        raise NotFound("there is no such verification")
    return VerificationId(*found.groups())


def is_key_id(text: str) -> bool:
    """Whether a pepper can be named so: it becomes a part of every id."""
    return re.fullmatch(_KEY_ID, text) is not None


def number_key(keys: Keyring, service: str, e164: str) -> str:
    return _base32(mac(keys.index, "number", service, e164)[:_KEY_BYTES])


def number_key_before(keys: Keyring, service: str, e164: str) -> str | None:
    """Where the number's record was before the index key was changed; None where no change is under way."""
    if keys.index_before is None:
        return None
    return number_key(replace(keys, index=keys.index_before), service, e164)


def is_key_of(key: str, keys: Keyring, service: str, e164: str) -> bool:
    """Whether a record is this number's."""
    return key in {number_key(keys, service, e164), number_key_before(keys, service, e164)}


def pseudonym(keys: Keyring, kind: str, text: str) -> str:
    """What stands for a number, a block or an address in the table: nobody can search for it without the key."""
    return _base32(mac(keys.index, "pseudonym", kind, text)[:_KEY_BYTES])


def block_of(keys: Keyring, e164: str) -> str:
    """The pseudonym of the number's block of ten thousand, and which tenth of it the number is in."""
    return f"{pseudonym(keys, 'block', e164[1:-4])}{e164[-4]}"


def nonce_from(entropy: bytes) -> str:
    """The random part of an id from NONCE_BYTES random bytes."""
    return _base32(entropy)


def reference(verification_id: VerificationId, send: int) -> str:
    """What goes along with a message and comes back in its receipt: the verification and which send of it."""
    return f"{verification_id}.{send}"


def parse_reference(text: str) -> tuple[VerificationId, int]:
    """Raises NotFound where it is none of ours."""
    verification_id, _, send = text.partition(".")
    if not re.fullmatch(r"[0-9]{1,3}", send):
        raise NotFound("no message of ours has this reference")
    return parse_id(verification_id), int(send)


def request_digest(keys: Keyring, *scope: str) -> str:
    """A request's identity: 96 bits of a keyed digest, since callers put numbers into their idempotency keys."""
    return request_from(mac(keys.index, "request", *scope)[:REQUEST_BYTES])


def request_from(entropy: bytes) -> str:
    """A request's identity from REQUEST_BYTES bytes, where nobody will ask for the same one again."""
    return base64.urlsafe_b64encode(entropy).decode()


def _base32(raw: bytes) -> str:
    return base64.b32encode(raw).decode().lower().rstrip("=")
