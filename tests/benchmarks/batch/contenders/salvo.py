"""Ours: the sender's own handler, called with one event of the queue, as Lambda calls it."""

from __future__ import annotations

import os
import time
from typing import Any

from functions.handlers.sender import handler
from infra.local.bootstrap import Context
from tests.benchmarks.batch.place import Place, Work

_SECONDS = 800
"""That an invocation has: enough for ten thousand codes, on a busy machine too."""


class NotAllSent(Exception):
    """The sender gave messages back to the queue."""


def open_work(place: Place) -> Work:
    return _invoke


def _invoke(event: Any) -> None:
    now = time.time()  # noqa: TID251 - the platform: this is where the function's clock comes from
    context = Context(
        aws_request_id="00000000-0000-0000-0000-000000000000",
        function_name="sender",
        deadline_ms=int((now + _SECONDS) * 1000),
        memory_limit_in_mb="512",
        invoked_function_arn="arn:aws:lambda:local:000000000000:function:sender",
        log_group_name="/aws/lambda/sender",
        log_stream_name=f"local/{os.getpid()}",
    )
    failures = handler(event, context)["batchItemFailures"]
    if failures:
        raise NotAllSent(f"{len(failures)} of {len(event['Records'])}")
