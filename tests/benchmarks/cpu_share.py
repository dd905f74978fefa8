"""Lambda's share of a processor, by the kernel's own means: a function has its memory in MB over 1,769 of one.

https://docs.aws.amazon.com/lambda/latest/dg/configuration-memory.html
"""

from __future__ import annotations

import contextlib
import os
import secrets
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

WHOLE_CPU = 1769
"""Megabytes."""

_CGROUPS = Path("/sys/fs/cgroup")
_PERIOD = 20_000
"""Microseconds. A share is given out anew in each."""


class NoShares(Exception):
    """The machine gives out none."""


@dataclass(frozen=True, slots=True)
class Share:
    """A control group. What is put into it shares its share."""

    folder: Path
    unified: bool

    def add(self, pid: int) -> None:
        (self.folder / "cgroup.procs").write_text(str(pid), encoding="ascii")

    def limit(self, memory: int) -> None:
        """To what a function of so many megabytes has."""
        quota = _PERIOD * memory // WHOLE_CPU
        if self.unified:
            (self.folder / "cpu.max").write_text(f"{quota} {_PERIOD}", encoding="ascii")
        else:
            (self.folder / "cpu.cfs_period_us").write_text(str(_PERIOD), encoding="ascii")
            (self.folder / "cpu.cfs_quota_us").write_text(str(quota), encoding="ascii")


@contextlib.contextmanager
def a_share() -> Iterator[Share]:
    """Unlimited at first. Whatever is in it has to have ended by the end of the block. Raises NoShares."""
    share = _share()
    try:
        share.folder.mkdir()
    except OSError as error:
        raise NoShares(f"this machine gives out no shares of its processor ({error.strerror}): it takes root") from None
    try:
        yield share
    finally:
        share.folder.rmdir()


def _share() -> Share:
    name = f"salvo-{os.getpid()}-{secrets.token_hex(4)}"
    if (_CGROUPS / "cgroup.controllers").exists():
        return Share(_CGROUPS / name, unified=True)
    return Share(_CGROUPS / "cpu" / name, unified=False)
