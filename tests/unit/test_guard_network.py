from __future__ import annotations

from ipaddress import ip_address

import pytest

from functions.domain.errors import InvalidRequest
from functions.domain.guard.attempt import parse_address
from functions.domain.guard.network import Source, source_of


@pytest.mark.parametrize(
    ("text", "network", "line"),
    [
        ("203.0.113.200", "203.0.113.0/24", "c8"),
        ("203.0.113.0", "203.0.113.0/24", "00"),
        ("2001:db8:1:2::3", "2001:db8:1::/48", "0002"),
        ("2001:db8:1:ffff:1:2:3:4", "2001:db8:1::/48", "ffff"),
    ],
)
def test_an_address_has_a_network_and_a_line_in_it(text: str, network: str, line: str) -> None:
    assert source_of(ip_address(text)) == Source(network, line)


def test_all_of_a_64_is_one_line() -> None:
    assert source_of(ip_address("2001:db8::1")) == source_of(ip_address("2001:db8::ffff:ffff:ffff:ffff"))


def test_an_ipv4_address_in_ipv6_clothes_is_the_ipv4_address() -> None:
    assert parse_address("::ffff:203.0.113.9") == ip_address("203.0.113.9")


@pytest.mark.parametrize("text", ["203.0.113.9", "8.8.8.8", "223.255.255.255", "2001:db8::1", "2a00:1450::1"])
def test_a_public_address_is_an_end_users(text: str) -> None:
    assert parse_address(text) == ip_address(text)


@pytest.mark.parametrize(
    "text",
    [
        "0.0.0.0",  # noqa: S104 - nobody's
        "10.255.255.255",
        "100.64.0.1",
        "127.0.0.1",
        "169.254.169.254",
        "172.16.0.1",
        "172.31.255.255",
        "192.168.1.1",
        "224.0.0.1",
        "255.255.255.255",
        "::",
        "::1",
        "fd00::1",
        "fe80::1",
        "fe80::1%eth0",
        "ff02::1",
        "::ffff:10.0.0.1",
        "::ffff:7f00:1",
    ],
)
def test_one_of_a_networks_inside_is_refused(text: str) -> None:
    with pytest.raises(InvalidRequest, match="public"):
        parse_address(text)


@pytest.mark.parametrize("text", ["", "localhost", "300.1.1.1", "203.0.113.9/24", "203.0.113.9 ", "2001:db8::1::2"])
def test_what_is_no_address_is_refused(text: str) -> None:
    with pytest.raises(InvalidRequest, match="not an IP address"):
        parse_address(text)
