"""What operators allowed and blocked by hand: numbers, blocks of a thousand, and countries.

A number is named by its pseudonym. A block is named by its digits: with three of them missing they are nobody's number.
Of several entries that fit, the most particular one counts: a number's before its block's before its country's.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from enum import StrEnum
from typing import TypeAlias

from phonenumbers import SUPPORTED_REGIONS

from functions.domain.errors import InvalidRequest
from functions.domain.frozen import frozen
from functions.domain.guard.attempt import Attempt, Pseudonym
from functions.domain.guard.decision import Rule
from functions.domain.phone import parse_phone_number

MOST = 500
"""Entries. All of them are one item, which each sandbox reads every few seconds: 150 kB, of the 400 that fit."""

_REGION = re.compile(r"[A-Z]{2}")
_BLOCK = re.compile(r"\+([1-9][0-9]{3,11})xxx")

# Money, and what a number may get, hold for whoever is allowed too. So does what is said of him by hand.
_NEVER_LIFTED = frozenset({Rule.LISTED, Rule.EVERYWHERE, Rule.NUMBER, Rule.BUDGET_SERVICE, Rule.BUDGET_TOTAL})
_OF_COUNTRIES = frozenset({Rule.UNCONVERTED_COUNTRY, Rule.CONVERSION_COUNTRY})


class Effect(StrEnum):
    ALLOW = "allow"
    BLOCK = "block"


class Kind(StrEnum):
    NUMBER = "number"
    BLOCK = "block"
    COUNTRY = "country"


@frozen()
class Subject:
    kind: Kind
    name: str
    """A number's pseudonym, a block's digits without the last three, or a region."""

    @property
    def shown(self) -> str:
        """For a finding, and for operators."""
        return {Kind.NUMBER: "number", Kind.BLOCK: f"{self.name}xxx", Kind.COUNTRY: self.name}[self.kind]

    def lifts(self, rule: Rule) -> bool:
        """Whether a denial by this rule is lifted where this subject is allowed."""
        return rule in _OF_COUNTRIES if self.kind is Kind.COUNTRY else rule not in _NEVER_LIFTED


@frozen(kw_only=True)
class Entry:
    effect: Effect
    why: str
    who: str
    at: int
    until: int | None = None
    """None: until somebody takes it off."""
    label: str = ""
    """Of a number its country code and last two digits, for operators."""

    def holds(self, at: int) -> bool:
        return self.until is None or at < self.until


Listing: TypeAlias = Mapping[Subject, Entry]


def subjects_of(attempt: Attempt) -> tuple[Subject, ...]:
    """What may be listed of it, the most particular first."""
    return (
        Subject(Kind.NUMBER, attempt.pseudonym("number", attempt.to.e164)),
        Subject(Kind.BLOCK, attempt.block_1k),
        Subject(Kind.COUNTRY, attempt.region),
    )


def standing(listing: Listing, attempt: Attempt) -> tuple[Subject, Entry] | None:
    """The entry that counts for it."""
    if not listing:
        return None
    found = [(subject, listing[subject]) for subject in subjects_of(attempt) if subject in listing]
    return next((each for each in found if each[1].holds(attempt.at)), None)


def parse_subject(text: str, pseudonym: Pseudonym) -> Subject:
    """As operators write them: +4915112345678, +49151123456xxx or DE. Raises InvalidRequest."""
    if _REGION.fullmatch(text):
        if text not in SUPPORTED_REGIONS:
            raise InvalidRequest(f"{text} is no country's code, such as DE")
        return Subject(Kind.COUNTRY, text)
    block = _BLOCK.fullmatch(text)
    if block is not None:
        return Subject(Kind.BLOCK, block[1])
    if text.endswith("xxx"):
        raise InvalidRequest("a block is + and a number's digits but for the last three, then xxx: +49151123456xxx")
    return Subject(Kind.NUMBER, pseudonym("number", parse_phone_number(text).e164))
