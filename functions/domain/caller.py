"""Who calls, and what they may do."""

from __future__ import annotations

from enum import StrEnum
from typing import TypeAlias

from functions.domain.frozen import frozen

Services: TypeAlias = frozenset[str] | None
"""That a caller may act for. None: every one."""


class Scope(StrEnum):
    START = "start"
    """To start, resend and cancel."""
    CHECK = "check"
    READ = "read"
    ADMIN = "admin"
    """All of them."""


EVERYTHING = frozenset(Scope)
MOST_SERVICES = 100
"""That a key can name: as many as a condition of DynamoDB can list."""


def covers(services: Services, service: str) -> bool:
    return services is None or service in services


@frozen(kw_only=True)
class Caller:
    name: str
    """For the log. An Idempotency-Key is a caller's own by it."""
    scopes: frozenset[Scope] = EVERYTHING
    services: Services = None

    def may(self, scope: Scope) -> bool:
        return scope in self.scopes or Scope.ADMIN in self.scopes

    def is_for(self, service: str) -> bool:
        return covers(self.services, service)
