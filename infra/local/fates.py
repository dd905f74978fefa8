"""What became of the codes that ./salvo demo sent, for a person to read."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from rich.console import Console
from rich.table import Table

_ROWS = 20
_WIDTH = 150
"""Columns, for the longest ids that vendors give. The table takes what it needs."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Fate:
    """What became of one number."""

    number: str
    outcome: str
    provider: str = "-"
    """The one that was asked last."""
    received: int
    """Messages on the phone."""
    message_id: str = "-"
    milliseconds: int = 0
    verification: str = "-"


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    fates: list[Fate]
    seconds: float
    expiries: Counter[int]
    """Codes stored in the table, by the second in which they expire."""
    providers: Sequence[str] = ()
    """Those that were asked, in their order."""

    @property
    def twice(self) -> list[Fate]:
        return [fate for fate in self.fates if fate.received > 1]

    @property
    def lost(self) -> list[Fate]:
        """Not on the phone, and nothing in the log says why."""
        return [fate for fate in self.fates if not fate.received and fate.outcome in {"-", "accepted"}]


def show(result: Result) -> None:
    console = Console(width=max(Console().width, _WIDTH))
    table = Table("number", "provider", "message id", "latency", "verification", "outcome")
    for fate in result.fates[:_ROWS]:
        latency = f"{fate.milliseconds / 1000:.2f} s" if fate.milliseconds else "-"
        table.add_row(fate.number, fate.provider, fate.message_id, latency, fate.verification, fate.outcome)
    console.print(table)
    if len(result.fates) > _ROWS:
        console.print(f"… and {len(result.fates) - _ROWS} more")
    for line in _summary(result):
        console.print(line, highlight=False)


def _summary(result: Result) -> Iterable[str]:
    count = len(result.fates)
    sent = sum(fate.received > 0 for fate in result.fates)
    one_by_one = sum(fate.milliseconds for fate in result.fates) / 1000
    yield f"{sent} of {count} codes sent in {result.seconds:.1f} s: {sent / result.seconds:.0f} a second"
    yield f"one after the other they would have taken {one_by_one:.0f} s"
    if result.expiries:
        first, last = (_clock(second) for second in (min(result.expiries), max(result.expiries)))
        yield f"{result.expiries.total()} codes are stored in the table and expire from {first} to {last} UTC"
    if len(result.providers) > 1:
        taken = Counter(fate.provider for fate in result.fates if fate.received)
        yield f"taken by {', '.join(f'{name}: {taken[name]}' for name in result.providers)}"
    for outcome, number in Counter(fate.outcome for fate in result.fates if not fate.received).most_common():
        yield f"{number} not sent: {_WORDS.get(outcome, outcome)}"
    yield f"lost: {len(result.lost)}, sent twice: {len(result.twice)}"


_LEFT = "refused each time, now in the dead-letter queue or too late to be sent"
_WORDS = {
    "unknown": "the gateway broke off, and nobody knows whether it took them; they are not sent again unasked",
    "transient": _LEFT,
    "config": _LEFT,
    "throttled_account": _LEFT,
}


def _clock(second: int) -> str:
    return datetime.fromtimestamp(second, UTC).strftime("%H:%M:%S")
