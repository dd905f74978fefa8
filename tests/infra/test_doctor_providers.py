"""What ./salvo doctor makes of what each provider tells of the account. No AWS is needed for it, and no vendor."""

from __future__ import annotations

import functools
import importlib
from base64 import b64encode
from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Any

import aiohttp
import pytest
from aiohttp import web

from functions.domain.routing import Route, Via
from functions.domain.service import Service
from functions.providers.credentials import Secret, read_secret
from functions.route_file import ProviderSettings
from functions.service_file import Configuration
from infra.aws import Aws
from infra.deployed import Deployed
from infra.doctor.aws_senders import ask_end_user_messaging, ask_sns
from infra.doctor.finding import Finding, Level
from infra.doctor.providers import ask, check_providers
from infra.doctor.subject import Subject
from infra.local.embedded_aws import aws_client
from infra.provider_secrets import kind_of
from tests.adapters import TOKEN, Vendor, open_for_business, says
from tests.examined import now

NOBODY = "http://127.0.0.1:9"

Entries = Mapping[str, Any]

ASKED: dict[str, tuple[str, str]] = {
    "infobip": ("/account/1/balance", "App {api_key}"),
    "messagebird": ("/balance", "AccessKey {access_key}"),
    "plivo": ("/v1/Account/{auth_id}/", "Basic {auth_id}:{auth_token}"),
    "sinch": ("/xms/v1/{service_plan_id}/batches?page_size=1", "Bearer {api_token}"),
    "telnyx": ("/v2/balance", "Bearer {api_key}"),
    "twilio": ("/2010-04-01/Accounts/{account_sid}.json", "Basic {account_sid}:{auth_token}"),
    "vonage": ("/account/get-balance", "Basic {api_key}:{api_secret}"),
}
"""Path and authorization, with what is in the secret."""

ANSWERS: list[tuple[str, object, Level]] = [
    ("twilio", {"sid": "AC0", "status": "active", "type": "Full"}, Level.OK),
    ("twilio", {"sid": "AC0", "status": "active", "type": "Trial"}, Level.WARN),
    ("twilio", {"sid": "AC0", "status": "suspended", "type": "Full"}, Level.FAIL),
    ("vonage", {"value": 10.28, "autoReload": False}, Level.OK),
    ("vonage", {"value": 0.0, "autoReload": True}, Level.WARN),
    ("infobip", {"balance": 47.8, "currency": "EUR"}, Level.OK),
    ("infobip", {"balance": -2, "currency": "EUR"}, Level.WARN),
    ("telnyx", {"data": {"record_type": "balance", "available_credit": "400.00", "currency": "USD"}}, Level.OK),
    ("telnyx", {"data": {"record_type": "balance", "available_credit": "0.00", "currency": "USD"}}, Level.FAIL),
    ("plivo", {"auth_id": "MA0", "billing_mode": "prepaid", "cash_credits": "77.39415"}, Level.OK),
    ("plivo", {"auth_id": "MA0", "billing_mode": "prepaid", "cash_credits": "0.00000"}, Level.FAIL),
    ("plivo", {"auth_id": "MA0", "billing_mode": "postpaid", "cash_credits": "0.00000"}, Level.WARN),
    ("sinch", {"count": 0, "page": 0, "page_size": 0, "batches": []}, Level.OK),
    ("messagebird", {"payment": "prepaid", "type": "credits", "amount": 9.2}, Level.OK),
    ("messagebird", {"payment": "prepaid", "type": "euros", "amount": 0}, Level.FAIL),
    ("messagebird", {"payment": "postpaid", "type": "euros", "amount": 0}, Level.WARN),
    ("yunpian", {"balance": 1000, "alarm_balance": 100}, Level.OK),
    ("yunpian", {"balance": "1000.5", "alarm_balance": "100"}, Level.OK),
    ("yunpian", {"balance": 99, "alarm_balance": 100}, Level.WARN),
    ("yunpian", {"balance": 0, "alarm_balance": None}, Level.FAIL),
    ("yunpian", {"balance": 1000, "ip_whitelist": "203.0.113.7"}, Level.WARN),
    ("yunpian", {"http_status_code": 400, "code": -3, "msg": None, "detail": "IP"}, Level.FAIL),
    ("yunpian", {"http_status_code": 400, "code": -50}, Level.FAIL),
    ("yunpian", {}, Level.WARN),
]


@pytest.fixture
async def http() -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession() as session:
        yield session


@pytest.mark.parametrize("provider", ASKED)
async def test_a_provider_is_asked_for_its_account_with_what_it_knows_us_by(
    http: aiohttp.ClientSession, provider: str
) -> None:
    path, authorization = ASKED[provider]
    scheme, _, credentials = authorization.format_map(_entries(provider)).partition(" ")

    async with open_for_business(says({})) as vendor:
        await _ask(http, provider, vendor.url)

    assert (vendor.request.method, vendor.request.path) == ("GET", path.format_map(_entries(provider)))
    expected = b64encode(credentials.encode()).decode() if scheme == "Basic" else credentials
    assert vendor.request.headers["Authorization"] == f"{scheme} {expected}"


@pytest.mark.parametrize(("provider", "answer", "level"), ANSWERS)
async def test_what_a_provider_tells_of_the_account_is_weighed(
    http: aiohttp.ClientSession, provider: str, answer: object, level: Level
) -> None:
    async with open_for_business(says(answer)) as vendor:
        finding = await _ask(http, provider, vendor.url)

    assert finding.level is level
    assert bool(finding.advice) == (level is not Level.OK)


@pytest.mark.parametrize("provider", ASKED)
@pytest.mark.parametrize("status", [401, 403])
async def test_credentials_that_are_refused_fail_with_the_command_that_takes_others(
    http: aiohttp.ClientSession, provider: str, status: int
) -> None:
    async with open_for_business(says({}, status)) as vendor:
        finding = await _ask(http, provider, vendor.url)

    assert (finding.level, finding.found) == (Level.FAIL, f"refuses the credentials ({status})")
    assert finding.advice == f"./salvo credentials {provider}"


@pytest.mark.parametrize("provider", [*ASKED, "yunpian"])
@pytest.mark.parametrize("vendor", [says("gone", 404), says(b"", 500), says(b"it works!"), says(["it works!"])])
async def test_what_does_not_answer_as_the_vendor_does_fails(
    http: aiohttp.ClientSession, provider: str, vendor: Vendor
) -> None:
    async with open_for_business(vendor):
        finding = await _ask(http, provider, vendor.url)

    assert finding.level is Level.FAIL
    assert f"{vendor.url} answers " in finding.found


@pytest.mark.parametrize("provider", [*ASKED, "yunpian"])
async def test_what_does_not_answer_at_all_fails(http: aiohttp.ClientSession, provider: str) -> None:
    finding = await _ask(http, provider, NOBODY)

    assert finding.level is Level.FAIL
    assert "does not answer" in finding.found


@pytest.mark.parametrize("provider", [*ASKED, "yunpian"])
async def test_nothing_of_a_secret_is_told(http: aiohttp.ClientSession, provider: str) -> None:
    for vendor in (says({}), says({}, 401)):
        async with open_for_business(vendor):
            told = repr(await _ask(http, provider, vendor.url))

            assert not [text for text in _entries(provider).values() if str(text) in told]


@pytest.mark.parametrize("provider", ["aliyun", "tencent", "webhook"])
async def test_a_provider_that_cannot_be_asked_without_sending_is_told_as_such(
    http: aiohttp.ClientSession, provider: str
) -> None:
    finding = await _ask(http, provider, NOBODY)

    assert (finding.level, finding.found) == (
        Level.OK,
        "was not asked: nothing there takes credentials without sending",
    )


async def test_yunpians_address_may_stand_with_either_of_its_providers(http: aiohttp.ClientSession) -> None:
    async with open_for_business(says({"balance": 1})) as vendor:
        configuration = Configuration(providers={"yunpian_multi": ProviderSettings(url=vendor.url)})
        finding = await ask(http, "yunpian_multi", _secret("yunpian"), configuration)

    assert finding.level is Level.OK
    assert vendor.request.path == "/v2/user/get.json"


async def test_an_account_of_an_own_address_is_asked_there(http: aiohttp.ClientSession) -> None:
    entries = {**_entries("infobip"), "base_url": "https://account.invalid"}
    secret = read_secret("infobip", entries, kind_of("infobip"))

    finding = await ask(http, "infobip", secret, Configuration())

    assert finding.found.startswith("https://account.invalid does not answer")


class TestAws:
    @pytest.mark.parametrize(("parameter", "level"), [("true", Level.OK), ("false", Level.FAIL)])
    async def test_the_functions_must_have_the_right_to_send(
        self, http: aiohttp.ClientSession, parameter: str, level: Level
    ) -> None:
        async with open_for_business(_sns(sandbox="false")) as sns:
            right, account = await check_providers(_subject(sns, http, SendByAws=parameter))

        assert (right.level, account.level) == (level, Level.OK)

    async def test_a_provider_that_cannot_be_looked_at_hides_none_of_the_others(
        self, http: aiohttp.ClientSession
    ) -> None:
        async with open_for_business(says({}, 403)) as aws:
            subject = _subject(aws, http, by=["aws_sms", "twilio"], SendByAws="true")
            found = await check_providers(subject)

        assert [(finding.about, finding.level) for finding in found] == [
            ("aws_sms rights", Level.OK),
            ("aws_sms account", Level.FAIL),
            ("twilio account", Level.FAIL),
        ]

    @pytest.mark.parametrize(
        ("tier", "level", "found"),
        [
            ("PRODUCTION", Level.OK, "in production in eu-central-1, at most $30 a month"),
            ("SANDBOX", Level.WARN, "the account is in the sandbox: only verified numbers get anything"),
        ],
    )
    async def test_end_user_messaging_has_to_be_out_of_its_sandbox(self, tier: str, level: Level, found: str) -> None:
        answers = {
            "DescribeAccountAttributes": {"AccountAttributes": [{"Name": "ACCOUNT_TIER", "Value": tier}]},
            "DescribeSpendLimits": {"SpendLimits": [_limit("VOICE", 5), _limit("TEXT", 30)]},
        }

        async def answer(request: web.Request) -> web.Response:
            return web.json_response(answers[request.headers["X-Amz-Target"].partition(".")[2]])

        async with open_for_business(Vendor(answer)) as sms_voice:
            finding = await ask_end_user_messaging(_aws(sms_voice))

        assert (finding.level, finding.found) == (level, found)

    @pytest.mark.parametrize(
        ("sandbox", "level", "found"),
        [
            ("false", Level.OK, "in production in eu-central-1, at most $1 a month"),
            ("true", Level.WARN, "the account is in the sandbox: only verified numbers get anything"),
        ],
    )
    async def test_sns_has_to_be_out_of_its_sandbox(self, sandbox: str, level: Level, found: str) -> None:
        async with open_for_business(_sns(sandbox)) as vendor:
            finding = await ask_sns(_aws(vendor))

        assert (finding.level, finding.found) == (level, found)


def _entries(provider: str) -> Entries:
    """As its adapter's own tests have them."""
    secret: Entries = importlib.import_module(f"tests.unit.test_{provider}").SECRET
    return {"receipt_token": TOKEN, **secret}


def _secret(provider: str) -> Secret:
    return read_secret(provider, _entries(provider), kind_of(provider))


async def _ask(http: aiohttp.ClientSession, provider: str, url: str) -> Finding:
    configuration = Configuration(providers={provider: ProviderSettings(url=url)})
    return await ask(http, provider, _secret(provider), configuration)


def _limit(kind: str, dollars: int) -> dict[str, object]:
    name = f"{kind}_MESSAGE_MONTHLY_SPEND_LIMIT"
    return {"Name": name, "EnforcedLimit": dollars, "MaxLimit": dollars, "Overridden": False}


def _sns(sandbox: str) -> Vendor:
    answers = {
        "GetSMSSandboxAccountStatus": f"<IsInSandbox>{sandbox}</IsInSandbox>",
        "GetSMSAttributes": "<attributes><entry><key>MonthlySpendLimit</key><value>1</value></entry></attributes>",
    }

    async def answer(request: web.Request) -> web.Response:
        action = str((await request.post())["Action"])
        result = f"<{action}Result>{answers[action]}</{action}Result>"
        return web.Response(text=f"<{action}Response>{result}</{action}Response>")

    return Vendor(answer)


def _subject(aws: Vendor, http: aiohttp.ClientSession, *, by: Sequence[str] = ("sns",), **parameters: str) -> Subject:
    """Of a deployment with one route."""
    stack = Deployed(name="salvo", status="CREATE_COMPLETE", parameters=parameters, outputs={}, resources={})
    service = Service(routes=(Route(providers=tuple(Via(provider=name) for name in by)),))
    return Subject(
        aws=_aws(aws),
        stack=stack,
        configuration=Configuration(services={"default": service}),
        http=http,
        api=NOBODY,
        now=now,
    )


def _aws(vendor: Vendor) -> Aws:
    return Aws("eu-central-1", functools.partial(aws_client, endpoint=vendor.url))
