"""ALTCHA: a proof of work that the end user's browser does, with nobody else asked.

    parameters  {algorithm, cost, nonce, salt, keyLength, keyPrefix, keySignature, expiresAt}
    challenge   {parameters, signature: HMAC-SHA-256 of the parameters' JSON, its keys sorted}
    solution    base64 of {challenge, solution: {counter, derivedKey}}

The work is to find the counter, from 0 upwards, for which PBKDF2(nonce | counter, salt) begins with `keyPrefix`. We
chose it and know the key: its signature comes along, and a solution is checked with two MACs and no work. The keys of
both are made from service and number: a solution for another number bears a signature that is none.

Source: altcha-lib-py 2.3.0, whose version 2 this is. It reads the clock itself, and here the time is an argument: so it
is what the tests compare with.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
from collections.abc import Mapping
from typing import Annotated

import msgspec

from functions.domain.guard.attempt import Attempt
from functions.domain.keys import Keyring, mac
from functions.domain.part import part
from functions.domain.phone import PhoneNumber
from functions.domain.sensitive import Sensitive
from functions.usecases.ports import Entropy, Keys

LIFETIME = 300
"""Seconds."""
ITERATIONS = 5_000
"""Of each try: what the library's own examples take, 1.3 ms of a server's CPU."""
FEWEST_TRIES = 1_000
"""To twice as many: 1 to 3 seconds of one core, which a browser spreads over all of its own."""

_ALGORITHM = "PBKDF2/SHA-256"
_RANDOM_BYTES = 16
_KEY_BYTES = 32
_PREFIX_BYTES = 16
"""Enough that no other counter's key begins alike."""

_Count = Annotated[int, msgspec.Meta(ge=0, le=2**53)]
Parameters = dict[str, str | _Count]


class Challenge(msgspec.Struct, frozen=True):
    parameters: Parameters
    signature: str


class _Solution(msgspec.Struct, frozen=True, rename="camel"):
    derived_key: str


class _Payload(msgspec.Struct, frozen=True):
    challenge: Challenge
    solution: _Solution


@part
class Altcha:
    """Makes challenges and knows their solutions. Both raise KeysUnavailable."""

    keys: Keys
    entropy: Entropy
    iterations: int = ITERATIONS
    fewest_tries: int = FEWEST_TRIES

    async def make(self, service: str, to: PhoneNumber, at: int) -> Mapping[str, object]:
        keys = await self.keys.keyring()
        made: Mapping[str, object] = msgspec.to_builtins(self._make(keys, service, to, at))
        return made

    async def solved(self, solution: Sensitive, attempt: Attempt) -> str | None:
        """The challenge's own name."""
        found = _parse(solution)
        if found is None or not _is_ours(found, await self.keys.keyring(), attempt):
            return None
        return str(found.challenge.parameters["nonce"])

    def _make(self, keys: Keyring, service: str, to: PhoneNumber, at: int) -> Challenge:
        nonce, salt = self.entropy(_RANDOM_BYTES), self.entropy(_RANDOM_BYTES)
        counter = self.fewest_tries + int.from_bytes(self.entropy(4), "big") % self.fewest_tries
        password = nonce + counter.to_bytes(4, "big")
        key = hashlib.pbkdf2_hmac("sha256", password, salt, self.iterations, _KEY_BYTES)
        parameters: Parameters = {
            "algorithm": _ALGORITHM,
            "cost": self.iterations,
            "nonce": nonce.hex(),
            "salt": salt.hex(),
            "keyLength": _KEY_BYTES,
            "keyPrefix": key[:_PREFIX_BYTES].hex(),
            "keySignature": _sign_key(keys, service, to, key),
            "expiresAt": at + LIFETIME,
        }
        return Challenge(parameters=parameters, signature=_sign(keys, service, to, parameters))


def _is_ours(found: _Payload, keys: Keyring, attempt: Attempt) -> bool:
    """Whether we made it for this service and number, it is still good, and it was solved."""
    parameters = found.challenge.parameters
    if not _is_same(found.challenge.signature, _sign(keys, attempt.service, attempt.to, parameters)):
        return False
    try:
        key = bytes.fromhex(found.solution.derived_key)
    except ValueError:
        return False
    signed = _sign_key(keys, attempt.service, attempt.to, key)
    return attempt.at <= int(parameters["expiresAt"]) and _is_same(str(parameters["keySignature"]), signed)


def _parse(solution: Sensitive) -> _Payload | None:
    try:
        return msgspec.json.decode(base64.b64decode(solution.reveal(), validate=True), type=_Payload)
    except ValueError:  # of base64, of text and of JSON alike
        return None


def _sign(keys: Keyring, service: str, to: PhoneNumber, parameters: Parameters) -> str:
    own = mac(keys.index, "challenge", service, to.e164)
    return hmac.digest(own, msgspec.json.encode(parameters, order="sorted"), hashlib.sha256).hex()


def _sign_key(keys: Keyring, service: str, to: PhoneNumber, key: bytes) -> str:
    return hmac.digest(mac(keys.index, "challenge key", service, to.e164), key, hashlib.sha256).hex()


def _is_same(ours: str, theirs: str) -> bool:
    return hmac.compare_digest(ours.encode(), theirs.encode())
