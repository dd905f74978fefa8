"""A signed result: verified with a library that shares no code with us, from the public keys alone."""

from __future__ import annotations

import base64
import hashlib
from dataclasses import replace
from typing import Any

import jwt
import pytest

from functions.domain.keys import derive
from functions.domain.phone import PhoneNumber
from tests.harness import UNLIMITED, Harness, Response, another, call, fresh_number

PATH = "/v1/verifications"
LIFETIME = 300
CODE_LIFETIME = 600


async def start(harness: Harness, **more: object) -> tuple[str, PhoneNumber]:
    number = fresh_number()
    started = await call(harness.app, "POST", PATH, {"to": number.e164, **more})
    return started.json["id"], number


async def check(harness: Harness, verification: str, code: str, key: str | None = None, **more: object) -> Response:
    headers = {} if key is None else {"idempotency-key": key}
    return await call(harness.app, "POST", f"{PATH}/{verification}/check", {"code": code, **more}, headers=headers)


async def approved(harness: Harness) -> str:
    verification, number = await start(harness)
    token: str = (await check(harness, verification, harness.provider.code_for(number))).json["token"]
    return token


async def verified(harness: Harness, token: str, audience: str = "default") -> dict[str, Any]:
    """As another service of the caller's does it. Its clock is ours."""
    keys = jwt.PyJWKSet.from_dict((await call(harness.app, "GET", "/v1/jwks.json", key=None)).json)
    key = keys[jwt.get_unverified_header(token)["kid"]]
    options: Any = {"verify_exp": False, "verify_iat": False, "require": ["sub", "aud", "iat", "exp", "jti"]}
    return jwt.decode(token, key, algorithms=["EdDSA"], audience=audience, options=options)


async def test_a_right_codes_result_is_verified_by_the_public_keys_alone(harness: Harness) -> None:
    verification, number = await start(harness)

    checked = await check(harness, verification, harness.provider.code_for(number))

    now = harness.clock()
    assert await verified(harness, checked.json["token"]) == {
        "sub": verification,
        "jti": verification,
        "aud": "default",
        "iat": now,
        "exp": now + LIFETIME,
    }


async def test_a_wrong_code_has_no_result(harness: Harness) -> None:
    verification, number = await start(harness)

    checked = await check(harness, verification, another(harness.provider.code_for(number)))

    assert "token" not in checked.json


async def test_a_result_names_the_number_where_the_check_did(harness: Harness) -> None:
    verification, number = await start(harness)

    checked = await check(harness, verification, harness.provider.code_for(number), to=number.e164)

    assert (await verified(harness, checked.json["token"]))["phone_number"] == number.e164


async def test_a_right_code_with_another_number_is_a_wrong_one_and_counted(harness: Harness) -> None:
    verification, number = await start(harness)

    checked = await check(harness, verification, harness.provider.code_for(number), to=fresh_number().e164)

    assert (checked.status, checked.json["valid"], checked.json["attempts_left"]) == (200, False, 4)
    assert "token" not in checked.json


async def test_a_result_names_what_the_code_was_bound_to_by_its_hash(harness: Harness) -> None:
    verification, number = await start(harness, binding="EUR 10")

    checked = await check(harness, verification, harness.provider.code_for(number), binding="EUR 10")

    claims = await verified(harness, checked.json["token"])
    assert base64.urlsafe_b64decode(claims["binding"] + "=") == hashlib.sha256(b"EUR 10").digest()


async def test_a_result_for_another_service_is_refused(harness: Harness) -> None:
    token = await approved(harness)

    with pytest.raises(jwt.InvalidAudienceError):
        await verified(harness, token, audience="shop")


@pytest.mark.parametrize("part", [0, 1, 2], ids=["header", "claims", "signature"])
async def test_a_result_with_anything_changed_is_refused(harness: Harness, part: int) -> None:
    parts = (await approved(harness)).split(".")
    middle = len(parts[part]) // 2
    parts[part] = parts[part][:middle] + ("A" if parts[part][middle] != "A" else "B") + parts[part][middle + 1 :]

    with pytest.raises((jwt.InvalidTokenError, UnicodeDecodeError, KeyError)):
        await verified(harness, ".".join(parts))


async def test_a_repeated_check_is_answered_with_a_result_again_while_the_code_would_live(harness: Harness) -> None:
    verification, number = await start(harness)
    code = harness.provider.code_for(number)
    await check(harness, verification, code, key="once")

    harness.clock.advance(CODE_LIFETIME - 1)
    soon = await check(harness, verification, code, key="once")
    harness.clock.advance(1)
    late = await check(harness, verification, code, key="once")

    assert (await verified(harness, soon.json["token"]))["jti"] == verification
    assert late.json["valid"]
    assert "token" not in late.json


async def test_a_result_outlives_a_rotation_of_the_pepper(harness: Harness) -> None:
    harness.change_service(**UNLIMITED)
    before = await approved(harness)
    ring = harness.keys.ring
    harness.keys.ring = replace(ring, current="k2", peppers={**ring.peppers, "k2": derive("another", "pepper")})

    after = await approved(harness)

    assert [jwt.get_unverified_header(token)["kid"] for token in (before, after)] == ["k1", "k2"]
    assert (await verified(harness, before))["sub"] != (await verified(harness, after))["sub"]


async def test_the_public_keys_are_public_and_nothing_else_is_among_them(harness: Harness) -> None:
    answer = await call(harness.app, "GET", "/v1/jwks.json", key=None)

    (key,) = answer.json["keys"]
    assert answer.status == 200
    assert answer.headers["cache-control"] == "public, max-age=300"
    assert key.keys() == {"kty", "crv", "use", "alg", "kid", "x"}
    assert len(base64.urlsafe_b64decode(key["x"] + "=")) == 32


async def test_no_result_is_told_to_the_log(harness: Harness) -> None:
    token = await approved(harness)

    assert token.rpartition(".")[2] not in str(harness.journal.lines)
