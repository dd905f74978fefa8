"""What became of a message: the provider's answer in our words, and the state that receipts move forward."""

from __future__ import annotations

from enum import StrEnum

from functions.domain.frozen import frozen
from functions.domain.phone import PhoneNumber
from functions.domain.sensitive import Sensitive


class Outcome(StrEnum):
    """An adapter's one answer for a send. What happens next follows from it, never from a vendor's number."""

    ACCEPTED = "accepted"
    """The provider took the message."""
    REJECTED_NUMBER = "rejected_number"
    """Bad, unroutable, opted out or blocklisted number. Never tried again."""
    REJECTED_CONTENT = "rejected_content"
    """Spam, keyword, template mismatch. Never tried again."""
    THROTTLED_RECIPIENT = "throttled_recipient"
    """The provider's cap for this number. A second provider would turn that protection into a hole."""
    THROTTLED_ACCOUNT = "throttled_account"
    """Our account's rate. Not taken: may be tried again."""
    CONFIG = "config"
    """Key, balance, sender, allow-list: the operator's to mend. Not taken: may be tried again."""
    TRANSIENT = "transient"
    """A definite failure of the provider, or a connection that never came about. Not taken: may be tried again."""
    UNKNOWN = "unknown"
    """Nobody knows whether it was taken (time-out, reset after the request). Another try might be a second SMS."""

    @property
    def may_try_again(self) -> bool:
        return self in _NOT_TAKEN

    @property
    def is_final_refusal(self) -> bool:
        return self in _REFUSED


class Scope(StrEnum):
    """How far a refusal reaches, where its outcome leaves that open."""

    PROVIDER = "provider"
    """The gateway or our account there: what it said to this message it would say to the next."""
    ROUTE = "route"
    """This provider's way to this number, with this sender or template. Another may well have one."""
    FORBIDDEN = "forbidden"
    """The operator, or the law, wants no such message: no other provider is asked either."""


_NOT_TAKEN = frozenset({Outcome.THROTTLED_ACCOUNT, Outcome.CONFIG, Outcome.TRANSIENT})
_REFUSED = frozenset({Outcome.REJECTED_NUMBER, Outcome.REJECTED_CONTENT})


@frozen(kw_only=True)
class Message:
    """One SMS for a provider to send."""

    to: PhoneNumber
    text: Sensitive
    code: Sensitive
    """For providers that send templates of their own: they take the code and no text."""
    reference: str
    """Comes back in the receipt; finds the verification with nothing stored. Verification id and number of the send."""
    valid_for: int
    """Seconds that the code still lives, for providers that drop late messages."""
    sender: str | None = None
    """What the phone shows: a number, up to eleven letters, or a provider's name for a pool of them."""
    template: str | None = None
    """The approved template's id, where a provider sends nothing else, or a country keeps a register of them."""
    signature: str | None = None
    """The name in front of a Chinese message, as it was approved."""
    entity: str | None = None
    """Who sends, in a country's register of senders."""


@frozen(kw_only=True)
class SendResult:
    """A provider's answer to one send."""

    provider: str | None
    """None where nobody was asked."""
    outcome: Outcome
    message_id: str | None = None
    reason: str | None = None
    """The provider's own code or a word for the transport's fault; never its free text, which can name the number."""
    retry_after: int | None = None
    """Seconds, where the provider tells."""
    segments: int | None = None
    price: str | None = None
    """Amount and currency as the provider tells them, such as 0.05 RMB."""
    scope: Scope = Scope.PROVIDER
    wants_feedback: bool = False
    """The provider learns from codes that were approved, and is told by the message's id."""


class DeliveryStatus(StrEnum):
    """How far a message has come. Receipts move it forward only."""

    QUEUED = "queued"
    """Waits in the queue for the sender."""
    SUBMITTED = "submitted"
    """Handed to the provider; nothing else is known, and for an accepted message nothing else is written."""
    NOT_SENT = "not_sent"
    """The provider definitely did not take it; the request may be repeated."""
    UNKNOWN = "unknown"
    REJECTED = "rejected"
    """At once, or by a receipt: for a person's opt-out, as spam or as fraud. Nobody else is asked either."""
    THROTTLED = "throttled"
    SENT = "sent"
    """A receipt says that the carrier has it."""
    DELIVERED = "delivered"
    FAILED = "failed"


_RANK = {
    DeliveryStatus.QUEUED: 0,
    DeliveryStatus.SUBMITTED: 1,
    DeliveryStatus.NOT_SENT: 2,
    DeliveryStatus.UNKNOWN: 2,
    DeliveryStatus.SENT: 3,
    DeliveryStatus.THROTTLED: 4,
    DeliveryStatus.FAILED: 5,
    DeliveryStatus.REJECTED: 6,
    DeliveryStatus.DELIVERED: 7,
}


@frozen(kw_only=True)
class Delivery:
    """The latest message of a verification."""

    status: DeliveryStatus
    request: str
    """Digest of the request that caused it."""
    send: int = 1
    """Which send of the verification, from 1."""
    at: int
    provider: str | None = None
    reason: str | None = None
    message_id: str | None = None
    """The provider's, kept where it wants to hear of an approval."""
    tries: int = 1
    """How often this send was handed over: 2 after an unknown outcome or a missing receipt, where that is wanted."""


@frozen(kw_only=True)
class Receipt:
    """What a provider reports about a message that it took earlier."""

    provider: str
    reference: str
    status: DeliveryStatus
    reason: str | None
    at: int


def supersedes(new: DeliveryStatus, old: DeliveryStatus) -> bool:
    """Whether a receipt's status is news. Receipts come twice, late and in any order."""
    return _RANK[new] > _RANK[old]
