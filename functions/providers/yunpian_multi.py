"""Yunpian (云片), SMS API v2: the messages of one moment in one call, `multi_send`, for a text of its own each.

For numbers in China. A number abroad and a message that comes alone go out by `single_send`.

The call has one uid and one callback_url for all of its messages, so no receipts can be asked for there: of what went
out together nobody hears whether it arrived. Whoever needs receipts routes by `yunpian`.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from urllib.parse import quote, urlencode

import msgspec

from functions.domain.delivery import Message, Outcome, Scope, SendResult
from functions.providers.account import Account
from functions.providers.china import is_chinese
from functions.providers.gateway import FROM_ABROAD, Gateway
from functions.providers.transport import Answer, Timeouts, submit, without_answer
from functions.providers.yunpian_api import BASE_URL, HEADERS, Reply, YunpianSecret, judge, open_single, result_of
from functions.providers.yunpian_receipts import YunpianReceipts
from functions.usecases.ports import Provider

NAME = "yunpian_multi"
MOST_TOGETHER = 1_000
"""Yunpian's limit for the numbers of a call."""
LARGEST_ANSWER = 1_048_576
"""Bytes: a refusal has some 400 of them, in Chinese, and there can be a thousand."""

RECEIPTS = YunpianReceipts(NAME)
"""Of the messages that went out alone."""

_DIGITS_OF_A_NUMBER = 11
_NO_DIGIT = re.compile(r"[^0-9]")

_OF_ONE_MESSAGE = frozenset(
    {Outcome.ACCEPTED, Outcome.REJECTED_NUMBER, Outcome.REJECTED_CONTENT, Outcome.THROTTLED_RECIPIENT}
)


async def open_provider(account: Account, timeouts: Timeouts = FROM_ABROAD) -> Provider:
    return YunpianMulti(open_single(NAME, account, timeouts))


@dataclass(slots=True)
class _Load:
    """Messages that travel together. No number comes twice: the answer tells them apart by it."""

    messages: dict[str, Message] = field(default_factory=dict, repr=False)
    """By the bare number."""
    sent: asyncio.Task[Mapping[str, SendResult]] = field(init=False)

    async def leave(self, number: str) -> None:
        """The message is not sent if there is still time. Whoever goes last leaves no task behind."""
        del self.messages[number]
        if not self.messages:
            self.sent.cancel()
            await asyncio.wait({self.sent})


@dataclass(slots=True)
class YunpianMulti:
    single: Gateway[YunpianSecret]
    _open: _Load | None = field(default=None, init=False, repr=False)

    @property
    def name(self) -> str:
        return self.single.name

    @property
    def timeout(self) -> float:
        return self.single.timeout

    async def prepare(self) -> None:
        await self.single.prepare()

    async def send(self, message: Message) -> SendResult:
        """One request for all that are sent in the same turn of the loop; the outcome is the message's own."""
        number = message.to.national
        if not is_chinese(message.to) or (self._open and number in self._open.messages):
            return await self.single.send(message)
        load = self._open or self._new_load()
        load.messages[number] = message
        if len(load.messages) == MOST_TOGETHER:
            self._open = None
        try:
            results = await asyncio.shield(load.sent)
        except asyncio.CancelledError:
            await load.leave(number)
            raise
        return results[number]

    def _new_load(self) -> _Load:
        """It leaves in the next turn, in a task of its own: a waiter that is cancelled takes nobody's message along."""
        self._open = load = _Load()
        load.sent = asyncio.create_task(self._carry(load))
        return load

    async def _carry(self, load: _Load) -> Mapping[str, SendResult]:
        if self._open is load:
            self._open = None
        secret = await self.single.credentials_in_time()
        messages = dict(load.messages)
        if secret is None:
            return dict.fromkeys(messages, SendResult(provider=NAME, outcome=Outcome.CONFIG, reason="no_credentials"))
        if len(messages) == 1:
            return {number: await self.single.send(message) for number, message in messages.items()}
        return await self._multi_send(messages, secret)

    async def _multi_send(self, messages: Mapping[str, Message], secret: YunpianSecret) -> Mapping[str, SendResult]:
        account = self.single.account
        answer = await submit(
            account.session(),
            f"{account.url or BASE_URL}/v2/sms/multi_send.json",
            body=_form(messages, secret),
            headers=HEADERS,
            timeouts=self.single.timeouts,
            largest=LARGEST_ANSWER,
        )
        if isinstance(answer, Answer):
            return _judge(messages, answer)
        return dict.fromkeys(messages, without_answer(NAME, answer))


def _form(messages: Mapping[str, Message], secret: YunpianSecret) -> bytes:
    """Each text is encoded by itself, so that the commas between them are the only ones, and then all by the form."""
    texts = ",".join(quote(message.text.reveal(), safe="") for message in messages.values())
    return urlencode({"apikey": secret.apikey.reveal(), "mobile": ",".join(messages), "text": texts}).encode()


class _Entry(Reply):
    mobile: str | int | None = None


class _Batch(msgspec.Struct):
    data: list[msgspec.Raw]
    """Entries, read one by one: one that makes no sense takes no other with it."""


def _judge(numbers: Iterable[str], answer: Answer) -> Mapping[str, SendResult]:
    """Entries are found by their number, for no document promises their order, and a wrong guess would be a second SMS.

    A number with no entry, or with two, is of unknown outcome.
    """
    try:
        batch = msgspec.json.decode(answer.body, type=_Batch)
    except (ValueError, RecursionError):
        return dict.fromkeys(numbers, _of_the_whole(answer))
    told = _by_number(batch.data)
    return {number: _of_one(told.get(number), answer) for number in numbers}


def _of_the_whole(answer: Answer) -> SendResult:
    """Where the call itself was refused. What is one message's fault says nothing of the others, nor of whose it is."""
    result = judge(NAME, answer)
    if result.outcome not in _OF_ONE_MESSAGE:
        return result
    return SendResult(provider=NAME, outcome=Outcome.UNKNOWN, reason=result.reason or "no_data", scope=Scope.ROUTE)


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
