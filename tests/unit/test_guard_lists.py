"""Who is on the lists: how operators write it, which entry counts, and which rules an allowed one is spared."""

from __future__ import annotations

import pytest

from functions.domain.errors import InvalidPhoneNumber, InvalidRequest
from functions.domain.guard.attempt import Attempt
from functions.domain.guard.decision import Rule
from functions.domain.guard.lists import Effect, Entry, Kind, Subject, parse_subject, standing
from functions.domain.guard.policy import Policy
from functions.domain.phone import parse_phone_number
from tests.harness import MORNING

NUMBER = Subject(Kind.NUMBER, "number of +4915112345678")
BLOCK = Subject(Kind.BLOCK, "4915112345")
COUNTRY = Subject(Kind.COUNTRY, "DE")


def said(effect: Effect, until: int | None = None) -> Entry:
    return Entry(effect=effect, why="a test", who="tester", at=MORNING, until=until)


BLOCKED, ALLOWED = said(Effect.BLOCK), said(Effect.ALLOW)


def plain(kind: str, text: str) -> str:
    return f"{kind} of {text}"


def attempt(at: int = MORNING) -> Attempt:
    return Attempt(
        to=parse_phone_number("+4915112345678"),
        service="default",
        policy=Policy(),
        request="r",
        at=at,
        pseudonym=plain,
    )


@pytest.mark.parametrize(("text", "subject"), [("+4915112345678", NUMBER), ("+4915112345xxx", BLOCK), ("DE", COUNTRY)])
def test_operators_write_a_number_a_block_or_a_country(text: str, subject: Subject) -> None:
    assert parse_subject(text, plain) == subject


@pytest.mark.parametrize("text", ["4915112345xxx", "+49151 12345xxx", "+491xxx\n", "+0915112345xxx", "+49xxx"])
def test_a_block_that_is_none_is_told_how_one_is_written(text: str) -> None:
    with pytest.raises((InvalidRequest, InvalidPhoneNumber)):
        parse_subject(text, plain)


@pytest.mark.parametrize("text", ["", "de", "Germany", "+49", "+4915112345678 ", "0151 12345678"])
def test_what_is_none_of_the_three_is_refused(text: str) -> None:
    with pytest.raises(InvalidPhoneNumber):
        parse_subject(text, plain)


def test_a_country_has_to_be_one() -> None:
    with pytest.raises(InvalidRequest):
        parse_subject("ZZ", plain)


def test_the_numbers_own_entry_counts_before_its_blocks_and_that_before_its_countrys() -> None:
    assert standing({COUNTRY: BLOCKED, BLOCK: ALLOWED, NUMBER: BLOCKED}, attempt()) == (NUMBER, BLOCKED)
    assert standing({COUNTRY: BLOCKED, BLOCK: ALLOWED}, attempt()) == (BLOCK, ALLOWED)
    assert standing({COUNTRY: BLOCKED}, attempt()) == (COUNTRY, BLOCKED)
    assert standing({Subject(Kind.COUNTRY, "AT"): BLOCKED}, attempt()) is None


def test_an_entry_ends_at_its_time_and_the_next_one_counts() -> None:
    listing = {NUMBER: said(Effect.ALLOW, until=MORNING + 10), COUNTRY: BLOCKED}

    assert standing(listing, attempt(MORNING + 9)) == (NUMBER, listing[NUMBER])
    assert standing(listing, attempt(MORNING + 10)) == (COUNTRY, BLOCKED)


@pytest.mark.parametrize("subject", [NUMBER, BLOCK])
def test_an_allowed_number_or_block_keeps_the_numbers_limits_and_the_budgets(subject: Subject) -> None:
    kept = {rule for rule in Rule if not subject.lifts(rule)}

    assert kept == {Rule.LISTED, Rule.EVERYWHERE, Rule.NUMBER, Rule.BUDGET_SERVICE, Rule.BUDGET_TOTAL}


def test_an_allowed_country_is_spared_what_is_counted_of_countries_only() -> None:
    assert {rule for rule in Rule if COUNTRY.lifts(rule)} == {Rule.UNCONVERTED_COUNTRY, Rule.CONVERSION_COUNTRY}
