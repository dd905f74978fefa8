"""Names of things: what is parsed back, what is refused, and that no two things share a name."""

from __future__ import annotations

import base64
import hashlib
import hmac
import re
import string
from dataclasses import replace

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from functions.domain.errors import NotFound
from functions.domain.identity import (
    NONCE_BYTES,
    VerificationId,
    is_key_id,
    nonce_from,
    number_key,
    parse_id,
    parse_reference,
    reference,
    request_digest,
)
from functions.domain.keys import Keyring, derive, mac

NUMBER = "+4915112345678"
KEYS = Keyring("k1", {"k1": derive("a test's pepper", "pepper")}, derive("a test's index", "index"))
OTHER_INDEX = replace(KEYS, index=derive("another index", "index"))
OTHER_PEPPER = replace(KEYS, current="k2", peppers={"k2": derive("another pepper", "pepper")})

BASE32 = "abcdefghijklmnopqrstuvwxyz234567"
KEY_IDS = st.text(string.ascii_lowercase + string.digits, min_size=1, max_size=8)
IDS = st.builds(
    VerificationId,
    kid=KEY_IDS,
    key=st.text(BASE32, min_size=24, max_size=24),
    nonce=st.text(BASE32, min_size=16, max_size=16),
)
FIELDS = st.lists(st.text(max_size=4), max_size=4)

KEY = "a" * 24
NONCE = "b" * 16
GOOD = f"vfy_k1_{KEY}{NONCE}"
NO_IDS = [
    "",
    "vfy_",
    f"vfy__{KEY}{NONCE}",
    f"vfy_123456789_{KEY}{NONCE}",
    f"vfy_K1_{KEY}{NONCE}",
    f"vfy_k-1_{KEY}{NONCE}",
    f"vfy_k1_k1_{KEY}{NONCE}",
    f"vfy_k1{KEY}{NONCE}",
    f"VFY_k1_{KEY}{NONCE}",
    f"v_k1_{KEY}{NONCE}",
    f"vfy_k1_{KEY}_{NONCE}",
    GOOD[:-1],
    f"{GOOD}a",
    f"{GOOD}\n",
    f" {GOOD}",
    f"{GOOD}\x00",
    f"vfy_k1_{KEY}{'0' * 16}",
    f"vfy_k1_{KEY}{'1' * 16}",
    f"vfy_k1_{KEY}{'8' * 16}",
    f"vfy_k1_{KEY}{'B' * 16}",
    f"vfy_k1_{KEY}{'ｂ' * 16}",
    f"vfy_k١_{KEY}{NONCE}",
    f"{GOOD}/check",
    f"../{GOOD}",
    f"{GOOD}.1",
]
NO_REFERENCES = [
    "",
    ".",
    ".1",
    GOOD,
    f"{GOOD}.",
    f"{GOOD}.1000",
    f"{GOOD}.-1",
    f"{GOOD}.+1",
    f"{GOOD}. 1",
    f"{GOOD}.1\n",
    f"{GOOD}.1.1",
    f"{GOOD}.1_0",
    f"{GOOD}.¹",
    f"{GOOD}.١",
    f"{GOOD}.a",
    f"{GOOD},1",
    f"1.{GOOD}",
    "yunpian-58012345.1",
]


def independent_mac(key: bytes, *fields: str) -> bytes:
    message = b"".join(len(field.encode()).to_bytes(4, "big") + field.encode() for field in fields)
    return hmac.new(key, message, hashlib.sha256).digest()


@given(verification_id=IDS)
def test_an_id_parses_back(verification_id: VerificationId) -> None:
    assert parse_id(str(verification_id)) == verification_id


@given(entropy=st.binary(min_size=NONCE_BYTES, max_size=NONCE_BYTES), service=st.text(), number=st.text())
def test_an_id_as_it_is_made_parses_back(entropy: bytes, service: str, number: str) -> None:
    made = VerificationId(KEYS.current, number_key(KEYS, service, number), nonce_from(entropy))

    assert parse_id(str(made)) == made


@pytest.mark.parametrize("text", NO_IDS, ids=ascii)
def test_what_is_shaped_otherwise_is_answered_as_not_found(text: str) -> None:
    with pytest.raises(NotFound):
        parse_id(text)


@given(text=st.text())
def test_no_text_is_taken_for_an_id_by_chance(text: str) -> None:
    with pytest.raises(NotFound):
        parse_id(text)


@given(verification_id=IDS, place=st.integers(0, 60), cut=st.integers(0, 2), patch=st.text(max_size=2))
def test_a_damaged_id_is_another_id_or_not_found(
    verification_id: VerificationId, place: int, cut: int, patch: str
) -> None:
    text = str(verification_id)
    damaged = text[:place] + patch + text[place + cut :]
    assume(damaged != text)

    try:
        parsed = parse_id(damaged)
    except NotFound:
        return
    assert str(parsed) == damaged
    assert parsed != verification_id


def test_a_refusal_does_not_repeat_what_was_asked_for() -> None:
    with pytest.raises(NotFound) as caught:
        parse_id(NUMBER)

    assert NUMBER not in f"{caught.value!r} {caught.value.detail}"


@given(kid=KEY_IDS)
def test_a_key_id_can_be_a_part_of_an_id(kid: str) -> None:
    assert is_key_id(kid)
    assert parse_id(f"vfy_{kid}_{KEY}{NONCE}").kid == kid


@pytest.mark.parametrize("kid", ["", "123456789", "K1", "k_1", "k-1", "k 1", "k1\n", "ü", "k１"])
def test_a_key_id_that_an_id_could_not_hold_is_none(kid: str) -> None:
    assert not is_key_id(kid)


def test_two_nonces_differ_where_their_entropy_does() -> None:
    nonces = {nonce_from(bytes(NONCE_BYTES - 1) + bytes([last])) for last in range(256)}
    nonces |= {nonce_from(bytes([begin]) + bytes(NONCE_BYTES - 1)) for begin in range(256)}

    assert len(nonces) == 511


@given(service=st.text(), number=st.text())
def test_a_numbers_key_is_120_bits_of_a_keyed_hash(service: str, number: str) -> None:
    key = number_key(KEYS, service, number)

    assert re.fullmatch(rf"[{BASE32}]{{24}}", key)
    assert base64.b32decode(key.upper()) == independent_mac(KEYS.index, "number", service, number)[:15]


def test_a_number_has_another_key_in_every_service() -> None:
    assert number_key(KEYS, "shop", NUMBER) != number_key(KEYS, "bank", NUMBER)


def test_every_number_has_another_key() -> None:
    assert len({number_key(KEYS, "shop", f"+491511{n:07d}") for n in range(10_000)}) == 10_000


def test_another_index_key_makes_other_keys() -> None:
    assert number_key(KEYS, "shop", NUMBER) != number_key(OTHER_INDEX, "shop", NUMBER)


def test_another_pepper_leaves_a_numbers_key_alone() -> None:
    assert number_key(KEYS, "shop", NUMBER) == number_key(OTHER_PEPPER, "shop", NUMBER)


def test_the_end_of_a_service_is_not_taken_for_the_start_of_a_number() -> None:
    assert number_key(KEYS, "ab", "c") != number_key(KEYS, "a", "bc")


@given(one=FIELDS, other=FIELDS)
def test_no_two_lists_of_fields_share_a_mac(one: list[str], other: list[str]) -> None:
    assume(one != other)

    assert mac(KEYS.index, "purpose", *one) != mac(KEYS.index, "purpose", *other)


@given(fields=FIELDS, cut=st.integers(0, 16))
def test_fields_are_not_confused_with_their_neighbours(fields: list[str], cut: int) -> None:
    joined = "".join(fields)
    otherwise = [joined[:cut], joined[cut:]]
    assume(otherwise != fields)

    assert mac(KEYS.index, *("purpose", *fields)) != mac(KEYS.index, *("purpose", *otherwise))


def test_a_purpose_is_not_confused_with_a_field() -> None:
    assert mac(KEYS.index, "ab", "c") != mac(KEYS.index, "a", "bc")
    assert mac(KEYS.index, "a") != mac(KEYS.index, "a", "")


def test_two_purposes_of_one_entry_have_keys_of_their_own() -> None:
    assert derive("entry", "pepper") != derive("entry", "index")
    assert len(derive("entry", "pepper")) == 32


def test_a_keyring_shows_its_key_ids_and_no_key() -> None:
    shown = f"{KEYS} {KEYS!r} {[KEYS]}"

    assert "k1" in shown
    for key in (*KEYS.peppers.values(), KEYS.index):
        assert repr(key) not in shown
        assert key.hex() not in shown


@given(verification_id=IDS, send=st.integers(0, 999))
def test_a_reference_names_the_verification_and_the_send(verification_id: VerificationId, send: int) -> None:
    assert parse_reference(reference(verification_id, send)) == (verification_id, send)


@pytest.mark.parametrize("text", NO_REFERENCES, ids=ascii)
def test_a_reference_that_is_not_ours_is_not_found(text: str) -> None:
    with pytest.raises(NotFound):
        parse_reference(text)


@given(text=st.text())
def test_no_text_is_taken_for_a_reference_by_chance(text: str) -> None:
    with pytest.raises(NotFound):
        parse_reference(text)


@given(scope=st.lists(st.text(min_size=6), min_size=1, max_size=3))
def test_a_requests_digest_contains_nothing_of_the_request(scope: list[str]) -> None:
    digest = request_digest(KEYS, *scope)

    assert not [part for part in scope if part in digest]
    # The record puts it behind a space and the answer's store behind a #: it may hold neither.
    assert re.fullmatch(r"[A-Za-z0-9_-]{16}", digest)


def test_a_number_as_an_idempotency_key_is_not_to_be_found_in_the_digest() -> None:
    plain = [hashlib.sha256(text.encode()).digest() for text in (NUMBER, f"start{NUMBER}", f"start|{NUMBER}")]

    digest = request_digest(KEYS, "start", NUMBER)

    assert digest not in [base64.urlsafe_b64encode(found).decode()[:16] for found in plain]
    assert not [size for size in range(4, len(NUMBER)) if NUMBER[-size:] in digest]


def test_every_part_of_the_scope_makes_it_another_request() -> None:
    digests = {
        request_digest(keys, kind, caller, key)
        for keys in (KEYS, OTHER_INDEX)
        for kind in ("start", "check")
        for caller in ("shop", "bank")
        for key in ("1", "2")
    }

    assert len(digests) == 16


def test_the_same_request_has_the_same_digest_under_another_pepper() -> None:
    assert request_digest(KEYS, "start", "1") == request_digest(OTHER_PEPPER, "start", "1")


def test_a_request_and_a_number_never_share_a_name() -> None:
    assert mac(KEYS.index, "number", "shop", NUMBER) != mac(KEYS.index, "request", "shop", NUMBER)
