"""How many codes a number gets in a day by all services together: each of them may be within its own limits."""

from __future__ import annotations

from collections.abc import Sequence

from functions.domain.guard.attempt import Attempt
from functions.domain.guard.decision import Finding, Mode, Rule, Said
from functions.domain.part import part
from functions.domain.verification import DAY
from functions.usecases.guard_ports import CodesToNumbers


@part
class Everywhere:
    """For deployments with more than one service. One write a start."""

    codes: CodesToNumbers

    async def look(self, attempt: Attempt) -> Sequence[Finding]:
        mode, limit = attempt.policy.mode(Rule.EVERYWHERE), attempt.policy.everywhere_day
        if mode is Mode.OFF or limit is None:
            return []
        most = limit if mode is Mode.ENFORCE else None
        count = await self.codes.add(_number(attempt), attempt.at // DAY, most=most)
        passes = count is not None and count <= limit
        return [
            Finding(
                rule=Rule.EVERYWHERE,
                said=Said.PASS if passes else Said.DENY,
                mode=mode,
                count=limit if count is None else count,
                limit=limit,
                retry_after=None if passes else DAY - attempt.at % DAY,
            )
        ]

    async def give_back(self, attempt: Attempt) -> None:
        policy = attempt.policy
        if policy.mode(Rule.EVERYWHERE) is not Mode.OFF and policy.everywhere_day is not None:
            await self.codes.take_back(_number(attempt), attempt.at // DAY)


def _number(attempt: Attempt) -> str:
    return attempt.pseudonym("number", attempt.to.e164)
