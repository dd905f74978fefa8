"""Providers' JSON web tokens: which are believed, and which are not."""

from __future__ import annotations

import base64
import hmac
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from functions.domain.errors import InvalidSignature
from functions.domain.sensitive import Sensitive
from functions.providers.json_web_token import LEEWAY, claims

SECRET = Sensitive("a-secret-of-both-sides")
NOW = 1_704_067_200


def encode(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).decode().rstrip("=")


def token(
    said: object,
    *,
    secret: str = SECRET.reveal(),
    header: object = {"alg": "HS256", "typ": "JWT"},
    digest: str = "sha256",
) -> str:
    """Made by hand (RFC 7515, section 3.1), so that no library agrees with itself only."""
    signed = f"{encode(json.dumps(header).encode())}.{encode(json.dumps(said).encode())}"
    return f"{signed}.{encode(hmac.digest(secret.encode(), signed.encode(), digest))}"


def test_a_token_signed_with_our_secret_is_believed() -> None:
    said = {"iss": "Vendor", "iat": NOW, "exp": NOW + 60, "nbf": NOW, "aud": "anybody", "sub": 7, "jti": 3}

    assert claims(token(said), SECRET, NOW) == said


def test_a_token_made_elsewhere_is_believed() -> None:
    """Not of our making: the example that jwt.io shows first, with the secret that it names."""
    example = (
        "eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9."
        "eyJzdWIiOiIxMjM0NTY3ODkwIiwibmFtZSI6IkpvaG4gRG9lIiwiaWF0IjoxNTE2MjM5MDIyfQ."
        "SflKxwRJSMeKKF2QT4fwpMeJf36POk6yJV_adQssw5c"
    )

    said = claims(example, Sensitive("your-256-bit-secret"), NOW)

    assert said == {"sub": "1234567890", "name": "John Doe", "iat": 1516239022}


@pytest.mark.parametrize(
    "said",
    [
        {"exp": NOW - LEEWAY + 1},
        {"exp": NOW + 0.5},
        {"nbf": NOW + LEEWAY},
        {"exp": None, "nbf": None},
        {},
    ],
)
def test_a_token_is_valid_within_its_times_and_a_little_around_them(said: object) -> None:
    assert claims(token(said), SECRET, NOW) == said


@pytest.mark.parametrize(
    "said",
    [
        {"exp": NOW - LEEWAY},
        {"exp": 0},
        {"exp": float("nan")},
        {"exp": "2999"},
        {"exp": [NOW + 60]},
        {"nbf": NOW + LEEWAY + 1},
        {"nbf": float("inf")},
        {"nbf": "0"},
        {"nbf": float("nan")},
    ],
)
def test_a_token_that_is_too_old_or_too_young_is_refused(said: object) -> None:
    with pytest.raises(InvalidSignature):
        claims(token(said), SECRET, NOW)


@pytest.mark.parametrize(
    "header",
    [
        {"alg": "none"},
        {"alg": "HS384"},
        {"alg": "RS256"},
        {"alg": ["HS256"]},
        {"alg": None},
        {},
        {"alg": "HS256", "crit": ["exp"]},
        ["HS256"],
    ],
)
def test_another_algorithm_is_refused_whatever_the_signature(header: object) -> None:
    with pytest.raises(InvalidSignature):
        claims(token({}, header=header), SECRET, NOW)


def test_a_longer_hash_is_refused_where_it_says_so_and_where_it_does_not() -> None:
    for header in ({"alg": "HS512"}, {"alg": "HS256"}):
        with pytest.raises(InvalidSignature):
            claims(token({}, header=header, digest="sha512"), SECRET, NOW)


def test_anothers_signature_is_refused() -> None:
    with pytest.raises(InvalidSignature):
        claims(token({}, secret="another secret"), SECRET, NOW)


@pytest.mark.parametrize("cut", ["", ".", "..", "...", "a.b.c", "Bearer x", "é.é.é", "\ud800", "e30.e30."])
def test_what_is_no_token_is_refused(cut: str) -> None:
    with pytest.raises(InvalidSignature):
        claims(cut, SECRET, NOW)


@pytest.mark.parametrize("said", [[], "text", 7, None])
def test_claims_that_are_no_object_are_refused(said: object) -> None:
    with pytest.raises(InvalidSignature):
        claims(token(said), SECRET, NOW)


def test_a_signature_is_refused_where_the_claims_were_changed() -> None:
    header, _, signature = token({"payload_hash": "a"}).split(".")
    changed = encode(json.dumps({"payload_hash": "b"}).encode())

    with pytest.raises(InvalidSignature):
        claims(f"{header}.{changed}.{signature}", SECRET, NOW)


def test_a_refusal_repeats_neither_token_nor_secret() -> None:
    presented = token({"sub": "+13800000000"}, secret="another secret")

    with pytest.raises(InvalidSignature) as refusal:
        claims(presented, SECRET, NOW)

    assert presented not in str(refusal.value)
    assert SECRET.reveal() not in str(refusal.value)
    assert refusal.value.__suppress_context__


@given(st.text() | st.lists(st.binary().map(encode), min_size=3, max_size=3).map(".".join))
def test_any_text_is_no_token_of_ours(text: str) -> None:
    with pytest.raises(InvalidSignature):
        claims(text, SECRET, NOW)


@given(st.recursive(st.none() | st.integers() | st.floats() | st.text(), st.lists))
def test_any_time_is_valid_or_an_invalid_signature(time: object) -> None:
    try:
        claims(token({"exp": time, "nbf": time}), SECRET, NOW)
    except InvalidSignature:
        return

    assert time is None or (isinstance(time, int | float) and NOW - LEEWAY < time <= NOW + LEEWAY)
