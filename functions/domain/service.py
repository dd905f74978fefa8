"""A service (tenant): what its codes look like, how long they live, how often they may be sent and guessed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import field
from enum import StrEnum

from functions.domain.frozen import frozen
from functions.domain.guard.policy import Policy
from functions.domain.routing import Route, Via


class OnUnknown(StrEnum):
    """What becomes of a send whose outcome nobody knows."""

    NEVER = "never"
    """Leaves it: at most one SMS a request. The person can ask again after the cooldown."""
    ONCE = "once"
    """Sends once more, by the next provider where there is one: at least one SMS is likelier, two are possible."""


class OnResend(StrEnum):
    SAME = "same"
    """The same code again: an SMS that comes late is not wrong."""
    NEW = "new"
    """A new code; the one before is dead (OWASP's advice)."""


REMEMBERED_SENDS = 10
"""Sends of a number that its record remembers: as many as a limit can count, and more would take it over 1 kB."""


@frozen()
class Limit:
    """At most `count` sends to a number in any `seconds`."""

    count: int
    seconds: int


@frozen(kw_only=True)
class Service:
    """Defaults: section by section where they come from.

    lifetime: NIST SP 800-63B-4 section 3.1.3.2 allows at most 10 minutes. max_attempts: PSD2 RTS article 4(3)(b), at
    most 5. failures_in_a_row: NIST section 3.2.2, at most 100. The sending limits are those of the hosted services
    (5 in 10 minutes and 3 in 10 minutes are common) with a day's cap on top.
    """

    name: str = "default"
    brand: str = ""
    code_length: int = 6
    lifetime: int = 600
    """Seconds."""
    max_attempts: int = 5
    max_sends: int = 5
    """SMS for one verification: the first and its resends."""
    cooldown: int = 30
    """Seconds between the first two SMS to a number. Each further one of a verification doubles it."""
    longest_cooldown: int = 120
    """Seconds at most."""
    limits: tuple[Limit, ...] = (Limit(3, 600), Limit(5, 3600), Limit(10, 86_400))
    failures_per_day: int = 20
    failures_in_a_row: int = 100
    send_within: int = 120
    """Seconds after which a queued message is dropped, not sent late."""
    batch_send_within: int = 3600
    """The same for an item of a batch, which waits for an account's rate and not for a person at a sign-in form."""
    on_unknown: OnUnknown = OnUnknown.NEVER
    on_resend: OnResend = OnResend.SAME
    routes: tuple[Route, ...] = (Route(providers=(Via(provider="yunpian"),)),)
    """Looked through in this order for each number."""
    guard: Policy = field(default_factory=Policy)
    """Against abuse."""
    confirm_within: int | None = None
    """Seconds without a receipt of its delivery after which another provider sends the code too; for countries of which
    enough receipts have come lately, the time that they take. None: nobody waits for receipts."""
    locale: str | None = None
    """For callers that name none; else the number's region decides."""
    texts: Mapping[str, str] = field(default_factory=dict)
    """The service's own texts by locale, `*` for all; each holds {code}."""
    domain: str | None = None
    """For the WebOTP line `@domain #code`."""
    app_hash: str | None = None
    """11 characters for Android's SMS Retriever."""
