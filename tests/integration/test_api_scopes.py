"""What a key may do: its scopes, its services, and nothing told or counted of another's."""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import pytest

from functions.domain.caller import Caller, Scope
from functions.domain.service import Service
from functions.web.authentication import digest_key
from tests.harness import UNLIMITED, Harness, Response, another, assert_problem, call, fresh_number

PATH = "/v1/verifications"
UNKNOWN = f"vfy_k1_{'a' * 40}"


@dataclass(slots=True)
class Keys:
    callers: dict[str, Caller] = field(default_factory=dict)

    async def caller_of(self, key_digest: str) -> Caller | None:
        return self.callers.get(key_digest)

    def add(self, **may: Any) -> str:
        key = secrets.token_hex(8)
        self.callers[digest_key(key)] = Caller(name=key, **may)
        return key


@pytest.fixture
def keys(harness: Harness) -> Keys:
    keys = Keys()
    harness.callers = keys
    harness.services["shop"] = Service(name="shop")
    return keys


async def each_call(harness: Harness, key: str) -> Mapping[str, Response]:
    """One of each, on a verification of the caller's own where another key has to start it."""
    number = fresh_number()
    started = await call(harness.app, "POST", PATH, {"to": number.e164}, key=key)
    path = f"{PATH}/{started.json.get('id', UNKNOWN)}"
    return {
        "start": started,
        "check": await call(harness.app, "POST", f"{path}/check", {"code": "000000"}, key=key),
        "read": await call(harness.app, "GET", path, key=key),
        "cancel": await call(harness.app, "DELETE", path, key=key),
    }


@pytest.mark.parametrize(
    ("scope", "allowed"),
    [
        (Scope.START, {"start", "cancel"}),
        (Scope.CHECK, {"check"}),
        (Scope.READ, {"read"}),
        (Scope.ADMIN, {"start", "check", "read", "cancel"}),
    ],
)
async def test_a_scope_is_good_for_its_calls_and_all_others_are_forbidden(
    harness: Harness, keys: Keys, scope: Scope, allowed: set[str]
) -> None:
    answers = await each_call(harness, keys.add(scopes=frozenset({scope})))

    assert {name for name, answer in answers.items() if answer.status != 403} == allowed
    for name in answers.keys() - allowed:
        assert_problem(answers[name], 403, "forbidden")


async def test_a_key_for_checks_starts_nothing_and_its_body_is_not_even_read(harness: Harness, keys: Keys) -> None:
    checks_only = keys.add(scopes=frozenset({Scope.CHECK}))

    refused = await call(harness.app, "POST", PATH, b"\xff rubbish {", key=checks_only)

    assert_problem(refused, 403, "forbidden")
    assert harness.provider.messages == []


@pytest.mark.parametrize("service", ["default", "unheard-of"])
async def test_a_service_that_is_not_the_keys_is_forbidden_whether_there_is_one_or_not(
    harness: Harness, keys: Keys, service: str
) -> None:
    of_the_shop = keys.add(services=frozenset({"shop"}))

    refused = await call(harness.app, "POST", PATH, {"to": fresh_number().e164, "service": service}, key=of_the_shop)

    assert_problem(refused, 403, "forbidden")
    assert harness.provider.messages == []


async def test_anothers_verification_is_told_of_as_one_that_does_not_exist_in_a_hundred_of_a_hundred(
    harness: Harness, keys: Keys
) -> None:
    everyone, of_the_shop = keys.add(), keys.add(services=frozenset({"shop"}))

    for _ in range(100):
        number = fresh_number()
        started = await call(harness.app, "POST", PATH, {"to": number.e164}, key=everyone)
        code = {"code": harness.provider.code_for(number)}
        for method, end, body in (("POST", "/check", code), ("GET", "", None), ("DELETE", "", None)):
            foreign, unknown = [
                await call(harness.app, method, f"{PATH}/{name}{end}", body, key=of_the_shop)
                for name in (started.json["id"], UNKNOWN)
            ]
            assert_problem(foreign, 404, "not_found")
            assert (foreign.body, foreign.headers) == (unknown.body, unknown.headers)


async def test_no_guess_at_anothers_verification_is_counted(harness: Harness, keys: Keys) -> None:
    everyone, of_the_shop = keys.add(), keys.add(services=frozenset({"shop", "kiosk"}))
    number = fresh_number()
    started = await call(harness.app, "POST", PATH, {"to": number.e164}, key=everyone)
    right = harness.provider.code_for(number)
    path = f"{PATH}/{started.json['id']}/check"

    for code in (right, another(right)):
        await call(harness.app, "POST", path, {"code": code}, key=of_the_shop)

    checked = await call(harness.app, "POST", path, {"code": right}, key=everyone)
    assert (checked.json["valid"], checked.json["attempts_left"]) == (True, 4)


async def test_a_key_for_a_service_does_all_there(harness: Harness, keys: Keys) -> None:
    harness.services["shop"] = Service(name="shop", **UNLIMITED)
    of_the_shop = keys.add(services=frozenset({"shop", "kiosk"}))
    number = fresh_number()

    started = await call(harness.app, "POST", PATH, {"to": number.e164, "service": "shop"}, key=of_the_shop)
    path = f"{PATH}/{started.json['id']}"
    read = await call(harness.app, "GET", path, key=of_the_shop)
    body = {"code": harness.provider.code_for(number)}
    checked = await call(harness.app, "POST", f"{path}/check", body, key=of_the_shop)

    assert (started.status, read.status, checked.json["valid"]) == (201, 200, True)
