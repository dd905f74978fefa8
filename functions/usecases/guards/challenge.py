"""A challenge that the end user has to solve: where a service asks it of every start, and what a solution is worth."""

from __future__ import annotations

from collections.abc import Sequence

from functions.domain.guard.attempt import Attempt
from functions.domain.guard.decision import Finding, Mode, Rule, Said
from functions.domain.guard.policy import ChallengeKind
from functions.domain.part import part
from functions.usecases.hook_ports import Solutions, Verifier

REMEMBERED_FOR = 3600
"""Seconds that a solution is known to be used. Ours are good for 300; so are Turnstile's, hCaptcha's and reCAPTCHA's at
most."""


@part
class AlwaysChallenge:
    """Counts nothing. Whether a solution came along is the guard's to see, whichever rule asks for one."""

    async def look(self, attempt: Attempt) -> Sequence[Finding]:
        mode = attempt.policy.mode(Rule.CHALLENGE)
        if mode is Mode.OFF or not attempt.policy.challenge:
            return []
        return [Finding(rule=Rule.CHALLENGE, said=Said.CHALLENGE, mode=mode)]

    async def give_back(self, attempt: Attempt) -> None:
        """There is nothing to: whoever fails after this solves another."""


@part
class SolvedOnce:
    """A solution is good for one request, and for repeats of that one."""

    altcha: Verifier
    external: Verifier
    solutions: Solutions

    async def solved(self, attempt: Attempt) -> bool:
        if attempt.challenge is None:
            return False
        verifier = self.altcha if attempt.policy.challenge_kind is ChallengeKind.ALTCHA else self.external
        name = await verifier.solved(attempt.challenge, attempt)
        return name is not None and await self.solutions.take(name, attempt.request, until=attempt.at + REMEMBERED_FOR)
