"""Each provider's circuit as one item that all sandboxes share; while all is well it costs a read a second at most.

A step is decided on what was last seen, and written only over that: of many who would open it, or try the provider out,
one does. Whoever comes second decides again on what the first made of it.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass, field, replace

from functions.domain.circuit import MOST_FAILURES, Circuit, answered, failed, tried
from functions.stores.dynamodb import ConditionFailed, Item, Table
from functions.together import Fetched
from functions.usecases.ports import Clock, Entropy, Journal, StoreUnavailable

PATIENCE = 1.0
"""Seconds. The table answers within milliseconds; a message that waited longer would lose its time for the provider."""

_KEPT = 86_400
"""Seconds after the last step: then it is as good as none."""
_TRIES = MOST_FAILURES + 3
"""A round is lost to somebody else's step, and so many of them open or close the circuit, whichever way it was."""
_WRITE_NAME_BYTES = 9

_STEP = (
    "SET #failures = :failures, #failed_at = :failed_at, #open_until = :open_until, #tried_until = :tried_until,"
    " #write = :write, #ttl = :ttl"
)
_UNCHANGED = "attribute_not_exists(#pk) OR #write = :seen"

_Step = Callable[[Circuit, int], Circuit | None]


@dataclass(slots=True)
class _Seen:
    """What this sandbox knows of a provider."""

    circuit: Circuit = field(default_factory=Circuit)
    write: str = "none"
    """Names the write that made it so."""
    at: int = 0
    silent: bool = False
    """The store was asked at that time, and did not answer."""
    lock: asyncio.Lock = field(default_factory=asyncio.Lock)
    """Held by whoever talks with the store."""
    looked: Fetched = field(default_factory=Fetched)

    def take(self, item: Item | None) -> None:
        self.circuit = Circuit() if item is None else _circuit(item)
        self.write = "none" if item is None else item["write"]["S"]


@dataclass(slots=True)
class DynamoCircuits:
    table: Table
    clock: Clock
    journal: Journal
    entropy: Entropy
    patience: float = PATIENCE
    _seen: defaultdict[str, _Seen] = field(default_factory=lambda: defaultdict(_Seen))

    def __post_init__(self) -> None:
        self.table = replace(self.table, patience=self.patience)

    async def admits(self, provider: str) -> bool:
        seen = self._seen[provider]
        now = self.clock()
        if seen.at != now:
            # Not later than the clock says either: it may have been set back.
            await seen.looked.unless(lambda: now <= seen.at <= self.clock(), lambda: self._look(provider, seen))
        if seen.silent or seen.circuit.closed:
            return True
        # Closed by somebody else, or the store went silent: both are no reason to pass it over.
        return await self._step(provider, seen, tried) or seen.circuit.closed or seen.silent

    async def note(self, provider: str, *, failed: bool) -> None:
        await self._step(provider, self._seen[provider], _failed if failed else answered)

    async def _look(self, provider: str, seen: _Seen) -> None:
        async with seen.lock:
            now = self.clock()
            if seen.at == now:
                return
            try:
                seen.take(await self.table.get(_pk(provider), consistent=False))
            except StoreUnavailable as error:
                self._miss(provider, seen, now, error)
            else:
                seen.at, seen.silent = now, False

    async def _step(self, provider: str, seen: _Seen, step: _Step) -> bool:
        """Whether the step was made, and by us."""
        if step(seen.circuit, self.clock()) is None:
            return False
        async with seen.lock:
            now = self.clock()
            if seen.silent and seen.at == now:
                return False
            try:
                return await self._write(provider, seen, step, now)
            except StoreUnavailable as error:
                self._miss(provider, seen, now, error)
                return False

    async def _write(self, provider: str, seen: _Seen, step: _Step, now: int) -> bool:
        for _ in range(_TRIES):
            before, following = seen.circuit, step(seen.circuit, now)
            if following is None:
                return False
            write = self.entropy(_WRITE_NAME_BYTES).hex()
            await self._put(provider, seen, following, write, now)
            seen.at, seen.silent = now, False
            if seen.write == write:
                self._tell(provider, before, following)
                return True
        return False

    async def _put(self, provider: str, seen: _Seen, circuit: Circuit, write: str, now: int) -> None:
        """Leaves in `seen` what is there afterwards: ours, or what came between."""
        values: Item = {
            ":failures": {"N": str(circuit.failures)},
            ":failed_at": {"N": str(circuit.failed_at)},
            ":open_until": {"N": str(circuit.open_until)},
            ":tried_until": {"N": str(circuit.tried_until)},
            ":write": {"S": write},
            ":ttl": {"N": str(now + _KEPT)},
            ":seen": {"S": seen.write},
        }
        try:
            seen.take(await self.table.update(_pk(provider), _STEP, only_if=_UNCHANGED, values=values))
        except ConditionFailed as refusal:
            # Also where the SDK repeated a write whose answer got lost: then it finds its own name.
            seen.take(refusal.item)

    def _miss(self, provider: str, seen: _Seen, now: int, error: StoreUnavailable) -> None:
        """Nobody here asks again within this second, so this is told once in it."""
        seen.at, seen.silent = now, True
        self.journal("circuit", provider=provider, outcome="not_known", reason=str(error))

    def _tell(self, provider: str, before: Circuit, after: Circuit) -> None:
        """Of an outage its beginning, every try that failed, and its end."""
        if before.closed != after.closed:
            self.journal("circuit", provider=provider, outcome="closed" if after.closed else "opened")
        elif after.open_until > before.open_until:
            self.journal("circuit", provider=provider, outcome="still_open")


_failed = failed  # `note` has an argument of that name


def _pk(provider: str) -> str:
    return f"c#{provider}"


def _circuit(item: Item) -> Circuit:
    return Circuit(
        failures=int(item["failures"]["N"]),
        failed_at=int(item["failed_at"]["N"]),
        open_until=int(item["open_until"]["N"]),
        tried_until=int(item["tried_until"]["N"]),
    )
