from __future__ import annotations

import asyncio
import contextlib
import os
import signal
from collections.abc import AsyncIterator, Callable
from functools import partial
from pathlib import Path

import pytest

from infra.local.emulator import EmulatedEnvironment, EmulatorFailed
from infra.local.execution_environment import FunctionError, FunctionTimeout
from infra.local.proc import listens
from infra.local.processes import REPOSITORY
from tests.emulated import python
from tests.eventually import Eventually

TOYS = "tests.local.toy_handlers"
LONG = 30


@contextlib.asynccontextmanager
async def toy(
    handler: str, *, limit: int = LONG, memory: int = 512, log: Path | None = None
) -> AsyncIterator[EmulatedEnvironment]:
    environment = await EmulatedEnvironment.start(
        handler if "." in handler else f"{TOYS}.{handler}",
        {"COLOUR": "blue"},
        folder=REPOSITORY,
        python=python(),
        timeout=limit,
        name="toy",
        memory=memory,
        log=log,
    )
    async with environment:
        yield environment


def is_stopped(pid: int) -> bool:
    """Whether the kernel has done what SIGSTOP asks for."""
    return Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()[0] == "T"


async def test_it_gives_what_the_handler_returns() -> None:
    async with toy("echo") as environment:
        assert await environment.invoke({"ünï": [1, 2.5, None, True, "\n"]}) == {"ünï": [1, 2.5, None, True, "\n"]}


async def test_the_function_finds_lambdas_variables_and_nothing_of_the_shell(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_PROFILE", "the developer's own")

    async with toy("describe", limit=5, memory=256) as environment:
        told = await environment.invoke({})

    assert (told["name"], told["memory"]) == ("toy", "256")
    assert 0 < told["remaining"] <= 5000
    assert told["environment"]["COLOUR"] == "blue"
    assert told["environment"]["LAMBDA_TASK_ROOT"] == str(REPOSITORY)
    assert "AWS_PROFILE" not in told["environment"]


async def test_its_process_is_started_by_the_first_invocation_and_kept() -> None:
    async with toy("describe") as environment:
        assert environment.emulator is not None
        assert environment.pid is None

        first, second = [(await environment.invoke({}))["pid"] for _ in range(2)]

        assert environment.pid == first == second
        assert len(environment.inits()) == 1


async def test_it_tells_how_long_init_and_each_invocation_took() -> None:
    async with toy("sleep") as environment:
        await environment.invoke({"seconds": 0.2})
        await environment.invoke({"seconds": 0})

        (init,), (slow, quick) = environment.inits(), environment.invocations()

        assert init > 1
        assert slow >= 200 > quick
        assert environment.reports()[0] >= init + 200
        assert len(environment.reports()) == 2


async def test_it_tells_what_the_process_holds() -> None:
    async with toy("large") as environment:
        await environment.invoke({"megabytes": 0})
        before = environment.usage()
        await environment.invoke({"megabytes": 5})
        after = environment.usage()

    assert 1 << 20 < before.resident <= before.peak
    assert after.peak >= before.peak + (5 << 20)
    assert before.descriptors == after.descriptors > 2


async def test_what_a_handler_raises_is_told_and_the_process_lives_on() -> None:
    async with toy("fail") as environment:
        for _ in range(2):
            with pytest.raises(FunctionError, match="no good: 7") as caught:
                await environment.invoke(7)

        assert (caught.value.type, caught.value.message) == ("ValueError", "no good: 7")
        assert len(environment.inits()) == 1
        assert "Traceback" in environment.log()


async def test_a_handler_that_is_late_is_killed(running: Callable[[int], bool]) -> None:
    async with toy("sleep", limit=1) as environment:
        before = (await environment.invoke({}))["pid"]
        with pytest.raises(FunctionTimeout, match=r"timed out after 1\.00 seconds"):
            await environment.invoke({"seconds": 60})
        assert not running(before)
        assert (await environment.invoke({}))["pid"] != before
        assert len(environment.inits()) == 2


async def test_a_handler_that_ends_the_process_gets_a_new_one_for_the_next_invocation() -> None:
    async with toy("leave") as environment:
        before = await environment.invoke({})
        with pytest.raises(FunctionError, match="exit status 3") as caught:
            await environment.invoke({"status": 3})
        after = await environment.invoke({})

    assert caught.value.type == "Runtime.ExitError"
    assert before != after


@pytest.mark.parametrize("frozen", [False, True])
async def test_a_process_that_somebody_kills_between_two_invocations_costs_the_next_one(
    frozen: bool,  # noqa: FBT001 - a case
    eventually: Eventually,
) -> None:
    async with toy("leave") as environment:
        before = (await environment.invoke({}))["pid"]
        if frozen:
            environment.freeze()
        os.kill(before, signal.SIGKILL)

        async def is_gone() -> bool:
            return environment.pid is None

        await eventually(is_gone)
        with pytest.raises(FunctionError, match="signal: killed"):
            await environment.invoke({})

        assert (await environment.invoke({}))["pid"] != before


@pytest.mark.parametrize(
    ("handler", "error"),
    [
        ("tests.local.no_such_module.handler", "Runtime.ImportModuleError"),
        (f"{TOYS}.no_such_handler", "Runtime.HandlerNotFound"),
    ],
)
async def test_a_handler_that_cannot_be_imported_is_told_at_each_invocation(handler: str, error: str) -> None:
    async with toy(handler) as environment:
        for _ in range(2):
            with pytest.raises(FunctionError) as caught:
                await environment.invoke({})
            assert caught.value.type == error


async def test_an_answer_may_have_six_megabytes() -> None:
    async with toy("large") as environment:
        assert len(await environment.invoke({"megabytes": 5})) == 5 << 20
        with pytest.raises(FunctionError) as caught:
            await environment.invoke({"megabytes": 7})
        assert len(await environment.invoke({"megabytes": 1})) == 1 << 20

    assert caught.value.type == "Function.ResponseSizeTooLarge"


async def test_a_frozen_environment_stands_still_until_the_next_invocation() -> None:
    async with toy("sleep") as environment:
        await environment.invoke({})
        under_way = asyncio.create_task(environment.invoke({"seconds": 0.1}))
        await asyncio.sleep(0.05)  # or it would be thawed by its own beginning
        environment.freeze()
        done, _ = await asyncio.wait({under_way}, timeout=0.5)
        assert not done

        environment.thaw()
        pid = (await under_way)["pid"]
        environment.freeze()
        assert (await environment.invoke({}))["pid"] == pid


async def test_invocations_at_once_wait_for_each_other() -> None:
    async with toy("sleep") as environment:
        pids = await asyncio.gather(*(environment.invoke({"seconds": 0.05}) for _ in range(5)))

        assert len({found["pid"] for found in pids}) == 1
        assert len(environment.invocations()) == 5


async def test_a_cancelled_invocation_does_not_answer_the_next_one() -> None:
    async with toy("sleep") as environment:
        before = (await environment.invoke({}))["pid"]
        abandoned = asyncio.create_task(environment.invoke({"seconds": 60}))
        await asyncio.sleep(0)
        abandoned.cancel()
        await asyncio.wait({abandoned})

        assert (await environment.invoke({}))["pid"] != before


@pytest.mark.parametrize("frozen", [False, True])
async def test_stopping_leaves_no_process(
    frozen: bool,  # noqa: FBT001 - a case
    running: Callable[[int], bool],
    eventually: Eventually,
) -> None:
    async with toy("sleep") as environment:
        pid = (await environment.invoke({}))["pid"]
        emulator = environment.emulator or 0
        under_way = asyncio.create_task(environment.invoke({"seconds": 60}))

        async def has_begun() -> bool:
            return environment.log().count("INVOKE START") == 2

        await eventually(has_begun)
        if frozen:
            environment.freeze()

        await environment.stop()

        with pytest.raises((FunctionError, EmulatorFailed)):
            await under_way
        assert not running(pid)
        assert not running(emulator)


@pytest.mark.parametrize("frozen", [False, True])
async def test_an_emulator_that_is_killed_takes_its_function_with_it(
    frozen: bool,  # noqa: FBT001 - a case
    running: Callable[[int], bool],
    eventually: Eventually,
) -> None:
    """As it is when we are: the kernel tells the emulator of it, and nobody else."""
    async with toy("sleep") as environment:
        pid = (await environment.invoke({}))["pid"]
        if frozen:
            environment.freeze()
            await eventually(partial(asyncio.to_thread, is_stopped, pid))
        assert environment.emulator is not None

        os.kill(environment.emulator, signal.SIGKILL)

        async def are_gone() -> bool:
            return environment.emulator is None and not running(pid)

        await eventually(are_gone)
        assert (await environment.invoke({}))["pid"] != pid


async def test_its_log_can_be_a_file(tmp_path: Path) -> None:
    async with toy("chatter", log=tmp_path / "log") as environment:
        assert await environment.invoke({}) == "the answer"

    assert "not the answer either" in (tmp_path / "log").read_text()


async def test_another_process_on_a_port_is_not_taken_for_ours() -> None:
    server = await asyncio.start_server(lambda _reader, _writer: None, "127.0.0.1", 0)
    async with server:
        port = server.sockets[0].getsockname()[1]

        assert listens(os.getpid(), [port])
        assert not listens(os.getppid(), [port])


async def test_where_there_is_no_folder_it_says_so(tmp_path: Path) -> None:
    with pytest.raises(EmulatorFailed, match=r"there is no folder .*/nowhere"):
        await EmulatedEnvironment.start(
            f"{TOYS}.echo", {}, folder=tmp_path / "nowhere", python=python(), timeout=LONG, name="toy"
        )


async def test_where_there_is_no_python_each_invocation_says_so(tmp_path: Path) -> None:
    environment = await EmulatedEnvironment.start(
        f"{TOYS}.echo", {}, folder=REPOSITORY, python=tmp_path / "python", timeout=LONG, name="toy"
    )
    async with environment:
        for _ in range(2):
            with pytest.raises(EmulatorFailed, match="no such file or directory"):
                await environment.invoke({})
