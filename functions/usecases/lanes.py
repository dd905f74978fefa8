"""Two lanes to each account: whoever waits for a login code never waits behind a campaign.

A single send takes the account's next free place. A bulk send waits in a schedule of its own first, which goes at nine
tenths of the rate; when its place there has come, and not before, it takes one of the account's, and only one that is
near. So as many bulk sends as there may be, they reach the account's schedule one by one, a tenth of it stays free, and
where logins alone need more than a tenth, bulk sends make room for them.
"""

from __future__ import annotations

import asyncio
from collections.abc import Collection

from functions.domain.part import part
from functions.together import sleep_in_step
from functions.usecases.ports import Rates

BULK_SHARE = 0.9
"""Of an account's rate, which bulk sends may use at most."""
AHEAD = 0.1
"""Seconds that a bulk send may be ahead of the account's schedule, and a login therefore has to wait for bulk sends at
most, beside one place. Two steps: what comes in one step finds its places."""
STEP = 0.05
"""Seconds. Bulk sends come in step, so that many take their places in one write: an account's item takes at most 20
writes a second of each bulk sender, whatever the rate is. DynamoDB takes 1,000 of all."""


@part
class BulkRates:
    """Waits itself until the place in bulk's own schedule has come."""

    share: Rates
    """Bulk's own schedules, at BULK_SHARE of the accounts' rates."""
    account: Rates
    """Those that both lanes share."""
    rated: Collection[str]
    """Providers that have a rate. Of all others both know nothing."""

    async def wait(self, provider: str, *, most: float) -> float | None:
        if provider not in self.rated:
            return 0.0
        now = asyncio.get_running_loop().time
        until = now() + most
        first = await self.share.wait(provider, most=most)
        if first is None:
            return None
        await sleep_in_step(first, STEP)
        while (left := until - now()) >= 0:
            place = await self.account.wait(provider, most=min(AHEAD, left))
            if place is not None:
                return place
            await sleep_in_step(self.account.free_in(provider) - AHEAD, STEP)
        return None

    def free_in(self, provider: str) -> float:
        return max(self.share.free_in(provider), self.account.free_in(provider))
