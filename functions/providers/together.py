"""Messages of one moment in one request, for vendors whose call takes many, each with a code or a text of its own."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import replace
from typing import Generic

from functions.domain.delivery import Message, Outcome, SendResult
from functions.domain.part import part
from functions.providers.account import Account
from functions.providers.credentials import S
from functions.providers.gateway import Gateway, Request
from functions.providers.transport import Answer, Timeouts, submit, without_answer
from functions.together import Together, carry_side_by_side, loads_of

LARGEST_ANSWER = 1_048_576
"""Bytes: an entry of an answer has some hundreds of them, and there can be a thousand."""

_MOST_AT_ONCE = 1_000
"""As many as a sandbox sends side by side."""

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


class SentTogether(Generic[S]):
    """The port `Provider`. What is alone in its moment, or of no kind, goes by the single call."""

    def __init__(self, single: Gateway[S], bulk: Bulk[S]) -> None:
        self.single = single
        self.bulk = bulk
        self._leaving: Together[str, Message, SendResult] = Together(
            self._carry, _MOST_AT_ONCE, prepare=single.credentials_in_time
        )

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
        """One request for all of a kind that are sent in the same moment. The outcome is each one's own."""
        number = message.to.e164
        # No number twice: answers tell messages apart by it, or not at all.
        if self.bulk.kind(message) is None or self._leaving.has(number):
            return await self.single.send(message)
        return await self._leaving.ask(number, message)

    async def _carry(self, messages: Mapping[str, Message]) -> Mapping[str, SendResult]:
        kinds: dict[Hashable, list[str]] = {}
        for number, message in messages.items():
            kinds.setdefault(self.bulk.kind(message), []).append(number)
        loads = [load for of_a_kind in kinds.values() for load in loads_of(of_a_kind, self.bulk.most)]
        return await carry_side_by_side(loads, lambda numbers: self._send([messages[number] for number in numbers]))

    async def _send(self, messages: Sequence[Message]) -> Sequence[SendResult]:
        if len(messages) == 1:
            return [await self.single.send(messages[0])]
        secret = await self.single.credentials_in_time()
        if secret is None:
            return [self.single.without_credentials()] * len(messages)
        return await self._in_one_request(messages, secret)

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
