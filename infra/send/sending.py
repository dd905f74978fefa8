"""Sends a campaign, from wherever it is to its end or to Ctrl-C, and says how it went."""

from __future__ import annotations

import asyncio
import contextlib
import signal
import sys
from collections.abc import Iterator

import aiohttp

from functions.runtime import wall_clock
from infra.environments import say
from infra.send import results
from infra.send.board import Board
from infra.send.campaign import Campaign
from infra.send.chunks import Chunks
from infra.send.client import Api
from infra.send.display import shown
from infra.send.key import name_of
from infra.send.ledger import Begun, Ledger
from infra.send.pace import Pace
from infra.send.table import Table

_STOPPED = 128
"""A shell's own: with the signal's number on top."""


def send(table: Table, ledger: Ledger, begun: Begun, key: str, *, most: float | None) -> int:
    """The command's exit code. Raises Unusable, and OSError."""
    return asyncio.run(_send(table, ledger, begun, key, most))  # noqa: TID251 - this is no function


async def _send(table: Table, ledger: Ledger, begun: Begun, key: str, most: float | None) -> int:
    stop = asyncio.Event()
    board = Board(messages=begun.messages, finished=ledger.counts())
    pace = Pace(begun.rate, most, now=asyncio.get_running_loop().time, is_over=stop.is_set)
    with results.opened(table.path, ledger.results_end()) as written, _stopping(stop) as signals:
        async with aiohttp.ClientSession() as http, shown(board, lambda: pace.rate):
            api = Api(http, begun.target, key)
            await api.check_key()
            campaign = Campaign(
                name=begun.name,
                api=api,
                key_name=name_of(key),
                ledger=ledger,
                chunks=Chunks(table, ledger, begun.service),
                results=written,
                pace=pace,
                board=board,
                stop=stop,
                clock=wall_clock,
            )
            is_over = await campaign.run()
    if is_over:
        ledger.finish()
        _sum_up(table, ledger, begun)
        return 0
    say(f"stopped: {ledger.counts().total:,} of {begun.messages:,} are done. The same command goes on")
    return _STOPPED + signals[0]


@contextlib.contextmanager
def _stopping(stop: asyncio.Event) -> Iterator[list[int]]:
    """The first signal asks for an end, the second is one. Gives those that came."""
    loop, came = asyncio.get_running_loop(), list[int]()

    def ask(number: signal.Signals) -> None:
        came.append(number)
        stop.set()
        say("stopping: what is under way is written down first, for a few seconds (once more stops at once)")
        for each in (signal.SIGINT, signal.SIGTERM):
            loop.remove_signal_handler(each)

    for each in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(each, ask, each)
    try:
        yield came
    finally:
        for each in (signal.SIGINT, signal.SIGTERM):
            loop.remove_signal_handler(each)


def _sum_up(table: Table, ledger: Ledger, begun: Begun) -> None:
    counts, bad = ledger.counts(), f", {begun.bad:,} invalid" if begun.bad else ""
    sys.stdout.write(
        f"{counts.sent:,} sent, {counts.refused:,} refused, {counts.failed:,} failed{bad}:"
        f" {results.result_path(table.path)}\n"
    )
