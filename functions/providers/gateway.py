"""The port `Provider` over HTTP, around what is a vendor's own: a request, and the sense of an answer."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Generic

from functions.domain.delivery import Message, Outcome, SendResult
from functions.providers.account import Account
from functions.providers.credentials import Credentials, S
from functions.providers.transport import Answer, Timeouts, submit, without_answer
from functions.usecases.ports import KeysUnavailable

USUAL = Timeouts(connect=2, whole=6)
"""Nobody at a sign-in form waits longer. The vendors' own SDKs wait 5 to 60 seconds, and try again by themselves."""
FROM_ABROAD = Timeouts(connect=2, whole=8)
"""For gateways in China: the way into it is long."""

_TOO_MANY_REQUESTS = 429


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """A POST. `headers` can hold keys, and `body` holds the code."""

    url: str
    body: bytes = field(repr=False)
    headers: Mapping[str, str] = field(repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Gateway(Generic[S]):
    """One request a send, never a second one."""

    name: str
    account: Account
    credentials: Credentials[S]
    request: Callable[[Message, S, Account], Request] = field(repr=False)
    judge: Callable[[Answer], SendResult] = field(repr=False)
    """Reads the answer, whatever its status. Raises nothing."""
    timeouts: Timeouts = USUAL

    @property
    def timeout(self) -> float:
        """The credentials, where they have to be fetched, are given as long as a connection."""
        return self.timeouts.connect + self.timeouts.whole

    async def prepare(self) -> None:
        await self.credentials()

    async def send(self, message: Message) -> SendResult:
        try:
            async with asyncio.timeout(self.timeouts.connect):
                credentials = await self.credentials()
        except (KeysUnavailable, TimeoutError):
            return SendResult(provider=self.name, outcome=Outcome.CONFIG, reason="no_credentials")
        request = self.request(message, credentials, self.account)
        answer = await submit(
            self.account.session(), request.url, body=request.body, headers=request.headers, timeouts=self.timeouts
        )
        return self.judge(answer) if isinstance(answer, Answer) else without_answer(self.name, answer)


def by_status(provider: str, answer: Answer, meanings: Mapping[int, Outcome] | None = None) -> SendResult:
    """The result of an answer with no word of the provider's in it, or one that its status contradicts.

    429 says that the request was turned away, and `meanings` what else the provider says by a status alone. Whatever is
    left may come from something in between, and tells nothing.
    """
    throttled = answer.status == _TOO_MANY_REQUESTS
    known = Outcome.THROTTLED_ACCOUNT if throttled else (meanings or {}).get(answer.status, Outcome.UNKNOWN)
    return SendResult(
        provider=provider,
        outcome=known,
        reason=f"http_{answer.status}",
        retry_after=answer.retry_after if throttled else None,
    )
