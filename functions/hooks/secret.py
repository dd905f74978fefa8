"""A hook's secret: one text for each service, and under `*` one for all others.

It is a provider's secret by its name, so that the functions may read it as they may those.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from functions.domain.sensitive import Sensitive
from functions.usecases.ports import KeysUnavailable

CHALLENGE_SECRET, RISK_SECRET = "challenge", "risk"
"""Behind the beginning that providers' secrets have."""
ANY_SERVICE = "*"


def entry_of(secret: Mapping[str, Any], service: str) -> Sensitive:
    """Raises KeysUnavailable."""
    entry = secret.get(service, secret.get(ANY_SERVICE))
    if not isinstance(entry, str) or not entry:
        raise KeysUnavailable(f"it has no entry for {service}, and none for {ANY_SERVICE}")
    return Sensitive(entry)
