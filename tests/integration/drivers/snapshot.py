"""Brings a handler to the end of its start-up, and then goes on from there again and again, as SnapStart does.

    python -m tests.integration.drivers.snapshot functions.handlers.api < events

Each line of standard input is handled by a fork of the process, which is a copy of its memory like a sandbox that was
made from a snapshot. A line {"event": …, "hooks": false} leaves out what the handler has asked to be run after a
restore. Prints what the snapshot was like and, for each event, the answer and what Python's random generator gave.
"""

from __future__ import annotations

import contextlib
import importlib
import json
import os
import random  # noqa: TID251 - what is looked at is its state
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import snapshot_restore_py

from tests.integration.drivers.invocations import Context


def main(name: str) -> None:
    module = importlib.import_module(name)
    for hook in snapshot_restore_py.get_before_snapshot():
        _call(hook)
    facts: dict[str, Any] = {"connections": _connections()}
    state = random.getstate()
    facts["restored"] = [_restore(module, json.loads(line), state) for line in sys.stdin]
    sys.stdout.write(json.dumps(facts))


def _restore(module: ModuleType, line: dict[str, Any], state: Any) -> dict[str, Any]:
    reading, writing = os.pipe()
    if (child := os.fork()) == 0:
        random.setstate(state)  # Python gives a fork another one, and knows of no snapshot
        _go_on(module, line, writing)
    os.close(writing)
    with os.fdopen(reading) as answer:
        told: dict[str, Any] = json.loads(answer.read())
    os.waitpid(child, 0)
    return told


def _go_on(module: ModuleType, line: dict[str, Any], writing: int) -> None:
    if line["hooks"]:
        for hook in snapshot_restore_py.get_after_restore():
            _call(hook)
    drawn = random.random()  # noqa: S311 - as libraries do for their waits
    with contextlib.redirect_stdout(sys.stderr):
        answer = module.handler(line["event"], Context())
    with os.fdopen(writing, "w") as out:
        json.dump({"answer": answer, "drawn": drawn}, out)
    os._exit(0)


def _call(hook: tuple[Callable[..., Any], tuple[Any, ...], dict[str, Any]]) -> None:
    function, arguments, named = hook
    function(*arguments, **named)


def _connections() -> int:
    """TCP sockets of this process."""
    links = [str(path.readlink()) for path in Path("/proc/self/fd").iterdir() if path.is_symlink()]
    ours = {link.removeprefix("socket:[").rstrip("]") for link in links if link.startswith("socket:")}
    tables = [Path(f"/proc/self/net/{name}").read_text(encoding="utf-8") for name in ("tcp", "tcp6")]
    return sum(line.split()[9] in ours for table in tables for line in table.splitlines()[1:])


if __name__ == "__main__":
    main(sys.argv[1])
