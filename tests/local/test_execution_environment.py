from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path

import pytest

from infra.local.execution_environment import ExecutionEnvironment, Function, FunctionError, FunctionTimeout

TOYS = "tests.local.toy_handlers"
LONG = 30.0


def toy(name: str, *, timeout: float = LONG, max_concurrency: int = 10, log: Path | None = None) -> Function:
    return Function(
        f"{TOYS}.{name}", {"COLOUR": "blue"}, timeout=timeout, name=name, max_concurrency=max_concurrency, log=log
    )


async def test_it_gives_what_the_handler_returns() -> None:
    async with toy("echo") as function:
        assert await function.invoke({"ünï": [1, 2.5, None, True, "\n"]}) == {"ünï": [1, 2.5, None, True, "\n"]}


async def test_it_takes_ten_thousand_records_and_answers_at_length() -> None:
    records = [{"messageId": str(n), "body": "x" * 500} for n in range(10_000)]

    async with toy("echo") as echo, toy("large") as large:
        assert await echo.invoke({"Records": records}) == {"Records": records}
        assert len(await large.invoke({"megabytes": 5})) == 5 * 1024 * 1024


async def test_the_context_is_as_aws_documents_it() -> None:
    async with toy("describe", timeout=5) as function:
        told = await function.invoke({})
        again = await function.invoke({})

    assert told["name"] == "describe"
    assert told["memory"] == "512"
    assert told["arn"].endswith(":function:describe")
    assert 0 < told["remaining"] <= 5000
    assert told["request_id"] != again["request_id"]
    assert told["pid"] == again["pid"]


async def test_the_environment_is_the_functions_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_PROFILE", "the developer's own")

    async with toy("describe") as function:
        environment = (await function.invoke({}))["environment"]

    assert environment["COLOUR"] == "blue"
    assert environment["AWS_LAMBDA_FUNCTION_NAME"] == "describe"
    assert "AWS_PROFILE" not in environment


async def test_what_a_handler_raises_is_told_and_the_process_lives_on(tmp_path: Path) -> None:
    log = tmp_path / "log"
    async with toy("fail", log=log) as function:
        for _ in range(2):
            with pytest.raises(FunctionError, match="no good: 7") as caught:
                await function.invoke(7)
        assert function.environments == 1

    assert (caught.value.type, caught.value.message) == ("ValueError", "no good: 7")
    assert "Traceback" in log.read_text()


async def test_a_handler_that_ends_the_process_gets_a_new_one_for_the_next_invocation() -> None:
    async with toy("leave") as function:
        before = await function.invoke({})
        with pytest.raises(FunctionError, match="exit status 3") as caught:
            await function.invoke({"status": 3})
        after = await function.invoke({})

    assert caught.value.type == "Runtime.ExitError"
    assert before != after


async def test_a_handler_that_is_late_is_killed(running: Callable[[int], bool]) -> None:
    async with toy("sleep", timeout=0.3) as function:
        before = await function.invoke({})
        with pytest.raises(FunctionTimeout, match=r"timed out after 0\.30 seconds"):
            await function.invoke({"seconds": 60})
        assert not running(before["pid"])
        assert (await function.invoke({}))["pid"] != before["pid"]


async def test_what_a_handler_prints_is_no_answer(tmp_path: Path) -> None:
    log = tmp_path / "log"
    async with toy("chatter", log=log) as function:
        assert await function.invoke({}) == "the answer"
        assert await function.invoke({}) == "the answer"

    assert log.read_text().count("not the answer either") == 2


async def test_what_is_no_json_is_no_answer() -> None:
    async with toy("unserialisable") as function:
        with pytest.raises(FunctionError) as caught:
            await function.invoke({})

    assert caught.value.type == "Runtime.MarshalError"


@pytest.mark.parametrize(
    ("handler", "error"),
    [("tests.local.no_such_module.handler", "ModuleNotFoundError"), (f"{TOYS}.no_such_handler", "AttributeError")],
)
async def test_a_handler_that_cannot_be_imported_is_told_at_the_start(handler: str, error: str, tmp_path: Path) -> None:
    with pytest.raises(FunctionError) as caught:
        await ExecutionEnvironment.start(handler, {}, timeout=LONG, name="none", log=tmp_path / "log")

    assert caught.value.type == error


async def test_a_frozen_environment_stands_still_until_the_next_invocation() -> None:
    environment = await ExecutionEnvironment.start(f"{TOYS}.sleep", {}, timeout=LONG, name="sleep")
    try:
        under_way = asyncio.create_task(environment.invoke({"seconds": 0.1}))
        await asyncio.sleep(0)
        environment.freeze()
        done, _ = await asyncio.wait({under_way}, timeout=0.5)
        assert not done

        environment.thaw()
        pid = (await under_way)["pid"]
        environment.freeze()
        assert (await environment.invoke({}))["pid"] == pid
    finally:
        await environment.stop()


async def test_stopping_leaves_no_process(running: Callable[[int], bool]) -> None:
    function = toy("sleep")
    pid = (await function.invoke({}))["pid"]
    under_way = asyncio.create_task(function.invoke({"seconds": 60}))
    await asyncio.sleep(0)

    await function.stop()

    with pytest.raises(FunctionError):
        await under_way
    assert not running(pid)


async def test_a_cancelled_invocation_does_not_answer_the_next_one() -> None:
    async with toy("sleep") as function:
        await function.warm()
        abandoned = asyncio.create_task(function.invoke({"seconds": 60}))
        await asyncio.sleep(0)
        abandoned.cancel()
        await asyncio.wait({abandoned})

        assert "pid" in await function.invoke({})


async def test_invocations_at_once_each_have_an_environment(tmp_path: Path) -> None:
    async with toy("rendezvous", max_concurrency=4) as function:
        meeting = {"folder": str(tmp_path), "of": 4}
        pids = await asyncio.gather(*(function.invoke(meeting) for _ in range(8)))
        assert function.environments == 4

    assert len(set(pids)) == 4


async def test_an_idle_environment_is_used_again() -> None:
    async with toy("sleep") as function:
        pids = {(await function.invoke({}))["pid"] for _ in range(5)}
        assert function.environments == 1

    assert len(pids) == 1


async def test_environments_can_be_warm_before_the_first_invocation() -> None:
    async with toy("sleep") as function:
        await function.warm(2)
        assert function.environments == 2
        await function.invoke({})
        assert function.environments == 2
