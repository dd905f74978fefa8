"""A line of the functions' logs, made readable: when, which function, how grave, what, and the facts."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

_NAMES = ("message", "event")
_ELSEWHERE = frozenset({"level", "at", "timestamp", "message", "event", "exception", "stack_trace", "trace"})
"""Told at the line's head, or below it."""
_TELLS_NOTHING = frozenset({"function_name", "function_arn", "function_memory_size", "sampling_rate", "taskName"})
"""Powertools' keys that are the same on each line, or asyncio's own."""
_PLATFORM = re.compile(r"(START|END|REPORT|INIT_START|RESTORE_START|RESTORE_REPORT|XRAY) ")
_REPORT = re.compile(
    r"(?<!Billed )(Duration|Max Memory Used|Memory Size|Init Duration|Restore Duration): ([0-9.]+) (ms|MB)"
)
_WENT_WRONG = re.compile(r"Status: (?!success)(\w+)(?:\s+Error Type: (\S+))?")


@dataclass(frozen=True, slots=True)
class Line:
    function: str
    """Its short name, such as api."""
    at: int
    """Milliseconds since 1970."""
    text: str
    """As it was written."""

    @property
    def is_noise(self) -> bool:
        """Whether the platform says in it what goes on in every invocation, or metrics travel in it."""
        document = _parse(self.text)
        if document is not None:
            return "_aws" in document or str(document.get("type", "")).startswith("platform.")
        return bool(_PLATFORM.match(self.text)) and not _WENT_WRONG.search(self.text)


def readable(line: Line) -> str:
    document = _parse(line.text)
    if document is None:
        return f"{_head(line)}{_plain(line.text)}"
    name = next((str(document[key]) for key in _NAMES if key in document), "")
    level = str(document.get("level", "")).ljust(7)
    told = [name, *(f"{key}={_value(fact)}" for key, fact in document.items() if _is_told(key, fact))]
    below = [f"\n    {each}" for each in _below(document)]
    return f"{_head(line)}{level} {' '.join(told)}{''.join(below)}"


def _head(line: Line) -> str:
    at = datetime.fromtimestamp(line.at / 1000, UTC).isoformat(timespec="milliseconds").removesuffix("+00:00")
    return f"{at}Z {line.function:<8} "


def _parse(text: str) -> Mapping[str, Any] | None:
    """None for what is not a JSON object."""
    try:
        document = json.loads(text)
    except ValueError:
        return None
    return document if isinstance(document, dict) else None


def _plain(text: str) -> str:
    """Reports are four numbers and a page of padding."""
    if not text.startswith("REPORT "):
        return text.rstrip()
    numbers = [f"{name.lower()} {number} {unit}" for name, number, unit in _REPORT.findall(text)]
    wrong = _WENT_WRONG.search(text)
    return "REPORT  " + ", ".join([*numbers, *([f"status {' '.join(filter(None, wrong.groups()))}"] if wrong else [])])


def _is_told(key: str, fact: object) -> bool:
    if key == "cold_start":
        return fact is True
    return key not in _ELSEWHERE and key not in _TELLS_NOTHING and fact is not None


def _value(fact: object) -> str:
    if isinstance(fact, str):
        return json.dumps(fact, ensure_ascii=False) if not fact or " " in fact else fact
    return json.dumps(fact, ensure_ascii=False, separators=(",", ":"))


def _below(document: Mapping[str, Any]) -> list[str]:
    """Where an exception came from, a place a line."""
    exception = document.get("exception")
    lines = exception.splitlines() if isinstance(exception, str) else []
    trace = document.get("trace")
    return [*lines, *(str(place) for place in trace)] if isinstance(trace, list) else lines
