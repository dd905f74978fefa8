from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest

from infra.local.embedded_aws import EmbeddedAws, aws_client


@pytest.fixture(scope="session")
async def sqs(aws: EmbeddedAws) -> AsyncIterator[Any]:
    async with aws_client("sqs", aws.endpoint) as client:
        yield client


def is_running(pid: int) -> bool:
    """Whether the process still does anything; one that has ended and only waits to be buried does not."""
    try:
        state = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return False
    return state not in {"Z", "X"}


@pytest.fixture
def running() -> Callable[[int], bool]:
    return is_running
