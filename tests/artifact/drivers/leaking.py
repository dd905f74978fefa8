"""A handler that keeps a little of everything: proof that the tests would see it."""

from __future__ import annotations

import asyncio
import os
from types import SimpleNamespace
from typing import Any

PAGE = 4096
SELDOM = 100

runtime = SimpleNamespace(loop=asyncio.new_event_loop())
_kept: list[bytearray] = []
_open: list[int] = []
_waiting: list[asyncio.Task[None]] = []


def handler(event: Any, context: Any) -> None:
    _kept.append(bytearray(PAGE))
    if len(_kept) % SELDOM == 0:
        _open.append(os.open(os.devnull, os.O_RDONLY))
        _waiting.append(runtime.loop.create_task(asyncio.sleep(3600)))
