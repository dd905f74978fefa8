"""Invokes a handler once for each line of standard input, in one process, and prints what that process is like then.

    python -X dev -W error -m tests.integration.drivers.invocations functions.handlers.sender < events

Its standard error is a part of the answer: what a library or the interpreter complains of ends up there.
"""

from __future__ import annotations

import asyncio
import contextlib
import gc
import importlib
import json
import logging
import sys
from collections import Counter
from types import ModuleType
from typing import Any

import aiohttp
from aiobotocore.client import AioBaseClient

from functions.runtime import Runtime


class LoopsSeen(logging.Handler):
    """Notes on which loop each line was logged."""

    def __init__(self) -> None:
        super().__init__()
        self.lines = 0
        self.loops: set[int] = set()

    def emit(self, record: logging.LogRecord) -> None:
        self.lines += 1
        self.loops.add(id(asyncio.get_running_loop()))


class Context:
    aws_request_id = "8f6e1c1e-0000-4000-8000-000000000001"
    function_name = "driven"
    memory_limit_in_mb = "512"
    invoked_function_arn = "arn:aws:lambda:eu-central-1:000000000000:function:driven"

    @staticmethod
    def get_remaining_time_in_millis() -> int:
        return 15_000


def main(name: str) -> None:
    module = importlib.import_module(name)
    journal, lifespan = LoopsSeen(), LoopsSeen()
    logging.getLogger("salvo").addHandler(journal)
    logging.getLogger("mangum.lifespan").addHandler(lifespan)
    logging.getLogger("mangum.lifespan").setLevel(logging.DEBUG)
    module.runtime.loop.set_debug(False)  # costs half the time; who complains is the interpreter
    answers, tasks_left = [], []
    for line in sys.stdin:
        with contextlib.redirect_stdout(sys.stderr):  # where its metrics go
            answers.append(module.handler(json.loads(line), Context()))
        tasks_left.append(len(asyncio.all_tasks(module.runtime.loop)))
    facts = {
        "answers": answers,
        "tasks_left": max(tasks_left),
        "journal": journal.lines,
        "loops": len(journal.loops),
        "lifespan": lifespan.lines,
        "clients": _clients(),
        "sessions": len(_living(aiohttp.ClientSession)),
    }
    _close(module)
    sys.stdout.write(json.dumps(facts))


def _clients() -> dict[str, int]:
    return Counter(client.meta.service_model.service_name for client in _living(AioBaseClient))


def _living(kind: type[Any]) -> list[Any]:
    gc.unfreeze()  # what the start-up made is out of sight
    gc.collect()
    return [found for found in gc.get_objects() if isinstance(found, kind)]


def _close(module: ModuleType) -> None:
    """What nobody closes in Lambda, for the interpreter complains of it when it ends."""
    runtime: Runtime = module.runtime
    if hasattr(module, "connections"):
        runtime.run(module.connections.close())
    runtime.close()


if __name__ == "__main__":
    main(sys.argv[1])
