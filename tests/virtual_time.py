"""An event loop on which waiting takes no time: its clock jumps to the next timer as soon as nobody has work to do."""

from __future__ import annotations

import asyncio
import contextlib
import selectors
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

Result = TypeVar("Result")


Busy = Callable[[], bool]


class _Jumping(selectors.DefaultSelector):
    def __init__(self, busy: Busy) -> None:
        super().__init__()
        self.now = 0.0
        self.busy = busy

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        if self.busy():
            return super().select(timeout)
        if timeout is None:
            raise RuntimeError("everybody waits for somebody else, and nobody for the clock")
        self.now += max(timeout, 0)
        return super().select(0)


class VirtualTime(asyncio.SelectorEventLoop):
    def __init__(self, busy: Busy = lambda: False) -> None:
        self._jumping = _Jumping(busy)
        super().__init__(self._jumping)

    def time(self) -> float:
        return self._jumping.now


def run_in_virtual_time(work: Coroutine[Any, Any, Result], busy: Busy = lambda: False) -> Result:
    """For work that waits for timers only: no threads, no processes, and sockets only while `busy`.

    While it says so, somebody outside has work to do, such as a database: its answer is waited for, and takes no time.
    """
    with contextlib.closing(VirtualTime(busy)) as loop:
        return loop.run_until_complete(work)
