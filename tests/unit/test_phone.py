"""One number, one spelling (ABU-1); the region and the type that decide about it (ABU-4, ABU-5); and never in a log."""

from __future__ import annotations

import re
import string
from dataclasses import dataclass

import phonenumbers
import pytest
from hypothesis import given
from hypothesis import strategies as st
from phonenumbers import PhoneNumberFormat, PhoneNumberType

from functions.domain.delivery import Message
from functions.domain.errors import InvalidPhoneNumber
from functions.domain.phone import NumberType, PhoneNumber, parse_phone_number
from functions.domain.sensitive import Sensitive

CANONICAL = "+14155550123"
OTHER_SPELLINGS = {
    "spaces": "+1 415 555 0123",
    "punctuation": "+1 (415) 555-0123",
    "extension": "+14155550123 ext. 5",
    "extension of a URI": "+14155550123;ext=7",
    "URI": "tel:+14155550123",
    "full-width": "＋１４１５５５５０１２３",
    "Arabic-Indic": "+١٤١٥٥٥٥٠١٢٣",
    "zero-width": "+1415\u200b5550123",
    "bidi": "\u202a+14155550123\u202c",
    "line break": "+14155550123\n",
    "national prefix": "+1 1 415 555 0123",
    "leading space": " +14155550123",
    "trailing space": "+14155550123 ",
    "short extension": "+14155550123x7",
    "two pluses": "++14155550123",
}
WITH_NATIONAL_PREFIX = [
    "+114155550123",  # +1, and the national prefix 1
    "+4407911123456",  # +44 (0) 7911 123456
    "+49015112345678",
    "+330612345678",
]
NOT_A_NUMBER = [
    "",
    "+",
    "14155550123",
    "0014155550123",
    "+0014155550123",
    "+04155550123",
    "004915112345678",
    "(415) 555-0123",
    "+123456",
    "+1234567890123456",
    "+1-4155550123",
    "+1415555012a",
    "+1415555012\x00",
    "+1415555012\ud800",
    "+14155550123,+14155550124",
    '["+14155550123"]',
    "+" + "1" * 10_000,
]
NO_SUCH_NUMBER = [
    "+5215512345678",  # Mexico's mobiles had a 1 after the country code until 2019
    "+2101234567",  # no country has 210
    "+9991234567",
    "+14150000000",
    "+4915112",
    "+491511234567890",
]

GB_PREMIUM, US_PREMIUM, SATELLITE = "+449098790123", "+19002345678", "+881612345678"
REGIONS = {
    CANONICAL: "US",
    "+12423591234": "BS",
    "+18762101234": "JM",
    "+16042345678": "CA",
    "+17872345678": "PR",
    "+447400123456": "GB",
    "+447911123456": "GG",
    "+447624123456": "IM",
    "+447797712345": "JE",
    "+79161234567": "RU",
    "+77011234567": "KZ",
    "+390612345678": "IT",
    SATELLITE: "001",
    "+979123456789": "001",
    "+80012345678": "001",
}
TYPES = {
    CANONICAL: NumberType.FIXED_LINE_OR_MOBILE,
    "+525512345678": NumberType.FIXED_LINE_OR_MOBILE,
    "+4915112345678": NumberType.MOBILE,
    SATELLITE: NumberType.MOBILE,
    "+390612345678": NumberType.FIXED_LINE,
    US_PREMIUM: NumberType.PREMIUM_RATE,
    GB_PREMIUM: NumberType.PREMIUM_RATE,
    "+979123456789": NumberType.PREMIUM_RATE,
    "+18002345678": NumberType.TOLL_FREE,
    "+448001234567": NumberType.TOLL_FREE,
    "+80012345678": NumberType.TOLL_FREE,
    "+49180512345": NumberType.SHARED_COST,
    "+447011234567": NumberType.PERSONAL_NUMBER,
    "+447640123456": NumberType.PAGER,
    "+445612345678": NumberType.VOIP,
    "+445512345678": NumberType.UAN,
}
TAKES_SMS = {"+14155550123", "+525512345678", "+4915112345678", SATELLITE}

TEXTS = st.one_of(
    st.text(),
    st.text(st.sampled_from(string.digits + "+ -()٣３\u200b\n"), max_size=20),
    st.from_regex(re.compile(r"\+[1-9][0-9]{6,14}", re.ASCII), fullmatch=True),
    st.integers(0, 99_999_999).map("+49151{:08d}".format),
    st.integers(2_000_000, 9_999_999).map("+1415{}".format),
)


@dataclass(frozen=True)
class Holder:
    number: PhoneNumber


def examples() -> dict[str, int]:
    """Every example number that libphonenumber has, with its type."""
    found = {}
    for region in phonenumbers.SUPPORTED_REGIONS:
        for number_type in PhoneNumberType.values():
            example = phonenumbers.example_number_for_type(region, number_type)
            if example is not None and phonenumbers.is_valid_number(example):
                found[phonenumbers.format_number(example, PhoneNumberFormat.E164)] = phonenumbers.number_type(example)
    return found


def takes_sms(text: str) -> bool:
    try:
        return parse_phone_number(text).takes_sms
    except InvalidPhoneNumber:
        return False


def test_the_canonical_spelling_is_taken() -> None:
    number = parse_phone_number(CANONICAL)

    assert number == PhoneNumber(e164=CANONICAL, region="US", type=NumberType.FIXED_LINE_OR_MOBILE, country_code=1)


@pytest.mark.parametrize("text", OTHER_SPELLINGS.values(), ids=OTHER_SPELLINGS.keys())
def test_another_spelling_is_refused_though_libphonenumber_takes_it_for_the_same_number(text: str) -> None:
    understood = phonenumbers.format_number(phonenumbers.parse(text), PhoneNumberFormat.E164)
    assert understood == CANONICAL

    with pytest.raises(InvalidPhoneNumber):
        parse_phone_number(text)


@pytest.mark.parametrize("text", WITH_NATIONAL_PREFIX)
def test_a_national_prefix_behind_the_country_code_is_refused_though_libphonenumber_drops_it(text: str) -> None:
    understood = phonenumbers.format_number(phonenumbers.parse(text), PhoneNumberFormat.E164)
    assert parse_phone_number(understood).e164 != text

    with pytest.raises(InvalidPhoneNumber):
        parse_phone_number(text)


@pytest.mark.parametrize("text", NOT_A_NUMBER, ids=lambda text: ascii(text[:20]))
def test_what_is_no_number_is_refused(text: str) -> None:
    with pytest.raises(InvalidPhoneNumber):
        parse_phone_number(text)


@pytest.mark.parametrize("text", NO_SUCH_NUMBER)
def test_a_number_that_no_plan_knows_is_refused(text: str) -> None:
    with pytest.raises(InvalidPhoneNumber):
        parse_phone_number(text)


@given(text=TEXTS)
def test_any_text_is_a_number_as_it_stands_or_refused(text: str) -> None:
    try:
        number = parse_phone_number(text)
    except InvalidPhoneNumber:
        return
    assert number.e164 == text


@pytest.mark.parametrize(("text", "region"), REGIONS.items())
def test_the_region_is_the_numbers_not_its_calling_codes(text: str, region: str) -> None:
    assert parse_phone_number(text).region == region


@pytest.mark.parametrize(("text", "number_type"), TYPES.items())
def test_the_type_is_told(text: str, number_type: NumberType) -> None:
    assert parse_phone_number(text).type is number_type


@pytest.mark.parametrize("text", TYPES)
def test_an_sms_can_be_sent_to_what_is_or_may_be_a_mobile(text: str) -> None:
    assert parse_phone_number(text).takes_sms is (text in TAKES_SMS)


def test_of_libphonenumbers_examples_those_take_an_sms_that_are_or_may_be_mobiles() -> None:
    wanted = {PhoneNumberType.MOBILE, PhoneNumberType.FIXED_LINE_OR_MOBILE}

    found = examples()

    assert len(found) > 900
    assert {text for text in found if takes_sms(text)} == {
        text for text, number_type in found.items() if number_type in wanted
    }


def test_no_known_type_is_taken_for_an_unknown_one() -> None:
    types = {parse_phone_number(text).type for text in examples() if len(text) > len("+123456")}

    assert types == set(NumberType) - {NumberType.UNKNOWN}


@pytest.mark.parametrize("text", REGIONS)
def test_the_national_part_is_what_follows_the_country_code(text: str) -> None:
    number = parse_phone_number(text)

    assert number.national
    assert text == f"+{number.country_code}{number.national}"


def test_a_number_shows_its_country_code_and_its_last_two_digits() -> None:
    assert str(parse_phone_number("+4915112345678")) == "+49…78"
    assert repr(parse_phone_number("+4915112345678")) == "+49…78"


def test_a_number_is_not_shown_in_what_holds_it() -> None:
    number = parse_phone_number("+4915112345678")
    message = Message(to=number, text=Sensitive("123456"), code=Sensitive("123456"), reference="r", valid_for=600)

    shown = (
        f"{number} {number!r} {number!s} {number!a} {[number]} {(number,)} {{1: {number}}} {Holder(number)} {message}"
    )
    shown += "%s %r" % (number, number) + str({"to": number}) + ascii(Holder(number)) + repr(ValueError(number))  # noqa: UP031
    shown += str(KeyError(number)) + str(RuntimeError("could not send", number))

    assert not re.search("1511234|12345678|5112345", shown)


@pytest.mark.parametrize("text", [*OTHER_SPELLINGS.values(), *NO_SUCH_NUMBER, *WITH_NATIONAL_PREFIX])
def test_a_refusal_does_not_repeat_the_number(text: str) -> None:
    with pytest.raises(InvalidPhoneNumber) as caught:
        parse_phone_number(text)

    shown = f"{caught.value} {caught.value!r} {caught.value.detail}".replace("+4915112345678", "the example")
    digits = "".join(character for character in text if character.isdigit())
    assert digits not in shown
    assert digits[3:9] not in shown
    assert caught.value.__suppress_context__ or caught.value.__context__ is None


CALLING_CODES = st.sampled_from(sorted(phonenumbers.COUNTRY_CODE_TO_REGION_CODE))


@given(code=CALLING_CODES, rest=st.text(string.digits, min_size=4, max_size=12))
def test_what_is_taken_is_what_libphonenumber_calls_valid_and_spells_so(code: int, rest: str) -> None:
    text = f"+{code}{rest}"
    try:
        taken = parse_phone_number(text).e164 == text
    except InvalidPhoneNumber:
        taken = False

    assert taken is is_valid_and_canonical(text)


def is_valid_and_canonical(text: str) -> bool:
    if not 8 <= len(text) <= 16:
        return False
    try:
        parsed = phonenumbers.parse(text)
    except phonenumbers.NumberParseException:
        return False
    spelled = phonenumbers.format_number(parsed, PhoneNumberFormat.E164)
    return spelled == text and phonenumbers.is_valid_number(parsed)
