"""Logs: one JSON object a line, with names and outcomes only."""

from __future__ import annotations

import json
import logging
import sys

_QUIET = ("aiobotocore", "aiohttp", "asyncio", "boto", "botocore", "mangum", "urllib3")
"""Libraries whose DEBUG lines print request bodies, and INFO lines paths with tokens in them."""

_journal = logging.getLogger("salvo")


class JsonLines(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        line: dict[str, object] = {
            "level": record.levelname,
            "at": round(record.created, 3),
            "event": record.getMessage(),
        }
        line |= getattr(record, "facts", {})
        if record.exc_info and record.exc_info[0] is not None:
            # The trace, not the exception's text: nobody can promise what a library puts there.
            line |= {"error": record.exc_info[0].__name__, "trace": _trace(record)}
        return json.dumps(line, ensure_ascii=False)


def configure_logging(level: str) -> None:
    """Sends everything to standard error as JSON lines, in place of Lambda's own handler."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonLines())
    logging.basicConfig(level=level, handlers=[handler], force=True)
    for name in _QUIET:
        logging.getLogger(name).setLevel(max(logging.WARNING, logging.getLevelName(level)))


def journal(event: str, /, **facts: str | float | None) -> None:
    """Facts that are None are left out."""
    _journal.info(event, extra={"facts": {name: fact for name, fact in facts.items() if fact is not None}})


def _trace(record: logging.LogRecord) -> list[str]:
    frames, trace = [], record.exc_info[2] if record.exc_info else None
    while trace is not None:
        code = trace.tb_frame.f_code
        frames.append(f"{code.co_filename}:{trace.tb_lineno} {code.co_name}")
        trace = trace.tb_next
    return frames
