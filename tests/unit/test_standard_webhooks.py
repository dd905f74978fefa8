"""Signatures as Standard Webhooks has them, made and checked."""

from __future__ import annotations

import base64
from collections.abc import Mapping

import pytest
from hypothesis import given
from hypothesis import strategies as st

from functions.domain.errors import InvalidSignature
from functions.domain.sensitive import Sensitive
from functions.providers.standard_webhooks import check, keys, sign

NOW = 1_704_067_200
SECRET = "whsec_MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3"
OTHER = "whsec_" + base64.b64encode(b"another secret of 24 and more bytes").decode()
BODY = b'{"type":"sms.delivered"}'
SIGNATURE = "v1,Avik1TRWM5DiyopqELCeG0Q/JlWExOVZJV7MbiLeRmc="
SIGNED = {"webhook-id": "msg_1", "webhook-timestamp": str(NOW), "webhook-signature": SIGNATURE}


def is_good(headers: Mapping[str, str], *, secrets: str = SECRET, body: bytes = BODY, now: int = NOW) -> bool:
    try:
        check(Sensitive(secrets), headers, body, now)
    except InvalidSignature:
        return False
    return True


def test_the_documents_signature_is_made_and_is_good() -> None:
    assert sign(Sensitive(SECRET), name="msg_1", at=NOW, body=BODY) == SIGNED
    assert is_good(SIGNED)


@pytest.mark.parametrize("secret", [f"v1,{SECRET}", f"{OTHER}|{SECRET}", f"v1,{OTHER} | v1,{SECRET}"])
def test_a_secret_may_be_one_of_several_and_have_its_version_before_it(secret: str) -> None:
    assert is_good(SIGNED, secrets=secret)


def test_with_two_secrets_in_use_both_sign() -> None:
    headers = sign(Sensitive(f"{SECRET}|{OTHER}"), name="msg_1", at=NOW, body=BODY)

    assert is_good(headers, secrets=SECRET)
    assert is_good(headers, secrets=OTHER)
    assert headers["webhook-signature"].startswith(f"{SIGNATURE} v1,")


@pytest.mark.parametrize(
    "signatures", [f"v1,AAAA {SIGNATURE}", f"v1,AAAA, {SIGNATURE}", f"{SIGNATURE},v1,AAAA", f"v1a,AAAA {SIGNATURE}"]
)
def test_one_of_several_signatures_is_enough_however_they_are_joined(signatures: str) -> None:
    assert is_good({**SIGNED, "webhook-signature": signatures})


@pytest.mark.parametrize("seconds", [-300, 300])
def test_a_push_is_good_for_five_minutes_either_way(seconds: int) -> None:
    assert is_good(SIGNED, now=NOW + seconds)
    assert not is_good(SIGNED, now=NOW + seconds + seconds // 300)


BAD: dict[str, Mapping[str, str]] = {
    "nothing": {},
    "no signature": {**SIGNED, "webhook-signature": ""},
    "no id": {**SIGNED, "webhook-id": ""},
    "another id": {**SIGNED, "webhook-id": "msg_2"},
    "no time": {**SIGNED, "webhook-timestamp": ""},
    "another time": {**SIGNED, "webhook-timestamp": str(NOW + 1)},
    "the time in other words": {**SIGNED, "webhook-timestamp": f"0{NOW}"},
    "a time that is none": {**SIGNED, "webhook-timestamp": "now"},
    "a time in other digits": {**SIGNED, "webhook-timestamp": "١٧٠٤٠٦٧٢٠٠"},
    "another version": {**SIGNED, "webhook-signature": SIGNATURE.replace("v1", "v2")},
    "no version": {**SIGNED, "webhook-signature": SIGNATURE[3:]},
    "half a signature": {**SIGNED, "webhook-signature": SIGNATURE[:20]},
    "no base64": {**SIGNED, "webhook-signature": "v1,ÿÿÿÿ"},
}


@pytest.mark.parametrize("headers", BAD.values(), ids=BAD)
def test_what_was_not_signed_so_is_refused(headers: Mapping[str, str]) -> None:
    assert not is_good(headers)


def test_another_body_or_another_secret_is_refused() -> None:
    assert not is_good(SIGNED, body=BODY + b" ")
    assert not is_good(SIGNED, secrets=OTHER)


def test_a_secret_without_its_padding_is_the_same() -> None:
    padded = "whsec_" + base64.b64encode(b"0123456789abcdef0123456789").decode()

    assert padded.endswith("=")
    assert keys(Sensitive(padded.rstrip("="))) == keys(Sensitive(padded)) == (b"0123456789abcdef0123456789",)


MALFORMED = [
    "",
    "whsec_",
    "MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3",
    "whsec_%%%",
    "whsec_AAAA",
    "whsec_" + "A" * 90,
    f"{SECRET}|",
]


@pytest.mark.parametrize("secret", [*MALFORMED, "whsec_" + "A" * 33])
def test_a_secret_that_is_none_is_told_and_not_shown(secret: str) -> None:
    with pytest.raises(ValueError, match=r"Standard Webhooks|base64") as told:
        keys(Sensitive(secret))

    assert "AAAA" not in str(told.value)
    assert "MDEy" not in str(told.value)


@given(st.text(), st.text(), st.text(), st.binary())
def test_no_headers_do_more_than_be_refused(name: str, at: str, signatures: str, body: bytes) -> None:
    assert not is_good({"webhook-id": name, "webhook-timestamp": at, "webhook-signature": signatures}, body=body)
