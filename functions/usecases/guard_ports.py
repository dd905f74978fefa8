"""What the guard needs of the world, as contracts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol, runtime_checkable

from functions.domain.frozen import frozen
from functions.domain.guard.attempt import Address, Attempt, Pseudonym
from functions.domain.guard.budget import Account
from functions.domain.guard.conversion import Breaker, Place, Slice
from functions.domain.guard.counting import Counts, Step
from functions.domain.guard.decision import Decision, Finding
from functions.domain.guard.lists import Listing
from functions.domain.guard.policy import Policy
from functions.domain.guard.spraying import Guesses, Usual
from functions.domain.verification import Sent


@frozen(kw_only=True)
class Outcome:
    """How a verification ended, for the rules that count what came to use."""

    service: str
    region: str
    block: str
    """As `Attempt.block`."""
    sent: tuple[Sent, ...]
    """When each of its codes went out, and for which request."""
    at: int
    policy: Policy
    """The service's."""


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


@runtime_checkable
class GuessCheck(Check, Protocol):
    """One that wants to hear of every guess that was counted."""

    async def guessed(self, service: str, policy: Policy, *, right: bool, at: int) -> None:
        """Never raises for the store's sake: the guess was judged."""


@runtime_checkable
class GuessLimit(Check, Protocol):
    """One that holds back who tries many codes."""

    async def wait(self, ip: Address, policy: Policy, pseudonym: Pseudonym, at: int) -> int | None:
        """Counts a guess from the end user's address: None where it may be made, else after how many seconds it may.

        Raises StoreUnavailable.
        """


class Decisions(Protocol):
    async def keep(self, decision: Decision, attempt: Attempt) -> None:
        """For replays. Never raises: the log has it too."""


class Lists(Protocol):
    async def listing(self, at: int) -> Listing:
        """What operators allowed and blocked, as it was a few seconds ago at most. Raises StoreUnavailable."""


@frozen(kw_only=True)
class Lease:
    taken: bool
    used: int
    """Of the account by all sandboxes, this portion included where it was taken."""


class Accounts(Protocol):
    async def take(self, account: Account, amount: int) -> Lease:
        """Takes so much where the account's limit leaves it; `amount` is no more than the limit.

        Raises StoreUnavailable: then it may have been taken, and nobody has it.
        """


class CodesToNumbers(Protocol):
    """By all services together. `number` is a pseudonym. Both raise StoreUnavailable."""

    async def add(self, number: str, day: int, *, most: int | None) -> int | None:
        """How many codes of that day there are now; None where there were `most`, and this one is not counted."""

    async def take_back(self, number: str, day: int) -> None:
        """One of them, where there is one."""


class Conversions(Protocol):
    """What is counted of blocks and countries, and their breakers. Every method raises StoreUnavailable."""

    async def known(self, place: Place, now: int) -> tuple[Breaker, Sequence[Slice]]:
        """Its breaker, and the slices of this hour and the one before, the newest first. May be a second old."""

    async def change(self, place: Place, before: Breaker, after: Breaker) -> Breaker | None:
        """None when it is written; else what somebody else made of it meanwhile."""

    async def take_trial(self, place: Place, breaker: Breaker, now: int) -> bool:
        """Whether this send may try out the half-open place: one of this hour's few, and the breaker is as told."""

    async def give_trial_back(self, place: Place, breaker: Breaker, now: int) -> None:
        """One that was taken at that time."""


class GuessCounts(Protocol):
    """Of a service, or of all together."""

    async def note(self, scopes: Sequence[str], *, right: bool, at: int) -> None:
        """Counts a guess, on the whole: not each is written down. Never raises for the store's sake."""

    async def read(self, scope: str, now: int) -> tuple[Guesses, Usual]:
        """Those of the last minutes, and what is usual. Raises StoreUnavailable."""


@frozen()
class Tally:
    before: Counts
    """Of the item, without this start."""
    counted: bool


class Counters(Protocol):
    """What is counted of addresses, blocks and countries: one item each and window, one write a start."""

    async def count(self, step: Step) -> Tally:
        """All of it where every enforced cap leaves room, exact however many ask at once. Raises StoreUnavailable."""

    async def take_back(self, step: Step, *, newcomer: bool) -> None:
        """What `count` counted. `newcomer`: its member was none before. Raises StoreUnavailable."""

    async def convert(self, item: str, *, fewer: Mapping[str, int], more: Mapping[str, int]) -> None:
        """Codes came to use. Changes nothing where there are not so many. Never raises for the store's sake."""
