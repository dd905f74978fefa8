"""What a service allows, rule by rule. Defaults: the proposals that the peers' published limits add up to.

Twilio and Telnyx: 3 to 5 in 10 minutes for a number. Twilio's safe lists and Fraud Guard work by blocks of a thousand,
coss by blocks of ten thousand, GitLab and AWS by country. docs/security.md has the arithmetic.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum
from functools import cached_property

from functions.domain.guard.decision import Mode, Rule


class OnFailure(StrEnum):
    """What a hook that does not answer in time means."""

    ALLOW = "allow"
    DENY = "deny"


class ChallengeKind(StrEnum):
    ALTCHA = "altcha"
    """Built in: POST /v1/challenges makes one."""
    EXTERNAL = "external"
    """Somebody else's, such as Turnstile's, whom `challenge_url` asks."""


@dataclass(frozen=True, kw_only=True)
class Policy:
    """Of one service. A limit of None is none at all."""

    modes: Mapping[Rule, Mode] = field(default_factory=dict)
    """What is not named is enforced."""
    countries: frozenset[str] = frozenset()
    """Regions that codes may go to; none means every one that a route leads to."""
    home: frozenset[str] = frozenset()
    """Where the service's people live: no cap for the country, and the last to be closed when money runs out. None:
    every country is home."""
    ip_hour: int | None = 10
    ip_day: int | None = 20
    """Starts from one address (IPv4) or /64 (IPv6)."""
    ip_prefix_hour: int | None = 30
    """From one /24 (IPv4) or /48 (IPv6)."""
    numbers_1k: int | None = 20
    """Different numbers of one block of a thousand in an hour."""
    unconverted_1k: int | None = 20
    unconverted_1k_good: int | None = 50
    """For blocks of which at least half of the last hour's codes came to use."""
    unconverted_10k: int | None = 50
    unconverted_country: int | None = 200
    """In an hour, outside home."""
    conversion_floor: float = 0.35
    """Below this share for sure (the upper end of Wilson's 95 %) a block or country is closed."""
    everywhere_day: int | None = 15
    """Codes to one number by all services together."""
    budget: int | None = None
    """Millionths of the currency a day."""
    trusted_day: int = 5
    """Codes a day to a number whose wrong guesses are used up, for callers who know that its owner is signed in."""
    checks_minute: int | None = 30
    """Checks from one address, where the caller names it."""
    challenge: bool = False
    """Every start has to bring a solved challenge. Without it only those have to of which a rule asks one."""
    challenge_url: str | None = None
    """Who verifies solutions, in the form that Turnstile, hCaptcha and reCAPTCHA share; None: our own, ALTCHA's."""
    risk_url: str | None = None
    risk_on_failure: OnFailure = OnFailure.ALLOW
    sampled: float = 0.01
    """Share of the allowed decisions that are kept, beside all that are not."""

    @cached_property
    def asks_nothing(self) -> bool:
        """Every rule is off."""
        return len(self.modes) == len(Rule) and all(mode is Mode.OFF for mode in self.modes.values())

    @cached_property
    def block_limits(self) -> tuple[tuple[Rule, Mode, int], ...]:
        """Of the rules that count what goes to a block, those that are asked."""
        limits = {
            Rule.NUMBERS_1K: self.numbers_1k,
            Rule.UNCONVERTED_1K: self.unconverted_1k,
            Rule.UNCONVERTED_10K: self.unconverted_10k,
        }
        return tuple(
            (rule, self.mode(rule), most)
            for rule, most in limits.items()
            if most is not None and self.mode(rule) is not Mode.OFF
        )

    def mode(self, rule: Rule) -> Mode:
        return self.modes.get(rule, Mode.ENFORCE)

    def watching(self, rules: Collection[Rule]) -> Policy:
        """The same, but that these rules, where they are enforced, only watch."""
        watched = {rule: Mode.MONITOR for rule in rules if self.mode(rule) is Mode.ENFORCE}
        return replace(self, modes={**self.modes, **watched})

    @property
    def challenge_kind(self) -> ChallengeKind:
        return ChallengeKind.ALTCHA if self.challenge_url is None else ChallengeKind.EXTERNAL

    def is_home(self, region: str) -> bool:
        return not self.home or region in self.home


def unguarded() -> Policy:
    """Every rule off: a start is one write, and nobody counts."""
    return Policy(modes=dict.fromkeys(Rule, Mode.OFF))
