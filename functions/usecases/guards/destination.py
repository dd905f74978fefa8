"""Where a code may go at all: the service's countries, and mobile numbers."""

from __future__ import annotations

from collections.abc import Sequence

from functions.domain.guard.attempt import Attempt
from functions.domain.guard.decision import Finding, Mode, Rule, Said
from functions.domain.part import part


@part
class Destination:
    """Counts nothing."""

    async def look(self, attempt: Attempt) -> Sequence[Finding]:
        allowed = not attempt.policy.countries or attempt.region in attempt.policy.countries
        said = (
            (Rule.COUNTRY, allowed, attempt.region),
            (Rule.NUMBER_TYPE, attempt.to.takes_sms, attempt.to.type.value),
        )
        return [
            Finding(rule=rule, said=Said.PASS if passes else Said.DENY, mode=mode, key=key)
            for rule, passes, key in said
            if (mode := attempt.policy.mode(rule)) is not Mode.OFF
        ]

    async def give_back(self, attempt: Attempt) -> None:
        """There is nothing to."""
