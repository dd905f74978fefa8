"""Virtual environments beside the code: made when first needed, made anew when what they should hold has changed.

The salvo script calls this before there is any environment, so it imports the standard library only. infra.sam calls it
for the tools that cannot live with our pins.
"""

from __future__ import annotations

import fcntl
import hashlib
import importlib.util
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent

_UV = "uv==0.13.9"
_LOCK = ".salvo-lock"  # uv locks `.lock` in an environment that it installs into, and would wait for us
_STAMP = ".salvo-stamp"


class EnvironmentUnavailable(Exception):
    """The environment could not be made. The message says what to do about it."""


def make(folder: Path, requirements: Sequence[Path], interpreter: Path | None = None) -> None:
    """Makes the environment in the empty folder, of our own Python if of no other. Raises EnvironmentUnavailable."""
    started = time.monotonic()
    # From within an environment, sys.executable may be the very file that was just removed.
    base = interpreter or Path(getattr(sys, "_base_executable", None) or sys.executable)
    if interpreter is None:
        _check_modules()
    say(f"making {folder.name} with {base} (once, until the requirements change)")
    failure = _failure([str(base), "-m", "venv", str(folder)])
    if failure is not None:
        raise EnvironmentUnavailable(f"could not make {folder} with {base}:\n{failure}")
    say(f"installing {', '.join(file.name for file in requirements)}")
    _install(_python(folder), requirements)
    say(f"{folder.name} is ready ({time.monotonic() - started:.0f} s)")


def ensure(
    folder: Path, *requirements: Path, interpreter: Path | None = None, make: Callable[..., None] = make
) -> Path:
    """The interpreter of the environment in `folder`, which holds exactly these requirements by then.

    `interpreter` is the Python that it is made of; else ours. Safe to call from several processes at once: one makes
    the environment, the others wait for it. Raises EnvironmentUnavailable.
    """
    wanted = _stamp(folder, requirements, interpreter)
    if not _is_made(folder, wanted):
        with alone_in(folder):
            if not _is_made(folder, wanted):  # or else someone else made it while we waited
                _clear(folder)
                make(folder, requirements, interpreter)
                (folder / _STAMP).write_text(wanted)
    return _python(folder)


def say(text: str) -> None:
    """Progress goes to standard error: standard output belongs to the command."""
    sys.stderr.write(f"salvo: {text}\n")
    sys.stderr.flush()


def _python(folder: Path) -> Path:
    return folder / "bin" / "python"


def _stamp(folder: Path, requirements: Sequence[Path], interpreter: Path | None) -> str:
    """Everything that an environment is made from; its place is part of it, for its scripts name it."""
    python = str(interpreter) if interpreter else "{}.{}".format(*sys.version_info[:2])
    parts = [str(folder), sys.platform, os.uname().machine, python, _UV]
    parts += [file.read_text() for file in requirements]
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()


def _is_made(folder: Path, wanted: str) -> bool:
    try:
        # The interpreter is a link, and what it points at may have been uninstalled.
        return (folder / _STAMP).read_text() == wanted and _python(folder).exists()
    except FileNotFoundError:
        return False


@contextmanager
def alone_in(folder: Path) -> Iterator[None]:
    """Makes the folder if need be. Of several processes that want to change what is in it, one after the other does."""
    folder.mkdir(exist_ok=True)
    with (folder / _LOCK).open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            say(f"another process is making {folder.name}, waiting for it")
            fcntl.flock(lock, fcntl.LOCK_EX)
        yield  # closing the file lets go of it, and so does dying


def _check_modules() -> None:
    missing = [name for name in ("venv", "ensurepip") if importlib.util.find_spec(name) is None]
    if missing:
        version = "{}.{}".format(*sys.version_info[:2])
        raise EnvironmentUnavailable(
            f"this Python ({sys.executable}) comes without {' and '.join(missing)}, which make virtual environments. "
            f"On Debian and Ubuntu: apt install python{version}-venv"
        )


def _clear(folder: Path) -> None:
    """Empties the folder, but for the lock that we hold."""
    (folder / _STAMP).unlink(missing_ok=True)  # first: what is half gone is not to be used
    for child in folder.iterdir():
        if child.is_dir() and not child.is_symlink():
            shutil.rmtree(child)
        elif child.name != _LOCK:
            child.unlink()


def _install(python: Path, requirements: Sequence[Path]) -> None:
    pip = [str(python), "-m", "pip", "--quiet", "--disable-pip-version-check", "--no-input", "install"]
    uv = [str(python.with_name("uv")), "--quiet", "pip", "install", "--python", str(python)]
    listed = [argument for file in requirements for argument in ("-r", str(file))]
    if _failure([*pip, _UV]) is None and _failure([*uv, *listed]) is None:
        return
    say("uv could not (perhaps only pip knows the package index here), pip takes a minute or two")
    failure = _failure([*pip, *listed])
    if failure is not None:
        raise EnvironmentUnavailable(f"pip could not install the requirements:\n{failure}")


def _failure(command: list[str]) -> str | None:
    """What the command said when it failed; None where it did what it should."""
    finished = subprocess.run(  # noqa: S603
        command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False
    )
    return finished.stdout.strip() if finished.returncode else None
