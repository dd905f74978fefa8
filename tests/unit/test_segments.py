"""Segments, against an oracle that encodes the text and cuts the encoded units."""

from __future__ import annotations

from array import array
from itertools import chain

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from functions.domain.segments import Encoding, Segments, count_segments

ESCAPE = 0x1B
# 3GPP TS 23.038 section 6.2.1: a character's place is its septet.
DEFAULT_TABLE = (
    "@£$¥èéùìòÇ\nØø\rÅå"
    "Δ_ΦΓΛΩΠΨΣΘΞ\x1bÆæßÉ"
    " !\"#¤%&'()*+,-./"
    "0123456789:;<=>?"
    "¡ABCDEFGHIJKLMNO"
    "PQRSTUVWXYZÄÖÑÜ§"
    "¿abcdefghijklmno"
    "pqrstuvwxyzäöñüà"
)
EXTENSION_TABLE = {
    "\f": 0x0A, "^": 0x14, "{": 0x28, "}": 0x29, "\\": 0x2F, "[": 0x3C, "~": 0x3D, "]": 0x3E, "|": 0x40, "€": 0x65,
}  # fmt: skip
SEPTETS = {character: [place] for place, character in enumerate(DEFAULT_TABLE) if place != ESCAPE} | {
    character: [ESCAPE, place] for character, place in EXTENSION_TABLE.items()
}

# Runs of one character each: long enough to cross the limits, with pairs lying on them.
RUNS = st.tuples(st.sampled_from("ab@€^\n"), st.integers(1, 160)).map(lambda run: run[0] * run[1])
UNICODE_RUNS = st.tuples(st.sampled_from("aя中€\uffff😀\U0010ffff"), st.integers(1, 70)).map(
    lambda run: run[0] * run[1]
)
TEXTS = st.one_of(
    st.lists(RUNS, max_size=6).map("".join),
    st.lists(UNICODE_RUNS, max_size=6).map("".join),
    st.text(st.sampled_from(sorted(SEPTETS)), max_size=400),
    st.text(max_size=200),
)


def oracle(text: str) -> Segments:
    if all(character in SEPTETS for character in text):
        septets = list(chain.from_iterable(SEPTETS[character] for character in text))
        return Segments(Encoding.GSM7, len(septets), len(cut(septets, single=160, part=153, leads=range(0x1B, 0x1C))))
    units = list(array("H", text.encode("utf-16-le")))
    return Segments(Encoding.UCS2, len(units), len(cut(units, single=70, part=67, leads=range(0xD800, 0xDC00))))


def cut(units: list[int], *, single: int, part: int, leads: range) -> list[list[int]]:
    """A lead (the escape, a high surrogate) may not end a part that another follows."""
    if len(units) <= single:
        return [units]
    parts = []
    while units:
        end = part - 1 if len(units) > part and units[part - 1] in leads else part
        parts.append(units[:end])
        units = units[end:]
    return parts


@settings(deadline=None)
@given(TEXTS)
def test_every_text_is_counted_as_it_is_encoded(text: str) -> None:
    assert count_segments(text) == oracle(text)


def test_the_alphabet_is_that_of_the_standard_and_no_character_more() -> None:
    gsm7 = {chr(point) for point in range(0x10000) if count_segments(chr(point)).encoding is Encoding.GSM7}

    assert gsm7 == set(SEPTETS)
    assert len(gsm7) == 127 + 10


@pytest.mark.parametrize("character", "\f^{}\\[~]|€")
def test_an_extension_character_costs_two_septets(character: str) -> None:
    assert count_segments(character) == Segments(Encoding.GSM7, 2, 1)


def test_a_capital_c_with_cedilla_is_gsm_7_and_a_small_one_is_not() -> None:
    assert count_segments("Ç").encoding is Encoding.GSM7
    assert count_segments("ç").encoding is Encoding.UCS2


def test_one_foreign_character_turns_the_whole_text_into_ucs_2() -> None:
    assert count_segments("a" * 70 + "я") == Segments(Encoding.UCS2, 71, 2)


def test_an_emoji_costs_two_units() -> None:
    assert count_segments("😀") == Segments(Encoding.UCS2, 2, 1)


def test_an_empty_text_is_one_sms() -> None:
    assert count_segments("") == Segments(Encoding.GSM7, 0, 1)


@pytest.mark.parametrize(("length", "count"), [(160, 1), (161, 2), (306, 2), (307, 3)])
def test_gsm_7_has_160_septets_alone_and_153_a_part(length: int, count: int) -> None:
    assert count_segments("a" * length).count == count


@pytest.mark.parametrize(("length", "count"), [(70, 1), (71, 2), (134, 2), (135, 3)])
def test_ucs_2_has_70_units_alone_and_67_a_part(length: int, count: int) -> None:
    assert count_segments("я" * length).count == count


def test_an_escape_pair_on_the_border_goes_to_the_next_part() -> None:
    assert count_segments("a" * 153 + "€" + "a" * 151) == Segments(Encoding.GSM7, 306, 2)
    assert count_segments("a" * 152 + "€" + "a" * 152) == Segments(Encoding.GSM7, 306, 3)


def test_a_surrogate_pair_on_the_border_goes_to_the_next_part() -> None:
    assert count_segments("я" * 67 + "😀" + "я" * 65) == Segments(Encoding.UCS2, 134, 2)
    assert count_segments("я" * 66 + "😀" + "я" * 66) == Segments(Encoding.UCS2, 134, 3)
