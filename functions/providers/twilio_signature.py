"""Twilio's signature of a callback: HMAC over the URL that was called and the form's fields, sorted by name."""

from __future__ import annotations

import base64
import hashlib
import hmac
from collections.abc import Iterable, Mapping
from urllib.parse import parse_qs, urlsplit

from functions.domain.errors import InvalidSignature
from functions.domain.sensitive import Sensitive
from functions.usecases.ports import Push

_SETTINGS = "x-twilio-webhooks-signature-settings"
"""key=<the shared key's id>,algorithm=HMAC_SHA256. Missing where the auth token signs, with SHA-1."""

_PORTS = {"http": 80, "https": 443}


def check_signature(push: Push, fields: Iterable[tuple[str, str]], keys: Mapping[str, Sensitive | None]) -> None:
    """`fields` are the form's; none of a JSON body, whose hash is in the URL. `keys`: by the algorithm that they sign
    with. Raises InvalidSignature.

    The scheme has no time in it: who replays a callback tells what is known already.
    """
    algorithm = _algorithm(push.headers.get(_SETTINGS, ""))
    key = keys.get(algorithm)
    if key is None:
        raise InvalidSignature("signed with an algorithm for which the secret has no key")
    presented = push.headers.get("x-twilio-signature", "").encode(errors="replace")
    listed = "".join(name + value for name, value in sorted(set(fields)))
    expected = [_sign(url + listed, key, algorithm) for url in _spellings(push.url)]
    if not any(hmac.compare_digest(presented, signature) for signature in expected):
        raise InvalidSignature("X-Twilio-Signature is missing or wrong")


def check_body(push: Push) -> None:
    """A JSON body is signed by its hash in the URL. Raises InvalidSignature."""
    (told, *_) = parse_qs(urlsplit(push.url).query).get("bodySHA256", [""])
    if not hmac.compare_digest(told.encode(errors="replace"), hashlib.sha256(push.body).hexdigest().encode()):
        raise InvalidSignature("bodySHA256 is missing or wrong")


def _algorithm(settings: str) -> str:
    parts = (part.partition("=") for part in settings.split(","))
    named = [value.strip().upper() for name, _, value in parts if name.strip() == "algorithm"]
    return (named[0] if named else "") or "HMAC_SHA1"


def _spellings(url: str) -> tuple[str, str]:
    """Without a port and with one: Twilio's own servers do not agree whether the usual one is named."""
    parts = urlsplit(url)
    host = parts.hostname or ""
    without = parts._replace(netloc=host).geturl()
    port = parts.port or _PORTS.get(parts.scheme, 443)
    return without, parts._replace(netloc=f"{host}:{port}").geturl()


def _sign(text: str, key: Sensitive, algorithm: str) -> bytes:
    digest = "sha256" if algorithm == "HMAC_SHA256" else "sha1"
    return base64.b64encode(hmac.digest(key.reveal().encode(), text.encode(errors="replace"), digest))
