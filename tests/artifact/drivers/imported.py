"""Tells from which files the process of a handler has its modules. IMPORTED names the handler's own."""

from __future__ import annotations

import importlib
import os
import sys
from typing import Any

importlib.import_module(os.environ["IMPORTED"])  # noqa: TID251 (a driver's setting)


def handler(event: Any, context: Any) -> list[str]:
    files = [getattr(module, "__file__", None) for module in sys.modules.values()]
    return sorted(file for file in files if file)
