"""One answer for one idempotency key, however often the request comes."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import msgspec

from functions.domain.errors import Conflict, IdempotencyMismatch, VerificationError
from functions.domain.part import part
from functions.usecases.ports import AnswerStore, Clock
from functions.usecases.views import VerificationView

LEASE = 30
"""Seconds after which an unanswered request counts as dead: longer than the API function's time-out (20 s)."""


@part
class Once:
    answers: AnswerStore
    clock: Clock

    async def __call__(
        self, key: str, fingerprint: str, work: Callable[[], Awaitable[VerificationView]]
    ) -> VerificationView:
        """The stored answer of an earlier request, else `work`'s.

        Only an answer that something was done for is kept: after a refusal the same key may try again. Where `work`
        ends without telling (the store is away, the sandbox dies), the key stays taken until the lease is over.
        Raises IdempotencyMismatch for another body, Conflict while the first request is under way, and what `work`
        raises.
        """
        now = self.clock()
        found = await self.answers.take(key, fingerprint, now=now, stale_before=now - LEASE + 1)
        if found is None:
            return await self._work(key, fingerprint, work)
        if found.fingerprint != fingerprint:
            raise IdempotencyMismatch("this Idempotency-Key was used for another request")
        if found.answer is None:
            raise Conflict(
                "a request with this Idempotency-Key is under way", retry_after=max(found.taken_at + LEASE - now, 1)
            )
        return msgspec.json.decode(found.answer, type=VerificationView)

    async def _work(
        self, key: str, fingerprint: str, work: Callable[[], Awaitable[VerificationView]]
    ) -> VerificationView:
        try:
            answer = await work()
        except VerificationError:
            await self.answers.release(key, fingerprint)
            raise
        await self.answers.finish(key, fingerprint, msgspec.json.encode(answer))
        return answer
