"""Where the log's lines go."""

from __future__ import annotations

import asyncio
import contextlib
import sys
from typing import TextIO


class Lines:
    """Standard error, to which the lines of one turn of the event loop go in one write: a batch has thousands."""

    def __init__(self) -> None:
        self.stream: TextIO = sys.stderr
        self.gathers = False
        """While an invocation is under way, which sees to it that nothing stays behind."""
        self._waiting: list[str] = []

    def write(self, text: str) -> None:
        if not self.gathers:
            self._put(text)
            return
        if not self._waiting:
            self._write_out_soon()
        self._waiting.append(text)

    def write_out(self) -> None:
        waiting, self._waiting = self._waiting, []
        if waiting:
            self._put("".join(waiting))

    def flush(self) -> None:
        """For logging, after each line."""

    def _write_out_soon(self) -> None:
        with contextlib.suppress(RuntimeError):  # between the runs of the loop; then the invocation's end sees to it
            asyncio.get_running_loop().call_soon(self.write_out)

    def _put(self, text: str) -> None:
        self.stream.write(text)
        self.stream.flush()
