"""The port `Provider` over HTTP, around what is a vendor's own: a request, and the sense of an answer."""

from __future__ import annotations

import asyncio
import base64
from collections.abc import Callable, Mapping
from dataclasses import field, replace
from typing import Generic

from yarl import URL

from functions.domain.delivery import Message, Outcome, Scope, SendResult
from functions.domain.frozen import frozen
from functions.domain.part import part
from functions.domain.sensitive import Sensitive
from functions.providers.account import Account
from functions.providers.credentials import Credentials, S
from functions.providers.transport import Answer, NotSent, Timeouts, Unknown, submit, without_answer
from functions.usecases.ports import KeysUnavailable

USUAL = Timeouts(connect=2, whole=6)
"""Nobody at a sign-in form waits longer. The vendors' own SDKs wait 5 to 60 seconds, and try again by themselves."""
FROM_ABROAD = Timeouts(connect=2, whole=8)
"""For gateways in China: the way into it is long."""

_SUCCESSES = range(200, 300)
_TOO_MANY_REQUESTS = 429
_KEY_REFUSED = frozenset({401, 403})
_OF_THIS_MESSAGE = frozenset({400, 422})


@frozen(kw_only=True)
class Request:
    """A POST. `headers` can hold keys, and `body` or `url` the code."""

    url: str | URL = field(repr=False)
    """A URL where its encoding is part of what is signed."""
    body: bytes = field(repr=False)
    headers: Mapping[str, str] = field(repr=False)


@part
class Gateway(Generic[S]):
    """One request a send, never a second one."""

    name: str
    account: Account
    credentials: Credentials[S]
    request: Callable[[Message, S, Account], Request | SendResult]
    """Or the result, where the vendor has no way to send this message and need not be asked."""
    judge: Callable[[Answer], SendResult]
    """Reads the answer, whatever its status. Raises nothing."""
    timeouts: Timeouts = USUAL
    feedback: Callable[[str, S, Account], Request | None] = lambda *_: None
    """Tells the vendor that the message of this id did its work. None where it, or this account, has no such call."""

    @property
    def timeout(self) -> float:
        """The credentials, where they have to be fetched, are given as long as a connection."""
        return self.timeouts.connect + self.timeouts.whole

    async def prepare(self) -> None:
        await self.credentials()

    async def send(self, message: Message) -> SendResult:
        credentials = await self.credentials_in_time()
        if credentials is None:
            return self.without_credentials()
        request = self.request(message, credentials, self.account)
        if isinstance(request, SendResult):
            return request
        answer = await self._submit(request)
        if not isinstance(answer, Answer):
            return without_answer(self.name, answer)
        return self.with_feedback(self.judge(answer), credentials)

    def without_credentials(self) -> SendResult:
        return SendResult(provider=self.name, outcome=Outcome.CONFIG, reason="no_credentials")

    def with_feedback(self, result: SendResult, credentials: S) -> SendResult:
        """The result, and whether the vendor wants to hear of an approval."""
        wants_it = self._feedback(result.message_id, credentials) is not None
        return replace(result, wants_feedback=True) if wants_it else result

    async def approved(self, message_id: str) -> bool:
        """Once, without a second try: what is lost here teaches the vendor a little less."""
        credentials = await self.credentials_in_time()
        request = None if credentials is None else self._feedback(message_id, credentials)
        answer = None if request is None else await self._submit(request)
        return isinstance(answer, Answer) and answer.status in _SUCCESSES

    def _feedback(self, message_id: str | None, credentials: S) -> Request | None:
        return None if message_id is None else self.feedback(message_id, credentials, self.account)

    async def credentials_in_time(self) -> S | None:
        """None where they cannot be had within the time of a connection."""
        try:
            async with asyncio.timeout(self.timeouts.connect):
                return await self.credentials()
        except (KeysUnavailable, TimeoutError):
            return None

    async def _submit(self, request: Request) -> Answer | NotSent | Unknown:
        return await submit(
            self.account.session(), request.url, body=request.body, headers=request.headers, timeouts=self.timeouts
        )


def basic_authorization(user: str, password: Sensitive) -> str:
    """The header's value (RFC 7617)."""
    return f"Basic {base64.b64encode(f'{user}:{password.reveal()}'.encode()).decode()}"


def by_status(provider: str, answer: Answer, meanings: Mapping[int, Outcome] | None = None) -> SendResult:
    """The result of an answer with no word of the provider's in it, or one that its status contradicts.

    429 says that the request was turned away, and so do 401 and 403, whoever on the way says it: for want of a key, of
    rights, of an address on a list. `meanings` is what else the provider says by a status alone. Whatever is left may
    come from something in between, and tells nothing.

    What is wrong with this request (its sender, its text) need not be wrong with the next: no circuit opens for it.
    """
    throttled = answer.status == _TOO_MANY_REQUESTS
    otherwise = Outcome.CONFIG if answer.status in _KEY_REFUSED else Outcome.UNKNOWN
    known = Outcome.THROTTLED_ACCOUNT if throttled else (meanings or {}).get(answer.status, otherwise)
    return SendResult(
        provider=provider,
        outcome=known,
        reason=f"http_{answer.status}",
        retry_after=answer.retry_after if throttled else None,
        scope=Scope.ROUTE if known is Outcome.CONFIG and answer.status in _OF_THIS_MESSAGE else Scope.PROVIDER,
    )
