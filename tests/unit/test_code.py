"""Codes against a derivation of our own from hmac alone, and against chance (SEC-1, SEC-9)."""

from __future__ import annotations

import hashlib
import hmac
import itertools
import re
import struct
from array import array
from collections import Counter
from collections.abc import Iterable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from functions.domain.code import LONGEST, SHORTEST, derive_code, digest_code, parse_code, same_digest
from functions.domain.errors import InvalidCode
from functions.domain.sensitive import Sensitive

PEPPER = bytes(range(32))
ID = "vfy_k1_aaaaaaaaaaaaaaaaaaaaaaaabbbbbbbbbbbbbbbb"
MILLION = 1_000_000

# Chance exceeds these once in a million (SEC-1): 9 degrees of freedom, and 999.
WORST_FOR_TEN = 46.0
WORST_FOR_THOUSAND = 1226.0

LENGTHS = range(SHORTEST, LONGEST + 1)
NEARLY_HALF_IS_THROWN_AWAY = 19
"""Digits: 2**64 is 1.8 times 10**19. No code is as long, but the arithmetic is the same."""

PEPPERS = st.binary(min_size=32, max_size=32)
CODES = st.from_regex(re.compile(r"[0-9]{6,10}", re.ASCII), fullmatch=True)

MALFORMED = [
    "",
    "12345",
    "12345678901",
    "123456\n",
    "\n123456",
    " 123456",
    "123456 ",
    "123 456",
    "123-456",
    "+12345",
    "-12345",
    "+123456",
    "1_2345",
    "1_23456",
    "12345²",
    "123456.",
    "123456.0",
    "1e5",
    "1e0000",
    "0x12345",
    "１２３４５６",  # full-width
    "١٢٣٤٥٦",  # Arabic-Indic
    "१२३४५६",  # Devanagari
    "𝟏𝟐𝟑𝟒𝟓𝟔",  # mathematical
    "123\u200b456",
    "\u202e123456",
    "123456\x00",
    "12345\ud800",
    "[123456]",
    '{"code": 1}',
    "null",
    "true",
    "1" * 10_240,
]


def independent_mac(pepper: bytes, *fields: str) -> bytes:
    message = b"".join(struct.pack(">I", len(field.encode())) + field.encode() for field in fields)
    return hmac.new(pepper, message, "sha256").digest()


def independent_code(pepper: bytes, verification_id: str, generation: int, length: int) -> str:
    """Of 2**64 draws, those in the last and unfinished round through the codes are thrown away."""
    codes = 10**length
    for counter in itertools.count():
        stream = independent_mac(pepper, "code", verification_id, str(generation), str(counter))
        for draw in struct.unpack(">4Q", stream):
            if draw // codes < 2**64 // codes:
                return str(draw % codes).zfill(length)
    raise AssertionError


def chi_squared(observed: Iterable[int], *, classes: int) -> float:
    counts = list(observed)
    expected = sum(counts) / classes
    assert len(counts) <= classes
    return sum((count - expected) ** 2 for count in counts) / expected + (classes - len(counts)) * expected


@pytest.fixture(scope="module")
def million() -> array[int]:
    """The codes of as many verifications. The pepper is fixed, so chance decided once and for all."""
    return array("L", (int(derive_code(PEPPER, f"vfy_k1_{n}", 1, 6).reveal()) for n in range(MILLION)))


@pytest.fixture(scope="module")
def first_halves(million: array[int]) -> Counter[int]:
    return Counter(code // 1000 for code in million)


@pytest.fixture(scope="module")
def last_halves(million: array[int]) -> Counter[int]:
    return Counter(code % 1000 for code in million)


@pytest.mark.parametrize("position", range(6))
def test_each_digit_is_as_likely_as_any_other_at_each_position(
    position: int, first_halves: Counter[int], last_halves: Counter[int]
) -> None:
    halves, place = (first_halves, 2 - position) if position < 3 else (last_halves, 5 - position)

    digits: Counter[int] = Counter()
    for half, count in halves.items():
        digits[half // 10**place % 10] += count

    assert digits.total() == MILLION
    assert chi_squared(digits.values(), classes=10) < WORST_FOR_TEN


def test_a_thousand_buckets_of_codes_are_filled_alike(first_halves: Counter[int], last_halves: Counter[int]) -> None:
    assert chi_squared(first_halves.values(), classes=1000) < WORST_FOR_THOUSAND
    assert chi_squared(last_halves.values(), classes=1000) < WORST_FOR_THOUSAND


def test_a_tenth_of_the_codes_starts_with_a_zero(first_halves: Counter[int]) -> None:
    share = sum(count for half, count in first_halves.items() if half < 100) / MILLION

    assert share == pytest.approx(0.1, abs=0.002)


@given(pepper=PEPPERS, verification_id=st.text(max_size=60), generation=st.integers(1, 99), length=st.integers(6, 19))
def test_a_code_is_the_first_fair_draw(pepper: bytes, verification_id: str, generation: int, length: int) -> None:
    code = derive_code(pepper, verification_id, generation, length)

    assert code.reveal() == independent_code(pepper, verification_id, generation, length)


def test_unfair_draws_are_thrown_away() -> None:
    codes = [derive_code(PEPPER, f"vfy_k1_{n}", 1, NEARLY_HALF_IS_THROWN_AWAY).reveal() for n in range(20_000)]

    assert codes == [independent_code(PEPPER, f"vfy_k1_{n}", 1, NEARLY_HALF_IS_THROWN_AWAY) for n in range(20_000)]
    # Taken as they come, a draw would begin with 0 to 7 twice as often as with 9.
    assert chi_squared(Counter(code[0] for code in codes).values(), classes=10) < WORST_FOR_TEN


@pytest.mark.parametrize("length", LENGTHS)
def test_a_code_has_its_length_with_its_leading_zeros(length: int) -> None:
    codes = [derive_code(PEPPER, f"vfy_k1_{n}", 1, length).reveal() for n in range(200)]

    assert all(re.fullmatch(rf"[0-9]{{{length}}}", code, re.ASCII) for code in codes)
    assert any(code.startswith("0") for code in codes)


@pytest.mark.parametrize("length", LENGTHS)
def test_what_is_derived_can_be_checked(length: int) -> None:
    code = derive_code(PEPPER, ID, 1, length)

    assert parse_code(code.reveal()) == code


def test_the_same_verification_has_the_same_code_for_ever() -> None:
    assert derive_code(PEPPER, ID, 1, 6) == derive_code(PEPPER, ID, 1, 6)


def test_every_generation_has_a_code_of_its_own() -> None:
    assert len({derive_code(PEPPER, ID, generation, 10).reveal() for generation in range(1000)}) == 1000


def test_every_verification_has_a_code_of_its_own() -> None:
    assert len({derive_code(PEPPER, f"{ID}{n}", 1, 10).reveal() for n in range(1000)}) == 1000


def test_every_pepper_makes_codes_of_its_own() -> None:
    peppers = [n.to_bytes(32, "big") for n in range(1000)]

    assert len({derive_code(pepper, ID, 1, 10).reveal() for pepper in peppers}) == 1000


def test_an_id_that_ends_in_a_digit_is_not_taken_for_a_generation() -> None:
    assert derive_code(PEPPER, f"{ID}1", 1, 10) != derive_code(PEPPER, ID, 11, 10)


def test_a_code_is_not_shown_by_accident() -> None:
    code = derive_code(PEPPER, ID, 1, 6)

    assert code.reveal() not in f"{code} {code!r} {[code]}"


@given(pepper=PEPPERS, verification_id=st.text(max_size=60), code=CODES)
def test_a_digest_is_128_bits_of_a_keyed_hash(pepper: bytes, verification_id: str, code: str) -> None:
    digest = digest_code(pepper, verification_id, Sensitive(code))

    assert digest == independent_mac(pepper, "check", verification_id, code).hex()[:32]


def test_a_digest_binds_pepper_id_and_code() -> None:
    digests = {
        digest_code(pepper, verification_id, Sensitive(code))
        for pepper in (PEPPER, bytes(32))
        for verification_id in (ID, ID[:-1] + "c")
        for code in ("123456", "123457", "0123456")
    }

    assert len(digests) == 12


def test_the_end_of_an_id_is_not_taken_for_a_digit_of_the_code() -> None:
    assert digest_code(PEPPER, f"{ID}1", Sensitive("23456")) != digest_code(PEPPER, ID, Sensitive("123456"))


def test_a_digest_is_found_by_no_search_without_the_pepper() -> None:
    digest = digest_code(PEPPER, ID, Sensitive("1234567890"))

    plain = ["1234567890", f"{ID}1234567890", f"1234567890{ID}", f"{ID}|1234567890"]
    searched = [hashlib.new(name, text.encode()).hexdigest() for name in ("sha1", "sha224", "sha256") for text in plain]
    searched += [independent_mac(key, "check", ID, "1234567890").hex() for key in (b"", bytes(32), ID.encode())]
    assert digest not in [found[:32] for found in searched]
    assert "1234567890" not in digest


@given(code=CODES)
def test_six_to_ten_digits_are_a_code(code: str) -> None:
    assert parse_code(code).reveal() == code


@pytest.mark.parametrize("text", MALFORMED, ids=lambda text: ascii(text[:20]))
def test_what_is_no_code_is_refused(text: str) -> None:
    with pytest.raises(InvalidCode):
        parse_code(text)


@given(text=st.text())
def test_any_text_is_a_code_of_ascii_digits_or_refused(text: str) -> None:
    try:
        code = parse_code(text).reveal()
    except InvalidCode:
        assert not (6 <= len(text) <= 10 and set(text) <= set("0123456789"))
    else:
        assert code == text
        assert 6 <= len(text) <= 10
        assert set(text) <= set("0123456789")


def test_a_refusal_does_not_repeat_what_was_entered() -> None:
    refusals = set()
    for text in MALFORMED:
        with pytest.raises(InvalidCode) as caught:
            parse_code(text)
        refusals.add(str(caught.value))

    assert refusals == {"a code is a string of 6 to 10 digits"}


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("00ff", "00ff", True),
        ("00ff", "00fe", False),
        ("00ff", "00f", False),
        ("00ff", "", False),
        ("", "00ff", False),
        (None, "00ff", False),
        (None, "", False),
    ],
)
def test_digests_are_the_same_or_not(one: str | None, other: str, *, same: bool) -> None:
    assert same_digest(one, other) is same
