"""Has a message that was handed over looked at again: did its receipt come, or must another provider send the code?"""

from __future__ import annotations

import asyncio
from collections.abc import Collection

from functions.domain.part import part
from functions.domain.verification import Record
from functions.usecases.ports import Clock, ConfirmJob, DeliveryTimes, Journal, QueueUnavailable, SendQueue
from functions.usecases.reserve import Wish

SHORTEST_WAIT = 10
"""Seconds. Receipts of a country may come quicker; a phone that is looking for its network takes about as long."""
PATIENCE = 1.0
"""Seconds. A message that is known to be taken must not be broken off for this: it would be one of unknown outcome."""
WORTHWHILE = 60
"""Seconds that a code must still live when it is sent again: to be read, and typed in."""


@part
class FollowUp:
    heard_of: Collection[str]
    """The providers whose receipts come to us. Of the others nobody waits for one: each code would be sent twice."""
    queue: SendQueue
    times: DeliveryTimes
    clock: Clock
    journal: Journal

    async def __call__(self, record: Record, wish: Wish, tried: str | None) -> None:
        """Never raises, and soon ends: the message is out, and this is for the few that do not arrive."""
        otherwise = wish.service.confirm_within
        if otherwise is None:
            return
        try:
            async with asyncio.timeout(PATIENCE):
                await self._put(record, wish, tried, otherwise)
        except (QueueUnavailable, TimeoutError) as error:
            reason = str(error) or "no_time"
            self.journal("unconfirmed", verification=str(record.verification.id), reason=reason)

    async def _put(self, record: Record, wish: Wish, tried: str | None, otherwise: int) -> None:
        live = record.verification
        if tried is None or tried not in self.heard_of:
            return
        wait = await self._wait(wish, otherwise)
        if live.own_code or self.clock() + wait + WORTHWHILE > live.expires_at:
            return
        if live.delivery.tries > 1 or all(via.provider == tried for via in wish.plan):
            return
        job = ConfirmJob(
            to=wish.to.e164,
            service=wish.service.name,
            request=live.delivery.request,
            verification=str(live.id),
            send=live.delivery.send,
            tried=tried,
            locale=wish.locale,
            domain=wish.domain,
            app_hash=wish.app_hash,
        )
        await self.queue.put(job, delay=wait)

    async def _wait(self, wish: Wish, otherwise: int) -> int:
        """Seconds."""
        usual = await self.times.usual(wish.to.region)
        return max(usual or otherwise, SHORTEST_WAIT)
