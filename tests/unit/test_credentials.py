"""A provider's secret: what is wrong with it is told by its entry, and shows nothing of what is in it."""

from __future__ import annotations

from typing import Any

import pytest

from functions.providers.credentials import Secret, read_secret
from functions.providers.twilio import TwilioSecret
from functions.providers.vonage import VonageSecret
from functions.usecases.ports import KeysUnavailable

TOKEN = "t" * 32
KEY = "a-key-that-was-put-into-the-wrong-entry"


def refusal_of(kind: type[Secret], **entries: Any) -> str:
    with pytest.raises(KeysUnavailable) as told:
        read_secret("vendor", {"receipt_token": TOKEN, **entries}, kind)
    return str(told.value)


def test_a_word_that_is_none_of_those_that_there_are_is_not_repeated() -> None:
    told = refusal_of(
        VonageSecret, api_key="k", api_secret="s", signature_secret="s", signature_method=f"{KEY}' - at x"
    )

    assert told.startswith("vendor: ")
    assert told.endswith("at `$.signature_method`")
    assert KEY not in told


@pytest.mark.parametrize("token", ["", "changeme", "t" * 31])
def test_a_receipt_token_that_could_be_tried_out_is_none(token: str) -> None:
    assert refusal_of(Secret, receipt_token=token).endswith("at `$.receipt_token`")


def test_the_shortest_receipt_token_is_one() -> None:
    assert read_secret("vendor", {"receipt_token": TOKEN}, Secret).receipt_token.reveal() == TOKEN


def test_an_account_that_was_copied_with_its_line_break_is_told() -> None:
    told = refusal_of(TwilioSecret, account_sid=f"AC{'0' * 32}\n", auth_token="t")

    assert told.endswith("at `$.account_sid`")
