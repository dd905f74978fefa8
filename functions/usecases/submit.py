"""Hands a message to the first of its providers that takes it: failover, within the time that there is.

One after the other, and on to the next only where the one before certainly sent nothing. A provider that failed again
and again is passed over (its circuit), and an account's rate is kept to by all functions together.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

from functions.domain.circuit import OPEN_FOR
from functions.domain.delivery import Message, Outcome, SendResult
from functions.domain.failover import decisive, goes_on, speaks_of_the_provider
from functions.domain.part import part
from functions.domain.routing import Via
from functions.usecases.ports import Circuits, Provider, Rates

MARGIN = 1.5
"""Seconds beside a provider's own: two writes, and the answer to Lambda."""
PATIENCE = 1.0
"""Seconds that a message waits for its place at a busy account, where another provider could have it at once."""

Report = Callable[[SendResult, float], None]
"""Is told of each send that was tried, and the seconds that it took."""


@part
class Submit:
    providers: Mapping[str, Provider]
    circuits: Circuits
    rates: Rates
    remaining: Callable[[], float]
    """Seconds that the invocation has left."""

    async def __call__(self, plan: Sequence[Via], message: Message, report: Report) -> SendResult:
        """The answer that counts: of the provider that took it or ended the matter, or of the best hope for later.

        Raises nothing for what providers do. `plan` must name one at least.
        """
        results: list[SendResult] = []
        for place, via in enumerate(plan):
            result = await self._try(via, message, report, first=place == 0, last=place == len(plan) - 1)
            if not goes_on(result):
                return result
            results.append(result)
        return decisive(results)

    @property
    def longest(self) -> float:
        """Seconds that one send can take, with whichever provider."""
        return max(provider.timeout for provider in self.providers.values())

    def has_time_for(self, via: Via) -> bool:
        return self._time_for(self.providers[via.provider]) >= 0

    async def _try(self, via: Via, message: Message, report: Report, *, first: bool, last: bool) -> SendResult:
        provider = self.providers[via.provider]
        guarded = not (first and last)  # with nobody else to go to, a circuit only costs a read
        if not first and self._time_for(provider) < 0:
            return _passed_over(provider, "no_time")
        if guarded and not await self.circuits.admits(provider.name):
            return _passed_over(provider, "circuit_open", retry_after=OPEN_FOR)
        if not await self._has_a_place(provider, last=last):
            free_in = max(1, math.ceil(self.rates.free_in(provider.name)))
            return _passed_over(provider, "account_busy", Outcome.THROTTLED_ACCOUNT, retry_after=free_in)
        result = await self._send(provider, _by(via, message), report)
        if guarded:
            await self.circuits.note(provider.name, failed=speaks_of_the_provider(result))
        return result

    async def _has_a_place(self, provider: Provider, *, last: bool) -> bool:
        most = self._time_for(provider) if last else min(PATIENCE, self._time_for(provider))
        wait = await self.rates.wait(provider.name, most=max(most, 0))
        if wait is None:
            return False
        await asyncio.sleep(wait)
        return True

    def _time_for(self, provider: Provider) -> float:
        """Seconds to spare before a send by this provider has to begin."""
        return self.remaining() - provider.timeout - MARGIN

    async def _send(self, provider: Provider, message: Message, report: Report) -> SendResult:
        now = asyncio.get_running_loop().time
        began = now()
        result = await provider.send(message)
        report(result, now() - began)
        return result


def _by(via: Via, message: Message) -> Message:
    if not (via.sender or via.template or via.signature or via.entity):
        return message
    return replace(message, sender=via.sender, template=via.template, signature=via.signature, entity=via.entity)


def _passed_over(
    provider: Provider, reason: str, outcome: Outcome = Outcome.TRANSIENT, *, retry_after: int | None = None
) -> SendResult:
    return SendResult(provider=provider.name, outcome=outcome, reason=reason, retry_after=retry_after)
