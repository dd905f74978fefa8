"""Handlers that do one thing each, for the tests of the local system. They run in processes of their own."""

from __future__ import annotations

import json
import os
import sys
import time
from pathlib import Path
from typing import Any


def echo(event: Any, context: Any) -> Any:
    return event


def describe(event: Any, context: Any) -> dict[str, Any]:
    return {
        "request_id": context.aws_request_id,
        "name": context.function_name,
        "memory": context.memory_limit_in_mb,
        "arn": context.invoked_function_arn,
        "remaining": context.get_remaining_time_in_millis(),
        "environment": dict(os.environ),  # noqa: TID251 (what the test asks about)
        "pid": os.getpid(),
    }


def fail(event: Any, context: Any) -> None:
    raise ValueError(f"no good: {event}")


def leave(event: Any, context: Any) -> dict[str, int]:
    """Ends the process with the status that it is told; lives on when told none."""
    if event.get("status") is not None:
        sys.exit(event["status"])
    return {"pid": os.getpid()}


def chatter(event: Any, context: Any) -> str:
    """Writes to standard output in both ways that there are."""
    print('{"ok": "not the answer"}')  # noqa: T201 (what the test asks about)
    os.write(1, b'{"ok": "not the answer either"}\n')
    return "the answer"


def unserialisable(event: Any, context: Any) -> Any:
    return {1, 2}


def large(event: Any, context: Any) -> str:
    return "x" * (int(event["megabytes"]) * 1024 * 1024)


def sleep(event: Any, context: Any) -> dict[str, Any]:
    """Sleeps as long as it is told."""
    time.sleep(event.get("seconds", 0))
    return {"pid": os.getpid()}


def rendezvous(event: Any, context: Any) -> int:
    """Comes back once as many invocations as it is told are running at once in their folder."""
    folder = Path(event["folder"])
    (folder / str(os.getpid())).touch()
    while len(list(folder.iterdir())) < event["of"]:
        time.sleep(0.01)
    return os.getpid()


def respond(event: Any, context: Any) -> Any:
    """Answers an HTTP request with what its body says."""
    return json.loads(event["body"])


def consume(event: Any, context: Any) -> Any:
    """Notes the batch, then does as its messages say: {"fail": true}, {"answer": …} or {"raise": true}."""
    notes = Path(os.environ["NOTES"])  # noqa: TID251 (a handler's settings)
    (notes / context.aws_request_id).write_text(json.dumps(event))
    orders = {record["messageId"]: json.loads(record["body"]) for record in event["Records"]}
    for order in orders.values():
        if "raise" in order:
            raise RuntimeError("no good")
        if "answer" in order:
            return order["answer"]
    return {"batchItemFailures": [{"itemIdentifier": name} for name, order in orders.items() if "fail" in order]}


def linger(event: Any, context: Any) -> None:
    time.sleep(60)


def meet(event: Any, context: Any) -> int:
    """`rendezvous` over HTTP."""
    query = event["queryStringParameters"]
    return rendezvous({"folder": query["folder"], "of": int(query["of"])}, context)
