"""Amazon SNS: what is asked of it, and what its answers mean."""

from __future__ import annotations

import re
from typing import Any

import aiohttp
import pytest

from functions.domain.delivery import Outcome, Scope, SendResult
from functions.providers.sns import SERVICE, open_provider
from functions.providers.transport import Timeouts
from tests.adapters import CODE, GERMAN, Vendor, a_message, hangs_up, open_for_business, says, says_nothing
from tests.aws_accounts import ACCESS_KEY, SECRET_KEY, a_stubbed_account, an_aws_account, set_credentials

SECRET: dict[str, str] = {}
ROUTE: dict[str, str] = {}
_PUBLISHED = (
    b'<PublishResponse xmlns="http://sns.amazonaws.com/doc/2010-03-31/"><PublishResult>'
    b"<MessageId>34d9b400-c6dd-5444-820d-fbeb0f1f54cf</MessageId></PublishResult>"
    b"<ResponseMetadata><RequestId>d74b8436-ae13-5ab4-a9ff-ce54dfea72a0</RequestId></ResponseMetadata></PublishResponse>"
)
ACCEPTED = (_PUBLISHED, 200)

INDIAN = "+919876543210"
QUICK = Timeouts(connect=0.4, whole=0.5)
TRANSACTIONAL = {"AWS.SNS.SMS.SMSType": "Transactional"}

P, R = Scope.PROVIDER, Scope.ROUTE
CONFIG = Outcome.CONFIG
OF_THE_NUMBER = f"Invalid parameter: PhoneNumber Reason: {GERMAN} is not valid to publish to"
OF_THE_SENDER = "Invalid parameter: SenderID Reason: no such sender"

REFUSALS: list[tuple[str, int, str, Outcome, Scope]] = [
    ("InvalidParameter", 400, OF_THE_NUMBER, Outcome.REJECTED_NUMBER, P),
    ("ParameterValueInvalid", 400, OF_THE_NUMBER, Outcome.REJECTED_NUMBER, P),
    ("InvalidParameter", 400, OF_THE_SENDER, CONFIG, R),
    ("ParameterValueInvalid", 400, OF_THE_SENDER, CONFIG, R),
    ("ValidationException", 400, "1 validation error detected", CONFIG, R),
    ("AuthorizationError", 403, "is not authorized to perform: SNS:Publish", CONFIG, P),
    ("AccessDenied", 403, "no", CONFIG, P),
    ("InvalidClientTokenId", 403, "The security token included in the request is invalid", CONFIG, P),
    ("SignatureDoesNotMatch", 403, "no", CONFIG, P),
    ("ExpiredToken", 403, "no", CONFIG, P),
    ("InvalidSecurity", 403, "no", CONFIG, P),
    ("Throttling", 400, "Rate exceeded", Outcome.THROTTLED_ACCOUNT, P),
    ("ThrottlingException", 400, "Rate exceeded", Outcome.THROTTLED_ACCOUNT, P),
    ("Throttling", 429, "Rate exceeded", Outcome.THROTTLED_ACCOUNT, P),
    ("Throttled", 429, "Rate exceeded", Outcome.THROTTLED_ACCOUNT, P),
    ("InternalError", 500, "no", Outcome.TRANSIENT, P),
    ("ServiceUnavailable", 503, "no", Outcome.TRANSIENT, P),
    ("NotFound", 404, "no", CONFIG, P),
    ("EndpointDisabled", 400, "no", CONFIG, P),
    ("PlatformApplicationDisabled", 400, "no", CONFIG, P),
    ("KMSAccessDenied", 400, "no", CONFIG, P),
    ("KMSDisabled", 400, "no", CONFIG, P),
    ("KMSInvalidState", 400, "no", CONFIG, P),
    ("KMSNotFound", 400, "no", CONFIG, P),
    ("KMSOptInRequired", 403, "no", CONFIG, P),
    ("KMSThrottling", 400, "no", CONFIG, P),
    ("ACodeOfNextYear", 400, "no", CONFIG, P),
]


@pytest.fixture(autouse=True)
def _credentials(monkeypatch: pytest.MonkeyPatch) -> None:
    set_credentials(monkeypatch)


async def answered(http: aiohttp.ClientSession, vendor: Vendor, **message: Any) -> SendResult:
    async with open_for_business(vendor), an_aws_account(http, f"{vendor.url}/sns") as account:
        provider = await open_provider(account)
        return await provider.send(a_message(**message))


def error(code: str, message: str) -> bytes:
    return (
        '<ErrorResponse xmlns="http://sns.amazonaws.com/doc/2010-03-31/"><Error><Type>Sender</Type>'
        f"<Code>{code}</Code><Message>{message}</Message></Error><RequestId>r</RequestId></ErrorResponse>"
    ).encode()


def attributes_in(form: dict[str, str]) -> dict[str, str]:
    """By name. All are texts."""
    entries = [key.removesuffix(".Name") for key in form if key.endswith(".Name")]
    assert {form[f"{entry}.Value.DataType"] for entry in entries} == {"String"}
    return {form[f"{entry}.Name"]: form[f"{entry}.Value.StringValue"] for entry in entries}


# The request


async def test_a_message_on_the_wire(http: aiohttp.ClientSession) -> None:
    vendor = says(*ACCEPTED)

    result = await answered(http, vendor)

    request = vendor.request
    assert (request.method, request.path) == ("POST", "/sns")
    assert request.headers["Content-Type"] == "application/x-www-form-urlencoded; charset=utf-8"
    signed = rf"AWS4-HMAC-SHA256 Credential={ACCESS_KEY}/[0-9]{{8}}/eu-central-1/sns/aws4_request, .*"
    assert re.fullmatch(signed, request.headers["Authorization"])
    assert request.body == (
        b"Action=Publish&Version=2010-03-31&PhoneNumber=%2B4915112345678&Message=481516+is+your+code."
        b"&MessageAttributes.entry.1.Name=AWS.SNS.SMS.SMSType&MessageAttributes.entry.1.Value.DataType=String"
        b"&MessageAttributes.entry.1.Value.StringValue=Transactional"
    )
    assert result == SendResult(
        provider="sns", outcome=Outcome.ACCEPTED, message_id="34d9b400-c6dd-5444-820d-fbeb0f1f54cf"
    )


@pytest.mark.parametrize(
    ("described", "attributes"),
    [
        ({}, TRANSACTIONAL),
        ({"sender": "ACME-2"}, TRANSACTIONAL | {"AWS.SNS.SMS.SenderID": "ACME-2"}),
        ({"sender": "+12065550152"}, TRANSACTIONAL | {"AWS.MM.SMS.OriginationNumber": "+12065550152"}),
        ({"sender": "12345"}, TRANSACTIONAL | {"AWS.MM.SMS.OriginationNumber": "12345"}),
        (
            {"to": INDIAN, "sender": "ACMEIN", "template": "1107", "entity": "1101"},
            TRANSACTIONAL
            | {"AWS.SNS.SMS.SenderID": "ACMEIN", "AWS.MM.SMS.EntityId": "1101", "AWS.MM.SMS.TemplateId": "1107"},
        ),
        ({"to": GERMAN, "template": "1107", "entity": "1101"}, TRANSACTIONAL),
        ({"to": INDIAN}, TRANSACTIONAL),
    ],
)
async def test_attributes_say_who_sends_what(
    http: aiohttp.ClientSession, described: dict[str, str], attributes: dict[str, str]
) -> None:
    vendor = says(*ACCEPTED)

    await answered(http, vendor, **described)

    assert attributes_in(vendor.request.form) == attributes


async def test_a_request_is_one_of_the_services_model(http: aiohttp.ClientSession) -> None:
    async with a_stubbed_account(http, SERVICE) as stubbed:
        stubbed.stub.add_response("publish", {"MessageId": "34d9"})
        described = {"to": INDIAN, "sender": "ACMEIN", "template": "1107", "entity": "1101"}

        result = await (await open_provider(stubbed.account)).send(a_message(**described))

    assert (result.outcome, result.message_id) == (Outcome.ACCEPTED, "34d9")


# The answer


@pytest.mark.parametrize(("code", "status", "message", "outcome", "scope"), REFUSALS)
async def test_a_refusal_has_its_class_and_reach(
    http: aiohttp.ClientSession, code: str, status: int, message: str, outcome: Outcome, scope: Scope
) -> None:
    async with a_stubbed_account(http, SERVICE) as stubbed:
        stubbed.stub.add_client_error("publish", code, message, http_status_code=status)

        result = await (await open_provider(stubbed.account)).send(a_message())

    assert result == SendResult(provider="sns", outcome=outcome, reason=f"sns_{code}", scope=scope)


@pytest.mark.parametrize(
    ("vendor", "outcome", "reason"),
    [
        (says(error("InvalidParameter", OF_THE_NUMBER), 400), Outcome.REJECTED_NUMBER, "sns_InvalidParameter"),
        (says(error("InternalError", "x"), 500), Outcome.TRANSIENT, "sns_InternalError"),
        (says(error("Throttling", "Rate exceeded"), 400), Outcome.THROTTLED_ACCOUNT, "sns_Throttling"),
    ],
)
async def test_a_refusal_as_it_stands_on_the_wire(
    http: aiohttp.ClientSession, vendor: Vendor, outcome: Outcome, reason: str
) -> None:
    result = await answered(http, vendor)

    assert len(vendor.asked) == 1
    assert result == SendResult(provider="sns", outcome=outcome, reason=reason)


@pytest.mark.parametrize(
    ("vendor", "reason"),
    [
        (says(b"", 500), "http_500"),
        (says(b"<html>busy</html>", 502), "http_502"),
        (says(b"busy", 503), "http_503"),
        (says(b"<ErrorResponse>", 500), "not_aws"),
        (says(error(f"{GERMAN}", "x"), 400), "http_400"),
        (says(error("", "x"), 400), "http_400"),
        (says(b""), "not_aws"),
        (says(b"all is well"), "not_aws"),
        (says(b"<html/>"), "not_aws"),
        (says(b"<PublishResponse><PublishResult/></PublishResponse>"), "not_aws"),
        (hangs_up(), "disconnected"),
    ],
)
async def test_what_aws_did_not_say_tells_nothing(http: aiohttp.ClientSession, vendor: Vendor, reason: str) -> None:
    result = await answered(http, vendor)

    assert len(vendor.asked) == 1
    assert result == SendResult(provider="sns", outcome=Outcome.UNKNOWN, reason=reason)


async def test_a_403_without_a_word_took_nothing(http: aiohttp.ClientSession) -> None:
    result = await answered(http, says(b"", 403))

    assert result == SendResult(provider="sns", outcome=Outcome.CONFIG, reason="http_403")


@pytest.mark.parametrize("body", [b"", b"slow down"])
@pytest.mark.parametrize(("headers", "wait"), [({}, None), ({"Retry-After": "7"}, 7)])
async def test_too_many_requests_are_turned_away(
    http: aiohttp.ClientSession, body: bytes, headers: dict[str, str], wait: int | None
) -> None:
    vendor = says(body, 429, **headers)

    result = await answered(http, vendor)

    assert len(vendor.asked) == 1
    assert result == SendResult(provider="sns", outcome=Outcome.THROTTLED_ACCOUNT, reason="http_429", retry_after=wait)


async def test_nobody_waits_for_an_answer_that_does_not_come(http: aiohttp.ClientSession) -> None:
    vendor = says_nothing()

    async with open_for_business(vendor), an_aws_account(http, vendor.url) as account:
        result = await (await open_provider(account, QUICK)).send(a_message())

    assert len(vendor.asked) == 1
    assert result == SendResult(provider="sns", outcome=Outcome.UNKNOWN, reason="read_timeout")


@pytest.mark.parametrize(
    ("url", "reason"),
    [("http://nowhere.invalid", "dns"), ("http://127.0.0.1:9", "refused"), ("https://127.0.0.1:{port}", "tls")],
)
async def test_what_never_left_may_go_by_another_way(http: aiohttp.ClientSession, url: str, reason: str) -> None:
    async with open_for_business(says(*ACCEPTED)) as vendor:
        called = url.format(port=vendor.url.rpartition(":")[2])
        async with an_aws_account(http, called) as account:
            result = await (await open_provider(account)).send(a_message())

    assert vendor.asked == []
    assert result == SendResult(provider="sns", outcome=Outcome.TRANSIENT, reason=reason)


# The port, and what must not be seen


async def test_it_answers_within_the_time_that_it_names(http: aiohttp.ClientSession) -> None:
    async with an_aws_account(http) as account:
        provider = await open_provider(account)
        await provider.prepare()

    assert (provider.name, provider.timeout) == ("sns", 6)


async def test_nothing_of_a_message_or_a_key_shows(http: aiohttp.ClientSession) -> None:
    async with an_aws_account(http) as account:
        provider = await open_provider(account)
    result = await answered(http, says(error("InvalidParameter", f"{OF_THE_NUMBER} {CODE}"), 400))

    for shown in (repr(provider), repr(account), repr(result)):
        assert {part for part in (SECRET_KEY, ACCESS_KEY, CODE, GERMAN[1:]) if part in shown} == set()
