"""AWS End User Messaging SMS: what it is asked, what its answers mean, and its events of what became of a message."""

from __future__ import annotations

import json
import re
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from functions.aws import Clients
from functions.domain.delivery import DeliveryStatus, Outcome, Receipt, Scope, SendResult
from functions.handlers.providers import Accounts
from functions.providers.aws_sms import SERVICE, AwsSms, open_provider, read_event
from functions.providers.transport import Timeouts
from functions.settings import receipts_settings
from functions.usecases.ports import LearningProvider
from tests.adapters import CODE, GERMAN, REFERENCE, Vendor, a_message, hangs_up, open_for_business, says, says_nothing
from tests.aws_accounts import ACCESS_KEY, SECRET_KEY, a_stubbed_account, an_aws_account, set_credentials
from tests.harness import MORNING

SECRET: dict[str, str] = {}
ROUTE: dict[str, str] = {}
ACCEPTED = ({"MessageId": "6a1c3d5e-0000-4000-8000-a1b2c3d4e5f6"}, 200)

INDIAN = "+919876543210"
QUICK = Timeouts(connect=0.4, whole=0.5)

P, R, F = Scope.PROVIDER, Scope.ROUTE, Scope.FORBIDDEN
NUMBER, CONTENT, CONFIG = Outcome.REJECTED_NUMBER, Outcome.REJECTED_CONTENT, Outcome.CONFIG
OF_THE_NUMBER = {"Fields": [{"Name": "DestinationPhoneNumber", "Message": f"{GERMAN} is no number"}]}
OF_THE_SENDER = {"Fields": [{"Name": "OriginationIdentity", "Message": "is no identity"}]}

REFUSALS: list[tuple[str, str, dict[str, Any], Outcome, Scope]] = [
    ("ThrottlingException", "", {}, Outcome.THROTTLED_ACCOUNT, P),
    ("ConflictException", "DESTINATION_PHONE_NUMBER_OPTED_OUT", {}, NUMBER, P),
    ("ConflictException", "DESTINATION_PHONE_NUMBER_BLOCKED_BY_PROTECT_NUMBER_OVERRIDE", {}, NUMBER, P),
    ("ConflictException", "DESTINATION_COUNTRY_BLOCKED_BY_PROTECT_CONFIGURATION", {}, CONFIG, F),
    ("ConflictException", "DESTINATION_PHONE_NUMBER_NOT_VERIFIED", {}, CONFIG, R),
    ("ConflictException", "NO_ORIGINATION_IDENTITIES_FOUND", {}, CONFIG, R),
    ("ConflictException", "MESSAGE_TYPE_MISMATCH", {}, CONFIG, R),
    ("ConflictException", "KEYWORD_MISMATCH", {}, CONFIG, R),
    ("ConflictException", "NUMBER_CAPABILITIES_MISMATCH", {}, CONFIG, R),
    ("ConflictException", "RESOURCE_NOT_ACTIVE", {}, CONFIG, R),
    ("ConflictException", "RESOURCE_NOT_EMPTY", {}, CONFIG, R),
    ("ConflictException", "A_REASON_OF_NEXT_YEAR", {}, CONFIG, R),
    ("ValidationException", "CANNOT_PARSE", OF_THE_NUMBER, NUMBER, P),
    ("ValidationException", "FIELD_VALIDATION_FAILED", OF_THE_NUMBER, NUMBER, P),
    ("ValidationException", "INVALID_PARAMETER", OF_THE_NUMBER, NUMBER, P),
    ("ValidationException", "CANNOT_PARSE", OF_THE_SENDER, CONFIG, R),
    ("ValidationException", "FIELD_VALIDATION_FAILED", OF_THE_SENDER, CONFIG, R),
    ("ValidationException", "INVALID_PARAMETER", OF_THE_SENDER, CONFIG, R),
    ("ValidationException", "INVALID_PARAMETER", {}, CONFIG, R),
    ("ValidationException", "DESTINATION_COUNTRY_BLOCKED", OF_THE_NUMBER, CONFIG, R),
    ("ValidationException", "COUNTRY_NOT_ENABLED", {}, CONFIG, R),
    ("ValidationException", "INTERNATIONAL_SENDING_NOT_SUPPORTED", {}, CONFIG, R),
    ("ValidationException", "INVALID_IDENTITY_FOR_DESTINATION_COUNTRY", {}, CONFIG, R),
    ("ValidationException", "SENDER_ID_NOT_REGISTERED", {}, CONFIG, R),
    ("ValidationException", "SENDER_ID_NOT_SUPPORTED", {}, CONFIG, R),
    ("ValidationException", "SENDER_ID_REQUIRES_REGISTRATION", {}, CONFIG, R),
    ("ValidationException", "PRICE_OVER_THRESHOLD", {}, CONFIG, R),
    ("ValidationException", "MAXIMUM_SIZE_EXCEEDED", {}, CONTENT, P),
    ("ValidationException", "OTHER", {}, CONFIG, R),
    ("ServiceQuotaExceededException", "MONTHLY_SPEND_LIMIT_REACHED_FOR_TEXT", {}, CONFIG, P),
    ("ServiceQuotaExceededException", "DAILY_DESTINATION_CALL_LIMIT", {}, CONFIG, P),
    ("AccessDeniedException", "INSUFFICIENT_ACCOUNT_REPUTATION", {}, CONFIG, P),
    ("AccessDeniedException", "ACCOUNT_DISABLED", {}, CONFIG, P),
    ("AccessDeniedException", "", {}, CONFIG, P),
    ("ResourceNotFoundException", "", {}, CONFIG, R),
    ("UnrecognizedClientException", "", {}, CONFIG, P),
    ("ExpiredTokenException", "", {}, CONFIG, P),
]

STATUSES = {
    "TEXT_QUEUED": None,
    "TEXT_PENDING": None,
    "TEXT_SENT": DeliveryStatus.SENT,
    "TEXT_SUCCESSFUL": DeliveryStatus.SENT,
    "TEXT_DELIVERED": DeliveryStatus.DELIVERED,
    "TEXT_INVALID": DeliveryStatus.FAILED,
    "TEXT_INVALID_MESSAGE": DeliveryStatus.FAILED,
    "TEXT_UNREACHABLE": DeliveryStatus.FAILED,
    "TEXT_BLOCKED": DeliveryStatus.REJECTED,
    "TEXT_CARRIER_UNREACHABLE": DeliveryStatus.FAILED,
    "TEXT_UNKNOWN": DeliveryStatus.FAILED,
    "TEXT_TTL_EXPIRED": DeliveryStatus.FAILED,
    "TEXT_CARRIER_BLOCKED": DeliveryStatus.FAILED,
    "TEXT_SPAM": DeliveryStatus.REJECTED,
    "TEXT_PROTECT_BLOCKED": DeliveryStatus.REJECTED,
    "VOICE_ANSWERED": None,
    "TEXT_OF_NEXT_YEAR": None,
}


@pytest.fixture(autouse=True)
def _credentials(monkeypatch: pytest.MonkeyPatch) -> None:
    set_credentials(monkeypatch)


async def answered(http: aiohttp.ClientSession, vendor: Vendor, **message: Any) -> SendResult:
    async with open_for_business(vendor), an_aws_account(http, f"{vendor.url}/aws_sms") as account:
        provider = await open_provider(account)
        return await provider.send(a_message(**message))


# The request


async def test_a_message_on_the_wire(http: aiohttp.ClientSession) -> None:
    vendor = says(*ACCEPTED)

    result = await answered(http, vendor, sender="pool-0123456789abcdef0123456789abcdef")

    request = vendor.request
    assert (request.method, request.path) == ("POST", "/aws_sms")
    assert request.headers["X-Amz-Target"] == "PinpointSMSVoiceV2.SendTextMessage"
    assert request.headers["Content-Type"] == "application/x-amz-json-1.0"
    signed = rf"AWS4-HMAC-SHA256 Credential={ACCESS_KEY}/[0-9]{{8}}/eu-central-1/sms-voice/aws4_request, .*"
    assert re.fullmatch(signed, request.headers["Authorization"])
    assert request.json == {
        "DestinationPhoneNumber": GERMAN,
        "OriginationIdentity": "pool-0123456789abcdef0123456789abcdef",
        "MessageBody": f"{CODE} is your code.",
        "MessageType": "TRANSACTIONAL",
        "TimeToLive": 300,
        "Context": {"ref": REFERENCE},
        "MessageFeedbackEnabled": True,
    }
    assert result == SendResult(
        provider="aws_sms", outcome=Outcome.ACCEPTED, message_id=ACCEPTED[0]["MessageId"], wants_feedback=True
    )


async def test_events_are_asked_for_by_the_configuration_set(http: aiohttp.ClientSession) -> None:
    vendor = says(*ACCEPTED)

    async with open_for_business(vendor), an_aws_account(http, vendor.url, configuration_set="otp") as account:
        await (await open_provider(account)).send(a_message())

    assert vendor.request.json["ConfigurationSetName"] == "otp"


@pytest.mark.parametrize(("valid_for", "sent"), [(-3, 5), (4, 5), (5, 5), (259_200, 259_200), (259_201, 259_200)])
async def test_a_code_that_dies_is_not_delivered_any_more(
    http: aiohttp.ClientSession, valid_for: int, sent: int
) -> None:
    vendor = says(*ACCEPTED)

    await answered(http, vendor, valid_for=valid_for)

    assert vendor.request.json["TimeToLive"] == sent


async def test_indias_register_is_told_who_sends_what(http: aiohttp.ClientSession) -> None:
    vendor = says(*ACCEPTED)

    await answered(http, vendor, to=INDIAN, sender="ACMEIN", template="1107", entity="1101")

    assert vendor.request.json["DestinationCountryParameters"] == {"IN_ENTITY_ID": "1101", "IN_TEMPLATE_ID": "1107"}


@pytest.mark.parametrize("described", [{"to": GERMAN, "template": "1107", "entity": "1101"}, {"to": INDIAN}])
async def test_other_countries_have_no_such_register(http: aiohttp.ClientSession, described: dict[str, Any]) -> None:
    vendor = says(*ACCEPTED)

    await answered(http, vendor, **described)

    assert "DestinationCountryParameters" not in vendor.request.json


@pytest.mark.parametrize(
    "described",
    [
        {},
        {"to": INDIAN, "sender": "ACMEIN", "template": "1107", "entity": "1101"},
        {"sender": "arn:aws:sms-voice:eu-central-1:123456789012:phone-number/phone-1"},
        {"valid_for": 0},
    ],
)
async def test_every_request_is_one_of_the_services_model(
    http: aiohttp.ClientSession, described: dict[str, Any]
) -> None:
    async with a_stubbed_account(http, SERVICE, configuration_set="otp") as stubbed:
        stubbed.stub.add_response("send_text_message", ACCEPTED[0])

        result = await (await open_provider(stubbed.account)).send(a_message(**described))

    assert result.outcome is Outcome.ACCEPTED


async def test_a_region_of_its_own_is_signed_for(http: aiohttp.ClientSession) -> None:
    async with an_aws_account(http, "https://sms-voice.ap-southeast-2.amazonaws.com") as account:
        provider = await open_provider(account)

    assert provider.client.meta.region_name == "ap-southeast-2"
    assert provider.client.meta.endpoint_url == "https://sms-voice.ap-southeast-2.amazonaws.com"


async def test_without_an_address_of_its_own_aws_is_asked_where_the_function_runs(http: aiohttp.ClientSession) -> None:
    async with an_aws_account(http) as account:
        provider = await open_provider(account)

    assert provider.client.meta.endpoint_url == "https://sms-voice.eu-central-1.amazonaws.com"


# The answer


@pytest.mark.parametrize(("code", "reason", "more", "outcome", "scope"), REFUSALS)
async def test_a_refusal_has_its_class_and_reach(
    http: aiohttp.ClientSession, code: str, reason: str, more: dict[str, Any], outcome: Outcome, scope: Scope
) -> None:
    async with a_stubbed_account(http, SERVICE) as stubbed:
        fields = {**more, "Reason": reason} if reason else more
        stubbed.stub.add_client_error("send_text_message", code, f"no: {GERMAN} {CODE}", modeled_fields=fields)

        result = await (await open_provider(stubbed.account)).send(a_message())

    told = f"aws_sms_{reason or code}"
    assert result == SendResult(provider="aws_sms", outcome=outcome, reason=told, scope=scope)


async def test_a_refusal_as_it_stands_on_the_wire(http: aiohttp.ClientSession) -> None:
    body = {
        "__type": "ConflictException",
        "Message": f"{GERMAN} has opted out",
        "Reason": "DESTINATION_PHONE_NUMBER_OPTED_OUT",
        "ResourceType": "phone-number",
        "ResourceId": GERMAN,
    }
    vendor = says(body, 400)

    result = await answered(http, vendor)

    assert len(vendor.asked) == 1
    assert (result.outcome, result.reason) == (NUMBER, "aws_sms_DESTINATION_PHONE_NUMBER_OPTED_OUT")


@pytest.mark.parametrize(
    ("vendor", "outcome", "reason"),
    [
        (
            says({"__type": "InternalServerException", "Message": "x"}, 500),
            Outcome.TRANSIENT,
            "InternalServerException",
        ),
        (says({"__type": "ServiceUnavailableException"}, 503), Outcome.TRANSIENT, "ServiceUnavailableException"),
        (says({"__type": "ThrottlingException"}, 400), Outcome.THROTTLED_ACCOUNT, "ThrottlingException"),
    ],
)
async def test_a_failure_that_aws_tells_of_may_be_tried_elsewhere(
    http: aiohttp.ClientSession, vendor: Vendor, outcome: Outcome, reason: str
) -> None:
    result = await answered(http, vendor)

    assert len(vendor.asked) == 1
    assert result == SendResult(provider="aws_sms", outcome=outcome, reason=f"aws_sms_{reason}")


@pytest.mark.parametrize(
    ("vendor", "reason"),
    [
        (says(b"", 500), "http_500"),
        (says(b"<html>busy</html>", 502), "http_502"),
        (says(b"{", 500), "http_500"),
        (says(b"[]", 500), "not_aws"),
        (says({"message": "busy"}, 503), "http_503"),
        (says(b""), "not_aws"),
        (says(b"all is well"), "not_aws"),
        (says(b"[1]"), "not_aws"),
        (says(b"null"), "not_aws"),
        (says({"MessageId": 5}), "not_aws"),
        (says({}), "not_aws"),
        (says({"__type": 7, "Reason": [], "Fields": 1}, 400), "not_aws"),
        (hangs_up(), "disconnected"),
    ],
)
async def test_what_aws_did_not_say_tells_nothing(http: aiohttp.ClientSession, vendor: Vendor, reason: str) -> None:
    result = await answered(http, vendor)

    assert len(vendor.asked) == 1
    assert result == SendResult(provider="aws_sms", outcome=Outcome.UNKNOWN, reason=reason)


async def test_a_403_without_a_word_took_nothing(http: aiohttp.ClientSession) -> None:
    result = await answered(http, says(b"", 403))

    assert result == SendResult(provider="aws_sms", outcome=Outcome.CONFIG, reason="http_403")


@pytest.mark.parametrize(("headers", "wait"), [({}, None), ({"Retry-After": "7"}, 7), ({"Retry-After": "soon"}, None)])
async def test_too_many_requests_are_turned_away(
    http: aiohttp.ClientSession, headers: dict[str, str], wait: int | None
) -> None:
    vendor = says(b"", 429, **headers)

    result = await answered(http, vendor)

    assert len(vendor.asked) == 1
    assert result == SendResult(
        provider="aws_sms", outcome=Outcome.THROTTLED_ACCOUNT, reason="http_429", retry_after=wait
    )


async def test_nobody_waits_for_an_answer_that_does_not_come(http: aiohttp.ClientSession) -> None:
    vendor = says_nothing()

    async with open_for_business(vendor), an_aws_account(http, vendor.url) as account:
        result = await (await open_provider(account, QUICK)).send(a_message())

    assert len(vendor.asked) == 1
    assert result == SendResult(provider="aws_sms", outcome=Outcome.UNKNOWN, reason="read_timeout")


@pytest.mark.parametrize(
    ("url", "reason"),
    [
        ("http://nowhere.invalid", "dns"),
        ("http://127.0.0.1:9", "refused"),
        ("https://127.0.0.1:{port}", "tls"),
    ],
)
async def test_what_never_left_may_go_by_another_way(http: aiohttp.ClientSession, url: str, reason: str) -> None:
    async with open_for_business(says(*ACCEPTED)) as vendor:
        called = url.format(port=vendor.url.rpartition(":")[2])
        async with an_aws_account(http, called) as account:
            result = await (await open_provider(account)).send(a_message())

    assert vendor.asked == []
    assert result == SendResult(provider="aws_sms", outcome=Outcome.TRANSIENT, reason=reason)


async def test_a_function_without_credentials_is_not_set_up(
    http: aiohttp.ClientSession, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    for name in ("AWS_CONFIG_FILE", "AWS_SHARED_CREDENTIALS_FILE"):
        monkeypatch.setenv(name, "/nowhere")
    vendor = says(*ACCEPTED)

    result = await answered(http, vendor)

    assert vendor.asked == []
    assert result == SendResult(provider="aws_sms", outcome=CONFIG, reason="no_credentials")


async def test_each_message_has_a_connection_of_its_own(http: aiohttp.ClientSession) -> None:
    """One that sat through a freeze fails with nobody to tell whether the message left."""
    vendor = says(*ACCEPTED)

    await answered(http, vendor)

    assert vendor.request.headers["Connection"] == "close"


# Feedback


async def test_aws_is_told_of_a_code_that_came_to_use(http: aiohttp.ClientSession) -> None:
    vendor = says({"MessageId": "6a1c", "MessageFeedbackStatus": "RECEIVED"})

    async with open_for_business(vendor), an_aws_account(http, vendor.url) as account:
        told = await (await open_provider(account)).approved("6a1c")

    assert told
    assert vendor.request.headers["X-Amz-Target"] == "PinpointSMSVoiceV2.PutMessageFeedback"
    assert vendor.request.json == {"MessageId": "6a1c", "MessageFeedbackStatus": "RECEIVED"}


@pytest.mark.parametrize("vendor", [says({"__type": "ResourceNotFoundException"}, 400), says(b"", 500), hangs_up()])
async def test_feedback_that_aws_does_not_take_is_said_and_not_raised(
    http: aiohttp.ClientSession, vendor: Vendor
) -> None:
    async with open_for_business(vendor), an_aws_account(http, vendor.url) as account:
        told = await (await open_provider(account)).approved("6a1c")

    assert not told
    assert len(vendor.asked) == 1


async def test_feedback_is_a_request_of_the_services_model(http: aiohttp.ClientSession) -> None:
    async with a_stubbed_account(http, SERVICE) as stubbed:
        answer = {"MessageId": "6a1c", "MessageFeedbackStatus": "RECEIVED"}
        stubbed.stub.add_response("put_message_feedback", answer)

        assert await (await open_provider(stubbed.account)).approved("6a1c")


# The configuration set

ELSEWHERE = 'url = "https://sms-voice.us-east-1.amazonaws.com"'


@pytest.mark.parametrize(
    ("settings", "used"),
    [("", "the-stacks"), ('configuration_set = "otp"', "otp"), (ELSEWHERE, None)],
    ids=["default", "named", "other_region"],
)
async def test_the_stacks_own_set_is_used_where_none_is_named_and_it_is_in_reach(
    http: aiohttp.ClientSession, tmp_path: Path, settings: str, used: str | None
) -> None:
    services = tmp_path / "services.toml"
    routes = '[[default.routes]]\nproviders = [ { name = "aws_sms" } ]\n'
    services.write_text(f"{routes}[providers.aws_sms]\n{settings}\n", encoding="utf-8")
    environment = {
        "STACK_NAME": "salvo",
        "TABLE_NAME": "records",
        "PROVIDER_SECRETS": "salvo-provider-",
        "SERVICES_FILE": str(services),
        "SMS_CONFIGURATION_SET": "the-stacks",
    }
    async with AsyncExitStack() as resources:
        common = receipts_settings(environment)
        accounts = Accounts(common=common, clients=Clients(resources), secrets_client=None, session=lambda: http)

        provider = (await accounts.open_all())["aws_sms"]

    assert isinstance(provider, AwsSms)
    assert isinstance(provider, LearningProvider)
    assert provider.configuration_set == used


# The port, and what must not be seen


async def test_it_answers_within_the_time_that_it_names(http: aiohttp.ClientSession) -> None:
    async with an_aws_account(http) as account:
        provider = await open_provider(account)
        await provider.prepare()

    assert (provider.name, provider.timeout) == ("aws_sms", 6)


async def test_nothing_of_a_message_or_a_key_shows(http: aiohttp.ClientSession) -> None:
    body = {"__type": "ValidationException", "Message": f"{GERMAN} {CODE}", "Reason": f"{GERMAN} {CODE}!"}
    async with open_for_business(says(body, 400)) as vendor, an_aws_account(http, vendor.url) as account:
        provider: AwsSms = await open_provider(account)
        result = await provider.send(a_message())

    for shown in (repr(provider), repr(account)):
        assert SECRET_KEY not in shown
        assert ACCESS_KEY not in shown
    assert result.reason == "aws_sms_ValidationException"


# Events


def by_topic(*messages: object) -> dict[str, Any]:
    return {
        "Records": [
            {
                "EventVersion": "1.0",
                "EventSource": "aws:sns",
                "Sns": {
                    "Type": "Notification",
                    "Message": message if isinstance(message, str) else json.dumps(message),
                },
            }
            for message in messages
        ]
    }


def by_event_bridge(detail: object) -> dict[str, Any]:
    return {"detail-type": "Text Message Delivery Status Updated", "source": "aws.sms-voice", "detail": detail}


def told(event_type: str = "TEXT_DELIVERED", **more: Any) -> dict[str, Any]:
    return {
        "eventType": event_type,
        "eventVersion": "1.0",
        "eventTimestamp": (MORNING - 5) * 1000 + 377,
        "isFinal": True,
        "originationPhoneNumber": "+12065550152",
        "destinationPhoneNumber": GERMAN,
        "isoCountryCode": "DE",
        "messageId": "6a1c3d5e-0000-4000-8000-a1b2c3d4e5f6",
        "messageRequestTimestamp": (MORNING - 9) * 1000,
        "messageEncoding": "GSM",
        "messageType": "TRANSACTIONAL",
        "messageStatus": "DELIVERED",
        "messageStatusDescription": "Message has been accepted by phone",
        "context": {"ref": REFERENCE},
        "totalMessageParts": 1,
        "totalMessagePrice": 0.00645,
        "totalCarrierFee": 0.0,
        **more,
    }


@pytest.mark.parametrize(("event_type", "status"), STATUSES.items())
@pytest.mark.parametrize("carried", [by_topic, by_event_bridge])
def test_an_event_tells_how_far_a_message_came(event_type: str, status: DeliveryStatus | None, carried: Any) -> None:
    receipts = read_event(carried(told(event_type)), MORNING)

    reason = event_type if status in {DeliveryStatus.FAILED, DeliveryStatus.REJECTED} else None
    assert receipts == (() if status is None else (a_receipt(status, reason),))


def a_receipt(status: DeliveryStatus = DeliveryStatus.DELIVERED, reason: str | None = None, at: int = -5) -> Receipt:
    return Receipt(provider="aws_sms", reference=REFERENCE, status=status, reason=reason, at=MORNING + at)


@pytest.mark.parametrize("time", [None, -1, (MORNING + 1) * 1000, float("nan"), float("inf")])
def test_a_time_that_makes_no_sense_is_now(time: float | None) -> None:
    assert read_event(by_event_bridge(told(eventTimestamp=time)), MORNING) == (a_receipt(at=0),)


def test_several_notifications_are_read_together() -> None:
    event = by_topic(told("TEXT_SUCCESSFUL"), "Validating the topic", told())

    assert read_event(event, MORNING) == (a_receipt(DeliveryStatus.SENT), a_receipt())


@pytest.mark.parametrize(
    "message",
    [
        "You have successfully subscribed your topic",
        "[1]",
        "[" * 100_000,
        told(context={}),
        told(context={"rid": "another's"}),
        told(context=None),
        {"eventType": "TEXT_DELIVERED"},
    ],
    ids=["text", "list", "deep", "no_context", "others_context", "null_context", "bare"],
)
def test_what_is_no_event_of_a_message_of_ours_is_no_receipt(message: object) -> None:
    assert read_event(by_topic(message), MORNING) == ()


@pytest.mark.parametrize(
    "event",
    [
        {},
        {"version": "2.0", "routeKey": "POST /v1/receipts/{provider}/{token}", "headers": {}},
        {"Records": []},
        {"Records": [{"eventSource": "aws:sqs", "body": "{}"}]},
        {"Records": "none"},
        {"source": "aws.ec2", "detail": told()},
    ],
)
def test_what_comes_by_another_way_is_left_to_others(event: dict[str, Any]) -> None:
    assert read_event(event, MORNING) is None


_json = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text() | st.sampled_from(["eventType", "context"]), inner),
    max_leaves=5,
)


@given(_json, st.text())
@settings(max_examples=300, deadline=None)
def test_whatever_comes_in_an_event_nothing_is_raised(found: Any, text: str) -> None:
    for event in (by_event_bridge(found), by_topic(text, json.dumps(found)), {"Records": [{"Sns": found}, found]}):
        assert read_event(event, MORNING) == ()
