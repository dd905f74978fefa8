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
        said = {Rule.COUNTRY: allowed, Rule.NUMBER_TYPE: attempt.to.takes_sms}
        return [
            Finding(
                rule=rule,
                said=Said.PASS if passes else Said.DENY,
                mode=attempt.policy.mode(rule),
                key=attempt.region if rule is Rule.COUNTRY else attempt.to.type.value,
            )
            for rule, passes in said.items()
            if attempt.policy.mode(rule) is not Mode.OFF
        ]

    async def give_back(self, attempt: Attempt) -> None:
        """There is nothing to."""
