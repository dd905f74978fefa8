"""The verifier against RFC 8032's own vectors, against a library that signs, and against forgeries."""

from __future__ import annotations

import pytest
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from hypothesis import example, given, settings
from hypothesis import strategies as st

from functions.providers.ed25519 import _decode, verify

ORDER = 2**252 + 27742317777372353535851937790883648493
PRIME = 2**255 - 19

# RFC 8032, section 7.1: secret key, public key, message, signature.
VECTORS = {
    "TEST 1": (
        "9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60",
        "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a",
        "",
        (
            "e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e065224901555fb8821590a33bacc61e39701cf9b46b"
            "d25bf5f0595bbe24655141438e7a100b"
        ),
    ),
    "TEST 2": (
        "4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb",
        "3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c",
        "72",
        (
            "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da085ac1e43e15996e458f3613d0f11d8c"
            "387b2eaeb4302aeeb00d291612bb0c00"
        ),
    ),
    "TEST 3": (
        "c5aa8df43f9f837bedb7442f31dcb7b166d38535076f094b85ce3a2e0b4458f7",
        "fc51cd8e6218a1a38da47ed00230f0580816ed13ba3303ac5deb911548908025",
        "af82",
        (
            "6291d657deec24024827e69c3abe01a30ce548a284743a445e3680d7db5ac3ac18ff9b538d16f290ae67f760984dc659"
            "4a7c15e9716ed28dc027beceea1ec40a"
        ),
    ),
    "TEST SHA(abc)": (
        "833fe62409237b9d62ec77587520911e9a759cec1d19755b7da901b96dca3d42",
        "ec172b93ad5e563bf4932c70e1245034c35467ef2efd4d64ebf819683467e2bf",
        (
            "ddaf35a193617abacc417349ae20413112e6fa4e89a97ea20a9eeee64b55d39a2192992a274fc1a836ba3c23a3feebbd"
            "454d4423643ce80e2a9ac94fa54ca49f"
        ),
        (
            "dc2a4459e7369633a52b1bf277839a00201009a3efbf3ecb69bea2186c26b58909351fc9ac90b3ecfdfbc7c66431e030"
            "3dca179c138ac17ad9bef1177331a704"
        ),
    ),
}
# The eight points of small order, and other ways to write some of them (y + p, or a sign for x = 0).
SMALL_ORDER = {
    "0": bytes(32),
    "0 with a sign": bytes(31) + b"\x80",
    "1": b"\x01" + bytes(31),
    "1 with a sign": b"\x01" + bytes(30) + b"\x80",
    "-1": (PRIME - 1).to_bytes(32, "little"),
    "-1 with a sign": (PRIME - 1 + 2**255).to_bytes(32, "little"),
    "order 8": bytes.fromhex("26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05"),
    "order 8 with a sign": bytes.fromhex("26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc85"),
    "order 8, the other": bytes.fromhex("c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a"),
    "order 8, the other with a sign": bytes.fromhex("c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac03fa"),
    "p": PRIME.to_bytes(32, "little"),
    "p + 1": (PRIME + 1).to_bytes(32, "little"),
}


def key_of(seed: bytes) -> tuple[Ed25519PrivateKey, bytes]:
    private = Ed25519PrivateKey.from_private_bytes(seed)
    return private, private.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)


def a_library_verifies(public_key: bytes, message: bytes, signature: bytes) -> bool:
    try:
        Ed25519PublicKey.from_public_bytes(public_key).verify(signature, message)
    except InvalidSignature:
        return False
    return True


@pytest.mark.parametrize("name", VECTORS)
def test_the_documents_vectors_are_good(name: str) -> None:
    secret, public_key, message, signature = (bytes.fromhex(part) for part in VECTORS[name])

    assert key_of(secret)[1] == public_key
    assert verify(public_key, message, signature)


@pytest.mark.parametrize("name", VECTORS)
def test_one_bit_of_a_signature_or_a_key_decides(name: str) -> None:
    _, public_key, message, signature = (bytes.fromhex(part) for part in VECTORS[name])

    for place in range(0, 512, 7):
        assert not verify(public_key, message, flipped(signature, place))
    for place in range(0, 256, 7):
        assert not verify(flipped(public_key, place), message, signature)


def flipped(data: bytes, place: int) -> bytes:
    return bytes(byte ^ (1 << place % 8 if index == place // 8 else 0) for index, byte in enumerate(data))


@given(seed=st.binary(min_size=32, max_size=32), message=st.binary(max_size=200))
@settings(deadline=None, max_examples=50)
def test_what_a_library_signs_is_good_and_no_other_message_is(seed: bytes, message: bytes) -> None:
    private, public_key = key_of(seed)
    signature = private.sign(message)

    assert verify(public_key, message, signature)
    assert not verify(public_key, message + b"\x00", signature)


@given(seed=st.binary(min_size=32, max_size=32), message=st.binary(max_size=50), place=st.integers(0, 511))
@settings(deadline=None, max_examples=50)
def test_a_library_has_the_same_opinion_of_a_signature_that_was_tampered_with(
    seed: bytes, message: bytes, place: int
) -> None:
    private, public_key = key_of(seed)
    signature = flipped(private.sign(message), place)

    assert verify(public_key, message, signature) == a_library_verifies(public_key, message, signature)


@given(public_key=st.binary(min_size=32, max_size=32), message=st.binary(max_size=50), signature=st.binary(max_size=70))
@example(public_key=b"\xff" * 32, message=b"", signature=b"\xff" * 64)
@example(public_key=b"\x02" + bytes(31), message=b"", signature=bytes(64))  # no such point
@settings(deadline=None, max_examples=50)
def test_anything_else_is_refused_without_a_fault(public_key: bytes, message: bytes, signature: bytes) -> None:
    assert not verify(public_key, message, signature)


@pytest.mark.parametrize("size", [0, 31, 33])
def test_a_key_of_another_size_is_refused(size: int) -> None:
    _, public_key, message, signature = (bytes.fromhex(part) for part in VECTORS["TEST 2"])

    assert not verify((public_key + b"\x00")[:size], message, signature)


def test_the_second_way_to_write_a_signature_is_refused() -> None:
    _, public_key, message, signature = (bytes.fromhex(part) for part in VECTORS["TEST 2"])
    s = int.from_bytes(signature[32:], "little")

    assert not verify(public_key, message, signature[:32] + (s + ORDER).to_bytes(32, "little"))


def test_the_second_way_to_write_a_point_is_none() -> None:
    once = [_decode(y.to_bytes(32, "little")) for y in range(19)]

    assert sum(point is not None for point in once) > 8
    assert [_decode((PRIME + y).to_bytes(32, "little")) for y in range(19)] == [None] * 19


@pytest.mark.parametrize("name", SMALL_ORDER)
def test_a_key_that_every_message_would_be_good_for_is_refused(name: str) -> None:
    """R = A and s = 0 satisfy the equation for an eighth of all messages, or for each."""
    public_key = SMALL_ORDER[name]

    for commitment in {public_key, *SMALL_ORDER.values()}:
        assert not any(verify(public_key, bytes([number]), commitment + bytes(32)) for number in range(16))
