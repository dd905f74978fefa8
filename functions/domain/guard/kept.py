"""A decision as it is kept: what a replay needs of it, with pseudonyms for the number and the address."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any

from functions.domain.frozen import frozen
from functions.domain.guard.attempt import Attempt
from functions.domain.guard.decision import Decision, Finding, Mode, Rule, Said
from functions.domain.guard.network import source_of

_SPACE = 2**64


class NotKept(ValueError):
    """A text that no decision was written as. The message says what is wrong with it."""


@frozen(kw_only=True)
class Kept:
    at: int
    service: str
    region: str
    type: str
    """The number's, as libphonenumber has it."""
    block: str
    """Of a thousand: the number without its + and its last three digits."""
    number: str
    """A pseudonym, as are the next two."""
    address: str | None = None
    """Of the IPv4 address, or the /64."""
    prefix: str | None = None
    """Of the /24 or /48."""
    challenge: bool = False
    """A solution came along."""
    weight: float = 1.0
    """How many decisions this one stands for, those that were not kept among them."""
    decision: Decision


def is_sampled(request: str, share: float) -> bool:
    """The same for each repeat of a request."""
    drawn = int.from_bytes(hashlib.sha256(request.encode()).digest()[:8], "big")
    return drawn < share * _SPACE


def of(decision: Decision, attempt: Attempt, *, weight: float) -> Kept:
    pseudonym = attempt.pseudonym
    source = None if attempt.ip is None else source_of(attempt.ip)
    return Kept(
        at=attempt.at,
        service=attempt.service,
        region=attempt.region,
        type=attempt.to.type.value,
        block=attempt.block_1k,
        number=pseudonym("number", attempt.to.e164),
        address=None if source is None else pseudonym("address", f"{source.network} {source.line}"),
        prefix=None if source is None else pseudonym("network", source.network),
        challenge=attempt.challenge is not None,
        weight=weight,
        decision=decision,
    )


def to_text(kept: Kept) -> str:
    """One line of JSON. What is usual is left out."""
    facts: dict[str, Any] = {name: getattr(kept, name) for name in _TEXTS}
    facts |= {name: getattr(kept, name) for name in _OPTIONAL if getattr(kept, name) is not None}
    facts |= {"at": kept.at, "weight": kept.weight, "challenge": kept.challenge}
    facts["outcome"] = kept.decision.outcome
    facts["findings"] = [_from_finding(finding) for finding in kept.decision.findings]
    return json.dumps(facts, separators=(",", ":"))


def from_text(text: str) -> Kept:
    """Raises NotKept."""
    try:
        facts = json.loads(text)
        return Kept(
            **{name: str(facts[name]) for name in _TEXTS},
            **{name: facts.get(name) for name in _OPTIONAL},
            at=int(facts["at"]),
            weight=float(facts.get("weight", 1)),
            challenge=bool(facts.get("challenge", False)),
            decision=Decision(findings=tuple(map(_to_finding, facts["findings"]))),
        )
    except KeyError as error:
        raise NotKept(f"{error} is missing") from None
    except (TypeError, ValueError, AttributeError) as error:
        raise NotKept(str(error)) from None


_TEXTS = ("service", "region", "type", "block", "number")
_OPTIONAL = ("address", "prefix")
_NUMBERS = ("count", "limit", "retry_after")


def _from_finding(finding: Finding) -> dict[str, Any]:
    said = {"rule": finding.rule.value, "said": finding.said.value, "mode": finding.mode.value, "key": finding.key}
    numbers = {name: getattr(finding, name) for name in _NUMBERS}
    lifts = {"lifts": sorted(finding.lifts)} if finding.lifts else {}
    return {name: value for name, value in {**said, **numbers}.items() if value not in (None, "enforce")} | lifts


def _to_finding(facts: Mapping[str, Any]) -> Finding:
    numbers = {name: int(facts[name]) for name in _NUMBERS if name in facts}
    return Finding(
        rule=Rule(facts["rule"]),
        said=Said(facts["said"]),
        mode=Mode(facts.get("mode", Mode.ENFORCE)),
        key=facts.get("key"),
        lifts=frozenset(map(Rule, facts.get("lifts", ()))),
        **numbers,
    )
