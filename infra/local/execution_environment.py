"""A Lambda function on this machine: execution environments, each a process of its own, and the pool that scales them.

A process and not a task, because that is what makes cold starts, time-outs, freezes and crashes come out as on AWS.
bootstrap.py is what runs in it.
"""

from __future__ import annotations

import asyncio
import json
import os
import secrets
import signal
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from infra.local.processes import Child, start_module

_INIT_SECONDS = 30.0
"""AWS gives INIT 10 s; here it shares the processor with everything else."""

_PIPE = asyncio.subprocess.PIPE


class FunctionError(Exception):
    """The function failed. `type` and `message` are what AWS answers as errorType and errorMessage."""

    def __init__(self, kind: str, message: str) -> None:
        super().__init__(f"{kind}: {message}")
        self.type = kind
        self.message = message


class FunctionTimeout(FunctionError):
    """The function did not answer in its time; its environment was killed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Configuration:
    """What a function is."""

    handler: str
    """Such as functions.handlers.sender.handler."""
    env: Mapping[str, str]
    name: str
    timeout: float
    """Seconds."""
    memory: int = 512
    """Megabytes. Told to the function, not enforced."""
    log: Path | None = None
    """Where its output goes; else to where ours goes."""

    def environment(self) -> dict[str, str]:
        """Everything that the process finds in its environment: nothing of the developer's shell or AWS profile."""
        return {
            "PATH": "/usr/local/bin:/usr/bin:/bin",
            "LANG": "C.UTF-8",
            "TZ": ":UTC",
            "AWS_CONFIG_FILE": os.devnull,
            "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
            "AWS_LAMBDA_FUNCTION_NAME": self.name,
            "AWS_LAMBDA_FUNCTION_VERSION": "$LATEST",
            "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": str(self.memory),
            "_HANDLER": self.handler,
            **self.env,
        }


class ExecutionEnvironment:
    """One process of a function. It takes one invocation at a time; a dead process is replaced for the next one."""

    def __init__(self, configuration: Configuration) -> None:
        self._configuration = configuration
        self._child: Child | None = None
        self._frozen = False
        self._turn = asyncio.Lock()

    @classmethod
    async def start(
        cls,
        handler: str,
        env: Mapping[str, str],
        *,
        timeout: float,  # noqa: ASYNC109 (the function's own limit, not one for this call)
        name: str,
        memory: int = 512,
        log: Path | None = None,
    ) -> Self:
        """An environment whose INIT is done. Raises FunctionError when the handler cannot be imported."""
        environment = cls(Configuration(handler=handler, env=env, timeout=timeout, name=name, memory=memory, log=log))
        await environment.warm()
        return environment

    @property
    def pid(self) -> int | None:
        return self._child.pid if self._child else None

    async def warm(self) -> None:
        """INIT, unless it is done. Raises FunctionError when the handler cannot be imported."""
        async with self._turn:
            await self._init()

    async def invoke(self, event: Any) -> Any:
        """What the handler returns. Raises FunctionError for what it raises, and when it ends the process."""
        async with self._turn:
            await self._init()
            self.thaw()
            return await self._ask(self._invocation(event), self._configuration.timeout)

    def freeze(self) -> None:
        """Stops the process where it stands, as AWS does between invocations. The clock goes on without it."""
        if self._child is not None:
            self._child.signal(signal.SIGSTOP)
            self._frozen = True

    def thaw(self) -> None:
        if self._child is not None and self._frozen:
            self._child.signal(signal.SIGCONT)
            self._frozen = False

    async def stop(self) -> None:
        """Ends the process, in the middle of an invocation if there is one."""
        if self._child is not None:
            child, self._child, self._frozen = self._child, None, False
            await child.kill()

    async def _init(self) -> None:
        if self._child is None or not self._child.alive:
            self._child = await _start(self._configuration)
            await self._ask(b"", _INIT_SECONDS)

    def _invocation(self, event: Any) -> bytes:
        now = time.time()  # noqa: TID251 (the platform: this is where the function's clock comes from)
        invocation = {
            "event": event,
            "deadline_ms": int((now + self._configuration.timeout) * 1000),
            "request_id": _request_id(),
            "function_name": self._configuration.name,
        }
        return json.dumps(invocation, separators=(",", ":")).encode()

    async def _ask(self, line: bytes, seconds: float) -> Any:
        try:
            async with asyncio.timeout(seconds):
                answer = await self._exchange(line)
        except BaseException as failure:
            # Its late answer would be taken for that of the next invocation.
            await self.stop()
            if isinstance(failure, TimeoutError):
                raise FunctionTimeout("Sandbox.Timedout", f"Task timed out after {seconds:.2f} seconds") from None
            raise
        if answer.get("fatal"):
            await self.stop()
        if error := answer.get("error"):
            raise FunctionError(error["type"], error["message"])
        return answer["ok"]

    async def _exchange(self, line: bytes) -> dict[str, Any]:
        """Writes the line, if any, and reads the next one."""
        child = self._child
        if child is None:
            raise FunctionError("Runtime.ExitError", "the environment was stopped")
        try:
            if line:
                await child.write_line(line)
            answer = await child.read_line()
        except ConnectionError:
            answer = b""
        if not answer.endswith(b"\n"):
            raise FunctionError("Runtime.ExitError", f"Runtime exited with exit status {await child.process.wait()}")
        parsed: dict[str, Any] = json.loads(answer)
        return parsed


class Function:
    """Scales like Lambda: an idle environment if there is one, else another, up to `max_concurrency`; then it waits."""

    def __init__(
        self,
        handler: str,
        env: Mapping[str, str],
        *,
        timeout: float,
        name: str,
        max_concurrency: int = 10,
        memory: int = 512,
        log: Path | None = None,
    ) -> None:
        self._configuration = Configuration(
            handler=handler, env=env, timeout=timeout, name=name, memory=memory, log=log
        )
        self._slots = asyncio.Semaphore(max_concurrency)
        self._idle: list[ExecutionEnvironment] = []
        self._environments: list[ExecutionEnvironment] = []

    @property
    def environments(self) -> int:
        """How many there are by now."""
        return len(self._environments)

    async def warm(self, count: int = 1) -> None:
        """Has `count` environments ready before the first invocation. Raises FunctionError when INIT fails."""
        while self.environments < count:
            self._idle.append(self._another())
        await asyncio.gather(*(environment.warm() for environment in self._environments))

    async def invoke(self, event: Any) -> Any:
        """What the handler returns. Raises FunctionError."""
        async with self._slots:
            environment = self._idle.pop() if self._idle else self._another()
            try:
                return await environment.invoke(event)
            finally:
                self._idle.append(environment)

    async def stop(self) -> None:
        await asyncio.gather(*(environment.stop() for environment in self._environments))

    def _another(self) -> ExecutionEnvironment:
        environment = ExecutionEnvironment(self._configuration)
        self._environments.append(environment)
        return environment

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.stop()


async def _start(configuration: Configuration) -> Child:
    command, env = ("infra.local.bootstrap", configuration.handler), configuration.environment()
    if configuration.log is None:
        return await start_module(*command, env=env, stdin=_PIPE, stdout=_PIPE)
    with configuration.log.open("ab") as log:
        return await start_module(*command, env=env, stdin=_PIPE, stdout=_PIPE, stderr=log)


def _request_id() -> str:
    digits = secrets.token_hex(16)
    return "-".join((digits[:8], digits[8:12], digits[12:16], digits[16:20], digits[20:]))
