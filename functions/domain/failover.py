"""What follows from a provider's answer: whether another one is asked, and what it says about this one's health."""

from __future__ import annotations

from collections.abc import Sequence

from functions.domain.delivery import Outcome, Scope, SendResult

_REFUSED = frozenset({Outcome.REJECTED_NUMBER, Outcome.REJECTED_CONTENT})
_SICK = frozenset({Outcome.CONFIG, Outcome.TRANSIENT, Outcome.UNKNOWN})


def goes_on(result: SendResult) -> bool:
    """Whether the next provider may be asked, because nothing went out and another may do better.

    Never after a number's cap, which protects a person, nor for a number or a text that all would refuse.
    """
    if result.scope is Scope.FORBIDDEN:
        return False
    return result.outcome.may_try_again or (result.outcome in _REFUSED and result.scope is Scope.ROUTE)


def speaks_of_the_provider(result: SendResult) -> bool:
    """Whether the next message would most likely meet the same: the key, the money, the gateway, the line to it."""
    return result.outcome in _SICK and result.scope is Scope.PROVIDER


def decisive(results: Sequence[SendResult]) -> SendResult:
    """The one answer of several that all took nothing: what a later try could change, before what it could not."""
    hopeful = [result for result in results if result.outcome.may_try_again]
    return hopeful[0] if hopeful else results[-1]
