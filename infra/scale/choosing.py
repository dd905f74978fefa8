"""How to set BulkConcurrency: enough invocations to use an account's rate, few enough that no code waits too long."""

from __future__ import annotations

import math

from infra.scale.lambda_scaling import LEAST_CONCURRENCY, MOST_CONCURRENCY
from infra.scale.model import Fleet

SPARE = 1.25
"""Gateways have slow minutes."""


def least_concurrency(fleet: Fleet) -> float:
    """Fewer leave a part of the rate unused: while one batch goes out, the others must be through with all else."""
    return 1 + _waiting_for_answers(fleet)


def most_concurrency(fleet: Fleet) -> float:
    """More take places further ahead than an invocation lasts: their codes go back to the queue and come again."""
    return fleet.bulk_rate * fleet.patience / fleet.batch_size


def good_concurrency(fleet: Fleet) -> int:
    """No more than are needed: each further one waits for its places for money."""
    wanted = math.ceil(1 + _waiting_for_answers(fleet) * SPARE)
    return min(max(wanted, LEAST_CONCURRENCY), MOST_CONCURRENCY)


def good_batch_size(fleet: Fleet) -> int:
    """As it is, or less where the account is so slow that two batches are too many."""
    return max(1, min(fleet.batch_size, int(fleet.bulk_rate * fleet.patience / LEAST_CONCURRENCY)))


def _waiting_for_answers(fleet: Fleet) -> float:
    """Batches that the rate begins in the time of one that waits for no place."""
    return fleet.bulk_rate * fleet.batch_seconds / fleet.batch_size
