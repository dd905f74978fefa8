"""A start, as the rules see it."""

from __future__ import annotations

from dataclasses import field
from ipaddress import IPv4Address, IPv6Address, ip_address
from typing import Protocol, TypeAlias

from functions.domain.errors import InvalidRequest
from functions.domain.frozen import frozen
from functions.domain.guard.network import is_inside
from functions.domain.guard.policy import Policy
from functions.domain.phone import PhoneNumber
from functions.domain.sensitive import Sensitive

Address: TypeAlias = IPv4Address | IPv6Address


def parse_address(text: str) -> Address:
    """Raises InvalidRequest. An IPv4 address that is written as an IPv6 one is the IPv4 address.

    One of a network's inside is refused and not passed over: it is the caller's own load balancer's, or everybody's.
    """
    try:
        address = ip_address(text)
    except ValueError:
        raise InvalidRequest("ip is not an IP address") from None
    mapped = address.ipv4_mapped if isinstance(address, IPv6Address) else None
    address = mapped or address
    if is_inside(address):
        raise InvalidRequest("ip must be the end user's public address: this one is of a network's inside")
    return address


class Pseudonym(Protocol):
    def __call__(self, kind: str, text: str, /) -> str:
        """24 characters of a keyed digest: always the same for the same text, and nothing without the key."""


@frozen(kw_only=True)
class Attempt:
    to: PhoneNumber
    service: str
    policy: Policy = field(repr=False)
    request: str
    """Its digest: the same request is the same attempt."""
    at: int
    pseudonym: Pseudonym = field(repr=False, compare=False)
    """Of numbers, blocks and addresses: the table holds none of them."""
    ip: Address | None = field(default=None, repr=False)
    """The end user's, as an authenticated caller says; mapped IPv4 addresses are IPv4."""
    trusted: bool = False
    """The caller knows that the number's owner is signed in."""
    challenge: Sensitive | None = None
    """The solution that came along."""

    @property
    def region(self) -> str:
        return self.to.region

    @property
    def block_10k(self) -> str:
        """The number without its + and its last four digits: what a carrier hands out, and rents to whoever pumps."""
        return self.to.e164[1:-4]

    @property
    def block_1k(self) -> str:
        return self.to.e164[1:-3]

    @property
    def block(self) -> str:
        """Both blocks, as a record may keep them: the pseudonym of the greater one, and which tenth of it."""
        return f"{self.pseudonym('block', self.block_10k)}{self.block_1k[-1]}"
