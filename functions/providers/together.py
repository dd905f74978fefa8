"""Messages of one moment in one request, for vendors whose call takes many, each with a code or a text of its own."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Generic

from functions.domain.delivery import Message, Outcome, SendResult
from functions.domain.part import part
from functions.providers.account import Account
from functions.providers.credentials import S
from functions.providers.gateway import Gateway, Request
from functions.providers.transport import Answer, Timeouts, submit, without_answer

LARGEST_ANSWER = 1_048_576
"""Bytes: an entry of an answer has some hundreds of them, and there can be a thousand."""

OF_ONE_MESSAGE = frozenset({Outcome.REJECTED_NUMBER, Outcome.REJECTED_CONTENT, Outcome.THROTTLED_RECIPIENT})
"""Refusals that say nothing of the messages beside it."""


@part
class Bulk(Generic[S]):
    """What is a vendor's own in its call for many."""

    most: int
    """Messages in a call."""
    kind: Callable[[Message], Hashable | None]
    """Those of one kind can travel together. None: this one goes alone."""
    request: Callable[[Sequence[Message], S, Account], Request]
    judge: Callable[[Sequence[Message], Answer], Sequence[SendResult] | None]
    """What became of each, in their order, whatever the answer's status. Raises nothing.

    None where the call was refused for the sake of some of them, and it is certain that none was taken.
    """


@dataclass(slots=True)
class _Load:
    """Messages that travel together. No number comes twice: answers tell them apart by it, or not at all."""

    kind: Hashable
    messages: dict[str, Message] = field(default_factory=dict, repr=False)
    """By the number."""
    sent: asyncio.Task[Mapping[str, SendResult]] = field(init=False, repr=False)

    async def leave(self, number: str) -> None:
        """The message is not sent if there is still time. Whoever goes last leaves no task behind."""
        del self.messages[number]
        if not self.messages:
            self.sent.cancel()
            await asyncio.wait({self.sent})


@dataclass(slots=True)
class SentTogether(Generic[S]):
    """The port `Provider`. What is alone in its moment, or of no kind, goes by the single call."""

    single: Gateway[S]
    bulk: Bulk[S]
    _open: dict[Hashable, _Load] = field(default_factory=dict, init=False, repr=False)

    @property
    def name(self) -> str:
        return self.single.name

    @property
    def timeout(self) -> float:
        return self.single.timeout

    async def prepare(self) -> None:
        await self.single.prepare()

    async def approved(self, message_id: str) -> bool:
        return await self.single.approved(message_id)

    async def send(self, message: Message) -> SendResult:
        """One request for all of a kind that are sent in the same turn of the loop. The outcome is each one's own."""
        kind, number = self.bulk.kind(message), message.to.e164
        load = self._open.get(kind)
        if kind is None or (load is not None and number in load.messages):
            return await self.single.send(message)
        load = load or self._new_load(kind)
        load.messages[number] = message
        if len(load.messages) == self.bulk.most:
            self._close(load)
        try:
            results = await asyncio.shield(load.sent)
        except asyncio.CancelledError:
            await load.leave(number)
            raise
        return results[number]

    def _new_load(self, kind: Hashable) -> _Load:
        """It leaves in the next turn, in a task of its own: a waiter that is cancelled takes nobody's message along."""
        self._open[kind] = load = _Load(kind)
        load.sent = asyncio.create_task(self._carry(load))
        return load

    def _close(self, load: _Load) -> None:
        if self._open.get(load.kind) is load:
            del self._open[load.kind]

    async def _carry(self, load: _Load) -> Mapping[str, SendResult]:
        self._close(load)
        secret = await self.single.credentials_in_time()
        messages = list(load.messages.values())
        if secret is None:
            results: Sequence[SendResult] = [self.single.without_credentials()] * len(messages)
        elif len(messages) == 1:
            results = [await self.single.send(messages[0])]
        else:
            results = await self._in_one_request(messages, secret)
        return {message.to.e164: result for message, result in zip(messages, results, strict=True)}

    async def _in_one_request(self, messages: Sequence[Message], secret: S) -> Sequence[SendResult]:
        now, timeouts = asyncio.get_running_loop().time, self.single.timeouts
        until = now() + timeouts.whole
        request = self.bulk.request(messages, secret, self.single.account)
        answer = await submit(
            self.single.account.session(),
            request.url,
            body=request.body,
            headers=request.headers,
            timeouts=timeouts,
            largest=LARGEST_ANSWER,
        )
        if not isinstance(answer, Answer):
            return [without_answer(self.name, answer)] * len(messages)
        results = self.bulk.judge(messages, answer)
        if results is None:
            return await self._one_by_one(messages, until - now())
        return [self.single.with_feedback(result, secret) for result in results]

    async def _one_by_one(self, messages: Sequence[Message], seconds: float) -> Sequence[SendResult]:
        """Within what is left of a send's time, so that none takes longer than its sender reckons with."""
        connect = self.single.timeouts.connect
        if seconds <= connect:
            refused = SendResult(provider=self.name, outcome=Outcome.TRANSIENT, reason="refused_together")
            return [refused] * len(messages)
        single = replace(self.single, timeouts=Timeouts(connect=connect, whole=seconds))
        return await asyncio.gather(*(single.send(message) for message in messages))
