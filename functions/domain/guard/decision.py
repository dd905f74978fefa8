"""One decision a start: which rules were looked at, what each said, and which one decided.

Rules are asked in an order in which nobody's denial uses up what belongs to somebody else: first what is known without
counting, then the end user's address, then blocks of numbers and countries, the number itself, and money last.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from enum import StrEnum

from functions.domain.frozen import frozen


class Rule(StrEnum):
    """In the order in which they are asked. The names are stable: logs, metrics and the file know them."""

    LISTED = "listed"
    """The operator blocked the number, its block of a thousand or its country by hand."""
    COUNTRY = "country"
    """Not on the service's list of countries."""
    NUMBER_TYPE = "number_type"
    """No mobile number."""
    SPRAYING = "spraying"
    """Far more wrong codes than usual: somebody guesses at many numbers."""
    IP = "ip"
    """Too many starts from the end user's address."""
    IP_PREFIX = "ip_prefix"
    """Too many from its network (/24, /48)."""
    NUMBERS_1K = "numbers_1k"
    """Too many different numbers of one block of a thousand."""
    UNCONVERTED_1K = "unconverted_1k"
    """Too many codes to a block of a thousand that nobody typed in."""
    UNCONVERTED_10K = "unconverted_10k"
    UNCONVERTED_COUNTRY = "unconverted_country"
    CONVERSION_BLOCK = "conversion_block"
    """Of a block's codes far fewer come to use than of honest people's."""
    CONVERSION_COUNTRY = "conversion_country"
    CHALLENGE = "challenge"
    """The caller has to show that it took trouble."""
    RISK = "risk"
    """What the operator's own service says of the number."""
    EVERYWHERE = "everywhere"
    """Too many codes to the number by all services together."""
    NUMBER = "number"
    """The service's own limits for the number."""
    BUDGET_SERVICE = "budget_service"
    BUDGET_TOTAL = "budget_total"


class Mode(StrEnum):
    ENFORCE = "enforce"
    MONITOR = "monitor"
    """It is asked and written down, and decides nothing."""
    OFF = "off"


class Said(StrEnum):
    PASS = "pass"  # noqa: S105 - none is needed
    DENY = "deny"
    CHALLENGE = "challenge"
    """Deny, but for a caller who solves a challenge."""
    SOLVED = "solved"
    """It asked for a challenge, and a solution came along."""
    EXEMPT = "exempt"
    """It would have denied, and the operator's safe list lets the number or its block through."""


@frozen(kw_only=True)
class Finding:
    """What one rule said. Holds no number and no address: `key` names the block, country or service."""

    rule: Rule
    said: Said
    mode: Mode = Mode.ENFORCE
    key: str | None = None
    count: int | None = None
    """What was counted, this start included where it passed."""
    limit: int | None = None
    retry_after: int | None = None
    """Seconds."""
    lifts: frozenset[Rule] = frozenset()
    """Whose denials do not count, for the number or its block is on the safe list."""

    @property
    def decides(self) -> bool:
        return self.mode is Mode.ENFORCE and (self.said is Said.DENY or self.said is Said.CHALLENGE)


@frozen(kw_only=True)
class Decision:
    findings: tuple[Finding, ...] = ()

    @property
    def decided_by(self) -> Finding | None:
        """The first that denied or challenged and is enforced; None: the start is allowed."""
        for finding in self.findings:
            if finding.decides:
                return finding
        return None

    @property
    def outcome(self) -> str:
        """allowed, denied or challenged."""
        return outcome_of(self.decided_by)

    @property
    def lifted(self) -> frozenset[Rule]:
        return frozenset().union(*(finding.lifts for finding in self.findings if finding.lifts))

    def solved(self) -> Decision:
        """The same for a caller who solved a challenge: whatever asked for one has it."""
        return Decision(
            findings=tuple(
                replace(finding, said=Said.SOLVED) if finding.decides and finding.said is Said.CHALLENGE else finding
                for finding in self.findings
            )
        )

    def and_then(self, findings: Sequence[Finding]) -> Decision:
        return Decision(findings=(*self.findings, *findings))


def outcome_of(decisive: Finding | None) -> str:
    """allowed, denied or challenged, by whichever finding decided."""
    if decisive is None:
        return "allowed"
    return "challenged" if decisive.said is Said.CHALLENGE else "denied"
