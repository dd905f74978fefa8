"""Where a contender works, and what it is to the stopwatch."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

Work = Callable[[Any], None]
"""Sends a code to everybody whom the order names, and returns when all is done. Raises when it could not."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Region, endpoint and credentials of AWS are in the environment, where every SDK looks for them."""

    table: str
    gateway: str
    """Base URL of the simulated Yunpian."""
    apikey: str = field(repr=False)
