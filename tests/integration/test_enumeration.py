"""API-12: answers tell strangers nothing of what is stored: all ids that are not theirs are answered alike."""

from __future__ import annotations

from typing import Any

import pytest

from tests.harness import UNLIMITED, Harness, Response, call, fresh_number

PATH = "/v1/verifications"


async def ask(harness: Harness, method: str, verification: str) -> Response:
    check = method == "POST"
    return await call(
        harness.app, method, f"{PATH}/{verification}{'/check' if check else ''}", {"code": "123456"} if check else None
    )


def seen(response: Response) -> tuple[int, Any, bytes]:
    return response.status, sorted(response.headers.items()), response.body


@pytest.mark.parametrize("method", ["POST", "GET", "DELETE"])
async def test_an_id_that_is_not_there_any_more_not_yet_or_no_id_at_all_is_answered_alike(
    harness: Harness, method: str
) -> None:
    harness.change_service(**UNLIMITED)
    to = fresh_number().e164
    before = (await call(harness.app, "POST", PATH, {"to": to})).json["id"]
    await call(harness.app, "DELETE", f"{PATH}/{before}")
    now = (await call(harness.app, "POST", PATH, {"to": to})).json["id"]

    ids = {
        "of the same number, before": before,
        "of the same number, guessed": f"{now[:-1]}{'a' if now[-1] != 'a' else 'b'}",
        "of nobody": f"vfy_k1_{'a' * 40}",
        "made with a key that there is not": f"vfy_k9{now[6:]}",
        "no id": "vfy_",
    }
    answers = {name: seen(await ask(harness, method, verification)) for name, verification in ids.items()}

    assert before != now
    assert len({repr(answer) for answer in answers.values()}) == 1, answers
    assert answers["of nobody"][0] == 404


async def test_a_known_number_is_answered_as_a_new_one(harness: Harness) -> None:
    known, new = fresh_number().e164, fresh_number().e164
    first = await call(harness.app, "POST", PATH, {"to": known})
    await call(harness.app, "DELETE", f"{PATH}/{first.json['id']}")
    harness.clock.advance(600)

    answers = [await call(harness.app, "POST", PATH, {"to": number}) for number in (known, new)]

    assert answers[0].status == answers[1].status == 201
    assert _without_its_own(answers[0]) == _without_its_own(answers[1])


async def test_a_query_adds_nothing_to_a_body_however_often_it_says_so(harness: Harness) -> None:
    to, other = fresh_number(), fresh_number()
    query = f"to={other.e164}&to={other.e164}&code=123456&code=123456".replace("+", "%2B").encode()

    response = await call(harness.app, "POST", PATH, {"to": to.e164}, query=query)

    assert response.status == 201
    assert [message.to for message in harness.provider.messages] == [to]
    assert harness.provider.code_for(to) != "123456"


def _without_its_own(response: Response) -> tuple[Any, Any]:
    headers = {name: value for name, value in response.headers.items() if name not in {"location", "content-length"}}
    return headers, {name: value for name, value in response.json.items() if name not in {"id", "to"}}
