"""How Lambda scales what reads from a queue. All figures are of AWS's documentation, looked up on 2026-11-26.

- "Configuring scaling behavior for SQS event source mappings": a standard queue is read by five batches at a time, by
  up to 300 more a minute while there are messages, by 1,250 at the most; MaximumConcurrency is from 2 to 1,000. In
  provisioned mode it is 1,000 more a minute and up to 20,000, but then there is no MaximumConcurrency.
- "Lambda scaling behavior": each function gets 1,000 more sandboxes in 10 seconds. A queue never asks for as many.
- "Lambda quotas": 1,000 invocations at once in an account and region, until one asks for more; new accounts have less.
"""

from __future__ import annotations

FIRST_POLLERS = 5
POLLERS_A_MINUTE = 300
MOST_POLLERS = 1_250
BETWEEN_POLLERS = 60 / POLLERS_A_MINUTE
"""Seconds."""
LEAST_CONCURRENCY, MOST_CONCURRENCY = 2, 1_000
"""That MaximumConcurrency, which is BulkConcurrency here, can be set to."""
SANDBOXES, SANDBOX_SECONDS = 1_000, 10


def first_pollers(concurrency: int) -> int:
    return min(FIRST_POLLERS, concurrency, MOST_POLLERS)


def most_pollers(concurrency: int) -> int:
    return min(concurrency, MOST_POLLERS)
