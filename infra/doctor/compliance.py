"""Control by control: what NIST SP 800-63B-4 and OWASP ASVS 5.0 ask of codes by SMS, and what a service does.

Pure: from a service's settings to verdicts. What neither settings nor code can know is the operator's to see to.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from math import log2

from functions.domain.service import Service

_LEAST_DIGITS = 6
_LONGEST_LIFETIME = 600
_MOST_IN_A_ROW = 100
_ONCE = "the write that counts the right code is the approval"


class Verdict(StrEnum):
    PASS = "pass"  # noqa: S105 (a verdict)
    FAIL = "FAIL"
    YOURS = "yours to do"


@dataclass(frozen=True, slots=True)
class Control:
    standard: str
    section: str
    asks: str
    verdict: Verdict
    why: str
    held_by: str = ""
    """The test, where it is the code and no setting that does what is asked."""


def controls(service: Service) -> list[Control]:
    return [*_nist(service), *_asvs(service)]


def _nist(service: Service) -> list[Control]:
    digits, lifetime, in_a_row = service.code_length, service.lifetime, service.failures_in_a_row
    nist = "NIST 63B-4"
    return [
        _set(nist, "3.1.3.2", "at least six decimal digits", digits >= _LEAST_DIGITS, f"code_length = {digits}"),
        _set(nist, "3.1.3.2", "invalid after 10 minutes", lifetime <= _LONGEST_LIFETIME, f"lifetime = {lifetime} s"),
        _held(nist, "3.1.3.2", "accepted only once", _ONCE, "test_of_a_thousand_right_guesses_at_once_one_is_approved"),
        _held(
            nist,
            "3.1.3.2",
            "a new code does not reset the failures",
            "a resend keeps the attempts, and a number's failures outlive its verifications",
            "test_guesses_are_not_refilled_by_resends",
        ),
        _set(
            nist,
            "3.2.2",
            "at most 100 consecutive failures",
            in_a_row <= _MOST_IN_A_ROW,
            f"failures_in_a_row = {in_a_row}",
        ),
        _yours(
            nist,
            "3.1.3.2",
            "from an approved random bit generator",
            "codes are derived (HMAC-SHA-256 of a random id under a 256-bit key), not drawn: ask your auditor",
        ),
        _yours(
            nist,
            "3.1.3.3, 3.2.9",
            "the telephone network is restricted",
            "offer an alternative that is not restricted, tell users the risk, have a plan to migrate",
        ),
    ]


def _asvs(service: Service) -> list[Control]:
    lifetime, digits, asvs = service.lifetime, service.code_length, "ASVS 5.0"
    return [
        _held(asvs, "6.5.1", "used once", _ONCE, "test_of_a_thousand_right_guesses_at_once_one_is_approved"),
        _held(
            asvs,
            "6.5.3",
            "from a cryptographically secure generator",
            "HMAC-SHA-256, uniform digits; a code that a caller brings is the caller's to draw",
            "test_each_digit_is_as_likely_as_any_other_at_each_position",
        ),
        _set(
            asvs,
            "6.5.4",
            "20 bits of entropy, which six random digits typically are",
            digits >= _LEAST_DIGITS,
            f"{digits} digits are {log2(10**digits):.2f} bits",
        ),
        _set(
            asvs, "6.5.5", "out of band: at most 10 minutes", lifetime <= _LONGEST_LIFETIME, f"lifetime = {lifetime} s"
        ),
        _yours(
            asvs,
            "6.6.1",
            "to validated numbers, with stronger alternatives and the risks told; not at level 3",
            "validate a number before you rely on it, offer something stronger, tell users the risks",
        ),
        _held(
            asvs,
            "6.6.2",
            "bound to the request it was made for, not usable for another",
            "the digest holds the verification's id, and the id the number and the service",
            "test_a_guess_at_another_id_of_the_number_is_not_counted",
        ),
        _held(
            asvs,
            "6.6.3",
            "rate limiting against brute force",
            f"{service.max_attempts} attempts a verification, {service.failures_per_day} failures a number and day",
            "test_of_a_thousand_wrong_guesses_at_once_five_count_and_none_is_right",
        ),
    ]


def _set(standard: str, section: str, asks: str, holds: bool, why: str) -> Control:  # noqa: FBT001
    return Control(standard, section, asks, Verdict.PASS if holds else Verdict.FAIL, why)


def _held(standard: str, section: str, asks: str, why: str, test: str) -> Control:
    return Control(standard, section, asks, Verdict.PASS, why, held_by=test)


def _yours(standard: str, section: str, asks: str, why: str) -> Control:
    return Control(standard, section, asks, Verdict.YOURS, why)
