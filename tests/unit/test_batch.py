"""Batches: what their items are called, and a count that no repeat and no order changes."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from functions.domain.batch import (
    NAME_BYTES,
    SENT,
    TOO_LATE,
    UNKNOWN,
    Batch,
    Ending,
    Notes,
    Status,
    announced_id,
    ending_of,
    item_request,
    name_from,
    name_of,
    parse_name,
)
from functions.domain.delivery import DeliveryStatus
from functions.domain.errors import NotFound
from functions.domain.identity import is_key_of, parse_id
from functions.domain.keys import Keyring, derive

KEYS = Keyring("k1", {"k1": derive("a test's pepper", "pepper")}, derive("a test's", "index"))
NAME = name_from(bytes(NAME_BYTES))
LIMITED = Ending(Status.REFUSED, "rate_limited")
BLOCKED = Ending(Status.REFUSED, "blocked_by_guard")
TOTAL = 12

ENDINGS = st.sampled_from([SENT, UNKNOWN, TOO_LATE, LIMITED, BLOCKED])
TOLD = st.lists(st.tuples(st.integers(0, TOTAL - 1), ENDINGS), max_size=30)


def batch_of(told: list[tuple[int, Ending]]) -> Batch:
    notes = Notes()
    for place, ending in told:
        notes.add(place, ending, None)
    return Batch(
        name=NAME,
        caller="shop",
        services=frozenset({"default"}),
        fingerprint="f",
        total=TOTAL,
        created_at=0,
        endings={ending: frozenset(places) for ending, places in notes.endings.items()},
    )


@settings(deadline=None)
@given(TOLD, st.data())
def test_notes_in_any_order_and_any_number_come_to_the_same(
    told: list[tuple[int, Ending]], data: st.DataObject
) -> None:
    again = data.draw(st.permutations(told + told[: len(told) // 2]))

    assert batch_of(again).settled() == batch_of(told).settled()


@settings(deadline=None)
@given(TOLD)
def test_each_item_that_was_told_of_counts_once(told: list[tuple[int, Ending]]) -> None:
    settled = batch_of(told).settled()

    assert list(settled) == sorted({place for place, _ in told})
    assert all((place, ending) in told for place, ending in settled.items())


@pytest.mark.parametrize("worse", [LIMITED, UNKNOWN])
def test_an_item_that_was_refused_or_failed_does_not_count_as_sent(worse: Ending) -> None:
    assert batch_of([(3, SENT), (3, worse)]).settled() == {3: worse}


def test_a_refusal_says_more_than_a_failure() -> None:
    assert batch_of([(3, TOO_LATE), (3, LIMITED)]).settled() == {3: LIMITED}


@pytest.mark.parametrize(
    ("status", "ending"),
    [
        (DeliveryStatus.SUBMITTED, SENT),
        (DeliveryStatus.SENT, SENT),
        (DeliveryStatus.DELIVERED, SENT),
        (DeliveryStatus.FAILED, SENT),
        (DeliveryStatus.REJECTED, Ending(Status.REFUSED, "delivery_rejected")),
        (DeliveryStatus.THROTTLED, LIMITED),
        (DeliveryStatus.UNKNOWN, UNKNOWN),
        (DeliveryStatus.NOT_SENT, None),
        (DeliveryStatus.QUEUED, None),
    ],
)
def test_an_item_ends_as_its_message_did(status: DeliveryStatus, ending: Ending | None) -> None:
    assert ending_of(status) == ending


def test_the_same_key_of_the_same_caller_is_the_same_batch() -> None:
    assert name_of(KEYS, "shop", "spring-1") == name_of(KEYS, "shop", "spring-1")
    assert name_of(KEYS, "shop", "spring-1") != name_of(KEYS, "shop", "spring-2")
    assert name_of(KEYS, "shop", "spring-1") != name_of(KEYS, "bank", "spring-1")


def test_a_name_is_read_back() -> None:
    name = name_of(KEYS, "shop", "spring-1")

    assert parse_name(name) == name


@pytest.mark.parametrize("text", ["", "bat_", "bat_ABC", "vfy_k1_abc", f"{NAME}a", f"{NAME}\n", "spring"])
def test_what_is_no_name_is_no_batch(text: str) -> None:
    with pytest.raises(NotFound):
        parse_name(text)


def test_an_item_with_a_key_is_the_same_request_in_every_batch() -> None:
    request = item_request(KEYS, NAME, 0, caller="shop", key="user-1")

    assert item_request(KEYS, name_of(KEYS, "shop", "another"), 7, caller="shop", key="user-1") == request
    assert item_request(KEYS, NAME, 0, caller="bank", key="user-1") != request


def test_an_item_without_a_key_is_its_place_in_its_batch() -> None:
    request = item_request(KEYS, NAME, 0, caller="shop", key=None)

    assert item_request(KEYS, NAME, 0, caller="shop", key=None) == request
    assert item_request(KEYS, NAME, 1, caller="shop", key=None) != request
    assert item_request(KEYS, name_of(KEYS, "shop", "another"), 0, caller="shop", key=None) != request


def test_an_announced_id_is_the_numbers_own_and_the_same_for_a_repeat() -> None:
    first = announced_id(KEYS, "default", "+4915112345678", request="r", created_at=5)

    assert parse_id(str(first)) == first
    assert is_key_of(first.key, KEYS, "default", "+4915112345678")
    assert announced_id(KEYS, "default", "+4915112345678", request="r", created_at=5) == first


@pytest.mark.parametrize(("request_", "created_at"), [("another", 5), ("r", 6)])
def test_another_request_and_another_time_have_another_announced_id(request_: str, created_at: int) -> None:
    first = announced_id(KEYS, "default", "+4915112345678", request="r", created_at=5)

    assert announced_id(KEYS, "default", "+4915112345678", request=request_, created_at=created_at).nonce != first.nonce
