"""A campaign's progress on standard error: a bar where somebody looks, else a line now and then."""

from __future__ import annotations

import asyncio
import contextlib
import sys
from collections.abc import AsyncIterator, Callable, Iterator

from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn

from infra.environments import say
from infra.send.board import Board

_BAR_EVERY, _LINE_EVERY = 0.25, 10.0
"""Seconds."""
_BAR_WIDTH = 12
"""Beside it the numbers of a million fit into 80 columns."""
_MINUTE, _HOUR = 60, 3_600


@contextlib.asynccontextmanager
async def shown(board: Board, rate: Callable[[], float]) -> AsyncIterator[None]:
    """Until the block is left. `rate` is in messages a second."""
    with _bar(board, rate) if sys.stderr.isatty() else _lines(board, rate) as (show, every):
        showing = asyncio.create_task(_show(show, every))
        try:
            yield
        finally:
            showing.cancel()
            await asyncio.gather(showing, return_exceptions=True)
            show()


@contextlib.contextmanager
def examining(size: int) -> Iterator[Callable[[int], None]]:
    """A bar of bytes, for who looks. What it gives is told how many bytes are behind us."""
    columns = (TextColumn("checking the file"), BarColumn(), DownloadColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True), disable=not sys.stderr.isatty(), transient=True) as progress:
        task = progress.add_task("checking", total=size)
        yield lambda done: progress.update(task, completed=done)


def duration(seconds: float) -> str:
    if seconds < _MINUTE:
        return f"{max(1, round(seconds))} s"
    if seconds < _HOUR:
        return f"{seconds / _MINUTE:.0f} min"
    hours, rest = divmod(round(seconds / _MINUTE), _MINUTE)
    return f"{hours} h {rest} min"


def told(board: Board, rate: float) -> str:
    counts = board.counts
    left = board.messages - counts.total
    time = f", {duration(left / rate)} left" if rate and left else ""
    return (
        f"{board.queued:,} queued, {counts.sent:,} sent, {counts.refused:,} refused, {counts.failed:,} failed,"
        f" {rate:,.0f}/s{time}"
    )


async def _show(show: Callable[[], None], every: float) -> None:
    while True:
        await asyncio.sleep(every)
        show()


@contextlib.contextmanager
def _bar(board: Board, rate: Callable[[], float]) -> Iterator[tuple[Callable[[], None], float]]:
    columns = (BarColumn(bar_width=_BAR_WIDTH), TextColumn("{task.description}"))
    with Progress(*columns, console=Console(stderr=True)) as progress:
        task = progress.add_task("", total=board.messages)

        def show() -> None:
            progress.update(task, completed=board.counts.total, description=told(board, rate()))

        yield show, _BAR_EVERY


@contextlib.contextmanager
def _lines(board: Board, rate: Callable[[], float]) -> Iterator[tuple[Callable[[], None], float]]:
    def show() -> None:
        say(f"{board.counts.total:,} of {board.messages:,}: {told(board, rate())}")

    yield show, _LINE_EVERY
