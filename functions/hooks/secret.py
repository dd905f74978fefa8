"""A hook's secret: one text for each service, and under `*` one for all others."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from functions.domain.sensitive import Sensitive
from functions.usecases.ports import KeysUnavailable

ANY_SERVICE = "*"


def entry_of(secret: Mapping[str, Any], service: str) -> Sensitive:
    """Raises KeysUnavailable."""
    entry = secret.get(service, secret.get(ANY_SERVICE))
    if not isinstance(entry, str) or not entry:
        raise KeysUnavailable(f"it has no entry for {service}, and none for {ANY_SERVICE}")
    return Sensitive(entry)
