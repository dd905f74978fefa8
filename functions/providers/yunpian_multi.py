"""Yunpian (云片), SMS API v2: the messages of one moment in one call, `multi_send`, for a text of its own each.

For numbers in China. A number abroad and a message that comes alone go out by `single_send`.

The call has one uid and one callback_url for all of its messages, so no receipts can be asked for there: of what went
out together nobody hears whether it arrived. Whoever needs receipts routes by `yunpian`.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from urllib.parse import quote, urlencode

import msgspec

from functions.domain.delivery import Message, Outcome, Scope, SendResult
from functions.providers.account import Account
from functions.providers.china import is_chinese
from functions.providers.gateway import FROM_ABROAD, Request
from functions.providers.together import OF_ONE_MESSAGE, Bulk, SentTogether
from functions.providers.transport import Answer, Timeouts
from functions.providers.yunpian_api import BASE_URL, HEADERS, Reply, YunpianSecret, judge, open_single, result_of
from functions.providers.yunpian_receipts import YunpianReceipts

NAME = "yunpian_multi"
MOST_TOGETHER = 1_000
"""Yunpian's limit for the numbers of a call."""

RECEIPTS = YunpianReceipts(NAME)
"""Of the messages that went out alone."""

_DIGITS_OF_A_NUMBER = 11
_NO_DIGIT = re.compile(r"[^0-9]")


async def open_provider(account: Account, timeouts: Timeouts = FROM_ABROAD) -> SentTogether[YunpianSecret]:
    bulk = Bulk(most=MOST_TOGETHER, kind=_kind, request=_multi_send, judge=_judge)
    return SentTogether(open_single(NAME, account, timeouts), bulk)


def _kind(message: Message) -> str | None:
    return NAME if is_chinese(message.to) else None


def _multi_send(messages: Sequence[Message], secret: YunpianSecret, account: Account) -> Request:
    """Each text is encoded by itself, so that the commas between them are the only ones, and then all by the form.

    What is encoded already has a % to encode and nothing else: for a thousand texts that is half of the work.
    """
    form = {"apikey": secret.apikey.reveal(), "mobile": ",".join(message.to.national for message in messages)}
    texts = "%2C".join(quote(message.text.reveal(), safe="").replace("%", "%25") for message in messages)
    body = f"{urlencode(form)}&text={texts}".encode()
    return Request(url=f"{account.url or BASE_URL}/v2/sms/multi_send.json", body=body, headers=HEADERS)


class _Entry(Reply):
    mobile: str | int | None = None


class _Batch(msgspec.Struct):
    data: list[msgspec.Raw]
    """Entries, read one by one: one that makes no sense takes no other with it."""


def _judge(messages: Sequence[Message], answer: Answer) -> Sequence[SendResult] | None:
    """Entries are found by their number, for no document promises their order, and a wrong guess would be a second SMS.

    A number with no entry, or with two, is of unknown outcome.
    """
    try:
        batch = msgspec.json.decode(answer.body, type=_Batch)
    except (ValueError, RecursionError):
        whole = _of_the_whole(answer)
        return None if whole is None else [whole] * len(messages)
    told = _by_number(batch.data)
    return [_of_one(told.get(message.to.national), answer) for message in messages]


def _of_the_whole(answer: Answer) -> SendResult | None:
    """Where the call itself was answered: a refusal says that it took none, and a success says nothing of any."""
    result = judge(NAME, answer)
    if result.outcome is Outcome.ACCEPTED:
        return SendResult(provider=NAME, outcome=Outcome.UNKNOWN, reason="no_data", scope=Scope.ROUTE)
    return None if result.outcome in OF_ONE_MESSAGE else result


def _by_number(data: Iterable[msgspec.Raw]) -> Mapping[str, _Entry | None]:
    """By the bare number, however the server spells it; None where it comes twice."""
    found: dict[str, _Entry | None] = {}
    for raw in data:
        try:
            entry = msgspec.json.decode(raw, type=_Entry, strict=False)
        except (ValueError, RecursionError):
            continue
        number = _NO_DIGIT.sub("", str(entry.mobile))[-_DIGITS_OF_A_NUMBER:]
        found[number] = None if number in found else entry
    return found


def _of_one(entry: _Entry | None, answer: Answer) -> SendResult:
    if entry is None:
        return SendResult(provider=NAME, outcome=Outcome.UNKNOWN, reason="not_in_answer")
    return result_of(NAME, entry, answer)
