"""What the guard needs of challenges and of the operator's own service, as contracts."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

from functions.domain.guard.attempt import Attempt
from functions.domain.guard.decision import Said
from functions.domain.phone import PhoneNumber
from functions.domain.sensitive import Sensitive


class Verifier(Protocol):
    """One kind of challenge."""

    async def solved(self, solution: Sensitive, attempt: Attempt) -> str | None:
        """A name of the solution, if it is one for this attempt and now; whether it was used is not asked.

        Raises KeysUnavailable, HookUnavailable.
        """


class ChallengeMaker(Protocol):
    async def make(self, service: str, to: PhoneNumber, at: int) -> Mapping[str, object]:
        """For this number of this service. Raises KeysUnavailable."""


class Solutions(Protocol):
    async def take(self, name: str, request: str, *, until: int) -> bool:
        """Uses the solution for this request, or again for it; False: another one has it. Raises StoreUnavailable."""


class Challenges(Protocol):
    async def solved(self, attempt: Attempt) -> bool:
        """Whether a solution came along, which is used up by that.

        Raises StoreUnavailable, KeysUnavailable, HookUnavailable.
        """


class RiskHook(Protocol):
    async def ask(self, url: str, attempt: Attempt) -> Said | None:
        """Pass, deny or challenge; None where no answer came in time. Never raises."""
