"""Whose API a campaign goes through: a deployed stack's (stack.py), or the local system's."""

from __future__ import annotations

from dataclasses import dataclass

from infra.local.ready import LOCAL_KEY

_CONCURRENCY = 5
"""Bulk senders at once, where no stack says otherwise: the template's default."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    url: str
    key: str | None
    """None where it has to be asked for."""
    concurrency: int
    """Of the bulk sender."""


def local(port: int) -> Target:
    return Target(url=f"http://127.0.0.1:{port}", key=LOCAL_KEY, concurrency=_CONCURRENCY)
