"""Aliyun (阿里云), short messages, `SendBatchSms` of 2017-05-25: many codes in one call.

Messages of one template and signature travel together, at most a hundred. Aliyun itself warns that its batches can be
delayed, and recommends single sends for codes that somebody waits for: this is for campaigns.

The call has one OutId for all of its messages: of what went out together nobody hears whether it arrived. Whoever needs
receipts routes by `aliyun`.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence

import msgspec

from functions.domain.delivery import Message, SendResult
from functions.providers.account import Account
from functions.providers.aliyun_api import AliyunSecret, judge, open_single, signed, spelled
from functions.providers.aliyun_receipts import AliyunReceipts
from functions.providers.gateway import FROM_ABROAD, Request
from functions.providers.together import OF_ONE_MESSAGE, Bulk, SentTogether
from functions.providers.transport import Answer, Timeouts

NAME = "aliyun_batch"
MOST_TOGETHER = 100
"""Aliyun's limit for the numbers of a call."""

RECEIPTS = AliyunReceipts(NAME)
"""Of the messages that went out alone."""


async def open_provider(account: Account, timeouts: Timeouts = FROM_ABROAD) -> SentTogether[AliyunSecret]:
    bulk = Bulk(most=MOST_TOGETHER, kind=_kind, request=_send_batch_sms, judge=_judge)
    return SentTogether(open_single(NAME, account, timeouts), bulk)


def _kind(message: Message) -> Hashable:
    return message.template, message.signature


def _send_batch_sms(messages: Sequence[Message], secret: AliyunSecret, account: Account) -> Request:
    """The lists stand in the body, for a hundred numbers are too long for a query."""
    lists: dict[str, Sequence[object]] = {
        "PhoneNumberJson": [spelled(message.to) for message in messages],
        "SignNameJson": [message.signature or "" for message in messages],
        "TemplateParamJson": [{"code": message.code.reveal()} for message in messages],
    }
    form = {name: msgspec.json.encode(values).decode() for name, values in lists.items()}
    return signed("SendBatchSms", {"TemplateCode": messages[0].template or ""}, form, secret, account)


def _judge(messages: Sequence[Message], answer: Answer) -> Sequence[SendResult] | None:
    """One code for all: there is no word for a part of them, so what is not OK took none."""
    result = judge(NAME, answer)
    return None if result.outcome in OF_ONE_MESSAGE else [result] * len(messages)
