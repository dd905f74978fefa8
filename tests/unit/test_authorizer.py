"""Callers that API Gateway tells apart: named by its event, which no client can write into."""

from __future__ import annotations

from typing import Any

import pytest
from starlette.requests import Request

from functions.domain.caller import EVERYTHING, Caller, Scope
from functions.handlers.authorizer import GatewayAuthorizer
from functions.web.problems import Unauthorized

ARN = "arn:aws:iam::111122223333:role/checkout"


async def who(authorizer: object, **event: Any) -> Caller:
    """As mangum hands the event on."""
    headers = [(b"authorization", b"Bearer anything"), (b"aws.event", b"{}")]
    context = {"requestContext": {"http": {"method": "GET"}, "authorizer": authorizer}, **event}
    return await GatewayAuthorizer()(Request({"type": "http", "headers": headers, "aws.event": context}))


async def test_a_signed_callers_name_is_its_arn_and_its_policy_says_what_it_may_do() -> None:
    iam = {"accessKey": "ASIA…", "accountId": "111122223333", "callerId": "AROA…:x", "userArn": ARN}

    assert await who({"iam": iam}) == Caller(name=ARN, scopes=EVERYTHING)


@pytest.mark.parametrize(
    ("scope", "scopes"),
    [
        ("salvo/start salvo/check", {Scope.START, Scope.CHECK}),
        ("read openid", {Scope.READ}),
        ("salvo/admin", {Scope.ADMIN}),
        ("checks recheck openid", set()),
        ("", set()),
    ],
)
async def test_a_token_is_good_for_the_scopes_that_it_names_and_for_nothing_without(
    scope: str, scopes: set[Scope]
) -> None:
    caller = await who({"jwt": {"claims": {"sub": "client-7", "scope": scope}, "scopes": None}})

    assert caller == Caller(name="client-7", scopes=frozenset(scopes))


async def test_a_token_without_a_subject_is_its_clients() -> None:
    caller = await who({"jwt": {"claims": {"client_id": "client-7", "scope": "salvo/read"}}})

    assert caller.name == "client-7"


async def test_a_token_without_any_scope_opens_nothing() -> None:
    caller = await who({"jwt": {"claims": {"sub": "client-7"}, "scopes": None}})

    assert not any(caller.may(scope) for scope in Scope)


@pytest.mark.parametrize(
    "authorizer",
    [
        None,
        {},
        {"lambda": {"sub": "x"}},
        {"iam": None},
        {"jwt": {}},
        {"jwt": {"claims": {}}},
        {"jwt": {"claims": {"scope": "salvo/admin"}}},
        {"iam": {}, "jwt": {}},
    ],
    ids=str,
)
async def test_a_route_that_api_gateway_left_open_lets_nobody_in(authorizer: object) -> None:
    with pytest.raises(Unauthorized):
        await who(authorizer)


async def test_without_an_event_nobody_is_let_in() -> None:
    with pytest.raises(Unauthorized):
        await GatewayAuthorizer()(Request({"type": "http", "headers": [(b"x-amzn-oidc-identity", b"root")]}))
