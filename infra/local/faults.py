"""What goes wrong at the simulated gateway: by a script, request by request, or for a share of all requests."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from hashlib import blake2b
from typing import Annotated, Literal

from msgspec import UNSET, Meta, Struct, UnsetType

from infra.local import yunpian

Seconds = Annotated[float, Meta(ge=0, le=3600)]
Share = Annotated[float, Meta(ge=0, le=1)]


class Step(Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """How one request is answered."""

    answer: Literal["accept", "refuse", "drop", "drop_after_accept", "rubbish", "status"]
    """`accept`: as the protocol has it. `drop`: the connection is reset, and the message not taken. `rubbish`: 200 and
    a body that nobody can read. `status`: an HTTP error that is not in the protocol's words. Both take no message."""
    code: int = yunpian.BUSY
    """For `refuse`."""
    status: Annotated[int, Meta(ge=200, le=599)] = 500
    """For `status`."""
    latency: Seconds | None = None


class Caps(Struct, frozen=True, forbid_unknown_fields=True):
    """The gateway's own limits for a number."""

    interval: Seconds = 30.0
    """Seconds between two messages (code 33)."""
    hourly: Annotated[int, Meta(ge=1)] = 3
    """Messages in an hour (code 22)."""


class Change(Struct, forbid_unknown_fields=True):
    """What can be set while it runs. What is not given stays."""

    latency: Seconds | UnsetType = UNSET
    fail: Share | UnsetType = UNSET
    script: list[Step] | UnsetType = UNSET
    caps: Caps | UnsetType | None = UNSET


ACCEPT = Step("accept")
_REFUSE, _DROP = Step("refuse"), Step("drop")


@dataclass(slots=True)
class Faults:
    """A share of `fail` goes wrong: one half is refused as the gateway is busy, the other half dropped unanswered.

    Which ones follows from the seed and the request's ordinal number alone, so a run can be repeated.
    """

    latency: float = 0.0
    fail: float = 0.0
    seed: int = 0
    caps: Caps | None = None
    script: deque[Step] = field(default_factory=deque)
    _drawn: int = 0

    def change(self, change: Change) -> None:
        if change.latency is not UNSET:
            self.latency = change.latency
        if change.fail is not UNSET:
            self.fail = change.fail
        if change.script is not UNSET:
            self.script = deque(change.script)
        if change.caps is not UNSET:
            self.caps = change.caps

    def next(self) -> Step:
        """What becomes of the request that just came."""
        if self.script:
            return self.script.popleft()
        drawn = self._draw() if self.fail else 1.0
        if drawn >= self.fail:
            return ACCEPT
        return _REFUSE if drawn < self.fail / 2 else _DROP

    def _draw(self) -> float:
        """Uniform in [0, 1)."""
        self._drawn += 1
        digest = blake2b(f"{self.seed}|{self._drawn}".encode(), digest_size=8).digest()
        return int.from_bytes(digest, "big") / 2**64
