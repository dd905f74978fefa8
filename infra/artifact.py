"""Looks at what sam build made, as Lambda will: alone, without the checkout and its environment."""

from __future__ import annotations

import hashlib
import io
import os
import platform
import subprocess
import sys
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from infra.environments import ROOT
from infra.template import Function, read

BUILD = ROOT / ".aws-sam" / "build"
MOST_ZIPPED = 8_000_000
"""Bytes. Lambda fetches and unpacks the archive at a cold start; the hard limit is 50 MB."""

_NOWHERE = "http://127.0.0.1:9"
_MACHINES = {"x86_64": "x86_64", "arm64": "aarch64"}
_IMPORT = """
import importlib, sys
folder, handler = sys.argv[1:]
sys.path.insert(0, folder)
module, _, name = handler.rpartition(".")
if not callable(getattr(importlib.import_module(module), name)):
    sys.exit(f"{handler} cannot be called")
"""


def runs_here(function: Function) -> bool:
    """Whether this machine can load the compiled modules that were built for Lambda."""
    return sys.platform == "linux" and platform.machine() == _MACHINES[function.architecture]


def import_error(function: Function, folder: Path, *, python: Path) -> str:
    """What the function's start would say in Lambda; empty where it starts.

    Only the standard library and the folder can be imported, and nothing can be reached: a start that needs the network
    fails here.
    """
    finished = subprocess.run(  # noqa: S603
        [str(python), "-I", "-S", "-B", "-c", _IMPORT, str(folder), function.handler],
        env=_placeholders(function.environment),
        cwd="/",
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    return "" if finished.returncode == 0 else finished.stderr.strip() or f"exit code {finished.returncode}"


def strays(folder: Path) -> list[str]:
    """What came along from the checkout, besides the package itself."""
    checkout = {path.name for path in ROOT.iterdir()} | {"tests", "docs", "infra"}
    return sorted(path.name for path in folder.iterdir() if path.name in checkout - {"functions"})


def differences(folder: Path) -> list[str]:
    """Files of the package that an old build left there, or a new one forgot."""
    checkout, built = (_sources(place / "functions") for place in (ROOT, folder))
    return sorted(name for name in checkout.keys() | built.keys() if checkout.get(name) != built.get(name))


def size(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


def zipped_size(folder: Path) -> int:
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as writer:
        for path in _files(folder):
            writer.write(path, path.relative_to(folder))
    return archive.tell()


def fingerprint(folder: Path) -> str:
    """The same for folders with the same files in them."""
    digest = hashlib.sha256()
    for path in _files(folder):
        digest.update(str(path.relative_to(folder)).encode() + b"\0" + hashlib.sha256(path.read_bytes()).digest())
    return digest.hexdigest()


def _files(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*") if path.is_file())


def _sources(package: Path) -> dict[str, bytes]:
    files = [path for path in _files(package) if "__pycache__" not in path.parts]
    return {f"functions/{path.relative_to(package)}": path.read_bytes() for path in files}


def _placeholders(variables: Mapping[str, Any]) -> dict[str, str]:
    """An environment as Lambda's, with harmless values for what only a deployed stack knows."""
    return {
        "LANG": "C.UTF-8",
        "AWS_REGION": "us-east-1",
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_ACCESS_KEY_ID": "x",
        "AWS_SECRET_ACCESS_KEY": "x",
        "AWS_SESSION_TOKEN": "x",
        "AWS_CONFIG_FILE": os.devnull,
        "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
        "AWS_EC2_METADATA_DISABLED": "true",
        "AWS_ENDPOINT_URL": _NOWHERE,
        "AWS_LAMBDA_FUNCTION_NAME": "placeholder",
        "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": "512",
        **{name: _placeholder(name, value) for name, value in variables.items()},
    }


def _default(value: object) -> str:
    """Of the parameter that a variable refers to, which must be one of a few words; empty where it has none."""
    parameters = read()["Parameters"]
    refers_to = value.get("Ref", "") if isinstance(value, dict) else ""
    return str(parameters.get(refers_to, {}).get("Default", ""))


def _placeholder(name: str, value: object) -> str:
    if isinstance(value, str):
        return value
    if default := _default(value):
        return default
    if name.endswith("_SECRET"):
        return "arn:aws:secretsmanager:us-east-1:000000000000:secret:placeholder"
    return (
        f"{_NOWHERE}/placeholder"
        if name.endswith("QUEUE_URL")
        else _NOWHERE
        if name.endswith("_URL")
        else "placeholder"
    )
