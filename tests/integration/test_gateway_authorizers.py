"""The API's function behind API Gateway's own authorizers, as a process: it goes by the event, and by no header."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest

from infra.local.embedded_aws import EmbeddedAws, create_resources
from infra.local.execution_environment import ExecutionEnvironment
from tests.lambda_events import API, body_of, http_event, running

UNKNOWN = f"/v1/verifications/vfy_k1_{'a' * 40}"


@pytest.fixture(scope="module", params=["iam", "jwt"])
async def api(request: pytest.FixtureRequest, aws: EmbeddedAws) -> AsyncIterator[ExecutionEnvironment]:
    resources = await create_resources(aws.endpoint, visibility_timeout=2, prefix=f"authorizer-{request.param}")
    async with running(API, {**resources.environment(), "AUTHORIZER": request.param}) as function:
        yield function


def by(authorizer: Any, method: str = "GET") -> dict[str, Any]:
    """With the key that is good where keys are asked for."""
    event = http_event(method, UNKNOWN)
    return {**event, "requestContext": {**event["requestContext"], "authorizer": authorizer}}


@pytest.mark.parametrize(
    "authorizer",
    [
        {"iam": {"userArn": "arn:aws:iam::111122223333:role/checkout"}},
        {"jwt": {"claims": {"sub": "checkout", "scope": "salvo/read"}}},
    ],
    ids=["iam", "jwt"],
)
async def test_whom_api_gateway_names_is_let_in(api: ExecutionEnvironment, authorizer: Any) -> None:
    answer = await api.invoke(by(authorizer))

    assert (answer["statusCode"], body_of(answer)["code"]) == (404, "not_found")


async def test_a_token_without_the_scope_is_forbidden(api: ExecutionEnvironment) -> None:
    answer = await api.invoke(by({"jwt": {"claims": {"sub": "checkout", "scope": "salvo/read"}}}, "DELETE"))

    assert (answer["statusCode"], body_of(answer)["code"]) == (403, "forbidden")


async def test_a_key_is_nothing_there(api: ExecutionEnvironment) -> None:
    answer = await api.invoke(http_event("GET", UNKNOWN))

    assert (answer["statusCode"], body_of(answer)["code"]) == (401, "unauthorized")


async def test_the_public_keys_are_told_to_everybody(api: ExecutionEnvironment) -> None:
    answer = await api.invoke(http_event("GET", "/v1/jwks.json"))

    assert answer["statusCode"] == 200
    assert [key["crv"] for key in body_of(answer)["keys"]] == ["Ed25519"]
