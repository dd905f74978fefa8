"""Phone numbers: canonical E.164 only, with the region and the type that decide about them.

One number has to be one key, whatever its spelling, or every limit that hangs on the number can be walked around. So
only the canonical spelling is accepted; each other one is refused, though libphonenumber would understand it.
"""

from __future__ import annotations

import re
from enum import StrEnum

import phonenumbers
from phonenumbers import PhoneNumberFormat, PhoneNumberType

from functions.domain.errors import InvalidPhoneNumber
from functions.domain.frozen import frozen

# ITU-T E.164: at most 15 digits. The shortest numbers that can take an SMS have 7.
_E164 = re.compile(r"\+[1-9][0-9]{6,14}")


class NumberType(StrEnum):
    """libphonenumber's types, as far as they decide whether an SMS can be sent."""

    MOBILE = "mobile"
    FIXED_LINE = "fixed_line"
    FIXED_LINE_OR_MOBILE = "fixed_line_or_mobile"
    TOLL_FREE = "toll_free"
    PREMIUM_RATE = "premium_rate"
    SHARED_COST = "shared_cost"
    VOIP = "voip"
    PERSONAL_NUMBER = "personal_number"
    PAGER = "pager"
    UAN = "uan"
    VOICEMAIL = "voicemail"
    UNKNOWN = "unknown"


_TYPES = {
    PhoneNumberType.MOBILE: NumberType.MOBILE,
    PhoneNumberType.FIXED_LINE: NumberType.FIXED_LINE,
    PhoneNumberType.FIXED_LINE_OR_MOBILE: NumberType.FIXED_LINE_OR_MOBILE,
    PhoneNumberType.TOLL_FREE: NumberType.TOLL_FREE,
    PhoneNumberType.PREMIUM_RATE: NumberType.PREMIUM_RATE,
    PhoneNumberType.SHARED_COST: NumberType.SHARED_COST,
    PhoneNumberType.VOIP: NumberType.VOIP,
    PhoneNumberType.PERSONAL_NUMBER: NumberType.PERSONAL_NUMBER,
    PhoneNumberType.PAGER: NumberType.PAGER,
    PhoneNumberType.UAN: NumberType.UAN,
    PhoneNumberType.VOICEMAIL: NumberType.VOICEMAIL,
}

# libphonenumber's FAQ: an SMS can be sent to these two; in some countries (the US) the plan does not tell them apart.
_TAKES_SMS = frozenset({NumberType.MOBILE, NumberType.FIXED_LINE_OR_MOBILE})


@frozen(repr=False)
class PhoneNumber:
    """A valid number. `e164` is the whole number; `str()` and `repr()` show its country code and last two digits."""

    e164: str
    region: str
    """ISO 3166-1 alpha-2, or 001 for the numbers of no country (satellites and the like)."""
    type: NumberType
    country_code: int

    @property
    def takes_sms(self) -> bool:
        return self.type in _TAKES_SMS

    @property
    def national(self) -> str:
        """The digits after the country code."""
        return self.e164[1 + len(str(self.country_code)) :]

    def __repr__(self) -> str:
        return f"+{self.country_code}…{self.e164[-2:]}"

    __str__ = __repr__


def parse_phone_number(text: str) -> PhoneNumber:
    """The number that `text` spells.

    Raises InvalidPhoneNumber where it is not the canonical E.164 spelling of a number that its country's plan knows.
    """
    if not _E164.fullmatch(text):
        raise InvalidPhoneNumber("a number is + and 7 to 15 digits, such as +4915112345678: no spaces, no extension")
    try:
        parsed = phonenumbers.parse(text)
    except phonenumbers.NumberParseException:
        raise InvalidPhoneNumber("no country has this calling code") from None
    if phonenumbers.format_number(parsed, PhoneNumberFormat.E164) != text:
        raise InvalidPhoneNumber("not the canonical spelling of a number (E.164)")
    # As phonenumbers.is_valid_number(): a number is valid if it is of a type that its region knows.
    type_ = phonenumbers.number_type(parsed)
    if type_ == PhoneNumberType.UNKNOWN:
        raise InvalidPhoneNumber("its country's numbering plan has no such number")
    return PhoneNumber(
        e164=text,
        region=phonenumbers.region_code_for_number(parsed) or "001",
        type=_TYPES.get(type_, NumberType.UNKNOWN),
        country_code=parsed.country_code or 0,
    )
