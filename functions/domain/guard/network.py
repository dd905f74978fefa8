"""What an end user's address says: whose line it is, and in which network.

Households and servers get a /64 of IPv6 at least, so an address of it is none of its own. A /24 and a /48 are the least
that is announced to the Internet, and what is rented out together.
"""

from __future__ import annotations

from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_network

from functions.domain.frozen import frozen

_INSIDE = tuple(
    ip_network(network)
    for network in (
        "0.0.0.0/8",  # this host
        "10.0.0.0/8",  # RFC 1918, with 172.16/12 and 192.168/16
        "100.64.0.0/10",  # RFC 6598, of carriers' own translators
        "127.0.0.0/8",
        "169.254.0.0/16",  # link-local
        "172.16.0.0/12",
        "192.168.0.0/16",
        "224.0.0.0/3",  # groups, reserved, broadcast
        "::/127",  # unspecified, and this host
        "fc00::/7",  # RFC 4193, unique local
        "fe80::/10",  # link-local
        "ff00::/8",  # groups
    )
)
_LINE_BITS_V6 = 64
_NETWORK_BITS_V4 = 24
_NETWORK_BITS_V6 = 48


@frozen()
class Source:
    network: str
    """The /24 or /48, such as 203.0.113.0/24."""
    line: str
    """Which address (IPv4) or /64 (IPv6) of the network: hexadecimal, and nobody's without the network."""


def is_inside(address: IPv4Address | IPv6Address) -> bool:
    """Whether it is one that nobody has on the Internet, or many have at once."""
    return any(address in network for network in _INSIDE)


def source_of(address: IPv4Address | IPv6Address) -> Source:
    if isinstance(address, IPv4Address):
        network = IPv4Network((int(address), _NETWORK_BITS_V4), strict=False)
        return Source(str(network), f"{int(address) & 0xFF:02x}")
    network_v6 = IPv6Network((int(address), _NETWORK_BITS_V6), strict=False)
    return Source(str(network_v6), f"{(int(address) >> _LINE_BITS_V6) & 0xFFFF:04x}")
