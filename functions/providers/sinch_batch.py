"""Sinch, SMS REST API (XMS v1): the messages of one moment in one batch, with the code as its one parameter.

A batch has one text for all: messages whose texts differ in more than the code travel in batches of their own, and one
with a `$` of its own, which Sinch might read as a parameter, goes alone.

It has one client_reference and one callback_url, too, and its reports tell messages apart by the number, which we keep
nowhere: of what went out together nobody hears whether it arrived. Whoever needs receipts routes by `sinch`.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence

from functions.domain.delivery import Message, Outcome, SendResult
from functions.providers.account import Account
from functions.providers.gateway import USUAL, Request
from functions.providers.sinch_api import SinchSecret, expiry, judge, open_single, post
from functions.providers.sinch_receipts import SinchReceipts
from functions.providers.together import OF_ONE_MESSAGE, Bulk, SentTogether
from functions.providers.transport import Answer, Timeouts

NAME = "sinch_batch"
MOST_TOGETHER = 1_000
"""Sinch's limit for the recipients of a batch."""

RECEIPTS = SinchReceipts(NAME)
"""Of the messages that went out alone."""

_MINUTE = 60
_BAD_REQUEST = 400


async def open_provider(account: Account, timeouts: Timeouts = USUAL) -> SentTogether[SinchSecret]:
    bulk = Bulk(most=MOST_TOGETHER, kind=_kind, request=_batch, judge=_judge)
    return SentTogether(open_single(NAME, account, timeouts), bulk)


def _kind(message: Message) -> Hashable | None:
    """Expiries of the same minute may become one: a code that is dropped some seconds early is of no use any more."""
    if "$" in message.text.reveal():
        return None
    return _with_a_place(message), message.sender, message.valid_for // _MINUTE


def _with_a_place(message: Message) -> str:
    """The text without its code, wherever it stands: filled in again, it is the same text."""
    return message.text.reveal().replace(message.code.reveal(), "${code}")


def _batch(messages: Sequence[Message], secret: SinchSecret, account: Account) -> Request:
    """Without a default for the code: rather no SMS than one without it."""
    first_to_end = min(messages, key=lambda message: message.valid_for)
    codes = {message.to.e164.removeprefix("+"): message.code.reveal() for message in messages}
    batch = {
        "from": first_to_end.sender,
        "to": list(codes),
        "body": _with_a_place(first_to_end),
        "parameters": {"code": codes},
        "type": "mt_text",
        "expire_at": expiry(first_to_end, account),
    }
    return post(batch, secret, account)


def _judge(messages: Sequence[Message], answer: Answer) -> Sequence[SendResult] | None:
    """One answer for all. What is wrong with a request, or with one of its numbers, is wrong with the whole of it."""
    result = judge(NAME, answer)
    refused = result.outcome is Outcome.CONFIG and answer.status == _BAD_REQUEST
    return None if refused or result.outcome in OF_ONE_MESSAGE else [result] * len(messages)
