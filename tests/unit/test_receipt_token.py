"""The tokens of receipts addresses: each vouches for what it was made for, and for nothing else."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from functions.domain.errors import NotFound
from functions.domain.receipt_token import account_token, message_token, read_token
from functions.domain.sensitive import Sensitive

SECRET = Sensitive("a-secret-of-at-least-32-characters")
REFERENCE = "vfy_k1_abcdefghijklmnopqrstuvwxabcdefghijklmnop.1"


def test_a_messages_token_carries_its_reference() -> None:
    assert read_token(SECRET, "twilio", message_token(SECRET, "twilio", REFERENCE)) == REFERENCE


def test_the_accounts_token_carries_none() -> None:
    assert read_token(SECRET, "aliyun", account_token(SECRET, "aliyun")) is None


def test_tokens_fit_into_a_path() -> None:
    assert re.fullmatch(r"[A-Za-z0-9._-]{72}", message_token(SECRET, "twilio", REFERENCE))
    assert re.fullmatch(r"[A-Za-z0-9_-]{22}", account_token(SECRET, "twilio"))


@pytest.mark.parametrize(
    "token",
    [
        message_token(SECRET, "vonage", REFERENCE),
        message_token(Sensitive("another secret"), "twilio", REFERENCE),
        message_token(SECRET, "twilio", REFERENCE).replace(".1.", ".2."),
        message_token(SECRET, "twilio", REFERENCE).replace("vfy_k1_a", "vfy_k1_b"),
        message_token(SECRET, "twilio", REFERENCE)[:-1],
        message_token(SECRET, "twilio", REFERENCE) + "A",
        f"{REFERENCE}.{account_token(SECRET, 'twilio')}",
        message_token(SECRET, "twilio", REFERENCE).rpartition(".")[2],
        account_token(SECRET, "vonage"),
        SECRET.reveal(),
        REFERENCE,
        "",
        ".",
        "ä",
    ],
)
def test_another_token_is_refused(token: str) -> None:
    with pytest.raises(NotFound):
        read_token(SECRET, "twilio", token)


@given(token=st.text())
def test_any_text_is_refused(token: str) -> None:
    with pytest.raises(NotFound):
        read_token(SECRET, "twilio", token)


@given(left=st.tuples(st.text(), st.text()), right=st.tuples(st.text(), st.text()))
def test_no_two_messages_have_the_same_token(left: tuple[str, str], right: tuple[str, str]) -> None:
    assert (message_token(SECRET, *left) == message_token(SECRET, *right)) == (left == right)
