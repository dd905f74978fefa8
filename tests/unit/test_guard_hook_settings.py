"""What services.toml says of challenges and of the operator's own service."""

from __future__ import annotations

from typing import Any

import pytest

from functions.domain.guard.policy import ChallengeKind, OnFailure
from functions.service_file import ServiceFileError, parse_configuration


def guard(**settings: Any) -> Any:
    return parse_configuration({"shop": {"guard": settings}}).services["shop"].guard


def test_challenges_are_our_own_where_nobody_else_is_named() -> None:
    assert guard(challenge=True).challenge_kind is ChallengeKind.ALTCHA


def test_challenges_are_somebody_elses_where_a_verifier_is_named() -> None:
    policy = guard(challenge_url="https://verifier.example/siteverify")

    assert (policy.challenge_kind, policy.challenge) == (ChallengeKind.EXTERNAL, False)


def test_a_risk_hook_that_does_not_answer_allows_unless_it_is_said_otherwise() -> None:
    assert guard(risk_url="https://risk.example/number").risk_on_failure is OnFailure.ALLOW
    assert guard(risk_url="https://risk.example", risk_on_failure="deny").risk_on_failure is OnFailure.DENY


@pytest.mark.parametrize("key", ["challenge_url", "risk_url"])
@pytest.mark.parametrize("url", ["", "http://example.com/", "https://", "https://me:key@example.com/", "ftp://a.test/"])
def test_what_has_a_number_or_a_secret_in_it_goes_out_over_https_only(key: str, url: str) -> None:
    with pytest.raises(ServiceFileError, match=f"shop.guard.{key}: must be an https URL"):
        guard(**{key: url})
