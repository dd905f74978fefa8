"""What the use cases need of the world, as contracts. Adapters are in stores/, queues/ and providers/."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import field
from typing import Any, Protocol, TypeAlias, runtime_checkable

from functions.domain.batch import Batch, Notes
from functions.domain.checking import Guess
from functions.domain.delivery import Message, Receipt, SendResult
from functions.domain.frozen import frozen
from functions.domain.guard.attempt import Address
from functions.domain.keys import Keyring
from functions.domain.result_token import Claims
from functions.domain.sensitive import Sensitive
from functions.domain.verification import Record


class StoreUnavailable(Exception):
    """The store did not answer, or refused for load. Nothing is known to have been written."""


class QueueUnavailable(Exception):
    """The queue did not take the message."""


class KeysUnavailable(Exception):
    """The keys could not be read, or make no sense. The message names the secret, never its content."""


class HookUnavailable(Exception):
    """What the operator put in the way of a start, and can't be left out, gave no answer."""


class Clock(Protocol):
    def __call__(self) -> int:
        """Seconds since 1970, of the wall clock: a frozen sandbox stops the others."""


class Entropy(Protocol):
    def __call__(self, size: int, /) -> bytes:
        """`size` bytes from the system's random generator."""


class Keys(Protocol):
    async def keyring(self) -> Keyring:
        """The current keys, cached. Raises KeysUnavailable."""

    async def pepper(self, kid: str) -> bytes | None:
        """The pepper of that id, looked up anew where it is unknown; None if there is none. Raises KeysUnavailable."""


class ResultTokens(Protocol):
    async def sign(self, claims: Claims) -> str:
        """A JWT. Raises KeysUnavailable."""


@frozen()
class Counted:
    """The record after a guess was counted, or the one that refused to count it (None: there is none)."""

    record: Record | None
    counted: bool


class VerificationStore(Protocol):
    """One record a number. Every method raises StoreUnavailable."""

    async def get(self, key: str) -> Record | None:
        """The record as it is now (a consistent read)."""

    async def put(self, record: Record, *, now: int) -> Record | None:
        """Writes the record if nothing came between: rev 1 where there is none or a forgotten one, rev n+1 over rev n.

        None when it is written; else the record that stands in the way. A write that was applied while its answer got
        lost is recognised as written.
        """

    async def count_guess(self, guess: Guess) -> Counted:
        """Counts first, so that no number of guesses at once can beat the limit, and returns what there is to compare.

        One blind write: attempts, failures and streak go up by one where the verification of that id is pending,
        unexpired, unapproved and has attempts left. A request that was counted before is not counted again.
        """


@frozen(kw_only=True)
class StoredAnswer:
    """What an idempotency key was used for. `answer` is None while its first request is under way."""

    fingerprint: str
    answer: bytes | None
    taken_at: int


class AnswerStore(Protocol):
    """Answers by idempotency key, for a day. Every method raises StoreUnavailable."""

    async def take(self, key: str, fingerprint: str, *, now: int, stale_before: int) -> StoredAnswer | None:
        """Takes the key for this request: None when it is ours, else what is there.

        An unanswered key that the same request took before `stale_before` died with its caller: it is taken over.
        """

    async def finish(self, key: str, fingerprint: str, answer: bytes) -> None:
        """Keeps the answer for repeats of the request."""

    async def release(self, key: str, fingerprint: str) -> None:
        """Forgets the key: nothing was done under it, and the request may be tried again."""


class BatchStore(Protocol):
    """Batches and what became of their items, for a week. Every method raises StoreUnavailable."""

    async def begin(self, batch: Batch) -> Batch | None:
        """Keeps the batch: None when this request is its first, else the batch as it was begun before."""

    async def get(self, name: str) -> Batch | None:
        """The batch as it is now."""

    async def finish(self, name: str, notes: Notes, *, now: int) -> None:
        """All of it is on the queue, but for what the notes say."""

    async def note(self, name: str, notes: Notes, *, now: int) -> None:
        """Writes down what became of items, in one write. The same notes again change nothing.

        What nobody began as a batch is counted nowhere.
        """


@frozen(kw_only=True)
class SendJob:
    """A send that waits in the queue. Holds no code: the sender derives it."""

    to: str = field(repr=False)
    service: str
    key: str | None = field(default=None, repr=False)
    locale: str | None = None
    batch: str | None = None
    place: int | None = None
    """The item's index in the batch, for whoever counts what became of each."""
    send_by: int | None = None
    domain: str | None = None
    app_hash: str | None = None
    verification: str | None = None
    """Set where the verification was stored when the job was queued; else the sender starts it."""
    announced: str | None = None
    """The id that the sender's verification is to have: its caller was told. `key` is the request's digest then."""
    ip: Address | None = field(default=None, repr=False)
    """The end user's, and the two below: as in a start over HTTP."""
    trusted: bool = False
    challenge: Sensitive | None = None
    metadata: tuple[tuple[str, str], ...] = ()


@frozen(kw_only=True)
class ConfirmJob:
    """A message that was handed over, to be looked at again: did a receipt come? Holds no code either."""

    to: str = field(repr=False)
    service: str
    request: str
    verification: str
    send: int
    tried: str
    """The provider that took it."""
    locale: str | None = None
    domain: str | None = None
    app_hash: str | None = None


@frozen(kw_only=True)
class FeedbackJob:
    """A code was approved, and the provider that sent it wants to know."""

    provider: str
    message_id: str


Job: TypeAlias = SendJob | ConfirmJob | FeedbackJob


class SendQueue(Protocol):
    async def put(self, job: Job, *, delay: int = 0) -> None:
        """To be handed out after `delay` seconds, at most 900. Raises QueueUnavailable."""


class BulkQueue(Protocol):
    async def put_all(self, jobs: Sequence[Job]) -> Sequence[int]:
        """The places, in `jobs`, of those that the queue did not take. Raises nothing."""


class DeadLetters(Protocol):
    async def put(self, body: str, *, reason: str) -> None:
        """Lays a message aside for a person to look at. Raises QueueUnavailable."""


class Provider(Protocol):
    """An SMS gateway."""

    @property
    def name(self) -> str: ...

    @property
    def timeout(self) -> float:
        """Seconds after which `send` has answered, whatever happened."""

    async def prepare(self) -> None:
        """Looks at the credentials before a message needs them. Raises KeysUnavailable, which names the provider."""

    async def send(self, message: Message) -> SendResult:
        """Submits the message once, within the provider's own time-outs, and tells the outcome.

        Never raises for what the gateway or the network does, and never tries twice: whoever calls decides that.
        """


@runtime_checkable
class LearningProvider(Provider, Protocol):
    """One that wants to hear which codes came to use; its results say `wants_feedback`."""

    async def approved(self, message_id: str) -> bool:
        """Tells that the message's code was approved; whether the provider took note. Never raises for what it does."""


class Circuits(Protocol):
    """What all sandboxes know together of each provider's health. Never raises: in doubt a provider is asked."""

    async def admits(self, provider: str) -> bool:
        """Whether a message may go there: all is well, or this message is the one that tries it out."""

    async def note(self, provider: str, *, failed: bool) -> None:
        """To be told of every send that was admitted."""


class Rates(Protocol):
    """Each account's sends a second, shared by all sandboxes. Never raises: in doubt a message goes out."""

    async def wait(self, provider: str, *, most: float) -> float | None:
        """Seconds until this message's own place comes; None where that is more than `most`, and none was taken."""

    def free_in(self, provider: str) -> float:
        """Seconds until the next place that nobody has taken, as far as this sandbox knows."""


class DeliveryTimes(Protocol):
    """How long receipts take in each country, learned from those that came. Never raises."""

    async def learn(self, region: str, seconds: int) -> None:
        """Of a message that was delivered: from its submission to the phone."""

    async def usual(self, region: str) -> int | None:
        """Seconds within which 19 of 20 arrive; None where too few have been seen of late."""


@frozen(kw_only=True)
class Push:
    """What a provider sent to its receipts address."""

    method: str
    url: str = field(repr=False)
    """As the provider called it: the public address, with its query. Holds the token."""
    query: Mapping[str, str] = field(repr=False)
    headers: Mapping[str, str] = field(repr=False)
    """Names in lower case."""
    body: bytes = field(repr=False)
    reference: str | None = None
    """Of the message whose address this is; None where the account has one address for all."""


@frozen()
class Acknowledgement:
    """What a provider wants to hear, so that it does not push again."""

    body: bytes = b""
    media_type: str = "text/plain"


class ReceiptReader(Protocol):
    """One provider's receipts."""

    @property
    def acknowledgement(self) -> Acknowledgement: ...

    def read(self, push: Push, secret: Mapping[str, Any], now: int) -> tuple[Receipt, ...]:
        """Checks the signature, where the provider signs, and gives what is news of ours: not every push is.

        `secret` is the provider's own, as it is stored. Raises InvalidRequest, InvalidSignature, and KeysUnavailable
        where the secret lacks what is needed.
        """


class Journal(Protocol):
    """Where the use cases say what happened. Names and outcomes only: never a code, a key or a whole number."""

    def __call__(self, event: str, /, **facts: str | float | None) -> None: ...
