"""When another provider is asked, and what an answer says about a provider's health (providers by outcome class)."""

from __future__ import annotations

import pytest

from functions.domain.delivery import Outcome, Scope, SendResult
from functions.domain.failover import decisive, goes_on, speaks_of_the_provider


def result(outcome: Outcome, scope: Scope = Scope.PROVIDER, provider: str = "a") -> SendResult:
    return SendResult(provider=provider, outcome=outcome, scope=scope)


GOES_ON = {
    Outcome.ACCEPTED: set[Scope](),
    Outcome.REJECTED_NUMBER: {Scope.ROUTE},
    Outcome.REJECTED_CONTENT: {Scope.ROUTE},
    Outcome.THROTTLED_RECIPIENT: set[Scope](),
    Outcome.THROTTLED_ACCOUNT: {Scope.PROVIDER, Scope.ROUTE},
    Outcome.CONFIG: {Scope.PROVIDER, Scope.ROUTE},
    Outcome.TRANSIENT: {Scope.PROVIDER, Scope.ROUTE},
    Outcome.UNKNOWN: set[Scope](),
}
"""By which scopes of each class another provider is asked."""
SICK = {Outcome.CONFIG, Outcome.TRANSIENT, Outcome.UNKNOWN}


@pytest.mark.parametrize("outcome", Outcome)
@pytest.mark.parametrize("scope", Scope)
def test_another_provider_is_asked_by_class_and_scope_alone(outcome: Outcome, scope: Scope) -> None:
    assert goes_on(result(outcome, scope)) == (scope in GOES_ON[outcome])


@pytest.mark.parametrize("outcome", Outcome)
@pytest.mark.parametrize("scope", Scope)
def test_only_what_the_next_message_would_meet_too_counts_against_a_provider(outcome: Outcome, scope: Scope) -> None:
    assert speaks_of_the_provider(result(outcome, scope)) == (outcome in SICK and scope is Scope.PROVIDER)


def test_of_several_that_took_nothing_the_one_with_hope_counts() -> None:
    busy, no_route = result(Outcome.TRANSIENT, provider="busy"), result(Outcome.REJECTED_NUMBER, Scope.ROUTE, "other")

    assert decisive([busy, no_route]) is busy
    assert decisive([no_route, busy]) is busy


def test_of_several_without_hope_the_last_counts() -> None:
    first, last = result(Outcome.REJECTED_NUMBER, Scope.ROUTE), result(Outcome.REJECTED_CONTENT, Scope.ROUTE)

    assert decisive([first, last]) is last
