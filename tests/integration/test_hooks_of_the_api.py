"""Challenges and the operator's own service, wired together in the API function, as services.toml sets them up."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from pathlib import Path

import altcha
import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from infra.local.embedded_aws import EmbeddedAws, Resources, aws_client, create_resources
from infra.local.execution_environment import ExecutionEnvironment
from tests.gateway import Gateway
from tests.harness import fresh_number
from tests.lambda_events import API, body_of, http_event, running

SECRETS = {"challenge": {"turnstile": "ours"}, "risk": {"*": f"whsec_{'A' * 32}"}}
START = "/v1/verifications"


@pytest.fixture(scope="module")
async def resources(aws: EmbeddedAws) -> Resources:
    made = await create_resources(aws.endpoint, visibility_timeout=90, prefix="hooks")
    async with aws_client("secretsmanager", aws.endpoint) as client:
        for name, secret in SECRETS.items():
            await client.create_secret(Name=f"{made.provider_secrets}{name}", SecretString=json.dumps(secret))
    return made


async def deny(request: web.Request) -> web.Response:
    signed = {"webhook-id", "webhook-timestamp", "webhook-signature"} <= {name.lower() for name in request.headers}
    return web.json_response({"decision": "deny" if signed else "allow"})


async def verify(request: web.Request) -> web.Response:
    form = await request.post()
    return web.json_response({"success": form["secret"] == "ours" and form["response"] == "solved"})


@pytest.fixture(scope="module")
async def operator() -> AsyncIterator[str]:
    app = web.Application()
    app.router.add_post("/risk", deny)
    app.router.add_post("/siteverify", verify)
    async with TestServer(app, host="127.0.0.1") as server:
        yield str(server.make_url("")).rstrip("/")


@pytest.fixture(scope="module")
async def api(
    resources: Resources, operator: str, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[ExecutionEnvironment]:
    services = tmp_path_factory.mktemp("services") / "services.toml"
    _write(services, operator)
    async with (
        Gateway.start(resources.accounts) as gateway,
        running(API, {**resources.environment(), **gateway.environment(), "SERVICES_FILE": str(services)}) as function,
    ):
        yield function


def _write(services: Path, operator: str) -> None:
    services.write_text(
        f"""
        [altcha.guard]
        challenge = true
        [turnstile.guard]
        challenge = true
        challenge_url = "{operator}/siteverify"
        [risk.guard]
        risk_url = "{operator}/risk"
        """,
        encoding="utf-8",
    )


async def test_a_challenge_of_our_own_is_made_solved_and_accepted_once(api: ExecutionEnvironment) -> None:
    to = {"to": fresh_number().e164, "service": "altcha"}

    refused = body_of(await api.invoke(http_event("POST", START, to)))
    made = await api.invoke(http_event("POST", refused["challenge"]["from"], to))
    challenge = altcha.Challenge.from_dict(body_of(made))
    solution = altcha.solve_challenge(challenge)
    assert solution is not None
    start = http_event("POST", START, {**to, "challenge": altcha.Payload(challenge, solution).to_base64()})
    answers = [(await api.invoke(start))["statusCode"] for _ in range(2)]

    assert answers == [201, 403]


async def test_somebody_elses_challenge_is_verified_there(api: ExecutionEnvironment) -> None:
    to = {"to": fresh_number().e164, "service": "turnstile"}

    answers = [
        (await api.invoke(http_event("POST", START, {**to, "challenge": token})))["statusCode"]
        for token in ("made up", "solved")
    ]

    assert answers == [403, 201]


async def test_the_operators_own_service_is_asked_and_signed_to(api: ExecutionEnvironment) -> None:
    to = {"to": fresh_number().e164, "service": "risk"}

    refused = body_of(await api.invoke(http_event("POST", START, to)))

    assert (refused["code"], refused["reason"]) == ("blocked_by_guard", "risk")
