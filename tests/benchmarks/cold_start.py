"""INIT of each function beside that of a bare one, in turns."""

from __future__ import annotations

from collections.abc import Mapping
from statistics import median

from infra.local.emulator import EmulatedEnvironment
from tests import event_files
from tests.benchmarks.laboratory import API, RECEIPTS, SENDER, Laboratory
from tests.benchmarks.report import Table

MOST = 1.25
"""Times a bare function's INIT that a function's may take."""

_EVENTS = {API: event_files.read("http_health"), SENDER: {"Records": []}, RECEIPTS: event_files.read("http_health")}


async def measure(laboratory: Laboratory, rounds: int) -> Table:
    inits: dict[str, list[float]] = {name: [] for name in ("bare", *_EVENTS)}
    for _ in range(rounds):
        inits["bare"].append(await _init(await laboratory.bare("bare_start"), {}))
        for name, event in _EVENTS.items():
            inits[name].append(await _init(await laboratory.ours(name), event))
    return _table(inits)


async def _init(environment: EmulatedEnvironment, event: Mapping[str, object]) -> float:
    async with environment:
        await environment.invoke(event)
        (milliseconds,) = environment.inits()
        return milliseconds


def _table(inits: Mapping[str, list[float]]) -> Table:
    bare = median(inits["bare"])
    return Table(
        title="INIT",
        columns=("function", "median, ms", "fastest, ms", "of the bare one's"),
        rows=[
            (name, f"{median(each):.0f}", f"{min(each):.0f}", f"{median(each) / bare:.2f}")
            for name, each in inits.items()
        ],
        note=(
            f"{len(inits['bare'])} sandboxes of each, in turns. The bare function imports mangum and aiobotocore and "
            f"opens a DynamoDB client, from the same slimmed and compiled folder. At most {MOST} is wanted."
        ),
    )
