"""Whether a signed push is of now: one that was recorded must not be told again later."""

from __future__ import annotations

import re

TOLERANCE = 300
"""Seconds that a signature stays good, both ways. Telnyx and Standard Webhooks name them; Sinch and Vonage do not."""

_SECONDS = re.compile(r"[0-9]{1,12}")


def is_of_now(told: str, now: int) -> bool:
    """`told`: seconds since 1970, as a header or a field has them."""
    return _SECONDS.fullmatch(told) is not None and abs(now - int(told)) <= TOLERANCE
