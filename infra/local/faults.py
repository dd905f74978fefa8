"""How each simulated vendor behaves: how slowly, what goes wrong, and what becomes of the messages that it took.

Everything can be set for all of them, and for one: its own setting goes before everybody's.
"""

from __future__ import annotations

from collections import defaultdict, deque
from dataclasses import dataclass, field
from hashlib import blake2b
from typing import Annotated, Any, Literal

import msgspec
from msgspec import UNSET, Meta, Struct, UnsetType

from infra.local.vendors.vendor import Code, State

Seconds = Annotated[float, Meta(ge=0, le=3600)]
Share = Annotated[float, Meta(ge=0, le=1)]


class Step(Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """How one request is answered."""

    answer: Literal["accept", "refuse", "drop", "drop_after_accept", "rubbish", "status"]
    """`accept`: as the protocol has it. `refuse`: in the vendor's own words. `drop`: the connection is reset, and the
    message not taken. `rubbish`: 200 and a body that nobody can read. `status`: an HTTP error that is not in the
    protocol's words. The last two take no message."""
    code: Code | None = None
    """For `refuse`. None: the one with which the vendor says that it can't now."""
    status: Annotated[int, Meta(ge=200, le=599)] = 500
    """For `status`."""
    retry_after: Annotated[int, Meta(ge=0, le=86_400)] | None = None
    """Seconds, in the answer's header."""
    latency: Seconds | None = None


class Caps(Struct, frozen=True, forbid_unknown_fields=True):
    """A gateway's own limits for a number. Those that know none have none."""

    interval: Seconds = 30.0
    """Seconds between two messages."""
    hourly: Annotated[int, Meta(ge=1)] = 3
    """Messages in an hour."""


class Settings(Struct, forbid_unknown_fields=True):
    """What is not set is as for all, and what is not given stays as it is."""

    latency: Seconds | UnsetType = UNSET
    fail: Share | UnsetType = UNSET
    always: Step | UnsetType | None = UNSET
    """Every request is answered so, whatever else is set, until this is null again."""
    caps: Caps | UnsetType | None = UNSET
    receipts: list[State] | UnsetType = UNSET
    """What is told of each message, one after the other. Vendors leave out what they have no word for."""
    receipt_delay: Seconds | UnsetType = UNSET
    """Before each of them."""
    receipts_url: str | UnsetType | None = UNSET
    """In the vendor's console: for messages that bring no address of their own."""


class Change(Settings, forbid_unknown_fields=True):
    """What can be set while it runs."""

    provider: str | UnsetType = UNSET
    """The one that it is for; none: all."""
    script: list[Step] | UnsetType = UNSET
    """For the next requests, in their order."""


ACCEPT = Step("accept")
_REFUSE, _DROP = Step("refuse"), Step("drop")
_NOBODY = Settings()


@dataclass(slots=True)
class Faults:
    """A share of `fail` goes wrong: one half is refused as the gateway is busy, the other half dropped unanswered.

    Which ones follows from the seed and the request's ordinal number alone, so a run can be repeated.
    """

    latency: float = 0.0
    fail: float = 0.0
    receipt_delay: float = 0.5
    seed: int = 0
    caps: Caps | None = None
    _all: Settings = field(init=False)
    _own: dict[str, Settings] = field(init=False)
    _scripts: defaultdict[str, deque[Step]] = field(init=False)
    _drawn: int = 0

    def __post_init__(self) -> None:
        self._own = {}
        self.reset()

    def reset(self) -> None:
        """Back to how it was started. What stands in the consoles stays there."""
        self._all = Settings(
            latency=self.latency,
            fail=self.fail,
            always=None,
            caps=self.caps,
            receipts=["delivered"],
            receipt_delay=self.receipt_delay,
            receipts_url=None,
        )
        addresses = {name: settings.receipts_url for name, settings in self._own.items()}
        self._own = {name: Settings(receipts_url=url) for name, url in addresses.items() if url is not UNSET}
        self._scripts = defaultdict(deque)

    def change(self, change: Change) -> None:
        of = "" if change.provider is UNSET else change.provider
        settings = self._own.setdefault(of, Settings()) if of else self._all
        for name in Settings.__struct_fields__:
            value = getattr(change, name)
            if value is not UNSET:
                setattr(settings, name, value)
        if change.script is not UNSET:
            self._scripts[of] = deque(change.script)

    def told(self) -> dict[str, Any]:
        """All of it, for whoever asks."""
        own = {
            name: {**_as_dict(settings), "script": list(self._scripts[name])} for name, settings in self._own.items()
        }
        return {**_as_dict(self._all), "script": list(self._scripts[""]), "providers": own}

    def of(self, provider: str, name: str) -> Any:
        """One of the Settings, as it is for this provider."""
        own = getattr(self._own.get(provider, _NOBODY), name)
        return getattr(self._all, name) if own is UNSET else own

    def next(self, provider: str) -> Step:
        """What becomes of the request that just came."""
        always: Step | None = self.of(provider, "always")
        if always is not None:
            return always
        for script in (self._scripts[provider], self._scripts[""]):
            if script:
                return script.popleft()
        fail = self.of(provider, "fail")
        drawn = self._draw() if fail else 1.0
        if drawn >= fail:
            return ACCEPT
        return _REFUSE if drawn < fail / 2 else _DROP

    def _draw(self) -> float:
        """Uniform in [0, 1)."""
        self._drawn += 1
        digest = blake2b(f"{self.seed}|{self._drawn}".encode(), digest_size=8).digest()
        return int.from_bytes(digest, "big") / 2**64


def _as_dict(settings: Settings) -> dict[str, Any]:
    found: dict[str, Any] = msgspec.to_builtins(settings)
    return found
