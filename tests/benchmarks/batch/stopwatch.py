"""What runs in a contender's process: it opens the contender, then takes the time of each order that it is given.

    {"contender": module, "place": {…}}  →  {"ready": true}
    {"order": …, "profile": file or null}  →  {"cpu", "wall", "peak"} or {"error": name of the exception}

A JSON line each. The answers have a channel of their own; what the contender prints goes to standard error.
"""

from __future__ import annotations

import cProfile
import gc
import importlib
import json
import os
import resource
import sys
import time
import traceback
from pathlib import Path
from typing import Any, BinaryIO

from infra.local.proc import usage_of
from tests.benchmarks.batch.place import Place, Work

_CLEAR, _FORGET_THE_PEAK = Path("/proc/self/clear_refs"), "5"
"""The peak is then what is resident now (proc(5))."""


def main() -> None:
    answers = _own_channel()
    opening = _next() or {}
    module = importlib.import_module(f"tests.benchmarks.batch.contenders.{opening['contender']}")
    work: Work = module.open_work(Place(**opening["place"]))
    _tell(answers, {"ready": True})
    while asked := _next():
        try:
            _tell(answers, _profiled(work, asked["order"], asked["profile"]))
        except Exception as error:  # noqa: BLE001 - that a contender fails is a result, and the next order is another
            traceback.print_exc()
            _tell(answers, {"error": type(error).__name__})


def _next() -> dict[str, Any] | None:
    """The question alone: its text would count as memory of the work. None at the end."""
    line = sys.stdin.readline()
    return json.loads(line) if line else None


def _own_channel() -> BinaryIO:
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    return answers


def _profiled(work: Work, order: Any, file: str | None) -> dict[str, float]:
    if file is None:
        return _timed(work, order)
    profile = cProfile.Profile()
    try:
        return profile.runcall(_timed, work, order)
    finally:
        profile.dump_stats(file)


def _timed(work: Work, order: Any) -> dict[str, float]:
    gc.collect()
    _CLEAR.write_text(_FORGET_THE_PEAK, encoding="ascii")
    began, used = time.monotonic(), _cpu()
    work(order)
    return {"cpu": _cpu() - used, "wall": time.monotonic() - began, "peak": _peak()}


def _cpu() -> float:
    """Seconds of this process, all its threads and what the kernel does for it."""
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_utime + usage.ru_stime


def _peak() -> int:
    """Bytes of memory at the most since the order was given."""
    return usage_of(os.getpid()).peak


def _tell(answers: BinaryIO, answer: dict[str, Any]) -> None:
    answers.write(json.dumps(answer).encode() + b"\n")
    answers.flush()


if __name__ == "__main__":
    main()
