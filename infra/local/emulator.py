"""One execution environment as AWS's own software makes it: the runtime interface emulator, and AWS's runtime client.

The emulator is a program that the SAM CLI brings along; the client (awslambdaric) is what Lambda's Python runtimes are.
What this shows of a built folder is what Lambda does with it: INIT and its errors, one invocation after the other,
time-outs that kill the process, a new process after a crash, the limits of 6 MB and of 1,024 open files. What it does
not have is Lambda's limits of memory and CPU, its read-only file system, and the 10 seconds that INIT has for itself
there: here it uses up the time of its first invocation.

Of the emulator's log, the durations are measured and the memory is made up: it always "uses" all that the function
has. `usage` asks the kernel instead.
"""

from __future__ import annotations

import asyncio
import contextlib
import io
import json
import math
import os
import platform
import re
import signal
import sys
import tempfile
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import IO, Any, Self

import aiohttp

from infra import sam
from infra.environments import EnvironmentUnavailable
from infra.local.execution_environment import Configuration, FunctionError, FunctionTimeout
from infra.local.ports import free_ports
from infra.local.proc import Usage, child_of, listens, usage_of
from infra.local.processes import Child, start_program

DESCRIPTORS = 1024
"""Files and sockets that a function may have open: one of Lambda's quotas that cannot be raised."""

_HOST = "127.0.0.1"
_TRIES = 5
_START_SECONDS = 10.0
_POLL_SECONDS = 0.01
_PATIENCE = 30.0
"""Seconds beyond the function's own time-out: an INIT that follows a failed one is not counted in it."""
_LAST_WORDS = 2000
"""Characters of the log that an error ends with."""

_MACHINES = {"x86_64": "x86_64", "aarch64": "arm64"}
_ERROR = {"errorMessage", "errorType", "requestId", "stackTrace"}
_TIMED_OUT = "Task timed out after"

_INIT = re.compile(r"INIT REPORT\(durationMs: ([0-9.]+)")
_INVOKED = re.compile(r"INVOKE RTDONE\(.*duration: ([0-9.]+)ms")
_REPORT = re.compile(r"^REPORT RequestId: .*\tDuration: ([0-9.]+) ms", re.MULTILINE)


class EmulatorFailed(Exception):
    """It did not start, or broke down. The message ends with the last lines of its log."""


class EmulatedEnvironment:
    """One sandbox. It takes one invocation at a time; a dead process is replaced for the next one.

    The process of the function is started by the first invocation, which waits for its INIT.
    """

    def __init__(self, configuration: Configuration, *, folder: Path, python: Path) -> None:
        self._configuration = configuration
        self._folder = folder
        self._python = python
        self._log = _open_log(configuration.log)
        self._http: aiohttp.ClientSession | None = None
        self._child: Child | None = None
        self._url = ""
        self._frozen: int | None = None
        self._turn = asyncio.Lock()

    @classmethod
    async def start(
        cls,
        handler: str,
        env: Mapping[str, str],
        *,
        folder: Path,
        python: Path,
        timeout: float,  # noqa: ASYNC109 (the function's own limit, not one for this call)
        name: str,
        memory: int = 512,
        log: Path | None = None,
    ) -> Self:
        """An emulator that waits for its first invocation, on `folder` as Lambda would have it in /var/task.

        `timeout` is in whole seconds; `log` is a file of its own and goes on being written. Raises EmulatorFailed, or
        EnvironmentUnavailable.
        """
        configuration = Configuration(handler=handler, env=env, timeout=timeout, name=name, memory=memory, log=log)
        environment = cls(configuration, folder=folder, python=python)
        try:
            await environment._begin()
        except BaseException:
            await environment.stop()
            raise
        return environment

    @property
    def emulator(self) -> int | None:
        """The emulator's process id, which is there before the function's process: limits put on it hold for both."""
        return self._child.pid if self._child is not None and self._child.alive else None

    @property
    def pid(self) -> int | None:
        """Of the function's own process, while there is one."""
        emulator = self.emulator
        return child_of(emulator) if emulator is not None else None

    async def invoke(self, event: Any) -> Any:
        """What the handler returns. Raises FunctionError for what it raises, in INIT too, and when its process ends.

        Raises EmulatorFailed where the emulator gives no answer.
        """
        async with self._turn:
            if self.emulator is None:
                await self._begin()
            self.thaw()
            try:
                status, answer = await self._ask(json.dumps(event, separators=(",", ":")).encode())
            except BaseException:
                # A second invocation beside one that nobody waits for any more would break the emulator.
                await self._end()
                raise
        try:
            return _understood(status, answer)
        except ValueError:
            raise self._failure(f"the emulator answered {status}, and nothing that makes sense") from None

    def freeze(self) -> None:
        """Stops the function's process where it stands, as AWS does between invocations. The clock goes on."""
        if (pid := self.pid) is not None:
            os.killpg(pid, signal.SIGSTOP)
            self._frozen = pid

    def thaw(self) -> None:
        frozen, self._frozen = self._frozen, None
        if frozen is not None and frozen == self.pid:
            os.killpg(frozen, signal.SIGCONT)

    async def stop(self) -> None:
        """Ends it, in the middle of an invocation if there is one. Its log is gone then, unless it had a file."""
        await self._end()
        self._log.close()

    def usage(self) -> Usage:
        """Raises ProcessLookupError where there is no process: before the first invocation, or after a crash."""
        if (pid := self.pid) is None:
            raise ProcessLookupError("the function has no process now")
        return usage_of(pid)

    def log(self) -> str:
        """What the function and the emulator have written."""
        self._log.flush()
        return os.pread(self._log.fileno(), os.fstat(self._log.fileno()).st_size, 0).decode(errors="replace")

    def inits(self) -> list[float]:
        """Milliseconds of each INIT, from the start of the process until it asks for its first event."""
        return _numbers(_INIT, self.log())

    def invocations(self) -> list[float]:
        """Milliseconds of each invocation that was answered, from event to answer and without INIT."""
        return _numbers(_INVOKED, self.log())

    def reports(self) -> list[float]:
        """Milliseconds as the REPORT lines have them: an INIT counts, as on the bill, and a time-out is in here too."""
        return _numbers(_REPORT, self.log())

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.stop()

    async def _begin(self) -> None:
        if not self._folder.is_dir():
            raise EmulatorFailed(f"there is no folder {self._folder}")
        for _ in range(_TRIES):
            await self._end()
            public, internal = ports = free_ports(2)
            self._child = await self._start(public, internal)
            if await _has_come_up(self._child, ports):
                self._url = f"http://{_HOST}:{public}/2015-03-31/functions/function/invocations"
                self._http = aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=None))
                return
        raise self._failure("the emulator did not start")

    async def _start(self, public: int, internal: int) -> Child:
        # Without both addresses it takes ports that another one may have. Only at this level it tells of INIT.
        options = {
            "log-level": "info",
            "runtime-interface-emulator-address": f"{_HOST}:{public}",
            "runtime-api-address": f"{_HOST}:{internal}",
        }
        arguments = [argument for name, value in options.items() for argument in (f"--{name}", value)]
        return await start_program(
            emulator_program(),
            *arguments,
            *(str(self._python), "-m", "awslambdaric", self._configuration.handler),
            env=self._environment(),
            cwd=self._folder,
            descriptors=DESCRIPTORS,
            stdout=self._log,
            stderr=self._log,
        )

    async def _end(self) -> None:
        if self._child is not None:
            if (pid := self.pid) is not None:  # it has a process group of its own
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(pid, signal.SIGKILL)
            await self._child.stop()
        if self._http is not None:
            await self._http.close()
        self._http, self._child, self._frozen = None, None, None

    def _environment(self) -> dict[str, str]:
        folder = str(self._folder)
        return {
            "PYTHONPATH": folder,
            "PYTHONDONTWRITEBYTECODE": "1",  # Lambda's folder cannot be written to
            "LAMBDA_TASK_ROOT": folder,
            "AWS_LAMBDA_FUNCTION_TIMEOUT": str(math.ceil(self._configuration.timeout)),
            "AWS_LAMBDA_FUNCTION_HANDLER": self._configuration.handler,
            **self._configuration.environment(),
        }

    async def _ask(self, event: bytes) -> tuple[int, str]:
        if self._http is None:
            raise EmulatorFailed("it was stopped")
        try:
            async with (
                asyncio.timeout(self._configuration.timeout + _PATIENCE),
                self._http.post(self._url, data=io.BytesIO(event)) as answer,
            ):
                return answer.status, await answer.text()
        except (aiohttp.ClientError, TimeoutError) as error:
            raise self._failure(f"the emulator gave no answer ({type(error).__name__})") from None

    def _failure(self, what: str) -> EmulatorFailed:
        return EmulatorFailed(f"{what}:\n{self.log()[-_LAST_WORDS:]}")


def _understood(status: int, answer: str) -> Any:
    """200 is the answer for all but a process that ended: what a handler raises is told by its four keys.

    Raises FunctionError, or ValueError for what is no JSON.
    """
    if answer.startswith(_TIMED_OUT):
        raise FunctionTimeout("Sandbox.Timedout", answer)
    found = json.loads(answer)
    if status != 200 or (isinstance(found, dict) and found.keys() == _ERROR):  # noqa: PLR2004 - HTTP's own
        raise FunctionError(found["errorType"], found["errorMessage"])
    return found


def emulator_program() -> Path:
    """The emulator of this machine's kind, from the SAM CLI. Raises EnvironmentUnavailable."""
    machine = _MACHINES.get(platform.machine())
    if sys.platform != "linux" or machine is None:
        raise EnvironmentUnavailable("AWS's runtime interface emulator runs on Linux only, on x86_64 and arm64")
    packages = sam.tool("sam").parent.parent / "lib"
    found = next(packages.glob(f"python3*/site-packages/samcli/local/rapid/aws-lambda-rie-{machine}"), None)
    if found is None:
        raise EnvironmentUnavailable(f"the SAM CLI in {packages.parent} came without AWS's runtime interface emulator")
    return found


def _open_log(path: Path | None) -> IO[bytes]:
    """Where each writer adds to the end, and a reader disturbs nobody."""
    return path.open("a+b") if path else tempfile.TemporaryFile("a+b")


async def _has_come_up(child: Child, ports: Collection[int]) -> bool:
    """Waits until it listens on its ports; False where it ended, as it does when somebody else has one of them."""
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(_START_SECONDS):
            while child.alive:
                if listens(child.pid, ports):
                    return True
                await asyncio.sleep(_POLL_SECONDS)
    return False


def _numbers(pattern: re.Pattern[str], log: str) -> list[float]:
    return [float(number) for number in pattern.findall(log)]
