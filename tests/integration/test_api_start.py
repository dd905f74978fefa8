"""POST /v1/verifications: what a start answers, what it sends, and what it refuses."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from functions.domain.delivery import Outcome
from functions.domain.phone import PhoneNumber
from functions.domain.service import Limit, OnResend, Service
from functions.queues.messages import encode_job
from functions.usecases.disposition import Disposition
from functions.usecases.ports import QueueUnavailable
from tests.harness import MORNING, UNLIMITED, Harness, Response, another, answer, assert_problem, call, fresh_number

PATH = "/v1/verifications"
ASYNC = {"prefer": "respond-async"}

OWN_CODE = "271828"


async def start(
    harness: Harness, number: PhoneNumber, *, headers: dict[str, str] | None = None, **fields: Any
) -> Response:
    return await call(harness.app, "POST", PATH, {"to": number.e164, **fields}, headers=headers)


async def check(harness: Harness, started: Response, code: str) -> Response:
    return await call(harness.app, "POST", f"{PATH}/{started.json['id']}/check", {"code": code})


async def look_up(harness: Harness, started: Response) -> Response:
    return await call(harness.app, "GET", f"{PATH}/{started.json['id']}")


async def test_a_start_answers_with_exactly_the_documented_fields(harness: Harness) -> None:
    number = fresh_number()

    started = await start(harness, number, metadata={"order": "17"})

    assert started.status == 201
    assert started.json == {
        "id": started.json["id"],
        "service": "default",
        "to": number.e164,
        "channel": "sms",
        "status": "pending",
        "sends": 1,
        "attempts_left": 5,
        "expires_at": MORNING + 600,
        "resend_at": MORNING + 30,
        "provider": "yunpian",
        "delivery": {"status": "submitted", "provider": "yunpian", "reason": None, "at": MORNING},
        "metadata": {"order": "17"},
    }


async def test_a_start_says_where_its_verification_is(harness: Harness) -> None:
    started = await start(harness, fresh_number())

    assert started.headers["location"] == f"{PATH}/{started.json['id']}"
    assert (await call(harness.app, "GET", started.headers["location"])).json["id"] == started.json["id"]


async def test_an_answer_is_json_that_nobody_may_store(harness: Harness) -> None:
    started = await start(harness, fresh_number())

    assert started.headers["content-type"] == "application/json"
    assert started.headers["cache-control"] == "no-store"


async def test_the_code_is_in_the_message_and_nowhere_in_the_answer(harness: Harness) -> None:
    harness.change_service(code_length=10)  # which no time stamp or id spells by chance
    number = fresh_number()

    started = await start(harness, number)

    code = harness.provider.code_for(number)
    assert len(code) == 10
    assert code not in started.body.decode() + repr(started.headers)


async def test_the_code_of_the_message_is_the_right_one(harness: Harness) -> None:
    number = fresh_number()

    started = await start(harness, number)

    assert (await check(harness, started, harness.provider.code_for(number))).json["valid"]


async def test_a_start_names_another_service(harness: Harness) -> None:
    harness.services["shop"] = Service(name="shop", brand="Acme Shop", code_length=8, lifetime=120)
    number = fresh_number()

    started = await start(harness, number, service="shop")

    assert (started.json["service"], started.json["expires_at"]) == ("shop", MORNING + 120)
    assert len(harness.provider.code_for(number)) == 8
    assert "Acme Shop" in harness.provider.messages[0].text.reveal()


async def test_services_keep_separate_verifications_of_a_number(harness: Harness) -> None:
    harness.services["shop"] = Service(name="shop")
    number = fresh_number()

    first, second = await start(harness, number), await start(harness, number, service="shop")

    assert (first.status, second.status) == (201, 201)
    assert first.json["id"] != second.json["id"]


async def test_an_unknown_service_is_refused(harness: Harness) -> None:
    assert_problem(await start(harness, fresh_number(), service="nobody"), 422, "invalid_request")
    assert harness.provider.messages == []


@pytest.mark.parametrize(
    ("to", "kind"),
    [
        ("+493012345678", "fixed line"),
        ("+498001234567", "toll free"),
        ("+499001234567", "premium rate"),
        ("+4970012345678", "personal number"),
        ("+448431234567", "shared cost"),
        ("+445612345678", "VoIP"),
        ("+447640123456", "pager"),
        ("+445512345678", "company number"),
    ],
)
async def test_a_number_that_takes_no_sms_is_refused(harness: Harness, to: str, kind: str) -> None:
    response = await call(harness.app, "POST", PATH, {"to": to})

    assert_problem(response, 403, "number_type_blocked")
    assert harness.provider.messages == [], kind


@pytest.mark.parametrize("to", ["+12015550123", "+8613812345678", "+33612345678", "+5511961234567", "+9779841234567"])
async def test_a_number_of_any_country_is_served(harness: Harness, to: str) -> None:
    harness.services["world"] = Service(name="world", **UNLIMITED)

    response = await call(harness.app, "POST", PATH, {"to": to, "service": "world"})

    assert response.status == 201
    assert [message.to.e164 for message in harness.provider.messages] == [to]


@pytest.mark.parametrize(
    "to",
    [
        "",
        "+",
        "4915112345678",
        "004915112345678",
        "015112345678",
        "+49 151 12345678",
        "+49-151-12345678",
        "+49(0)15112345678",
        "+49015112345678",
        "+4915112345678 ",
        "+4915112345678\n",
        "+4915112345678;ext=1",
        "+4915112345678x1",
        "tel:+4915112345678",
        "＋4915112345678",
        "+４９15112345678",
        "+٤٩15112345678",
        "+49151123456789012",
        "+1",
        "+99912345678",
        "+4915112",
        "+12015550",
        "+1201555012345",
        "+4915112345678,+4915112345679",
        "+49151abcdefgh",
        "+4915112345678\x00",
    ],
)
async def test_what_is_not_the_canonical_spelling_of_a_number_is_refused(harness: Harness, to: str) -> None:
    response = await call(harness.app, "POST", PATH, {"to": to})

    assert_problem(response, 422, "invalid_number")
    assert harness.provider.messages == []


@pytest.mark.parametrize(
    "fields",
    [
        {"locale": "not a locale"},
        {"domain": "https://acme.example/"},
        {"domain": "Acme.Example"},
        {"app_hash": "short"},
        {"ip": "300.1.1.1"},
        {"ip": "localhost"},
        {"metadata": {"long": "x" * 200}},
        {"metadata": {str(name): "" for name in range(6)}},
        {"service": ""},
        {"service": "s" * 65},
    ],
)
async def test_a_malformed_field_is_refused(harness: Harness, fields: dict[str, Any]) -> None:
    assert_problem(await start(harness, fresh_number(), **fields), 422, "invalid_request")
    assert harness.provider.messages == []


async def test_every_field_of_a_request_is_taken(harness: Harness) -> None:
    started = await start(
        harness,
        fresh_number(),
        service="default",
        locale="fr",
        code=OWN_CODE,
        ip="2001:db8::1",
        app_hash="FA+9qCX9VSu",
        domain="acme.example",
        metadata={"order": "17", "cart": "4"},
    )

    assert started.status == 201
    assert harness.provider.messages[0].text.reveal().splitlines() == [
        f"{OWN_CODE} est votre code de vérification. Ne le communiquez à personne.",
        f"@acme.example #{OWN_CODE} FA+9qCX9VSu",
    ]


async def test_a_start_while_the_verification_lives_sends_its_code_again(harness: Harness) -> None:
    number = fresh_number()
    first = await start(harness, number)
    harness.clock.advance(30)

    second = await start(harness, number)

    assert second.status == 201
    assert (second.json["id"], second.json["sends"]) == (first.json["id"], 2)
    assert second.json["expires_at"] == first.json["expires_at"]
    one, two = harness.provider.sent_to(number)
    assert one.text == two.text
    assert one.reference != two.reference


async def test_a_resend_gives_no_attempt_back(harness: Harness) -> None:
    number = fresh_number()
    started = await start(harness, number)
    wrong = another(harness.provider.code_for(number))
    for _ in range(2):
        await check(harness, started, wrong)
    harness.clock.advance(30)

    assert (await start(harness, number)).json["attempts_left"] == 3


async def test_where_a_resend_means_a_new_code_the_old_one_is_wrong_and_the_attempts_stay(harness: Harness) -> None:
    harness.change_service(on_resend=OnResend.NEW, code_length=10)
    number = fresh_number()
    started = await start(harness, number)
    old = harness.provider.code_for(number)
    await check(harness, started, another(old))
    harness.clock.advance(30)

    again = await start(harness, number)

    new = harness.provider.code_for(number)
    assert new != old
    assert (again.json["id"], again.json["sends"], again.json["attempts_left"]) == (started.json["id"], 2, 4)
    with_the_old = await check(harness, started, old)
    assert (with_the_old.json["valid"], with_the_old.json["attempts_left"]) == (False, 3)
    assert (await check(harness, started, new)).json["valid"]


async def test_a_start_after_the_verification_is_over_makes_a_new_one(harness: Harness) -> None:
    number = fresh_number()
    first = await start(harness, number)
    harness.clock.advance(600)

    second = await start(harness, number)

    assert second.status == 201
    assert second.json["id"] != first.json["id"]
    assert (second.json["sends"], second.json["expires_at"]) == (1, MORNING + 1200)


@pytest.mark.parametrize(("passed", "left"), [(0, 30), (1, 29), (29, 1)])
async def test_a_start_within_the_cooldown_is_told_how_long_to_wait(harness: Harness, passed: int, left: int) -> None:
    number = fresh_number()
    await start(harness, number)
    harness.clock.advance(passed)

    refused = await start(harness, number)

    assert_problem(refused, 429, "rate_limited")
    assert refused.headers["retry-after"] == str(left)
    assert refused.json["retry_after"] == left
    assert len(harness.provider.messages) == 1


async def test_whoever_waits_as_long_as_told_is_served(harness: Harness) -> None:
    harness.change_service(cooldown=7, limits=(Limit(2, 100),))
    number = fresh_number()
    await start(harness, number)
    for _ in range(3):
        refused = await start(harness, number)
        assert refused.status == 429
        harness.clock.advance(int(refused.headers["retry-after"]))
        assert (await start(harness, number)).status == 201


async def test_a_verification_is_sent_so_often_and_no_more(harness: Harness) -> None:
    harness.change_service(max_sends=2, **UNLIMITED)
    number = fresh_number()
    for _ in range(2):
        assert (await start(harness, number)).status == 201
        harness.clock.advance(10)

    refused = await start(harness, number)

    assert_problem(refused, 429, "rate_limited")
    assert refused.headers["retry-after"] == str(600 - 20)


async def test_fifty_starts_at_once_send_one_sms(harness: Harness) -> None:
    number = fresh_number()

    responses = await asyncio.gather(*(start(harness, number) for _ in range(50)))

    assert sorted(response.status for response in responses) == [201] + [429] * 49
    assert len(harness.provider.sent_to(number)) == 1


async def test_a_code_of_the_callers_own_is_sent_and_checked(harness: Harness) -> None:
    number = fresh_number()

    started = await start(harness, number, code=OWN_CODE)

    assert started.status == 201
    assert harness.provider.code_for(number) == OWN_CODE
    assert not (await check(harness, started, another(OWN_CODE))).json["valid"]
    assert (await check(harness, started, OWN_CODE)).json["valid"]


@pytest.mark.parametrize("code", ["12345", "12345678901", "12345a", "", " 123456", "123456\n", 123456, ["123456"], {}])
async def test_a_malformed_code_of_the_callers_own_is_refused(harness: Harness, code: object) -> None:
    assert_problem(await start(harness, fresh_number(), code=code), 422, "invalid_code")
    assert harness.provider.messages == []


async def test_a_code_of_the_callers_own_has_to_come_along_with_every_resend(harness: Harness) -> None:
    number = fresh_number()
    await start(harness, number, code=OWN_CODE)
    harness.clock.advance(30)

    without, with_it = await start(harness, number), await start(harness, number, code=OWN_CODE)

    assert_problem(without, 409, "conflict")
    assert (with_it.status, with_it.json["sends"]) == (201, 2)
    assert len(harness.provider.sent_to(number)) == 2


async def test_a_resend_with_another_code_of_the_callers_own_ends_the_one_before(harness: Harness) -> None:
    number = fresh_number()
    started = await start(harness, number, code=OWN_CODE)
    harness.clock.advance(30)

    await start(harness, number, code="314159")

    assert not (await check(harness, started, OWN_CODE)).json["valid"]
    assert (await check(harness, started, "314159")).json["valid"]


ANSWERS: dict[Outcome, tuple[int, str | None]] = {
    Outcome.ACCEPTED: (201, None),
    Outcome.UNKNOWN: (201, None),
    Outcome.REJECTED_NUMBER: (502, "delivery_rejected"),
    Outcome.REJECTED_CONTENT: (502, "delivery_rejected"),
    Outcome.THROTTLED_RECIPIENT: (429, "rate_limited"),
    Outcome.THROTTLED_ACCOUNT: (503, "delivery_unavailable"),
    Outcome.CONFIG: (503, "delivery_unavailable"),
    Outcome.TRANSIENT: (503, "delivery_unavailable"),
}
NOT_TAKEN = [outcome for outcome, (status, _) in ANSWERS.items() if status == 503]
REJECTED = [outcome for outcome, (status, _) in ANSWERS.items() if status == 502]


@pytest.mark.parametrize("outcome", Outcome)
async def test_each_outcome_of_a_send_has_its_answer(harness: Harness, outcome: Outcome) -> None:
    harness.provider.script = [answer(outcome)]

    response = await start(harness, fresh_number())

    status, code = ANSWERS[outcome]
    if code is None:
        assert response.status == status
    else:
        assert_problem(response, status, code)
    assert len(harness.provider.messages) == 1


@pytest.mark.parametrize("outcome", NOT_TAKEN)
async def test_a_start_that_sent_nothing_costs_nothing_and_the_next_one_is_sent(
    harness: Harness, outcome: Outcome
) -> None:
    harness.change_service(cooldown=0, limits=(Limit(1, 600),), max_sends=1)
    number = fresh_number()
    harness.provider.script = [answer(outcome)]
    assert (await start(harness, number)).status == 503

    second = await start(harness, number)

    assert (second.status, second.json["sends"]) == (201, 1)
    assert (await check(harness, second, harness.provider.code_for(number))).json["valid"]


async def test_a_start_that_sent_nothing_leaves_the_limits_in_force_for_those_that_did(harness: Harness) -> None:
    harness.change_service(cooldown=0, limits=(Limit(1, 600),))
    number = fresh_number()
    harness.provider.script = [answer(Outcome.TRANSIENT)]
    await start(harness, number)
    await start(harness, number)

    assert_problem(await start(harness, number), 429, "rate_limited")


@pytest.mark.parametrize("outcome", NOT_TAKEN)
async def test_what_the_provider_says_of_waiting_is_passed_on(harness: Harness, outcome: Outcome) -> None:
    harness.provider.script = [answer(outcome, retry_after=17)]

    assert (await start(harness, fresh_number())).headers["retry-after"] == "17"


async def test_a_recipient_that_the_provider_throttles_is_told_how_long_to_wait(harness: Harness) -> None:
    harness.provider.script = [answer(Outcome.THROTTLED_RECIPIENT, retry_after=300)]

    refused = await start(harness, fresh_number())

    assert_problem(refused, 429, "rate_limited")
    assert refused.headers["retry-after"] == "300"


async def test_the_cooldown_counts_for_a_recipient_that_the_provider_throttles(harness: Harness) -> None:
    number = fresh_number()
    harness.provider.script = [answer(Outcome.THROTTLED_RECIPIENT)]
    await start(harness, number)

    assert_problem(await start(harness, number), 429, "rate_limited")
    assert len(harness.provider.messages) == 1


@pytest.mark.parametrize("outcome", REJECTED)
async def test_a_rejected_message_cancels_its_verification(harness: Harness, outcome: Outcome) -> None:
    number = fresh_number()
    started = await start(harness, number)
    harness.clock.advance(30)
    harness.provider.script = [answer(outcome)]

    assert_problem(await start(harness, number), 502, "delivery_rejected")

    status = (await look_up(harness, started)).json
    assert (status["status"], status["delivery"]["status"]) == ("canceled", "rejected")
    assert_problem(await check(harness, started, harness.provider.code_for(number)), 409, "canceled")


async def test_a_send_of_unknown_outcome_is_reported_as_such(harness: Harness) -> None:
    harness.provider.script = [answer(Outcome.UNKNOWN)]

    started = await start(harness, fresh_number())

    assert started.status == 201
    assert started.json["delivery"]["status"] == "unknown"
    assert (await look_up(harness, started)).json["delivery"]["status"] == "unknown"


async def test_a_send_of_unknown_outcome_is_not_repeated(harness: Harness) -> None:
    number = fresh_number()
    harness.provider.script = [answer(Outcome.UNKNOWN)]
    headers = {"idempotency-key": "one"}

    first, second = [await start(harness, number, headers=headers) for _ in range(2)]

    assert first.body == second.body
    assert_problem(await start(harness, number), 429, "rate_limited")
    assert len(harness.provider.sent_to(number)) == 1


async def test_the_code_of_a_send_of_unknown_outcome_is_good_if_it_arrives(harness: Harness) -> None:
    number = fresh_number()
    harness.provider.script = [answer(Outcome.UNKNOWN)]

    started = await start(harness, number)

    assert (await check(harness, started, harness.provider.code_for(number))).json["valid"]


@pytest.mark.parametrize("prefer", ["respond-async", "wait=10, Respond-Async", "respond-async,wait=1"])
async def test_a_caller_that_prefers_not_to_wait_is_answered_before_anything_is_sent(
    harness: Harness, prefer: str
) -> None:
    started = await start(harness, fresh_number(), headers={"prefer": prefer})

    assert started.status == 202
    assert started.json["delivery"]["status"] == "queued"
    assert started.headers["location"] == f"{PATH}/{started.json['id']}"
    assert harness.provider.messages == []
    assert [job.verification for job in harness.queue.jobs] == [started.json["id"]]


@pytest.mark.parametrize("prefer", ["", "wait=10", "respond-asynchronously", "no-respond-async"])
async def test_any_other_preference_is_no_wish_for_the_queue(harness: Harness, prefer: str) -> None:
    assert (await start(harness, fresh_number(), headers={"prefer": prefer})).status == 201
    assert harness.queue.jobs == []


async def test_a_queued_start_is_carried_out_by_the_sender(harness: Harness) -> None:
    number = fresh_number()
    started = await start(harness, number, headers=ASYNC)

    done = await harness.send(harness.queue.jobs[0], message_id="m1", queued_at=MORNING)

    assert done.disposition is Disposition.DONE
    assert (await look_up(harness, started)).json["delivery"]["status"] == "submitted"
    assert (await check(harness, started, harness.provider.code_for(number))).json["valid"]


async def test_the_queue_holds_no_code(harness: Harness) -> None:
    harness.change_service(code_length=10)
    number = fresh_number()
    await start(harness, number, headers=ASYNC)
    body = encode_job(harness.queue.jobs[0])

    await harness.send(harness.queue.jobs[0], message_id="m1", queued_at=MORNING)

    assert number.e164 in body
    assert harness.provider.code_for(number) not in body


async def test_a_start_that_the_queue_does_not_take_costs_nothing_and_may_be_repeated(harness: Harness) -> None:
    number = fresh_number()
    harness.queue.error = QueueUnavailable("down")

    refused = await start(harness, number, headers=ASYNC)
    harness.queue.error = None
    again = await start(harness, number, headers=ASYNC)

    assert_problem(refused, 503, "delivery_unavailable")
    assert (again.status, again.json["sends"]) == (202, 1)
    assert len(harness.queue.jobs) == 1


async def test_a_code_of_the_callers_own_does_not_go_through_the_queue(harness: Harness) -> None:
    refused = await start(harness, fresh_number(), headers=ASYNC, code=OWN_CODE)

    assert_problem(refused, 422, "invalid_request")
    assert harness.queue.jobs == []


async def test_a_code_that_never_went_out_is_not_resent_but_made_anew(harness: Harness) -> None:
    number = fresh_number()
    harness.provider.script = [answer(Outcome.TRANSIENT)]
    assert (await start(harness, number, code=OWN_CODE)).status == 503

    harness.clock.advance(599)
    started = await start(harness, number)

    assert started.status == 201
    assert started.json["expires_at"] == harness.clock() + 600
    assert harness.provider.code_for(number) != OWN_CODE


async def test_a_verification_whose_resend_was_not_taken_stays_pending(harness: Harness) -> None:
    number = fresh_number()
    started = await start(harness, number)
    harness.clock.advance(30)
    harness.provider.script = [answer(Outcome.TRANSIENT)]
    assert (await start(harness, number)).status == 503

    assert (await look_up(harness, started)).json["status"] == "pending"
    assert (await check(harness, started, harness.provider.code_for(number))).json["valid"]
