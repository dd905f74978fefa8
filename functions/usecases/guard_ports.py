"""What the guard needs of the world, as contracts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

from functions.domain.guard.attempt import Attempt
from functions.domain.guard.decision import Decision, Finding


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """How a verification ended, for the rules that count what came to use."""

    service: str
    region: str
    block: str
    """As `Attempt.block`."""
    sent_at: tuple[int, ...]
    """When each of its codes went out."""
    at: int


class Check(Protocol):
    """A rule, or several that one write answers.

    `look` and `give_back` raise StoreUnavailable: a guard that can't count lets nothing through.
    """

    async def look(self, attempt: Attempt) -> Sequence[Finding]:
        """What its rules say, and counts the attempt where none of them denies it and is enforced.

        A rule whose mode is off says nothing, and costs nothing. Each finding has its mode.
        """

    async def give_back(self, attempt: Attempt) -> None:
        """Takes back what `look` counted, where others share it: a later rule denied, or nothing was sent."""


@runtime_checkable
class ConversionCheck(Check, Protocol):
    """One that wants to hear of codes that came to use."""

    async def approved(self, outcome: Outcome) -> None:
        """Never raises for the store's sake: an approval stands. What got lost only makes a block look worse."""


class Decisions(Protocol):
    async def keep(self, decision: Decision, attempt: Attempt) -> None:
        """For replays. Never raises: the log has it too."""
