"""Infobip, SMS API v3: the messages of one moment in one request, and word of the codes that came to use.

Each message of a request has its own sender, text, id and address for its reports, and its own status in the answer.

Sources: Infobip's OpenAPI document 3.210.0 (`/sms/3/messages`, `/ct/1/log/end/{messageId}`) and its page on message
status codes; PyPI `infobip-api-python-client` 6.0.0 for the limits.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Annotated
from urllib.parse import quote

import msgspec

from functions.domain.delivery import Message, Outcome, Scope, SendResult
from functions.domain.sensitive import Sensitive
from functions.providers.account import Account
from functions.providers.credentials import Credentials, Secret
from functions.providers.gateway import USUAL, Gateway, Request, by_status
from functions.providers.infobip_receipts import InfobipReceipts
from functions.providers.together import Bulk, SentTogether
from functions.providers.transport import Answer, Timeouts

NAME = "infobip"

RECEIPTS = InfobipReceipts(NAME)

MOST_TOGETHER = 100
"""Infobip names no limit. With a hundred a request has some 70 KB, and its answer 40."""
LONGEST_VALIDITY = 48 * 3_600
"""Seconds. Infobip keeps no message for longer."""

_INDIA = 91
_OK = 200
_BAD_REQUEST = 400
_HOUR = 3_600

_ACCEPTED_GROUPS = frozenset({0, 1, 3})
"""Accepted, pending, delivered."""
_REJECTED_GROUP = 5
_DUPLICATE = 23
"""Our own message id, which is this send's reference, was used before: the message is there already."""

_GROUPS: tuple[tuple[Outcome, frozenset[int]], ...] = (
    (Outcome.ACCEPTED, frozenset({_DUPLICATE})),
    # The number: 4 its operator turned it away, 6 network not covered, 8 prefix or length, 9 cannot be reached, 10 does
    # not want to be disturbed, 14 on a blocklist, 51 missing, 52 not one of any network, 87 taken for fraud.
    (Outcome.REJECTED_NUMBER, frozenset({4, 6, 8, 9, 10, 14, 51, 52, 87})),
    # More than 20 messages an hour to the number, or 6 of the same text.
    (Outcome.THROTTLED_RECIPIENT, frozenset({20})),
    # The account: 12 and 17 credits, 18 sends to its test number only, 19 has no route there. 99 and 100 are unnamed.
    (Outcome.CONFIG, frozenset({12, 17, 18, 19, 99, 100})),
    # The sender: 11 not registered, 13 blocked. Our message: 24 malformed, 25 too long.
    (Outcome.CONFIG, frozenset({11, 13, 24, 25})),
    # Infobip's own failure: 21 system error, 31 not sent.
    (Outcome.TRANSIENT, frozenset({21, 31})),
    # Ran out of its time, and may have arrived: 15, or 29 without word from the operator.
    (Outcome.UNKNOWN, frozenset({15, 29})),
)
_OUTCOMES: Mapping[int, Outcome] = {code: outcome for outcome, codes in _GROUPS for code in codes}

_OF_THE_PROVIDER = _OUTCOMES.keys() - {4, 6, 11, 13, 15, 18, 19, 24, 25, 29, 99, 100}
"""The others are about a network, number, sender or text that this account has no way for. So may be what is unnamed,
or in no list: whoever chooses the number must not be able to open a circuit."""
_WAIT: Mapping[int, int] = {20: _HOUR}
"""Seconds until the period that the code speaks of has surely passed."""

_BY_STATUS: Mapping[int, Outcome] = dict.fromkeys((400, 401, 403, 404), Outcome.CONFIG)
"""400 our request, 401 key, 403 what the key may not do, 404 the address."""


_UNTOLD = SendResult(provider=NAME, outcome=Outcome.UNKNOWN, reason="not_in_answer")


class InfobipSecret(Secret, frozen=True, kw_only=True):
    api_key: Sensitive
    base_url: Annotated[str, msgspec.Meta(pattern=r"\Ahttps://[A-Za-z0-9.-]+\Z")]
    """The account's own address, such as https://xxxxx.api.infobip.com."""


async def open_provider(account: Account, timeouts: Timeouts = USUAL) -> SentTogether[InfobipSecret]:
    """The reference is the message's id: a second request with it is refused as a duplicate, and is no second SMS."""
    single = Gateway(
        name=NAME,
        account=account,
        credentials=Credentials(NAME, account.fetch_secret, InfobipSecret),
        request=_message,
        judge=_judge_one,
        feedback=_conversion,
        timeouts=timeouts,
    )
    return SentTogether(single, Bulk(most=MOST_TOGETHER, kind=lambda _: NAME, request=_messages, judge=_judge))


def _message(message: Message, secret: InfobipSecret, account: Account) -> Request:
    return _messages([message], secret, account)


def _messages(messages: Sequence[Message], secret: InfobipSecret, account: Account) -> Request:
    described = [_described(message, secret, account) for message in messages]
    tracking = {"useConversionTracking": True, "conversionTrackingName": "ONE_TIME_PIN"}
    options = {"includeSmsCountInResponse": True, "conversionTracking": tracking}
    return _request("/sms/3/messages", {"messages": described, "options": options}, secret, account)


def _described(message: Message, secret: InfobipSecret, account: Account) -> dict[str, object]:
    webhooks: dict[str, object] = {"contentType": "application/json", "callbackData": message.reference}
    receipts = account.message_receipts(NAME, secret.receipt_token, message.reference)
    if receipts is not None:
        webhooks["delivery"] = {"url": receipts}
    return {
        "sender": message.sender,
        "destinations": [{"to": message.to.e164.removeprefix("+"), "messageId": message.reference}],
        "content": {"text": message.text.reveal()},
        "options": _options(message),
        "webhooks": webhooks,
    }


def _options(message: Message) -> dict[str, object]:
    seconds = min(max(message.valid_for, 1), LONGEST_VALIDITY)
    options: dict[str, object] = {"validityPeriod": {"amount": seconds, "timeUnit": "SECONDS"}}
    if message.to.country_code == _INDIA and message.entity is not None:
        registered = {"principalEntityId": message.entity, "contentTemplateId": message.template}
        options["regional"] = {"indiaDlt": {name: value for name, value in registered.items() if value is not None}}
    return options


def _conversion(message_id: str, secret: InfobipSecret, account: Account) -> Request:
    return _request(f"/ct/1/log/end/{quote(message_id, safe='')}", {}, secret, account)


def _request(path: str, content: Mapping[str, object], secret: InfobipSecret, account: Account) -> Request:
    return Request(
        url=f"{account.url or secret.base_url}{path}",
        body=msgspec.json.encode(content),
        headers={
            "Accept": "application/json",
            "Authorization": f"App {secret.api_key.reveal()}",
            "Content-Type": "application/json",
        },
    )


class _Status(msgspec.Struct, rename="camel"):
    """What became of a message, The `description` stays unread."""

    group_id: int
    id: int
    name: str | None = None


class _Details(msgspec.Struct, rename="camel"):
    message_count: int | None = None


class _Sent(msgspec.Struct, rename="camel"):
    status: _Status
    message_id: str | None = None
    details: _Details | None = None


class _Reply(msgspec.Struct):
    messages: list[_Sent]


def _judge_one(answer: Answer) -> SendResult:
    """200 says that the request was understood; whether the message was taken stands in its status."""
    sent = _parse(answer)
    return _result(sent[0]) if len(sent) == 1 else by_status(NAME, answer, _BY_STATUS)


def _judge(messages: Sequence[Message], answer: Answer) -> Sequence[SendResult] | None:
    """Each is found by its id. What has none in the answer, or two, is of unknown outcome.

    400 names what is wrong with one of them in a text, which stays unread, and then none was taken.
    """
    if answer.status == _BAD_REQUEST:
        return None
    sent = _parse(answer)
    if not sent:
        return [by_status(NAME, answer, _BY_STATUS)] * len(messages)
    times = Counter(one.message_id for one in sent)
    told = {one.message_id: one for one in sent if times[one.message_id] == 1}
    return [_result(told[message.reference]) if message.reference in told else _UNTOLD for message in messages]


def _parse(answer: Answer) -> list[_Sent]:
    """Empty where it is no word of Infobip's of its messages."""
    if answer.status != _OK:
        return []
    try:
        return msgspec.json.decode(answer.body, type=_Reply).messages
    except (ValueError, RecursionError):
        return []


def _result(sent: _Sent) -> SendResult:
    outcome = _outcome(sent.status)
    if outcome is Outcome.ACCEPTED:
        segments = None if sent.details is None else sent.details.message_count
        return SendResult(provider=NAME, outcome=outcome, message_id=sent.message_id, segments=segments)
    return SendResult(
        provider=NAME,
        outcome=outcome,
        reason=f"{NAME}_{sent.status.id}",
        retry_after=_WAIT.get(sent.status.id),
        scope=Scope.PROVIDER if sent.status.id in _OF_THE_PROVIDER else Scope.ROUTE,
    )


def _outcome(status: _Status) -> Outcome:
    """Of the statuses that are not in the table, rejections are refusals; the others leave open what happened."""
    if status.group_id in _ACCEPTED_GROUPS:
        return Outcome.ACCEPTED
    return _OUTCOMES.get(status.id, Outcome.CONFIG if status.group_id == _REJECTED_GROUP else Outcome.UNKNOWN)
