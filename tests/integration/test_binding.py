"""A code is good for its number, its service and what it was bound to, and for nothing else."""

from __future__ import annotations

import pytest

from functions.domain.phone import PhoneNumber
from functions.domain.service import OnResend, Service
from tests.harness import UNLIMITED, Harness, Response, assert_problem, call, fresh_number

PATH = "/v1/verifications"
PAYMENT = "EUR 10.00 to DE89370400440532013000"


async def start(harness: Harness, number: PhoneNumber, **more: object) -> Response:
    return await call(harness.app, "POST", PATH, {"to": number.e164, **more})


async def check(harness: Harness, verification: str, code: str, **more: object) -> Response:
    return await call(harness.app, "POST", f"{PATH}/{verification}/check", {"code": code, **more})


async def test_a_code_confirms_what_it_was_bound_to(harness: Harness) -> None:
    number = fresh_number()
    started = (await start(harness, number, binding=PAYMENT)).json

    checked = await check(harness, started["id"], harness.provider.code_for(number), binding=PAYMENT)

    assert (checked.status, checked.json["valid"]) == (200, True)


@pytest.mark.parametrize("more", [{}, {"binding": f"{PAYMENT} "}, {"binding": "session 7"}], ids=str)
async def test_without_its_binding_or_with_another_a_right_code_is_a_wrong_one_and_counted(
    harness: Harness, more: dict[str, str]
) -> None:
    number = fresh_number()
    started = (await start(harness, number, binding=PAYMENT)).json

    checked = await check(harness, started["id"], harness.provider.code_for(number), **more)

    assert (checked.status, checked.json["valid"], checked.json["attempts_left"]) == (200, False, 4)


async def test_a_code_that_was_bound_to_nothing_confirms_no_payment(harness: Harness) -> None:
    number = fresh_number()
    started = (await start(harness, number)).json

    checked = await check(harness, started["id"], harness.provider.code_for(number), binding=PAYMENT)

    assert (checked.json["valid"], checked.json["attempts_left"]) == (False, 4)


async def test_no_amount_that_differs_by_a_cent_is_confirmed_in_a_hundred_tries(harness: Harness) -> None:
    harness.change_service(**UNLIMITED, failures_per_day=100_000, failures_in_a_row=100_000)
    confirmed = 0
    for cents in range(1000, 1100):
        number = fresh_number()
        started = (await start(harness, number, binding=f"EUR {cents}")).json
        code = harness.provider.code_for(number)

        confirmed += (await check(harness, started["id"], code, binding=f"EUR {cents + 1}")).json["valid"]

    assert confirmed == 0


async def test_no_code_of_one_number_is_right_for_another_in_a_thousand_tries(harness: Harness) -> None:
    harness.change_service(max_attempts=1000, failures_per_day=1000, failures_in_a_row=1000)
    ours, victim = fresh_number(), fresh_number()
    attacked = (await start(harness, victim)).json["id"]
    right = harness.provider.code_for(victim)

    tried = right_for_another = 0
    while tried < 1000:
        ours = fresh_number()
        await start(harness, ours)
        code = harness.provider.code_for(ours)
        if code == right:
            continue  # by chance, one in a million: then it is the victim's own
        right_for_another += (await check(harness, attacked, code)).json["valid"]
        tried += 1

    assert right_for_another == 0


async def test_a_resend_with_another_binding_sends_another_code_and_the_one_before_confirms_nothing(
    harness: Harness,
) -> None:
    harness.change_service(**UNLIMITED)
    number = fresh_number()
    first = (await start(harness, number, binding="EUR 10")).json
    old = harness.provider.code_for(number)

    again = (await start(harness, number, binding="EUR 9000")).json

    new = harness.provider.code_for(number)
    assert (again["id"], again["sends"]) == (first["id"], 2)
    assert new != old
    assert not (await check(harness, first["id"], old, binding="EUR 9000")).json["valid"]
    assert not (await check(harness, first["id"], old, binding="EUR 10")).json["valid"]
    assert (await check(harness, first["id"], new, binding="EUR 9000")).json["valid"]


@pytest.mark.parametrize("binding", [{"binding": PAYMENT}, {}], ids=["bound", "unbound"])
async def test_a_resend_with_the_same_binding_sends_the_same_code(harness: Harness, binding: dict[str, str]) -> None:
    harness.change_service(**UNLIMITED)
    number = fresh_number()
    started = (await start(harness, number, **binding)).json
    old = harness.provider.code_for(number)

    await start(harness, number, **binding)

    assert harness.provider.code_for(number) == old
    assert (await check(harness, started["id"], old, **binding)).json["valid"]


@pytest.mark.parametrize("on_resend", OnResend)
async def test_a_binding_that_comes_or_goes_with_a_resend_has_its_own_code(
    harness: Harness, on_resend: OnResend
) -> None:
    harness.change_service(**UNLIMITED, on_resend=on_resend)
    number = fresh_number()
    codes = []
    for binding in ({}, {"binding": PAYMENT}, {}):
        started = (await start(harness, number, **binding)).json
        codes.append(harness.provider.code_for(number))

    assert len(set(codes)) == 3
    assert (await check(harness, started["id"], codes[2])).json["valid"]


async def test_a_resend_with_another_binding_refills_no_attempt(harness: Harness) -> None:
    harness.change_service(**UNLIMITED)
    number = fresh_number()
    started = (await start(harness, number, binding="a")).json
    await check(harness, started["id"], harness.provider.code_for(number))

    again = await start(harness, number, binding="b")

    assert again.json["attempts_left"] == 4


async def test_a_code_of_the_callers_own_goes_out_for_one_binding_only(harness: Harness) -> None:
    harness.change_service(**UNLIMITED)
    number = fresh_number()
    started = (await start(harness, number, code="123456", binding="EUR 10")).json

    refused = await start(harness, number, code="123456", binding="EUR 9000")

    assert_problem(refused, 409, "conflict")
    assert len(harness.provider.sent_to(number)) == 1
    assert (await check(harness, started["id"], "123456", binding="EUR 10")).json["valid"]


@pytest.mark.parametrize("binding", ["", "x" * 257, 10, ["EUR 10"], {"amount": 10}], ids=repr)
async def test_what_is_no_binding_is_refused_before_anything_is_sent_or_counted(
    harness: Harness, binding: object
) -> None:
    number = fresh_number()
    started = (await start(harness, number)).json

    assert_problem(await start(harness, fresh_number(), binding=binding), 422, "invalid_request")
    refused = await check(harness, started["id"], harness.provider.code_for(number), binding=binding)

    assert_problem(refused, 422, "invalid_request")
    assert len(harness.provider.messages) == 1
    assert (await check(harness, started["id"], harness.provider.code_for(number))).json["attempts_left"] == 4


async def test_the_binding_is_neither_stored_nor_told(harness: Harness) -> None:
    number = fresh_number()
    started = await start(harness, number, binding=PAYMENT)

    item = await harness.table.get(f"v#{started.json['id'].split('_')[2][:24]}")

    assert item is not None
    assert "binding" in item
    assert PAYMENT not in f"{item} {started.json} {harness.journal.lines}"


async def test_a_check_that_is_repeated_with_another_binding_is_another_request(harness: Harness) -> None:
    number, headers = fresh_number(), {"idempotency-key": "once"}
    started = (await start(harness, number, binding="a")).json
    path, code = f"{PATH}/{started['id']}/check", harness.provider.code_for(number)
    await call(harness.app, "POST", path, {"code": code, "binding": "a"}, headers=headers)

    again = await call(harness.app, "POST", path, {"code": code, "binding": "b"}, headers=headers)

    assert_problem(again, 422, "idempotency_mismatch")


async def test_services_share_no_codes(harness: Harness) -> None:
    harness.services["shop"] = Service(name="shop")
    number = fresh_number()
    started = (await start(harness, number)).json
    await start(harness, number, service="shop")

    checked = await check(harness, started["id"], harness.provider.code_for(number))

    assert not checked.json["valid"]
