"""A kept decision: it comes back as it was, tells no number and no address, and is drawn by the request."""

from __future__ import annotations

import json
import secrets
from functools import partial

import pytest

from functions.domain.guard import kept
from functions.domain.guard.attempt import Attempt, parse_address
from functions.domain.guard.decision import Decision, Finding, Mode, Rule, Said
from functions.domain.guard.policy import Policy
from functions.domain.identity import pseudonym
from functions.domain.phone import parse_phone_number
from tests.harness import MORNING, FixedKeys, reveal

DECISION = Decision(
    findings=(
        Finding(rule=Rule.LISTED, said=Said.EXEMPT, key="number", lifts=frozenset({Rule.IP})),
        Finding(rule=Rule.IP, said=Said.EXEMPT, count=10, limit=10),
        Finding(rule=Rule.UNCONVERTED_1K, said=Said.DENY, mode=Mode.MONITOR, key="4915112345", count=20, limit=20),
        Finding(rule=Rule.BUDGET_TOTAL, said=Said.DENY, retry_after=30),
    )
)


def attempt(ip: str | None = "203.0.113.77") -> Attempt:
    return Attempt(
        to=parse_phone_number("+4915112345678"),
        service="shop",
        policy=Policy(),
        request="r",
        at=MORNING,
        pseudonym=partial(pseudonym, FixedKeys().ring),
        ip=None if ip is None else parse_address(ip),
        challenge=reveal("solved"),
    )


@pytest.mark.parametrize("ip", ["203.0.113.77", "2001:db8::1", None])
def test_a_decision_comes_back_as_it_was(ip: str | None) -> None:
    one = kept.of(DECISION, attempt(ip), weight=3)

    assert kept.from_text(kept.to_text(one)) == one


def test_its_line_tells_no_number_no_address_and_no_solution() -> None:
    line = kept.to_text(kept.of(DECISION, attempt(), weight=1))

    assert json.loads(line)["block"] == "4915112345"
    for secret in ("4915112345678", "12345678", "203.0.113", "solved"):
        assert secret not in line


def test_addresses_of_one_network_are_told_to_be_of_one() -> None:
    here, beside, elsewhere = (
        kept.of(DECISION, attempt(ip), weight=1) for ip in ("203.0.113.77", "203.0.113.78", "203.0.114.77")
    )

    assert here.address != beside.address
    assert here.prefix == beside.prefix != elsewhere.prefix


def test_an_address_of_ipv6_stands_for_its_64() -> None:
    here, beside, next_door = (
        kept.of(DECISION, attempt(ip), weight=1) for ip in ("2001:db8::1", "2001:db8::2", "2001:db8:0:1::1")
    )

    assert here.address == beside.address != next_door.address
    assert here.prefix == next_door.prefix


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        "{}",
        '{"service": "shop"}',
        '{"service":"s","region":"DE","type":"mobile","block":"1","number":"n","at":1,"findings":[{"rule":"none"}]}',
        '{"service":"s","region":"DE","type":"mobile","block":"1","number":"n","at":1,"findings":7}',
        '{"service":"s","region":"DE","type":"mobile","block":"1","number":"n","at":"soon","findings":[]}',
    ],
)
def test_a_line_that_is_no_decision_is_refused(text: str) -> None:
    with pytest.raises(kept.NotKept):
        kept.from_text(text)


def test_as_many_are_drawn_as_are_to_be() -> None:
    requests = [secrets.token_urlsafe(12) for _ in range(20_000)]

    drawn = sum(kept.is_sampled(request, 0.1) for request in requests)

    assert 1_780 < drawn < 2_220  # five standard deviations
    assert not any(kept.is_sampled(request, 0.0) for request in requests)
    assert all(kept.is_sampled(request, 1.0) for request in requests)
