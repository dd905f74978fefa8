"""POST /v1/verifications/{id}/check: what is right, what is counted, and what is over."""

from __future__ import annotations

import asyncio
import secrets
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

import pytest

from functions.domain.identity import parse_id
from functions.domain.phone import PhoneNumber
from tests.harness import UNLIMITED, Harness, Response, another, assert_problem, call, fresh_number

PATH = "/v1/verifications"
LIFETIME = 600
DAY = 86_400


@dataclass(frozen=True, slots=True)
class Started:
    id: str
    number: PhoneNumber
    code: str

    @property
    def wrong(self) -> str:
        return another(self.code)


async def start(harness: Harness, number: PhoneNumber | None = None) -> Started:
    number = number or fresh_number()
    response = await call(harness.app, "POST", PATH, {"to": number.e164})
    assert response.status == 201
    return Started(response.json["id"], number, harness.provider.code_for(number))


async def check(harness: Harness, verification: str, code: object, key: str | None = None) -> Response:
    headers = {} if key is None else {"idempotency-key": key}
    return await call(harness.app, "POST", f"{PATH}/{verification}/check", {"code": code}, headers=headers)


async def attempts_left(harness: Harness, started: Started) -> int:
    left: int = (await call(harness.app, "GET", f"{PATH}/{started.id}")).json["attempts_left"]
    return left


async def test_the_right_code_approves(harness: Harness) -> None:
    started = await start(harness)

    response = await check(harness, started.id, started.code)

    assert response.status == 200
    assert (response.json["id"], response.json["status"], response.json["valid"]) == (started.id, "approved", True)


async def test_an_answer_has_the_verification_and_the_verdict_and_nothing_else(harness: Harness) -> None:
    started = await start(harness)

    checked = await check(harness, started.id, started.code)

    status = await call(harness.app, "GET", f"{PATH}/{started.id}")
    assert checked.json == {**status.json, "valid": True, "token": checked.json["token"]}
    assert checked.headers["cache-control"] == "no-store"


async def test_wrong_codes_count_down_to_none_and_then_nothing_is_checked_any_more(harness: Harness) -> None:
    started = await start(harness)

    wrong = [(await check(harness, started.id, started.wrong)).json for _ in range(5)]

    assert [one["valid"] for one in wrong] == [False] * 5
    assert [one["attempts_left"] for one in wrong] == [4, 3, 2, 1, 0]
    assert [one["status"] for one in wrong] == ["pending"] * 4 + ["attempts_exhausted"]
    assert_problem(await check(harness, started.id, started.wrong), 409, "attempts_exhausted")
    assert_problem(await check(harness, started.id, started.code), 409, "attempts_exhausted")


async def test_the_last_attempt_is_as_good_as_the_first(harness: Harness) -> None:
    started = await start(harness)
    for _ in range(4):
        await check(harness, started.id, started.wrong)

    assert (await check(harness, started.id, started.code)).json["valid"]


async def test_an_approved_verification_is_not_checked_again(harness: Harness) -> None:
    started = await start(harness)
    await check(harness, started.id, started.code)

    assert_problem(await check(harness, started.id, started.code), 409, "already_approved")
    assert_problem(await check(harness, started.id, started.wrong), 409, "already_approved")


async def test_a_canceled_verification_is_not_checked(harness: Harness) -> None:
    started = await start(harness)
    await call(harness.app, "DELETE", f"{PATH}/{started.id}")

    assert_problem(await check(harness, started.id, started.code), 409, "canceled")


async def test_of_fifty_right_checks_at_once_one_is_approved(harness: Harness) -> None:
    started = await start(harness)

    responses = await asyncio.gather(*(check(harness, started.id, started.code) for _ in range(50)))

    assert sorted(response.status for response in responses) == [200] + [409] * 49


async def _check_all(harness: Harness, many: Iterable[Started]) -> Counter[tuple[int, str]]:
    responses = await asyncio.gather(*(check(harness, one.id, one.code) for one in many))
    return Counter((one.status, one.json.get("code") or one.json["status"]) for one in responses)


async def _start_hundred(harness: Harness) -> list[Started]:
    return list(await asyncio.gather(*(start(harness) for _ in range(100))))


async def test_a_second_before_its_end_every_code_is_good(harness: Harness) -> None:
    many = await _start_hundred(harness)

    harness.clock.advance(LIFETIME - 1)

    assert await _check_all(harness, many) == {(200, "approved"): 100}


async def test_at_its_end_no_code_is_good(harness: Harness) -> None:
    many = await _start_hundred(harness)

    harness.clock.advance(LIFETIME)

    assert await _check_all(harness, many) == {(409, "expired"): 100}


async def test_an_item_that_is_still_there_two_days_later_approves_nothing(harness: Harness) -> None:
    many = await _start_hundred(harness)

    harness.clock.advance(2 * DAY)

    assert None not in [await harness.store.get(parse_id(one.id).key) for one in many]
    assert await _check_all(harness, many) == {(409, "expired"): 100}


async def test_a_resend_does_not_put_the_end_off(harness: Harness) -> None:
    started = await start(harness)
    harness.clock.advance(LIFETIME - 1)
    await start(harness, started.number)

    harness.clock.advance(1)

    assert_problem(await check(harness, started.id, started.code), 409, "expired")


async def test_an_unknown_id_is_not_found(harness: Harness) -> None:
    unknown = f"vfy_k1_{'a' * 40}"

    assert_problem(await check(harness, unknown, "123456"), 404, "not_found")


async def test_the_id_of_a_number_with_another_random_part_is_not_found(harness: Harness) -> None:
    started = await start(harness)
    guessed = started.id[:-16] + "a" * 16

    assert_problem(await check(harness, guessed, started.code), 404, "not_found")
    assert await attempts_left(harness, started) == 5


async def test_an_id_of_another_pepper_is_not_found(harness: Harness) -> None:
    started = await start(harness)

    for kid in ("k2", "zzzzzzzz"):
        assert_problem(await check(harness, started.id.replace("_k1_", f"_{kid}_"), started.code), 404, "not_found")
    assert await attempts_left(harness, started) == 5


@pytest.mark.parametrize(
    "malformed",
    [
        "x",
        "vfy_",
        f"vfy_k1_{'a' * 39}",
        f"vfy_k1_{'a' * 41}",
        f"vfy_k1_{'A' * 40}",
        f"vfy_k1_{'1' * 40}",
        f"vfy_k1_{'a' * 40}\n",
        f" vfy_k1_{'a' * 40}",
        f"vfy__{'a' * 40}",
        f"vfy_K1_{'a' * 40}",
        "vfy_k1_" + "ä" * 40,
        "v#" + "a" * 40,
        "\x00",
        "x" * 10_000,
    ],
)
async def test_a_malformed_id_is_not_found(harness: Harness, malformed: str) -> None:
    assert_problem(await check(harness, malformed, "123456"), 404, "not_found")


async def test_the_id_of_an_older_verification_is_not_found(harness: Harness) -> None:
    older = await start(harness)
    harness.clock.advance(LIFETIME)
    newer = await start(harness, older.number)

    assert_problem(await check(harness, older.id, older.code), 404, "not_found")
    assert_problem(await check(harness, older.id, newer.code), 404, "not_found")
    assert await attempts_left(harness, newer) == 5


async def test_the_code_of_one_verification_is_none_of_another(harness: Harness) -> None:
    harness.change_service(code_length=10)
    one, other = await start(harness), await start(harness)

    assert not (await check(harness, one.id, other.code)).json["valid"]


async def test_an_unknown_id_and_a_malformed_one_get_the_same_answer(harness: Harness) -> None:
    unknown, malformed = f"vfy_k1_{'a' * 40}", "x"

    first, second = await check(harness, unknown, "123456"), await check(harness, malformed, "123456")

    assert (first.status, first.body, first.headers) == (second.status, second.body, second.headers)


async def test_an_unknown_id_and_the_one_of_an_older_verification_get_the_same_answer(harness: Harness) -> None:
    older = await start(harness)
    harness.clock.advance(LIFETIME)
    await start(harness, older.number)

    first = await check(harness, f"vfy_k1_{'a' * 40}", older.code)
    second = await check(harness, older.id, older.code)

    assert (first.status, first.body, first.headers) == (second.status, second.body, second.headers)


async def test_a_repeated_right_check_with_the_same_key_is_approved_again_and_counted_once(harness: Harness) -> None:
    started, key = await start(harness), secrets.token_hex(8)

    first, second = [await check(harness, started.id, started.code, key) for _ in range(2)]

    assert (first.status, first.json["valid"]) == (200, True)
    assert (second.status, second.body) == (200, first.body)
    assert second.json["attempts_left"] == 4


async def test_a_repeated_wrong_check_with_the_same_key_is_counted_once(harness: Harness) -> None:
    started, key = await start(harness), secrets.token_hex(8)

    first, second = [await check(harness, started.id, started.wrong, key) for _ in range(2)]

    assert (first.json["valid"], first.json["attempts_left"]) == (False, 4)
    assert (second.status, second.body) == (200, first.body)


async def test_fifty_repeats_at_once_with_one_key_are_one_attempt(harness: Harness) -> None:
    started, key = await start(harness), secrets.token_hex(8)

    responses = await asyncio.gather(*(check(harness, started.id, started.wrong, key) for _ in range(50)))

    assert {(one.status, one.json["valid"], one.json["attempts_left"]) for one in responses} == {(200, False, 4)}


async def test_the_same_key_with_another_code_is_refused_and_not_counted(harness: Harness) -> None:
    started, key = await start(harness), secrets.token_hex(8)
    await check(harness, started.id, started.wrong, key)

    assert_problem(await check(harness, started.id, started.code, key), 422, "idempotency_mismatch")
    assert await attempts_left(harness, started) == 4
    assert (await check(harness, started.id, started.code)).json["valid"]


async def test_each_check_without_a_key_is_an_attempt(harness: Harness) -> None:
    started = await start(harness)

    for _ in range(2):
        await check(harness, started.id, started.wrong)

    assert await attempts_left(harness, started) == 3


async def test_a_key_of_a_start_may_serve_a_check_too(harness: Harness) -> None:
    number, key = fresh_number(), secrets.token_hex(8)
    started = await call(harness.app, "POST", PATH, {"to": number.e164}, headers={"idempotency-key": key})

    checked = await check(harness, started.json["id"], harness.provider.code_for(number), key)

    assert checked.json["valid"]


CORPUS: dict[str, object] = {
    "a newline behind": "123456\n",
    "a space before": " 123456",
    "a sign": "+12345",
    "an underscore": "1_2345",
    "a superscript": "12345²",
    "full-width digits": "１２３４５６",
    "Arabic-Indic digits": "١٢٣٤٥٦",
    "an int": 123456,
    "a list": ["123456"],
    "a dict": {"code": "123456"},
    "null": None,
    "a bool": True,
    "a float": 1e5,
    "a long text": "1" * 4000,
}


@pytest.mark.parametrize("code", CORPUS.values(), ids=CORPUS.keys())
async def test_what_is_not_shaped_like_a_code_is_refused_and_costs_no_attempt(harness: Harness, code: object) -> None:
    started = await start(harness)

    assert_problem(await check(harness, started.id, code), 422, "invalid_code")
    assert await attempts_left(harness, started) == 5


async def test_a_body_of_ten_kilobytes_is_refused_and_costs_no_attempt(harness: Harness) -> None:
    started = await start(harness)

    assert_problem(await check(harness, started.id, "1" * 10_000), 413, "body_too_large")
    assert await attempts_left(harness, started) == 5


@pytest.mark.parametrize(
    "spelling", [b'{"code": 1e5}', b'{"code": 123456.0}', b'{"code": 012345}', b'{"code": "\\u0661\\u06622345"}']
)
async def test_no_spelling_of_a_number_passes_for_a_code(harness: Harness, spelling: bytes) -> None:
    started = await start(harness)

    response = await call(harness.app, "POST", f"{PATH}/{started.id}/check", spelling)

    assert response.status == 422
    assert await attempts_left(harness, started) == 5


async def test_a_code_with_leading_zeros_is_checked_as_text(harness: Harness) -> None:
    number = fresh_number()
    started = await call(harness.app, "POST", PATH, {"to": number.e164, "code": "000042"})

    assert_problem(await check(harness, started.json["id"], "42"), 422, "invalid_code")
    assert not (await check(harness, started.json["id"], "00000042")).json["valid"]
    assert (await check(harness, started.json["id"], "000042")).json["valid"]


async def test_too_many_wrong_codes_stop_the_sending_until_a_day_after_the_first(harness: Harness) -> None:
    harness.change_service(failures_per_day=5, **UNLIMITED)
    started = await start(harness)
    for _ in range(5):
        await check(harness, started.id, started.wrong)

    refused = await call(harness.app, "POST", PATH, {"to": started.number.e164})

    assert_problem(refused, 429, "rate_limited")
    assert refused.headers["retry-after"] == str(DAY)
    harness.clock.advance(int(refused.headers["retry-after"]))
    assert (await call(harness.app, "POST", PATH, {"to": started.number.e164})).status == 201
