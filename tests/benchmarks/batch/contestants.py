"""Who takes part, and how each is given its work."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from tests import event_files


@dataclass(frozen=True, slots=True, kw_only=True)
class Contender:
    name: str
    module: str
    """In contenders/: what its author would have written."""
    order: Callable[[Sequence[str]], Any]
    """What it is given for these numbers."""
    services: str = ""
    """Its services.toml; none: the one that is shipped."""
    known: bool = False
    """Each number has had a code three hours ago."""


def numbers(count: int) -> list[str]:
    """Valid Chinese mobile numbers, of which any two of a run are different for all that chance can do."""
    return [f"+8613{secrets.randbelow(10**9):09d}" for _ in range(count)]


def _bare(numbers: Sequence[str]) -> list[str]:
    """As Yunpian spells them."""
    return [number.removeprefix("+86") for number in numbers]


def _peer(name: str) -> Contender:
    return Contender(name=name, module=name, order=_bare)


def _salvo(*, provider: str, guarded: bool, known: bool) -> Contender:
    name = f"salvo, {provider}, {'guard' if guarded else 'no guard'}, {'known' if known else 'new'}"
    return Contender(
        name=name, module="salvo", order=event_files.batch, services=_services(provider, guarded=guarded), known=known
    )


def _services(provider: str, *, guarded: bool) -> str:
    route = f'[[default.routes]]\nproviders = [ {{ name = "{provider}" }} ]\n'
    return route if guarded else f"{route}[default.guard]\nenabled = false\n"


FLOOR = _peer("floor")
SALVO = tuple(
    _salvo(provider=provider, guarded=guarded, known=known)
    for guarded in (False, True)
    for provider in ("yunpian", "yunpian_multi")
    for known in (False, True)
)
