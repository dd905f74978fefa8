"""The API key: typed unseen, from a file, or from standard input."""

from __future__ import annotations

from pathlib import Path

from functions.web.authentication import digest_key
from infra.send.problems import Unusable
from infra.typed import typed_unseen

_NAME_LENGTH = 8


def read_key(file: Path | None) -> str:
    """Raises Unusable, and OSError."""
    key = typed_unseen("API key: ") if file is None else file.read_text(encoding="utf-8").strip()
    if not key:
        raise Unusable("the API key is empty: nothing was sent")
    if not (key.isascii() and key.isprintable()) or " " in key:
        raise Unusable("the API key has characters that no key has: nothing was sent")
    return key


def name_of(key: str) -> str:
    """As `./salvo key` names it."""
    return digest_key(key)[:_NAME_LENGTH]
