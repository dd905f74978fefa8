"""AWS End User Messaging SMS (`pinpoint-sms-voice-v2`): one SendTextMessage a send, and events of what became of it.

Sources: botocore's service model 2022-03-31 for parameters, exceptions and their reasons, and the service's user guide
for events (`configuration-sets-event-types`, `-event-format`, `monitor-event-bridge`) and for `message-feedback`.

Events come to the receipts function by way of IAM, from the topic that the configuration set names or from EventBridge:
there is no address to be found out, and so no signature and no `RECEIPTS`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, ClassVar

import msgspec

from functions.domain.delivery import DeliveryStatus, Message, Outcome, Receipt, Scope, SendResult
from functions.domain.part import part
from functions.providers.account import Account
from functions.providers.aws_faults import THROTTLED, Refusal, ask, refused
from functions.providers.gateway import USUAL
from functions.providers.transport import Timeouts

NAME = "aws_sms"
SERVICE = "pinpoint-sms-voice-v2"

_INDIA = "IN"
_SHORTEST_LIFE, _LONGEST_LIFE = 5, 259_200
"""Seconds: the limits of TimeToLive."""
_REFERENCE = "ref"
"""The key in a message's context, which comes back in its events."""

_CONFLICTS: Mapping[str, tuple[Outcome, Scope]] = {
    # Whoever has the number has opted out, or the operator has blocked it.
    "DESTINATION_PHONE_NUMBER_OPTED_OUT": (Outcome.REJECTED_NUMBER, Scope.PROVIDER),
    "DESTINATION_PHONE_NUMBER_BLOCKED_BY_PROTECT_NUMBER_OVERRIDE": (Outcome.REJECTED_NUMBER, Scope.PROVIDER),
    # The operator has blocked the country, and means it.
    "DESTINATION_COUNTRY_BLOCKED_BY_PROTECT_CONFIGURATION": (Outcome.CONFIG, Scope.FORBIDDEN),
}
"""The others are about one sender, pool, country, or the sandbox's list of numbers: no way from here to this number."""

_OF_A_NUMBER = frozenset({"CANNOT_PARSE", "FIELD_VALIDATION_FAILED", "INVALID_PARAMETER"})
"""Where the field that they name is the destination. Else something in the route is written wrong."""
_DESTINATION = "destinationphonenumber"
_TOO_LONG = "MAXIMUM_SIZE_EXCEEDED"

_STATUSES: Mapping[str, DeliveryStatus] = {
    # The carrier has it. In some countries that is the last that is heard of a message that was delivered.
    "TEXT_SENT": DeliveryStatus.SENT,
    "TEXT_SUCCESSFUL": DeliveryStatus.SENT,
    "TEXT_DELIVERED": DeliveryStatus.DELIVERED,
    # For good: the number, or the message.
    "TEXT_INVALID": DeliveryStatus.FAILED,
    "TEXT_INVALID_MESSAGE": DeliveryStatus.FAILED,
    "TEXT_UNREACHABLE": DeliveryStatus.FAILED,
    "TEXT_BLOCKED": DeliveryStatus.REJECTED,
    # For now: the carrier, the phone, or nobody knows (after 72 hours).
    "TEXT_CARRIER_UNREACHABLE": DeliveryStatus.FAILED,
    "TEXT_TTL_EXPIRED": DeliveryStatus.FAILED,
    "TEXT_UNKNOWN": DeliveryStatus.FAILED,
    # Blocked on the way: by the carrier, as spam, by the operator's own protection.
    "TEXT_CARRIER_BLOCKED": DeliveryStatus.FAILED,
    "TEXT_SPAM": DeliveryStatus.REJECTED,
    "TEXT_PROTECT_BLOCKED": DeliveryStatus.REJECTED,
}
"""Not here: TEXT_QUEUED and TEXT_PENDING, which are on their way still."""


@part
class AwsSms:
    """The role of the function is all the credentials that there are."""

    client: Any
    """aiobotocore's, which tries once."""
    configuration_set: str | None
    timeouts: Timeouts = USUAL
    name: ClassVar[str] = NAME

    @property
    def timeout(self) -> float:
        return self.timeouts.whole

    async def prepare(self) -> None:
        """There is nothing to look at."""

    async def send(self, message: Message) -> SendResult:
        call = self.client.send_text_message(**_parameters(message, self.configuration_set))
        answer = await ask(NAME, call, whole=self.timeouts.whole)
        if isinstance(answer, Refusal):
            return _judge(answer)
        if isinstance(answer, SendResult):
            return answer
        return SendResult(provider=NAME, outcome=Outcome.ACCEPTED, message_id=answer, wants_feedback=True)

    async def approved(self, message_id: str) -> bool:
        """AWS watches over routes by the share of codes that came to use, and takes silence of an hour for a no."""
        call = self.client.put_message_feedback(MessageId=message_id, MessageFeedbackStatus="RECEIVED")
        return isinstance(await ask(NAME, call, whole=self.timeouts.whole), str)


async def open_provider(account: Account, timeouts: Timeouts = USUAL) -> AwsSms:
    client = await account.open_aws(SERVICE, account.url)
    return AwsSms(client=client, configuration_set=account.configuration_set, timeouts=timeouts)


def _parameters(message: Message, configuration_set: str | None) -> dict[str, Any]:
    parameters: dict[str, Any] = {
        "DestinationPhoneNumber": message.to.e164,
        "MessageBody": message.text.reveal(),
        "MessageType": "TRANSACTIONAL",
        "TimeToLive": min(max(message.valid_for, _SHORTEST_LIFE), _LONGEST_LIFE),
        "Context": {_REFERENCE: message.reference},
        "MessageFeedbackEnabled": True,
    }
    if message.sender is not None:
        parameters["OriginationIdentity"] = message.sender
    if configuration_set is not None:
        parameters["ConfigurationSetName"] = configuration_set
    registered = {"IN_ENTITY_ID": message.entity, "IN_TEMPLATE_ID": message.template}
    told = {key: value for key, value in registered.items() if value is not None}
    if told and message.to.region == _INDIA:
        parameters["DestinationCountryParameters"] = told
    return parameters


def _judge(refusal: Refusal) -> SendResult:
    found = refusal.response.get("Reason")
    reason = found if isinstance(found, str) else ""
    return refused(NAME, refusal, *_meaning(refusal, reason), because=reason)


def _meaning(refusal: Refusal, reason: str) -> tuple[Outcome, Scope]:
    if refusal.code in THROTTLED:
        return Outcome.THROTTLED_ACCOUNT, Scope.PROVIDER
    if refusal.is_a_failure_of_aws:
        return Outcome.TRANSIENT, Scope.PROVIDER
    if refusal.code == "ConflictException":
        return _CONFLICTS.get(reason, (Outcome.CONFIG, Scope.ROUTE))
    if refusal.code == "ValidationException":
        return _invalid(refusal, reason)
    # A sender, pool or template that there is not; else access, balance and the account as a whole.
    missing = refusal.code == "ResourceNotFoundException"
    return Outcome.CONFIG, Scope.ROUTE if missing else Scope.PROVIDER


def _invalid(refusal: Refusal, reason: str) -> tuple[Outcome, Scope]:
    if reason == _TOO_LONG:
        return Outcome.REJECTED_CONTENT, Scope.PROVIDER
    if reason in _OF_A_NUMBER and _DESTINATION in _fields_in(refusal.response):
        return Outcome.REJECTED_NUMBER, Scope.PROVIDER
    return Outcome.CONFIG, Scope.ROUTE


def _fields_in(response: Mapping[str, Any]) -> list[str]:
    """Their names. What is said of each stays unread: it can show the number."""
    fields = response.get("Fields")
    named = fields if isinstance(fields, list) else []
    return [str(field.get("Name")).lower() for field in named if isinstance(field, dict)]


class _Event(msgspec.Struct, rename="camel"):
    event_type: str
    context: dict[str, str]
    event_timestamp: float | None = None
    """Milliseconds since 1970."""


def read_event(event: Mapping[str, Any], now: int) -> tuple[Receipt, ...] | None:
    """The receipts in what the function was invoked with: by SNS, or by EventBridge. None where it was by neither.

    What is no event of a message of ours gives no receipt: SNS topics are tried out with lines of text.
    """
    match event:
        case {"source": "aws.sms-voice", "detail": detail}:
            told = [_converted(detail)]
        case {"Records": [{"Sns": _}, *_] as records}:
            told = [_decoded(record) for record in records]
        case _:
            return None
    ours = [each for each in told if each is not None and _REFERENCE in each.context]
    return tuple(_receipt(each, now) for each in ours if each.event_type in _STATUSES)


def _decoded(record: Any) -> _Event | None:
    match record:
        case {"Sns": {"Message": str(text)}}:
            return _event_in(lambda: msgspec.json.decode(text, type=_Event))
        case _:
            return None


def _converted(detail: Any) -> _Event | None:
    return _event_in(lambda: msgspec.convert(detail, _Event))


def _event_in(read: Callable[[], _Event]) -> _Event | None:
    try:
        return read()
    except (ValueError, RecursionError):
        return None


def _receipt(event: _Event, now: int) -> Receipt:
    status = _STATUSES[event.event_type]
    return Receipt(
        provider=NAME,
        reference=event.context[_REFERENCE],
        status=status,
        reason=event.event_type if status in {DeliveryStatus.FAILED, DeliveryStatus.REJECTED} else None,
        at=_at(event.event_timestamp, now),
    )


def _at(milliseconds: float | None, now: int) -> int:
    """What is no time, or one that has not come yet, is now."""
    if milliseconds is None or not 0 <= milliseconds <= now * 1000:
        return now
    return int(milliseconds / 1000)
