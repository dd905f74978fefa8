"""Child processes that cannot outlive us. Everything in the local system that is a process of its own starts here.

Run as a script, this file is the launcher that every child passes through: it asks the kernel to end the process with
its parent, then becomes the module or program that was asked for. That is done in the child because a `preexec_fn`
would make each start a bare fork, which Python warns of in a process with threads.
"""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import os
import resource
import runpy
import signal
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

_LAUNCHER = Path(__file__).resolve()

REPOSITORY = _LAUNCHER.parents[2]

LINE_LIMIT = 256 * 1024 * 1024
"""The longest line that is read from a child: a batch of 10,000 records is megabytes."""

_PR_SET_PDEATHSIG = 1
_PROGRAM = "--"
"""Said to the launcher in the place of a module's name: what follows is a limit, a program and its arguments."""

Stream = int | IO[bytes] | None


@dataclass(frozen=True, slots=True)
class Child:
    """A process that we started, in a session of its own: Ctrl-C in the terminal reaches us alone, and we stop it."""

    process: asyncio.subprocess.Process
    _reading: asyncio.Lock = field(default_factory=asyncio.Lock)

    @property
    def pid(self) -> int:
        return self.process.pid

    @property
    def alive(self) -> bool:
        return self.process.returncode is None

    def signal(self, number: signal.Signals) -> None:
        """Signals the process and whatever it started."""
        if self.alive:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self.pid, number)

    async def kill(self) -> None:
        self.signal(signal.SIGKILL)
        await self._reap()

    async def stop(self, grace: float = 5.0) -> None:
        """Asks it to end, and ends it when it has not after `grace` seconds."""
        self.signal(signal.SIGTERM)
        self.signal(signal.SIGCONT)
        try:
            async with asyncio.timeout(grace):
                await self.process.wait()
        except TimeoutError:
            pass
        finally:
            await self.kill()

    async def _reap(self) -> None:
        """Waits for the end and closes the pipes; whoever reads comes to their end first."""
        async with self._reading:
            await self.process.communicate()

    async def read_line(self) -> bytes:
        """The next line of its standard output; empty when it has ended."""
        if self.process.stdout is None:
            return b""
        async with self._reading:
            return await self.process.stdout.readline()

    async def write_line(self, line: bytes) -> None:
        """Raises ConnectionError when it has ended."""
        if self.process.stdin is not None:
            self.process.stdin.write(line + b"\n")
            await self.process.stdin.drain()


async def start_module(
    module: str,
    *arguments: str,
    env: Mapping[str, str],
    python: str = sys.executable,
    cwd: Path = REPOSITORY,
    stdin: Stream = asyncio.subprocess.DEVNULL,
    stdout: Stream = None,
    stderr: Stream = None,
) -> Child:
    """`python -m module …` with exactly this environment, so that nothing of the developer's shell leaks in."""
    command = (python, str(_LAUNCHER), str(os.getpid()), module, *arguments)
    return await _start(command, env=env, cwd=cwd, stdin=stdin, stdout=stdout, stderr=stderr)


async def start_program(
    program: Path,
    *arguments: str,
    env: Mapping[str, str],
    cwd: Path,
    descriptors: int,
    stdout: Stream = None,
    stderr: Stream = None,
) -> Child:
    """The program with exactly this environment; it, and what it starts, may have so many files and sockets open.

    The launcher is isolated: a PYTHONPATH in the environment is not for it.
    """
    launcher = (sys.executable, "-I", str(_LAUNCHER), str(os.getpid()), _PROGRAM, str(descriptors))
    command = (*launcher, str(program), *arguments)
    return await _start(command, env=env, cwd=cwd, stdin=asyncio.subprocess.DEVNULL, stdout=stdout, stderr=stderr)


async def _start(
    command: Sequence[str], *, env: Mapping[str, str], cwd: Path, stdin: Stream, stdout: Stream, stderr: Stream
) -> Child:
    process = await asyncio.create_subprocess_exec(
        *command,
        env=env,
        cwd=cwd,
        stdin=stdin,
        stdout=stdout,
        stderr=stderr,
        limit=LINE_LIMIT,
        start_new_session=True,
    )
    return Child(process)


def end_with(parent: int) -> None:
    """Has the kernel kill this process when its parent ends. Only Linux can; elsewhere our crash leaves it behind."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:
        sys.exit("its parent is gone")


def _launch() -> None:
    parent, module, *arguments = sys.argv[1:]
    end_with(int(parent))
    if module == _PROGRAM:
        limit, *command = arguments
        resource.setrlimit(resource.RLIMIT_NOFILE, (int(limit), int(limit)))
        os.execv(command[0], command)  # noqa: S606 - that the kernel ends us with our parent outlives this
    # As `python -m` would have it: the working directory instead of this file's folder.
    sys.path[0] = str(Path.cwd())
    sys.argv = [module, *arguments]
    runpy.run_module(module, run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    _launch()
