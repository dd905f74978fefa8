"""./salvo logs: lines for people, of all functions, in order, none twice and none lost."""

from __future__ import annotations

import asyncio
import itertools
import json
import socket
import sys
import time
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest
from aiobotocore.session import get_session
from moto.server import ThreadedMotoServer

from infra.command import main
from infra.deployed import FUNCTIONS
from infra.environments import ROOT
from infra.local.embedded_aws import REGION, EmbeddedAws, aws_client, aws_environment
from infra.log_lines import Line, readable
from infra.logs import Reader

_NUMBERS = itertools.count()

AT = 1_795_700_000_123
HEAD = "2026-11-26T13:33:20.123Z api      "

REPORT = (
    "REPORT RequestId: 8f5e Duration: 12.34 ms\tBilled Duration: 13 ms\tMemory Size: 512 MB\tMax Memory Used: 98 MB\t"
    "Init Duration: 450.10 ms\t"
)


def test_a_line_tells_when_where_how_grave_what_and_its_facts() -> None:
    written = {
        "level": "INFO",
        "message": "send",
        "timestamp": "2026-11-26T13:33:20.120Z",
        "service": "shop",
        "cold_start": False,
        "function_name": "salvo-ApiFunction-1",
        "taskName": "Task-3",
        "function_request_id": "8f5e",
        "provider": "yunpian",
        "milliseconds": 12,
        "reason": "two words",
    }

    assert _readable(written) == (
        f'{HEAD}INFO    send service=shop function_request_id=8f5e provider=yunpian milliseconds=12 reason="two words"'
    )


def test_a_line_of_the_older_shape_is_told_alike() -> None:
    assert _readable({"level": "WARNING", "at": 1.5, "event": "stale", "age": 130}) == f"{HEAD}WARNING stale age=130"


def test_where_an_exception_came_from_stands_below_its_line() -> None:
    written = {"level": "ERROR", "message": "failed", "exception_name": "KeyError", "exception": "a.py:1 f\nb.py:2 g"}

    assert _readable(written) == f"{HEAD}ERROR   failed exception_name=KeyError\n    a.py:1 f\n    b.py:2 g"


def test_what_is_no_json_is_told_as_it_is() -> None:
    assert (
        readable(Line("api", AT, "Task timed out after 15.00 seconds\n")) == f"{HEAD}Task timed out after 15.00 seconds"
    )


def test_a_report_is_shortened() -> None:
    told = "duration 12.34 ms, memory size 512 MB, max memory used 98 MB, init duration 450.10 ms"

    assert readable(Line("api", AT, REPORT)) == f"{HEAD}REPORT  {told}"


@pytest.mark.parametrize(
    "text",
    [
        "START RequestId: 8f5e Version: 3\n",
        "END RequestId: 8f5e\n",
        REPORT,
        '{"_aws": {"CloudWatchMetrics": []}, "Sent": 1}',
        '{"time": "2026-11-26T13:33:20Z", "type": "platform.report", "record": {}}',
    ],
)
def test_what_goes_on_in_every_invocation_is_noise(text: str) -> None:
    assert Line("api", AT, text).is_noise


@pytest.mark.parametrize(
    "text",
    [
        '{"level": "INFO", "message": "send"}',
        "Task timed out after 15.00 seconds",
        f"{REPORT}Status: timeout",
        f"{REPORT}Status: error\tError Type: Runtime.ExitError",
        "[ERROR] KeyError",
        "{not json",
        "[1]",
    ],
)
def test_what_went_wrong_and_what_we_wrote_is_no_noise(text: str) -> None:
    assert not Line("api", AT, text).is_noise


def test_a_report_of_a_failure_tells_it() -> None:
    told = readable(Line("api", AT, f"{REPORT}Status: error\tError Type: Runtime.ExitError"))

    assert told.endswith("status error Runtime.ExitError")


class Stack:
    """Three log groups, as a deployed stack has them."""

    def __init__(self, aws: EmbeddedAws, name: str, logs: Any, groups: dict[str, str]) -> None:
        self.name = name
        self.logs = logs
        self.groups = {short: groups[long.replace("Function", "Logs")] for short, long in FUNCTIONS.items()}
        self._aws = aws

    async def write(self, function: str, *lines: str, ago: float = 0, stream: str = "one") -> None:
        """Seconds ago; each line a millisecond after the one before."""
        group, at = self.groups[function], int((_now() - ago) * 1000)
        if not (await self.logs.describe_log_streams(logGroupName=group, logStreamNamePrefix=stream))["logStreams"]:
            await self.logs.create_log_stream(logGroupName=group, logStreamName=stream)
        events = [{"timestamp": at + n, "message": line} for n, line in enumerate(lines)]
        await self.logs.put_log_events(logGroupName=group, logStreamName=stream, logEvents=events)

    async def start(self, *options: str) -> asyncio.subprocess.Process:
        return await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "infra.command", "logs", "--stack-name", self.name, *options),
            env={"PATH": "/usr/bin:/bin", **aws_environment(self._aws.endpoint)},
            cwd=ROOT,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )

    async def show(self, *options: str) -> tuple[int | None, list[str], str]:
        """Exit code, what was told of each line after its time, and what was said."""
        process = await self.start(*options)
        told, said = await process.communicate()
        return process.returncode, [line[25:] for line in told.decode().splitlines()], said.decode()


@pytest.fixture
async def stack(aws: EmbeddedAws) -> AsyncIterator[Stack]:
    name = f"logs-{next(_NUMBERS)}"
    groups = {name.replace("Function", "Logs"): {"Type": "AWS::Logs::LogGroup"} for name in FUNCTIONS.values()}
    async with aws_client("cloudformation", aws.endpoint) as cloudformation, aws_client("logs", aws.endpoint) as logs:
        await cloudformation.create_stack(StackName=name, TemplateBody=json.dumps({"Resources": groups}))
        await cloudformation.get_waiter("stack_create_complete").wait(StackName=name)
        found = (await cloudformation.describe_stack_resources(StackName=name))["StackResources"]
        yield Stack(aws, name, logs, {each["LogicalResourceId"]: each["PhysicalResourceId"] for each in found})


async def test_all_functions_are_merged_by_time(stack: Stack) -> None:
    await stack.write("api", "third", ago=10)
    await stack.write("sender", "first", "second", ago=20)
    await stack.write("receipts", "fourth", ago=5)
    await stack.write("api", "between", ago=15, stream="two")

    code, told, _ = await stack.show()

    assert code == 0
    assert told == ["sender   first", "sender   second", "api      between", "api      third", "receipts fourth"]


async def test_one_function_can_be_asked_for(stack: Stack) -> None:
    await stack.write("api", "its own")
    await stack.write("sender", "another's")

    _, told, _ = await stack.show("sender")

    assert told == ["sender   another's"]


async def test_lines_from_before_are_not_shown(stack: Stack) -> None:
    await stack.write("api", "old", ago=120)
    await stack.write("api", "new", ago=10)

    _, told, _ = await stack.show("--since", "1m")

    assert told == ["api      new"]


async def test_lines_are_filtered_by_any_text_in_them(stack: Stack) -> None:
    await stack.write(
        "api", '{"level":"ERROR","message":"failed","id":"vfy_k1_abc"}', '{"level":"INFO","message":"send"}'
    )

    _, told, _ = await stack.show("--filter", "k1_ab")

    assert told == ["api      ERROR   failed id=vfy_k1_abc"]


async def test_noise_is_left_out_unless_asked_for(stack: Stack) -> None:
    await stack.write("api", "START RequestId: 8f5e", "ours")

    _, without, _ = await stack.show()
    _, with_it, _ = await stack.show("--platform")

    assert without == ["api      ours"]
    assert with_it == ["api      START RequestId: 8f5e", "api      ours"]


async def test_following_shows_what_comes_later_and_each_line_once(stack: Stack) -> None:
    await stack.write("api", "before")
    process = await stack.start("--follow")
    assert process.stdout is not None
    try:
        async with asyncio.timeout(30):
            told = [await process.stdout.readline()]
            await stack.write("sender", "late", ago=5)
            await stack.write("api", "after")
            told += [await process.stdout.readline(), await process.stdout.readline()]
            await stack.write("api", "last")
            told.append(await process.stdout.readline())
    finally:
        process.kill()
        await process.communicate()

    assert [line.decode().split()[-1] for line in told] == ["before", "late", "after", "last"]


async def test_who_has_read_enough_may_go(stack: Stack) -> None:
    await stack.write("api", *("x" * 1000 for _ in range(200)))
    process = await stack.start()
    assert process.stdout is not None
    assert process.stderr is not None

    await process.stdout.readline()
    process.stdout._transport.close()  # type: ignore[attr-defined]

    assert await process.stderr.read() == b""
    assert await process.wait() == 0


async def test_a_stack_that_is_not_there_is_a_sentence(stack: Stack) -> None:
    stack.name = "nowhere"

    code, told, said = await stack.show()

    assert (code, told) == (1, [])
    assert said == f"salvo: there is no stack nowhere in {REGION}: `./salvo deploy` makes it\n"


@pytest.mark.parametrize("since", ["", "10", "0m", "m", "-5m", "1w"])
def test_a_time_that_is_none_is_told(since: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stop:
        main(["logs", f"--since={since}"])

    assert stop.value.code == 2
    assert "a number and s, m, h or d, such as 10m" in capsys.readouterr().err


@pytest.fixture(scope="module")
def moto() -> Iterator[str]:
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    _, port = server.get_host_and_port()
    yield f"http://127.0.0.1:{port}"
    server.stop()


async def test_more_than_a_page_of_lines_is_read_to_its_end(moto: str) -> None:
    count, at = 10_500, int(_now() * 1000)  # moto gives 10,000 at a time, as AWS does
    async with _moto_logs(moto) as logs:
        await logs.create_log_group(logGroupName="group")
        await logs.create_log_stream(logGroupName="group", logStreamName="one")
        for start in range(0, count, 5_000):
            events = [{"timestamp": at + n, "message": str(n)} for n in range(start, min(start + 5_000, count))]
            await logs.put_log_events(logGroupName="group", logStreamName="one", logEvents=events)

        told = [line.text async for line in Reader(logs, {"api": "group"}).read(at)]

    assert told == [str(n) for n in range(count)]


async def test_lines_without_an_id_are_shown_once_too() -> None:
    events = [{"timestamp": AT, "message": "one"}, {"timestamp": AT, "message": "two"}]
    reader = Reader(OnePage(events), {"api": "group"})

    first = [line.text async for line in reader.read(AT)]
    second = [line.text async for line in reader.read(AT)]

    assert (first, second) == (["one", "two"], [])


class OnePage:
    """CloudWatch Logs as the embedded AWS has it for what functions write: no event has an id."""

    def __init__(self, events: list[dict[str, Any]]) -> None:
        self._events = events

    def get_paginator(self, _: str) -> OnePage:
        return self

    async def paginate(self, **_: Any) -> AsyncIterator[dict[str, Any]]:
        yield {"events": self._events}


async def test_an_aws_that_cannot_be_reached_is_a_sentence() -> None:
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))  # and does not listen
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "infra.command", "logs"),
            env={"PATH": "/usr/bin:/bin", **aws_environment(f"http://127.0.0.1:{nobody.getsockname()[1]}")},
            cwd=ROOT,
            stderr=asyncio.subprocess.PIPE,
        )
        _, said = await process.communicate()

    assert process.returncode == 1
    assert said.decode() == (
        "salvo: AWS does not answer (EndpointConnectionError): is it the right region, is there internet?\n"
    )


def _now() -> float:
    return time.time()  # noqa: TID251 - CloudWatch goes by it


def _moto_logs(endpoint: str) -> Any:
    keys = {"aws_access_key_id": "x", "aws_secret_access_key": "x"}
    return get_session().create_client("logs", endpoint_url=endpoint, region_name=REGION, **keys)


def _readable(document: dict[str, Any]) -> str:
    return readable(Line("api", AT, json.dumps(document)))
