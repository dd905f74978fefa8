"""Stands before a handler, in the artefact's process, and tells how many tasks each invocation leaves on its loop.

It is found beside the artefact and imports nothing of the checkout. COUNTED names the handler's module.
"""

from __future__ import annotations

import asyncio
import importlib
import os
from typing import Any

_module = importlib.import_module(os.environ["COUNTED"])  # noqa: TID251 (a driver's setting)


def handler(event: Any, context: Any) -> dict[str, Any]:
    answer = _module.handler(event, context)
    return {"answer": answer, "tasks": len(asyncio.all_tasks(_module.runtime.loop))}
