"""What the operator's own service says of a number: a SIM that was swapped of late, a customer who is known."""

from __future__ import annotations

from collections.abc import Sequence

from functions.domain.guard.attempt import Attempt
from functions.domain.guard.decision import Finding, Mode, Rule, Said
from functions.domain.guard.policy import OnFailure
from functions.domain.part import part
from functions.usecases.hook_ports import RiskHook

_WITHOUT_ANSWER = {OnFailure.ALLOW: Said.PASS, OnFailure.DENY: Said.DENY}


@part
class Risk:
    """Counts nothing."""

    hook: RiskHook

    async def look(self, attempt: Attempt) -> Sequence[Finding]:
        mode = attempt.policy.mode(Rule.RISK)
        if mode is Mode.OFF or attempt.policy.risk_url is None:
            return []
        said = await self.hook.ask(attempt.policy.risk_url, attempt)
        if said is None:
            said = _WITHOUT_ANSWER[attempt.policy.risk_on_failure]
        return [Finding(rule=Rule.RISK, said=said, mode=mode)]

    async def give_back(self, attempt: Attempt) -> None:
        """There is nothing to."""
