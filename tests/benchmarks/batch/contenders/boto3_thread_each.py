"""The same with as many threads as a batch of the largest size that it is given has codes."""

from __future__ import annotations

from tests.benchmarks.batch.contenders import boto3_threads
from tests.benchmarks.batch.place import Place, Work

THREADS = 1_000


def open_work(place: Place) -> Work:
    return boto3_threads.open_work(place, THREADS)
