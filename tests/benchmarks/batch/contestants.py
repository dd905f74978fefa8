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
    at_once: int | None = None
    """Codes that it has under way at the most; None: all."""
    most: int | None = None
    """Codes that it is asked for at the most; None: any number."""
    services: str = ""
    """Its services.toml; none: the one that is shipped."""
    known: bool = False
    """Each number has had a code three hours ago."""

    def takes(self, codes: int, latency: float) -> float:
        """Seconds that it waits for a gateway that takes `latency` for each."""
        return latency * -(-codes // (self.at_once or codes))

    def may(self, codes: int) -> bool:
        return self.most is None or codes <= self.most


def numbers(count: int) -> list[str]:
    """Valid Chinese mobile numbers, each different from the others."""
    found: set[int] = set()
    while len(found) < count:
        found.add(secrets.randbelow(10**9))
    return [f"+8613{digits:09d}" for digits in found]


def salvo(provider: str, *, guarded: bool, known: bool) -> Contender:
    name = f"salvo: {provider}, {'guard' if guarded else 'no guard'}, {'known' if known else 'new'} numbers"
    services = _services(provider, guarded=guarded)
    # Ten thousand of them tell nothing more than a thousand, and their records have to be made first.
    most = 1_000 if known else None
    return Contender(name=name, module="salvo", order=event_files.batch, services=services, known=known, most=most)


def _peer(name: str, module: str, *, at_once: int | None = None, most: int | None = None) -> Contender:
    return Contender(name=name, module=module, order=_bare, at_once=at_once, most=most)


def _bare(numbers: Sequence[str]) -> list[str]:
    """As Yunpian spells them."""
    return [number.removeprefix("+86") for number in numbers]


def _services(provider: str, *, guarded: bool) -> str:
    route = f'[[default.routes]]\nproviders = [ {{ name = "{provider}" }} ]\n'
    return route if guarded else f"{route}[default.guard]\nenabled = false\n"


SINGLE, TOGETHER = "yunpian", "yunpian_multi"
"""Providers: a call for each message, and one for up to a thousand."""

FLOOR = _peer("two bare calls", "floor", at_once=8)
FLOOR_IN_A_ROW = _peer("two bare calls, one after the other", "floor_in_a_row", at_once=1)
ORIGIN = _peer("ten lines, a session each", "origin")
LOOP = _peer("boto3 and requests", "boto3_requests", at_once=1, most=1_000)
THREADS = _peer("the same in 32 threads", "boto3_threads", at_once=32, most=1_000)
THREAD_EACH = _peer("the same in 1,000 threads", "boto3_thread_each", most=1_000)
NAIVE = _peer("aiobotocore and aiohttp, gather", "naive_async", at_once=100)
SALVO = tuple(
    salvo(provider, guarded=guarded, known=known)
    for guarded in (False, True)
    for provider in (SINGLE, TOGETHER)
    for known in (False, True)
)
FLOORS = (FLOOR, FLOOR_IN_A_ROW)
PEERS = (ORIGIN, LOOP, THREADS, THREAD_EACH, NAIVE)
