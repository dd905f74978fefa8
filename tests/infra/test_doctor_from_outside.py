"""What ./salvo doctor makes of the stack's status and of the API. No AWS is needed for it."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from functions.domain.routing import Route, Via
from functions.domain.service import Service
from functions.service_file import Configuration
from infra.aws import Aws
from infra.deployed import Deployed, Resource
from infra.doctor import alarms, api, routes, stack
from infra.doctor.finding import Level
from infra.doctor.subject import Subject
from infra.local.embedded_aws import aws_client
from tests.examined import Api, base_url, now, served_api, with_parameter, with_stack

NOBODY = "http://127.0.0.1:9"


def _by(*providers: str, **settings: Any) -> Service:
    return Service(routes=(Route(providers=tuple(Via(provider=name) for name in providers)),), **settings)


@pytest.fixture
async def server() -> AsyncIterator[Api]:
    async with served_api() as served:
        yield served


@pytest.fixture
async def http() -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession() as session:
        yield session


@pytest.fixture
def salvo(server: Api, http: aiohttp.ClientSession) -> Subject:
    deployed = Deployed(
        name="salvo", status="CREATE_COMPLETE", parameters={}, outputs={"ApiUrl": "https://own"}, resources={}
    )
    return Subject(
        aws=Aws("eu-central-1", _no_aws),
        stack=deployed,
        configuration=Configuration(),
        http=http,
        api=server.url,
        now=now,
    )


@pytest.mark.parametrize(
    ("status", "level"),
    [
        ("UPDATE_COMPLETE", Level.OK),
        ("UPDATE_ROLLBACK_COMPLETE", Level.WARN),
        ("UPDATE_IN_PROGRESS", Level.WARN),
        ("ROLLBACK_COMPLETE", Level.FAIL),
        ("UPDATE_ROLLBACK_FAILED", Level.FAIL),
    ],
)
async def test_the_stacks_status_is_weighed(salvo: Subject, status: str, level: Level) -> None:
    (finding,) = await stack.check_status(with_stack(salvo, status=status))

    assert finding.level is level


async def test_receipts_that_nobody_asks_for_are_a_warning_with_the_command(salvo: Subject) -> None:
    (finding,) = await stack.check_receipts(salvo)

    assert finding.level is Level.WARN
    assert finding.advice == f"./salvo deploy --stack-name salvo --parameter ReceiptsUrl={salvo.api}"


async def test_receipts_may_come_to_the_apis_own_address(salvo: Subject) -> None:
    (finding,) = await stack.check_receipts(with_parameter(salvo, "ReceiptsUrl", "https://own"))

    assert finding.level is Level.OK


async def test_an_own_name_for_receipts_has_to_lead_to_the_api(salvo: Subject, server: Api) -> None:
    subject = with_parameter(salvo, "ReceiptsUrl", salvo.api)

    leads = await stack.check_receipts(subject)
    server.health = 404
    astray = await stack.check_receipts(subject)
    nowhere = await stack.check_receipts(with_parameter(salvo, "ReceiptsUrl", NOBODY))

    assert [findings[0].level for findings in (leads, astray, nowhere)] == [Level.OK, Level.FAIL, Level.FAIL]


@pytest.mark.parametrize(
    ("service", "level", "told"),
    [
        (Service(), Level.OK, "of 1 services"),
        (Service(code_length=8), Level.OK, "of 1 services"),
        (_by("tencent", "yunpian"), Level.OK, "of 1 services"),
        (
            _by("tencent", "yunpian", code_length=8),
            Level.FAIL,
            "tencent takes codes of up to 6 digits, and these have 8",
        ),
        (_by("twilio", "vonage", confirm_within=45), Level.OK, "of 1 services"),
        (_by("sns", confirm_within=45), Level.OK, "of 1 services"),
        (_by("twilio", "sns", confirm_within=45), Level.WARN, "sns: nobody hears whether a message arrived"),
    ],
)
async def test_routes_that_do_other_than_their_writer_thinks_are_told(
    salvo: Subject, service: Service, level: Level, told: str
) -> None:
    subject = dataclasses.replace(salvo, configuration=Configuration(services={"default": service}))

    (finding,) = await routes.check_routes(with_parameter(subject, "ReceiptsUrl", "https://own"))

    assert finding.level is level
    assert finding.found.startswith(told)


async def test_receipts_that_are_waited_for_have_to_come(salvo: Subject) -> None:
    service = _by("twilio", "vonage", confirm_within=45)

    (finding,) = await routes.check_routes(
        dataclasses.replace(salvo, configuration=Configuration(services={"default": service}))
    )

    assert (finding.level, "no ReceiptsUrl" in finding.found) == (Level.WARN, True)


async def test_an_api_that_is_ill_or_silent_fails(salvo: Subject, server: Api) -> None:
    server.health = 503
    ill = await api.check_health(salvo)
    silent = await api.check_health(dataclasses.replace(salvo, api=NOBODY))

    assert (ill[0].level, ill[0].found) == (Level.FAIL, "GET /v1/health answers 503")
    assert (silent[0].level, "does not answer" in silent[0].found) == (Level.FAIL, True)


@pytest.mark.parametrize("status", [401, 403], ids=["by_us", "by_iam"])
async def test_an_api_that_turns_strangers_away_is_well(salvo: Subject, server: Api, status: int) -> None:
    server.stranger = status

    (finding,) = await api.check_strangers(salvo)

    assert finding.level is Level.OK


async def test_an_api_that_lets_strangers_in_fails(salvo: Subject, server: Api) -> None:
    server.stranger = 201

    (finding,) = await api.check_strangers(salvo)

    assert (finding.level, finding.found) == (Level.FAIL, "a POST without a key is answered 201, not 401")


@pytest.mark.parametrize(("ahead", "told"), [(60, "s behind"), (-60, "s ahead")])
async def test_a_clock_that_is_not_the_apis_is_a_warning(salvo: Subject, server: Api, ahead: float, told: str) -> None:
    server.ahead = ahead

    _, finding = await api.check_health(salvo)

    assert finding.level is Level.WARN
    assert finding.found.endswith(told)


@pytest.mark.parametrize(
    ("subscribed", "found"),
    [
        (["arn:aws:sns:eu-central-1:000000000000:alarms:1"], "1 confirmed"),
        (["arn:aws:sns:eu-central-1:000000000000:alarms:1", "PendingConfirmation"], "1 of 2 have not agreed yet"),
        ([], "nobody"),
    ],
)
async def test_an_address_is_told_of_alarms_once_it_has_agreed(
    salvo: Subject, subscribed: list[str], found: str
) -> None:
    async def subscriptions(_: web.Request) -> web.Response:
        members = "".join(f"<member><SubscriptionArn>{arn}</SubscriptionArn></member>" for arn in subscribed)
        result = (
            f"<ListSubscriptionsByTopicResult><Subscriptions>{members}</Subscriptions></ListSubscriptionsByTopicResult>"
        )
        return web.Response(text=f"<ListSubscriptionsByTopicResponse>{result}</ListSubscriptionsByTopicResponse>")

    # No embedded AWS leaves a subscription unconfirmed.
    app = web.Application()
    app.router.add_post("/", subscriptions)
    async with TestServer(app) as sns:
        aws = Aws("eu-central-1", functools.partial(aws_client, endpoint=base_url(sns)))
        topic = {"Alarms": Resource("AWS::SNS::Topic", "arn:aws:sns:eu-central-1:000000000000:alarms")}
        (finding,) = await alarms.check_listeners(dataclasses.replace(with_stack(salvo, resources=topic), aws=aws))

    assert finding.found == found
    assert (finding.level is Level.OK) == (found == "1 confirmed")


def _no_aws(service: str) -> None:
    raise AssertionError(f"{service} was asked")
