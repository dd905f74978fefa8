"""SEC-5b and 5c through the API and the table: a day of guessing, and the owner who gets a code all the same."""

from __future__ import annotations

from functions.domain.phone import PhoneNumber
from functions.domain.verification import DAY
from tests.harness import UNLIMITED, Harness, another, assert_problem, call, fresh_number

PATH = "/v1/verifications"


async def guess_for(harness: Harness, to: PhoneNumber, seconds: int, *, every: int) -> int:
    """How many wrong guesses are judged of one who starts and guesses five times, again and again."""
    until, judged = harness.clock() + seconds, 0
    while harness.clock() < until:
        started = await call(harness.app, "POST", PATH, {"to": to.e164})
        if started.status == 201:
            wrong = another(harness.provider.code_for(to))
            judged += await guess_five_times(harness, started.json["id"], wrong)
        harness.clock.advance(every)
    return judged


async def guess_five_times(harness: Harness, verification: str, code: str) -> int:
    checks = [await call(harness.app, "POST", f"{PATH}/{verification}/check", {"code": code}) for _ in range(5)]
    return sum(check.status == 200 for check in checks)


async def test_24_hours_of_starts_and_guesses_are_twenty_guesses(harness: Harness) -> None:
    harness.change_service(**UNLIMITED)

    assert await guess_for(harness, fresh_number(), DAY, every=600) == 20


async def test_after_a_day_there_are_twenty_more(harness: Harness) -> None:
    harness.change_service(**UNLIMITED)
    to = fresh_number()
    await guess_for(harness, to, DAY, every=3600)

    assert await guess_for(harness, to, DAY, every=3600) == 20


async def test_twenty_failures_by_a_stranger_do_not_lock_an_owner_out_who_is_signed_in(harness: Harness) -> None:
    harness.change_service(**UNLIMITED)
    to = fresh_number()
    await guess_for(harness, to, 6 * 600, every=600)
    assert_problem(await call(harness.app, "POST", PATH, {"to": to.e164}), 429, "rate_limited")
    sent = len(harness.provider.sent_to(to))

    trusted = await call(harness.app, "POST", PATH, {"to": to.e164, "trusted": True})

    assert trusted.status == 201
    assert len(harness.provider.sent_to(to)) == sent + 1
    code = {"code": harness.provider.code_for(to)}
    assert (await call(harness.app, "POST", f"{PATH}/{trusted.json['id']}/check", code)).json["valid"]


async def test_a_stranger_hears_no_id_of_what_the_owner_was_sent(harness: Harness) -> None:
    harness.change_service(**UNLIMITED)
    to = fresh_number()
    await guess_for(harness, to, 6 * 600, every=600)
    await call(harness.app, "POST", PATH, {"to": to.e164, "trusted": True})

    assert_problem(await call(harness.app, "POST", PATH, {"to": to.e164}), 429, "rate_limited")
