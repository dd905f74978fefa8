"""What is examined, and with what."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

import aiohttp

from functions.service_file import Configuration
from infra.aws import Aws
from infra.deployed import Deployed
from infra.doctor.finding import Finding

PATIENCE = aiohttp.ClientTimeout(total=15, connect=5)
"""With the API and with providers: a person waits."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Subject:
    aws: Aws
    stack: Deployed
    configuration: Configuration
    """What this checkout's services.toml says: what was deployed is what was built then."""
    http: aiohttp.ClientSession
    api: str
    """Where the API answers, without a slash at the end."""
    now: Callable[[], float]
    """This machine's clock."""


Check = Callable[[Subject], Awaitable[list[Finding]]]
"""Looks and changes nothing. Raises NotDeployed, and AWS's errors."""
