"""What runs inside an execution environment, in the place of AWS's own runtime.

It imports the handler (INIT) and says so, then takes one JSON line for each invocation and answers with one:

    {"event": …, "deadline_ms": …, "request_id": …, "function_name": …}  →  {"ok": …} or {"error": {"type", "message"}}

The answers have a channel of their own. Whatever the handler prints goes to standard error, as logs.
"""

from __future__ import annotations

import importlib
import json
import os
import sys
import time
import traceback
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, BinaryIO, cast

Handler = Callable[[Any, "Context"], Any]


@dataclass(slots=True)
class Context:
    """The second argument of a handler, as AWS documents it for Python."""

    aws_request_id: str
    function_name: str
    deadline_ms: int = field(repr=False)
    memory_limit_in_mb: str
    invoked_function_arn: str
    log_group_name: str
    log_stream_name: str
    function_version: str = "$LATEST"
    identity: None = None
    client_context: None = None

    def get_remaining_time_in_millis(self) -> int:
        now = time.time() * 1000  # noqa: TID251 (the platform: this is where the function's clock comes from)
        return max(0, int(self.deadline_ms - now))


def main(handler_name: str) -> None:
    invocations, answers = _channels()
    try:
        handler = _import_handler(handler_name)
    except Exception as error:  # noqa: BLE001 (whatever the handler does is its answer)
        traceback.print_exc()
        _write(answers, {"fatal": True, **_described(error)})
        sys.exit(1)
    _write(answers, {"ok": None})
    # readline, for iterating would wait until a whole buffer is full.
    while line := invocations.readline():
        _write(answers, _invoke(handler, json.loads(line)))


def _channels() -> tuple[BinaryIO, BinaryIO]:
    """Our standard input and output for ourselves; the handler finds no input, and standard error as its output."""
    invocations, answers = os.fdopen(os.dup(0), "rb"), os.fdopen(os.dup(1), "wb")
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.close(nothing)
    os.dup2(2, 1)
    return invocations, answers


def _import_handler(name: str) -> Handler:
    module, _, attribute = name.rpartition(".")
    return cast("Handler", getattr(importlib.import_module(module), attribute))


def _invoke(handler: Handler, invocation: dict[str, Any]) -> dict[str, Any]:
    try:
        result = handler(invocation["event"], _context(invocation))
    except Exception as error:  # noqa: BLE001 (whatever the handler does is its answer)
        traceback.print_exc()
        return _described(error)
    finally:
        sys.stdout.flush()
    return {"ok": result}


def _write(answers: BinaryIO, answer: dict[str, Any]) -> None:
    try:
        line = json.dumps(answer, separators=(",", ":"))
    except (TypeError, ValueError) as error:
        line = json.dumps(
            {"error": {"type": "Runtime.MarshalError", "message": f"Unable to marshal response: {error}"}}
        )
    answers.write(line.encode() + b"\n")
    answers.flush()


def _described(error: Exception) -> dict[str, Any]:
    return {"error": {"type": type(error).__name__, "message": str(error)}}


def _context(invocation: dict[str, Any]) -> Context:
    name = invocation["function_name"]
    settings = os.environ  # noqa: TID251 (the platform: it set them)
    return Context(
        aws_request_id=invocation["request_id"],
        function_name=name,
        deadline_ms=invocation["deadline_ms"],
        memory_limit_in_mb=settings["AWS_LAMBDA_FUNCTION_MEMORY_SIZE"],
        invoked_function_arn=f"arn:aws:lambda:{settings.get('AWS_REGION', 'local')}:000000000000:function:{name}",
        log_group_name=f"/aws/lambda/{name}",
        log_stream_name=f"local/{os.getpid()}",
    )


if __name__ == "__main__":
    main(sys.argv[1])
