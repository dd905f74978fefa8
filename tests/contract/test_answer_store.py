"""The contract of AnswerStore, on every engine."""

from __future__ import annotations

import secrets

import pytest

from functions.stores.answers import LIFETIME, DynamoAnswerStore
from functions.stores.dynamodb import Table
from tests.harness import MORNING


@pytest.fixture
def answers(table: Table) -> DynamoAnswerStore:
    return DynamoAnswerStore(table, secrets.token_bytes)


@pytest.fixture
def key() -> str:
    return secrets.token_urlsafe(12)


async def test_a_key_is_taken_once(answers: DynamoAnswerStore, key: str) -> None:
    assert await answers.take(key, "request", now=MORNING, stale_before=0) is None

    found = await answers.take(key, "request", now=MORNING + 1, stale_before=0)

    assert found is not None
    assert (found.fingerprint, found.answer, found.taken_at) == ("request", None, MORNING)


async def test_an_answer_is_kept_for_repeats(answers: DynamoAnswerStore, key: str) -> None:
    await answers.take(key, "request", now=MORNING, stale_before=0)
    await answers.finish(key, "request", b"\x00answer")

    found = await answers.take(key, "request", now=MORNING + LIFETIME - 1, stale_before=MORNING + LIFETIME)

    assert found is not None
    assert found.answer == b"\x00answer"


async def test_another_request_finds_whose_the_key_is(answers: DynamoAnswerStore, key: str) -> None:
    await answers.take(key, "request", now=MORNING, stale_before=0)

    found = await answers.take(key, "another", now=MORNING + 60, stale_before=MORNING + 60)

    assert found is not None
    assert found.fingerprint == "request"


async def test_a_request_that_died_is_taken_over_by_its_repeat(answers: DynamoAnswerStore, key: str) -> None:
    await answers.take(key, "request", now=MORNING, stale_before=0)

    assert await answers.take(key, "request", now=MORNING + 30, stale_before=MORNING) is not None
    assert await answers.take(key, "request", now=MORNING + 31, stale_before=MORNING + 1) is None


async def test_a_released_key_is_free_again(answers: DynamoAnswerStore, key: str) -> None:
    await answers.take(key, "request", now=MORNING, stale_before=0)
    await answers.release(key, "request")

    assert await answers.take(key, "another", now=MORNING, stale_before=0) is None


async def test_an_answered_key_is_not_released(answers: DynamoAnswerStore, key: str) -> None:
    await answers.take(key, "request", now=MORNING, stale_before=0)
    await answers.finish(key, "request", b"answer")
    await answers.release(key, "request")

    assert await answers.take(key, "another", now=MORNING, stale_before=0) is not None


async def test_a_key_is_forgotten_after_a_day(answers: DynamoAnswerStore, key: str) -> None:
    await answers.take(key, "request", now=MORNING, stale_before=0)
    await answers.finish(key, "request", b"answer")

    assert await answers.take(key, "another", now=MORNING + LIFETIME, stale_before=0) is None


async def test_nobody_is_disturbed_by_a_late_finish_or_a_second_release(answers: DynamoAnswerStore, key: str) -> None:
    await answers.finish(key, "request", b"answer")
    await answers.release(key, "request")
    await answers.take(key, "another", now=MORNING, stale_before=0)
    await answers.finish(key, "request", b"answer")

    found = await answers.take(key, "another", now=MORNING, stale_before=0)

    assert found is not None
    assert found.answer is None
