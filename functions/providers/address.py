"""Where a message may be sent: the code is in the request, and our key, and nobody on the way may read them."""

from __future__ import annotations

import ipaddress
from urllib.parse import urlsplit


def is_safe(url: str) -> bool:
    """Whether it is https, or this machine; with a host that there can be, and nothing secret in front of it."""
    try:
        parts = urlsplit(url)
        host = parts.hostname or ""
        host.encode("idna")  # as aiohttp does, which would raise at each message
        return bool(host) and parts.username is None and (parts.scheme == "https" or _is_here(parts.scheme, host))
    except ValueError:
        return False


def _is_here(scheme: str, host: str) -> bool:
    if scheme != "http":
        return False
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
