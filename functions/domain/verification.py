"""The record of a number: its live verification, and what is remembered of the number itself.

Each step that a record can take is a pure function from it to the next (sending.py, checking.py); the store writes
the next only if the record is still the one that the step was decided on. A guess is the exception: it is counted by
a blind write before anybody compares (stores/verifications.py), and judged afterwards.

    pending ──right code──► approved
       │  └──5th wrong────► attempts_exhausted
       ├──────time────────► expired
       └──cancel, or the provider refuses the number──► canceled
"""

from __future__ import annotations

from enum import StrEnum

from functions.domain.code import same_digest
from functions.domain.delivery import Delivery
from functions.domain.frozen import frozen
from functions.domain.identity import VerificationId

DAY = 86_400
MONTH = 30 * DAY


class State(StrEnum):
    PENDING = "pending"
    APPROVED = "approved"
    EXPIRED = "expired"
    CANCELED = "canceled"
    ATTEMPTS_EXHAUSTED = "attempts_exhausted"


@frozen()
class Sent:
    """One SMS of the number's history."""

    at: int
    request: str
    vouched: bool = False
    """It went out although the wrong guesses were used up: the caller knew that the number's owner is signed in."""


@frozen(kw_only=True)
class Verification:
    id: VerificationId
    digest: str
    region: str
    """The number's, such as DE."""
    block: str
    """The pseudonym of the number's block of ten thousand, and which tenth of it: for what its approval gives back."""
    own_code: bool
    """The caller brought the code, so nobody can derive it again."""
    generation: int
    binding: str | None = None
    """The mark of what the code is tied to."""
    attempts: int
    max_attempts: int
    sends: int
    created_at: int
    expires_at: int
    canceled: bool = False
    last_mac: str | None = None
    last_request: str | None = None
    delivery: Delivery
    metadata: tuple[tuple[str, str], ...] = ()

    @property
    def approved(self) -> bool:
        return same_digest(self.last_mac, self.digest)

    @property
    def attempts_left(self) -> int:
        return self.max_attempts - self.attempts

    def state(self, now: int) -> State:
        if self.approved:
            return State.APPROVED
        if self.canceled:
            return State.CANCELED
        if self.expires_at <= now:
            return State.EXPIRED
        if self.attempts_left <= 0:
            return State.ATTEMPTS_EXHAUSTED
        return State.PENDING


@frozen(kw_only=True)
class Record:
    """All that is known of one number in one service. `rev` rises with each write."""

    key: str
    service: str
    rev: int
    verification: Verification
    sent: tuple[Sent, ...]
    """Newest last; as many as the limits look at."""
    failures: int
    """Guesses counted in the day since `failures_since`, a right one included until the next start takes it off."""
    failures_since: int
    """When the first verification was started whose guesses they are. Not midnight: two days' worth would fit around
    it."""
    streak: int
    """Guesses counted since the last right one."""

    @property
    def forget_at(self) -> int:
        """When the history stops mattering: the day's limit has run out for every send, and so has the code.

        Wrong guesses that no right one has ended are remembered for a month, or a number could be guessed at for ever,
        by who lets it be forgotten in time. Codes expire after their last guess, so those of two memories are a month
        apart: no 30 days see more than the service's `failures_in_a_row`.
        """
        unanswered = self.streak > 0 and not self.verification.approved
        return self.verification.expires_at + (MONTH if unanswered else DAY)

    @property
    def vouched(self) -> bool:
        """Whether the verification was started for somebody who is known to be signed in: no stranger may resend it."""
        return any(sent.vouched and sent.at >= self.verification.created_at for sent in self.sent)

    def has_request(self, request: str, now: int) -> bool:
        """For a day, as long as an idempotency key is remembered: later the same key is another request."""
        return any(sent.request == request and sent.at > now - DAY for sent in self.sent)
