"""ALTCHA, compared with its own library: theirs solves ours, and what we verify is what theirs would."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from typing import Any

import altcha
import pytest
from hypothesis import given
from hypothesis import strategies as st

from functions.domain.guard.attempt import Attempt
from functions.domain.guard.policy import Policy
from functions.domain.identity import pseudonym
from functions.domain.keys import mac
from functions.domain.phone import PhoneNumber
from functions.domain.sensitive import Sensitive
from functions.hooks.altcha import LIFETIME
from tests.harness import MORNING, FixedKeys, easy_altcha, fresh_number

ALTCHA = easy_altcha(FixedKeys())
TO = fresh_number()


def attempt(to: PhoneNumber = TO, service: str = "default", at: int = MORNING) -> Attempt:
    return Attempt(
        to=to,
        service=service,
        policy=Policy(),
        request="r",
        at=at,
        pseudonym=lambda kind, text: pseudonym(FixedKeys().ring, kind, text),
    )


def solve(challenge: Any) -> dict[str, Any]:
    """What a browser would send, by ALTCHA's own solver."""
    parsed = altcha.Challenge.from_dict(dict(challenge))
    solution = altcha.solve_challenge(parsed)
    assert solution is not None
    solved: dict[str, Any] = altcha.Payload(parsed, solution).to_dict()
    return solved


def encode(payload: Any) -> Sensitive:
    return Sensitive(base64.b64encode(json.dumps(payload).encode()).decode())


async def solved(payload: Any, **changes: Any) -> str | None:
    return await ALTCHA.solved(encode(payload), attempt(**changes))


async def test_what_the_library_solves_is_solved() -> None:
    challenge = await ALTCHA.make("default", TO, MORNING)

    assert await solved(solve(challenge)) == challenge["parameters"]["nonce"]  # type: ignore[index]


async def test_a_solution_fits_into_the_field_of_a_start() -> None:
    challenge = await ALTCHA.make("default", TO, MORNING)

    assert len(encode(solve(challenge)).reveal()) < 1100


async def test_the_signature_is_the_one_that_the_library_verifies() -> None:
    keys = FixedKeys().ring
    challenge = await ALTCHA.make("default", TO, 2**33)

    verified = altcha.verify_solution(
        encode(solve(challenge)).reveal(),
        mac(keys.index, "challenge", "default", TO.e164),
        hmac_key_secret=mac(keys.index, "challenge key", "default", TO.e164),
    )

    assert verified.verified


async def test_a_solution_for_another_number_is_none() -> None:
    payload = solve(await ALTCHA.make("default", TO, MORNING))

    others = [await solved(payload, to=fresh_number()) for _ in range(100)]

    assert others == [None] * 100


async def test_a_solution_for_another_service_is_none() -> None:
    payload = solve(await ALTCHA.make("default", TO, MORNING))

    assert await solved(payload, service="shop") is None


async def test_an_expired_solution_is_none() -> None:
    payload = solve(await ALTCHA.make("default", TO, MORNING))

    assert await solved(payload, at=MORNING + LIFETIME) is not None
    assert [await solved(payload, at=MORNING + LIFETIME + late) for late in range(1, 101)] == [None] * 100


def _later(payload: dict[str, Any]) -> None:
    payload["challenge"]["parameters"]["expiresAt"] += 1


def _easier(payload: dict[str, Any]) -> None:
    payload["challenge"]["parameters"]["cost"] = 1


def _signed_by_nobody(payload: dict[str, Any]) -> None:
    payload["challenge"]["signature"] = "0" * 64


def _more_in_it(payload: dict[str, Any]) -> None:
    payload["challenge"]["parameters"]["more"] = 2**80


def _another_key(payload: dict[str, Any]) -> None:
    payload["solution"]["derivedKey"] = "00" * 32


def _no_key(payload: dict[str, Any]) -> None:
    payload["solution"]["derivedKey"] = "no hexadecimal"


def _not_ascii(payload: dict[str, Any]) -> None:
    payload["challenge"]["signature"] = "ü"


def _no_solution(payload: dict[str, Any]) -> None:
    del payload["solution"]


@pytest.mark.parametrize(
    "change",
    [_later, _easier, _signed_by_nobody, _more_in_it, _another_key, _no_key, _not_ascii, _no_solution],
    ids=lambda change: change.__name__.strip("_"),
)
async def test_what_was_changed_is_no_solution(change: Callable[[dict[str, Any]], None]) -> None:
    payload = solve(await ALTCHA.make("default", TO, MORNING))

    change(payload)

    assert await solved(payload) is None


@given(st.one_of(st.text(), st.binary().map(lambda raw: base64.b64encode(raw).decode())))
async def test_whatever_comes_as_a_solution_raises_nothing(text: str) -> None:
    assert await ALTCHA.solved(Sensitive(text), attempt()) is None


async def test_no_two_challenges_are_alike() -> None:
    made = [await ALTCHA.make("default", TO, MORNING) for _ in range(50)]

    assert len({challenge["signature"] for challenge in made}) == 50
