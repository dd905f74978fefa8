"""Asks the rules, one after the other, whether a code may go out; the first that denies decides."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

from functions.domain.errors import (
    BlockedByGuard,
    ChallengeRequired,
    CountryBlocked,
    NumberTypeBlocked,
    RateLimited,
    VerificationError,
)
from functions.domain.guard.attempt import Address, Attempt
from functions.domain.guard.decision import Decision, Finding, Mode, Rule, Said, outcome_of
from functions.domain.guard.policy import Policy
from functions.domain.identity import pseudonym
from functions.domain.keys import Keyring
from functions.domain.part import part
from functions.domain.service import Service
from functions.usecases.guard_ports import Check, ConversionCheck, Decisions, GuessCheck, GuessLimit, Outcome
from functions.usecases.hook_ports import Challenges
from functions.usecases.ports import Journal
from functions.usecases.reserve import Wish


@dataclass(slots=True)
class Admission:
    sent: bool = True
    """To be set to False where nothing went out after all."""


@part
class Guard:
    checks: Sequence[Check]
    """In the order of `Rule`. The number's own limits come after them, in the write that stores the verification."""
    challenges: Challenges
    decisions: Decisions
    journal: Journal

    @asynccontextmanager
    async def admit(self, attempt: Attempt) -> AsyncIterator[Admission]:
        """Around whatever sends the code. What was counted is given back where that refuses, or says that it sent none.

        Raises CountryBlocked, NumberTypeBlocked, BlockedByGuard, ChallengeRequired, RateLimited, StoreUnavailable,
        KeysUnavailable, HookUnavailable.
        """
        decision, counted = await self._ask(attempt)
        if decision.decided_by is not None:
            await self._end(decision, attempt, counted)
            raise refusal(decision.decided_by, attempt.policy)
        admission = Admission()
        try:
            yield admission
        except VerificationError as error:
            await self._end(decision.and_then(_of_the_number(error)), attempt, counted)
            raise
        except BaseException:
            # Nobody knows what a provider has in hand of it. Then it counts: no budget pays for more than it has.
            await self._end(decision, attempt, ())
            raise
        await self._end(decision, attempt, () if admission.sent else counted)

    async def approved(self, outcome: Outcome) -> None:
        """A code came to use."""
        learning: list[ConversionCheck] = _with("approved", self.checks)
        for check in learning:
            await check.approved(outcome)

    async def admit_guess(self, ip: Address, service: Service, keys: Keyring, at: int) -> None:
        """Before a guess is counted: whoever tries many codes from one address uses up no more attempts of others.

        Raises RateLimited, StoreUnavailable.
        """
        limits: list[GuessLimit] = _with("wait", self.checks)
        for check in limits:
            wait = await check.wait(ip, service.guard, partial(pseudonym, keys), at)
            if wait is not None:
                raise RateLimited("too many codes were tried", retry_after=wait)

    async def guessed(self, service: Service, *, right: bool, at: int) -> None:
        """A guess was counted."""
        learning: list[GuessCheck] = _with("guessed", self.checks)
        for check in learning:
            await check.guessed(service.name, service.guard, right=right, at=at)

    async def _ask(self, attempt: Attempt) -> tuple[Decision, list[Check]]:
        findings, counted, lifted = list[Finding](), list[Check](), frozenset[Rule]()
        for check in () if attempt.policy.asks_nothing else self.checks:
            try:
                found = await _look(check, attempt, lifted)
                findings.extend(found)
                if [finding for finding in found if finding.decides]:
                    decision = await self._answered(Decision(findings=tuple(findings)), attempt)
                    if decision.decided_by is not None:
                        return decision, counted
                    findings = list(decision.findings)
            except BaseException:
                await self._give_back(counted, attempt)
                raise
            lifted = lifted.union(*[finding.lifts for finding in found if finding.lifts])
            counted.append(check)
        return Decision(findings=tuple(findings)), counted

    async def _answered(self, decision: Decision, attempt: Attempt) -> Decision:
        """One solution answers every rule that asks for a challenge, and is looked at when the first one does."""
        if decision.outcome != "challenged":
            return decision
        solved_before = any(finding.said is Said.SOLVED for finding in decision.findings)
        return decision.solved() if solved_before or await self.challenges.solved(attempt) else decision

    async def _end(self, decision: Decision, attempt: Attempt, counted: Sequence[Check]) -> None:
        await self._give_back(counted, attempt)
        await self._tell(decision, attempt)

    async def _give_back(self, counted: Sequence[Check], attempt: Attempt) -> None:
        if counted:
            await asyncio.gather(*(check.give_back(attempt) for check in counted))

    async def _tell(self, decision: Decision, attempt: Attempt) -> None:
        if not decision.findings:
            return  # every rule is off, and there is nothing to tell
        decisive = decision.decided_by
        self.journal(
            "decision",
            service=attempt.service,
            region=attempt.region,
            outcome=outcome_of(decisive),
            rule=None if decisive is None else decisive.rule.value,
            findings=" ".join(_brief(finding) for finding in decision.findings),
        )
        await self.decisions.keep(decision, attempt)


def _with(method: str, checks: Sequence[Check]) -> list[Any]:
    """Those of a kind. By its one method: to ask for a protocol takes longer than two answers may differ."""
    return [check for check in checks if hasattr(check, method)]


async def _look(check: Check, attempt: Attempt, lifted: frozenset[Rule]) -> Sequence[Finding]:
    """Rules that the safe list lifts count as they do where they only watch, so that what comes to use can be told."""
    if not lifted:
        return await check.look(attempt)
    found = await check.look(replace(attempt, policy=attempt.policy.watching(lifted)))
    return [_lifted(finding, attempt) if finding.rule in lifted else finding for finding in found]


def _lifted(finding: Finding, attempt: Attempt) -> Finding:
    mode = attempt.policy.mode(finding.rule)
    would_decide = replace(finding, mode=mode).decides
    return replace(finding, mode=mode, said=Said.EXEMPT if would_decide else finding.said)


class _Pseudonyms:
    """Of one attempt: several rules ask for the same ones, and each takes a MAC."""

    def __init__(self, keys: Keyring) -> None:
        self._keys = keys
        self._known: dict[tuple[str, str], str] = {}

    def __call__(self, kind: str, text: str, /) -> str:
        known = self._known.get((kind, text))
        if known is None:
            known = self._known[kind, text] = pseudonym(self._keys, kind, text)
        return known


def attempt_of(wish: Wish, keys: Keyring, at: int) -> Attempt:
    return Attempt(
        to=wish.to,
        service=wish.service.name,
        policy=wish.service.guard,
        request=wish.request,
        at=at,
        pseudonym=_Pseudonyms(keys),
        ip=wish.ip,
        trusted=wish.trusted,
        challenge=wish.challenge,
    )


def _brief(finding: Finding) -> str:
    """Such as unconverted_1k:deny:20/20, with the mode where it is not enforced."""
    counted = "" if finding.count is None else f":{finding.count}/{finding.limit}"
    mode = "" if finding.mode is Mode.ENFORCE else f":{finding.mode.value}"
    return f"{finding.rule.value}:{finding.said.value}{counted}{mode}"


def _of_the_number(error: BaseException) -> tuple[Finding, ...]:
    """The number's own limits are no check: the write that stores the verification holds them, in every mode."""
    if not isinstance(error, RateLimited):
        return ()
    return (Finding(rule=Rule.NUMBER, said=Said.DENY, retry_after=error.retry_after),)


def refusal(
    finding: Finding, policy: Policy
) -> CountryBlocked | NumberTypeBlocked | BlockedByGuard | ChallengeRequired | RateLimited:
    """What the caller hears. Which rule it was is for the caller's own log: the end user need not know."""
    if finding.said is Said.CHALLENGE:
        return ChallengeRequired(
            "this start needs a solved challenge", reason=finding.rule.value, kind=policy.challenge_kind
        )
    match finding.rule:
        case Rule.COUNTRY:
            return CountryBlocked("the service sends no codes to this country")
        case Rule.NUMBER_TYPE:
            return NumberTypeBlocked("no SMS is sent to a number of this type")
        case Rule.IP | Rule.IP_PREFIX | Rule.EVERYWHERE:
            return RateLimited("too many codes were asked for", retry_after=finding.retry_after)
        case _:
            return BlockedByGuard(
                "the guard against abuse refuses this", reason=finding.rule.value, retry_after=finding.retry_after
            )
