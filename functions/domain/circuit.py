"""Whether a provider is asked: one that fails again and again is left alone for a while, then tried out by one message.

    closed ── the fifth failure in a row ──► open ── 10 s ──► half-open: one message tries it out
      ▲                                        ▲                  │
      │                                        └───── it fails ───┤
      └───────────────────── it is answered ──────────────────────┘

Every function gives the circuit as it is afterwards, and None where nothing changes.
"""

from __future__ import annotations

from dataclasses import replace

from functions.domain.frozen import frozen

MOST_FAILURES = 5
"""In a row, of all sandboxes together. One failure says little, and each one more is a person who waits for it."""
IN_A_ROW = 60
"""Seconds. Failures that are further apart are no outage, and too few to be worth a circuit."""
OPEN_FOR = 10
"""Seconds. So an outage of ten minutes is sixty tries, and a provider that is back is known to be within 20 s: a try
that began just before takes 8 of them to fail."""
LEASE = 12
"""Seconds that nobody else tries it out, should whoever does never be heard of again: a provider's longest time-out is
10, and a message may wait for 1 until its place at the account comes."""


@frozen(kw_only=True)
class Circuit:
    """Times are seconds since 1970."""

    failures: int = 0
    """In a row, while it is closed."""
    failed_at: int = 0
    open_until: int = 0
    """0: it is closed."""
    tried_until: int = 0
    """While it is half-open: when the lease of the message that tries it out ends."""

    @property
    def closed(self) -> bool:
        return self.open_until == 0


def tried(circuit: Circuit, now: int) -> Circuit | None:
    """With this message as the one that tries it out. None where nobody has to, or it is not the time."""
    if circuit.closed or now < max(circuit.open_until, circuit.tried_until):
        return None
    return replace(circuit, tried_until=now + LEASE)


def failed(circuit: Circuit, now: int) -> Circuit | None:
    if now < circuit.open_until:
        return None  # late news, of a message that went there before it opened
    if not circuit.closed:
        return Circuit(open_until=now + OPEN_FOR)
    failures = circuit.failures + 1 if now - circuit.failed_at <= IN_A_ROW else 1
    if failures >= MOST_FAILURES:
        return Circuit(open_until=now + OPEN_FOR)
    return Circuit(failures=failures, failed_at=now)


def answered(circuit: Circuit, now: int) -> Circuit | None:
    if now < circuit.open_until or circuit == Circuit():
        return None
    return Circuit()
