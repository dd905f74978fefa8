"""Makes a built function small and quick to start: drops what no function reads, and compiles the rest.

Lambda's file system is read-only, so without .pyc files Python compiles every module at every cold start.
"""

from __future__ import annotations

import shutil
import struct
import subprocess
from collections.abc import Iterator
from pathlib import Path

AWS_SERVICES = ("dynamodb", "pinpoint-sms-voice-v2", "secretsmanager", "sns", "sqs")
"""Whose descriptions botocore needs to make a client. A function that calls another service adds it here."""

_IN_LAMBDA = "/var/task"
_SOURCES = (".pyi", ".pyx", ".pxd", ".pxi", ".c", ".h")
_TEST_FOLDERS = ("tests", "test")
_POWERTOOLS_UTILITIES = ("jmespath_utils", "typing")
"""Those that its Logger and Metrics import."""
_KEPT_OF_DIST_INFO = ("METADATA", "licenses", "LICENSE", "LICENSE.txt", "LICENCE", "NOTICE", "AUTHORS")
"""Packages ask METADATA for their own version; the licences ask to be passed on."""

# Places in the header of a 64-bit ELF file.
_PROGRAM_HEADER_AT = 32
_SECTION_TABLE_AT = 40
_PROGRAM_HEADER_ENTRIES_AT = 54
_SECTION_ENTRIES_AT = 60


class WrongPython(Exception):
    """Another version's .pyc files would be ignored by Lambda, in silence."""


def slim(folder: Path) -> None:
    """Removes from the built function what is never read at run time."""
    unread = (_aws_descriptions, _powertools, _package_leftovers, _uncalled, _sources)
    for path in [path for find in unread for path in find(folder)]:
        _remove(path)
    for path in folder.rglob("*.so"):
        path.write_bytes(without_debug_information(path.read_bytes()))


def without_debug_information(library: bytes) -> bytes:
    """The part of a 64-bit ELF library that gets loaded; other files as they are.

    Some wheels carry debug information of five times that size. The loader goes by the program header alone, so what no
    entry of it covers can go, and with it the section table. (strip does the same where it is installed.)
    """
    if library[:6] != b"\x7fELF\x02\x01":
        return library
    (table,) = struct.unpack_from("<Q", library, _PROGRAM_HEADER_AT)
    size, count = struct.unpack_from("<HH", library, _PROGRAM_HEADER_ENTRIES_AT)
    end = table + size * count
    for entry in range(table, end, size):
        _, _, offset, _, _, length = struct.unpack_from("<IIQQQQ", library, entry)
        end = max(end, offset + length)
    loaded = bytearray(library[:end])
    struct.pack_into("<Q", loaded, _SECTION_TABLE_AT, 0)
    struct.pack_into("<HH", loaded, _SECTION_ENTRIES_AT, 0, 0)
    return bytes(loaded)


def compile_all(folder: Path, *, python: Path, runtime: str) -> None:
    """Puts .pyc files beside the sources, which Lambda takes as they are (its copies have other time stamps).

    Tracebacks then name the files as Lambda has them. Raises WrongPython.
    """
    found = version_of(python)
    if f"python{found}" != runtime:
        raise WrongPython(f"{python} is Python {found}, and the functions run on {runtime}")
    arguments = ["-q", "-j", "0", "--invalidation-mode", "unchecked-hash", "-s", str(folder), "-p", _IN_LAMBDA]
    subprocess.run(  # noqa: S603
        [str(python), "-I", "-m", "compileall", *arguments, str(folder)], stdin=subprocess.DEVNULL, check=True
    )


def version_of(python: Path) -> str:
    """Such as 3.13; empty where it doesn't run, or has no pip, which sam build needs."""
    return _told_by(python, "import pip, sys; print('{}.{}'.format(*sys.version_info[:2]))")


def behind(python: Path) -> Path:
    """The interpreter itself, where this is a script that looks for one by the environment it is called in."""
    return Path(_told_by(python, "import sys; print(sys.executable)") or python)


def _told_by(python: Path, program: str) -> str:
    command = [str(python), "-c", program]
    try:
        answer = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=True)  # noqa: S603
    except (OSError, subprocess.CalledProcessError):
        return ""
    return answer.stdout.strip()


def _aws_descriptions(folder: Path) -> Iterator[Path]:
    for service in (folder / "botocore" / "data").glob("*/"):
        if service.name not in AWS_SERVICES:
            yield service
            continue
        yield from service.glob("*/examples-1.json*")
        yield from sorted(service.glob("*/"))[:-1]  # older versions of the same API


def _powertools(folder: Path) -> Iterator[Path]:
    """What of Powertools nobody imports, nine tenths of it. The build tries out that the handlers do without."""
    package = folder / "aws_lambda_powertools"
    yield package / "event_handler"
    yield from (path for path in package.glob("utilities/*/") if path.name not in _POWERTOOLS_UTILITIES)


def _package_leftovers(folder: Path) -> Iterator[Path]:
    for information in folder.glob("*.dist-info"):
        yield from (path for path in information.iterdir() if path.name not in _KEPT_OF_DIST_INFO)
    for pattern in ("*.data", "*-stubs", "bin"):
        yield from folder.glob(pattern)
    for name in _TEST_FOLDERS:
        yield from folder.glob(f"*/{name}/")


def _uncalled(folder: Path) -> Iterator[Path]:
    """Short numbers get no codes; time zones come from the system; PyNaCl needs the compiled half of cffi only; aiohttp
    serves nobody. The build tries out that the handlers do without.
    """
    yield from (folder / "phonenumbers" / "shortdata").glob("region_*.py")
    yield folder / "dateutil" / "zoneinfo" / "dateutil-zoneinfo.tar.gz"
    yield folder / "cffi"
    yield folder / "pycparser"
    yield from (folder / "aiohttp").glob("web*.py")
    yield from (folder / "aiohttp" / name for name in ("pytest_plugin.py", "test_utils.py", "worker.py"))


def _sources(folder: Path) -> Iterator[Path]:
    return (path for path in folder.rglob("*") if path.suffix in _SOURCES)


def _remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)  # gone with its folder
