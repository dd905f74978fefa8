"""Amazon SNS: one Publish a send, straight to the phone's number.

Sources: botocore's service model 2010-03-31 and the SNS developer guide (`sms_publish-to-phone`).

SNS takes no reference and no time to live, and tells what became of a message in CloudWatch Logs alone, by a message id
that is kept nowhere: there are no receipts. It takes opted-out numbers too, and messages over the account's monthly
limit, and drops them. `aws_sms` says all that, and is asked in the same way.
"""

from __future__ import annotations

import re
from typing import Any, ClassVar

from functions.domain.delivery import Message, Outcome, Scope, SendResult
from functions.domain.part import part
from functions.providers.account import Account
from functions.providers.aws_faults import THROTTLED, Refusal, ask, refused
from functions.providers.gateway import USUAL
from functions.providers.transport import Timeouts

NAME = "sns"
SERVICE = "sns"

_INDIA = "IN"
_ORIGINATION_NUMBER = re.compile(r"\+?[0-9]{5,14}")
_NUMBER = "PhoneNumber"
_AN_ERROR, _XML = 300, b"<ErrorResponse"

_INVALID = frozenset({"InvalidParameter", "ParameterValueInvalid", "ValidationException"})
"""The number, where the message names it. Else the text, the sender or India's ids: this route's."""


@part
class Sns:
    """The role of the function is all the credentials that there are."""

    client: Any
    """aiobotocore's, which tries once."""
    timeouts: Timeouts = USUAL
    name: ClassVar[str] = NAME

    @property
    def timeout(self) -> float:
        return self.timeouts.whole

    async def prepare(self) -> None:
        """There is nothing to look at."""

    async def send(self, message: Message) -> SendResult:
        call = self.client.publish(
            PhoneNumber=message.to.e164, Message=message.text.reveal(), MessageAttributes=_attributes(message)
        )
        answer = await ask(NAME, call, whole=self.timeouts.whole)
        if isinstance(answer, Refusal):
            return refused(NAME, answer, *_meaning(answer))
        if isinstance(answer, SendResult):
            return answer
        return SendResult(provider=NAME, outcome=Outcome.ACCEPTED, message_id=answer)


async def open_provider(account: Account, timeouts: Timeouts = USUAL) -> Sns:
    client = await account.open_aws(SERVICE, account.url)
    client.meta.events.register("before-parse.sns.Publish", _put_the_status_for_an_error)
    return Sns(client=client, timeouts=timeouts)


def _put_the_status_for_an_error(response_dict: dict[str, Any], **_: Any) -> None:
    """A refusal without XML makes botocore's parser fail, and forget the status. It gets what its others make of it."""
    status = response_dict["status_code"]
    if status >= _AN_ERROR and _XML not in response_dict["body"]:
        response_dict["body"] = b"<ErrorResponse><Error><Code>%d</Code></Error></ErrorResponse>" % status


def _attributes(message: Message) -> dict[str, dict[str, str]]:
    attributes = {"AWS.SNS.SMS.SMSType": "Transactional"}  # else it is Promotional, which may wait
    if message.sender is not None:
        is_number = _ORIGINATION_NUMBER.fullmatch(message.sender)
        attributes["AWS.MM.SMS.OriginationNumber" if is_number else "AWS.SNS.SMS.SenderID"] = message.sender
    if message.to.region == _INDIA:
        registered = {"AWS.MM.SMS.EntityId": message.entity, "AWS.MM.SMS.TemplateId": message.template}
        attributes |= {name: value for name, value in registered.items() if value is not None}
    return {name: {"DataType": "String", "StringValue": value} for name, value in attributes.items()}


def _meaning(refusal: Refusal) -> tuple[Outcome, Scope]:
    if refusal.code in THROTTLED:
        return Outcome.THROTTLED_ACCOUNT, Scope.PROVIDER
    if refusal.is_a_failure_of_aws:
        return Outcome.TRANSIENT, Scope.PROVIDER
    if refusal.code not in _INVALID:
        return Outcome.CONFIG, Scope.PROVIDER
    # Of the message the field's name only: it can show the number.
    if _NUMBER in str(refusal.response.get("Error", {}).get("Message", "")):
        return Outcome.REJECTED_NUMBER, Scope.PROVIDER
    return Outcome.CONFIG, Scope.ROUTE
