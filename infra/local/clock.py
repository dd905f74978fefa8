"""The clock of the systems that are not ours: vendors, phones, API Gateway."""

from __future__ import annotations

import time


def now() -> float:
    """Seconds since 1970."""
    return time.time()  # noqa: TID251 - what is simulated has a clock of its own
