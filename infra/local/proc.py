"""What Linux tells of a process that is none of ours to ask: its child, its memory, the ports that it listens on."""

from __future__ import annotations

import contextlib
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

_LISTENING = "0A"


@dataclass(frozen=True, slots=True, kw_only=True)
class Usage:
    """What a process holds."""

    peak: int
    """Bytes of memory at the most, since it was started."""
    resident: int
    """Bytes of memory now."""
    descriptors: int
    """Open files and sockets; a sandbox may have 1,024."""


def usage_of(pid: int) -> Usage:
    """Raises FileNotFoundError or ProcessLookupError where there is no such process."""
    process = Path(f"/proc/{pid}")
    status = dict(line.split(":", 1) for line in (process / "status").read_text(encoding="utf-8").splitlines())
    return Usage(
        peak=_bytes(status["VmHWM"]),
        resident=_bytes(status["VmRSS"]),
        descriptors=len(list((process / "fd").iterdir())),
    )


def child_of(pid: int) -> int | None:
    """The one child of a program with threads, any of which may have started it."""
    with contextlib.suppress(FileNotFoundError, ProcessLookupError):
        for children in Path(f"/proc/{pid}/task").glob("*/children"):
            if found := children.read_text(encoding="ascii").split():
                return int(found[-1])
    return None


def listens(pid: int, ports: Collection[int]) -> bool:
    """Whether this very process does, on all of them: somebody else on the same ports would answer as well."""
    lines = [line.split() for line in Path("/proc/net/tcp").read_text(encoding="ascii").splitlines()[1:]]
    sockets = {int(line[1].rpartition(":")[2], 16): f"socket:[{line[9]}]" for line in lines if line[3] == _LISTENING}
    own = _open_in(pid)
    return all(sockets.get(port) in own for port in ports)


def _open_in(pid: int) -> set[str]:
    found = set()
    with contextlib.suppress(FileNotFoundError):  # it has ended, or closed one just now
        for descriptor in Path(f"/proc/{pid}/fd").iterdir():
            found.add(str(descriptor.readlink()))
    return found


def _bytes(kibibytes: str) -> int:
    """Of a figure such as "14628 kB", which means kibibytes."""
    return int(kibibytes.removesuffix("kB")) * 1024
