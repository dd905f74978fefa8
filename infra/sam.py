"""The SAM CLI in an environment of its own, and ./salvo build: sam build, made small, and tried out."""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

from infra import artifact
from infra.environments import ROOT, EnvironmentUnavailable, alone_in, ensure, say
from infra.slim import behind, compile_all, slim, version_of
from infra.template import Function, functions, read


class BuildFailed(Exception):
    """The message says what to do about it."""


def tool(name: str) -> Path:
    """A program of the SAM environment: sam or cfn-lint. Raises EnvironmentUnavailable."""
    return ensure(ROOT / ".venv-sam", ROOT / "requirements-sam.txt").with_name(name)


def environment(*, first_on_path: Path | None = None) -> dict[str, str]:
    """Ours, with what keeps sam from asking around: no telemetry, no instance metadata, no retries, and some region."""
    inherited = dict(os.environ)  # noqa: TID251 (handed on, not read)
    if first_on_path:
        inherited["PATH"] = f"{first_on_path}{os.pathsep}{inherited.get('PATH', os.defpath)}"
    return {
        "AWS_DEFAULT_REGION": "us-east-1",
        **inherited,
        "SAM_CLI_TELEMETRY": "0",
        "AWS_MAX_ATTEMPTS": "1",
        "AWS_EC2_METADATA_DISABLED": "true",
    }


def find_interpreter(runtime: str) -> Path:
    """A Python of exactly this version (such as python3.13) that runs and has pip. Raises EnvironmentUnavailable."""
    version = runtime.removeprefix("python")
    tried = list(dict.fromkeys(_candidates(runtime)))
    for python in tried:
        if version_of(python) == version:
            return behind(python)
    seen = "".join(f"\n  {python} does not run, or has no pip, or is another version" for python in tried)
    raise EnvironmentUnavailable(
        f"the functions run on {runtime}, so building them needs Python {version} with pip, and none is here.{seen}"
        f"\nInstall it: pyenv install {version}, or uv python install {version}, or your system's package for it."
    )


def runtime_python() -> Path:
    """The Python that the template's functions run on. Raises EnvironmentUnavailable."""
    return find_interpreter(_runtime(functions(read())))


def build() -> None:
    """Leaves what sam deploy uploads in .aws-sam/build. Raises BuildFailed or EnvironmentUnavailable."""
    with alone_in(ROOT / ".aws-sam"):
        _build(functions(read()))


def _build(all_functions: list[Function]) -> None:
    python = find_interpreter(_runtime(all_functions))
    say(f"building with {python}")
    command = [str(tool("sam")), "build"]
    if subprocess.run(command, cwd=ROOT, env=environment(first_on_path=python.parent), check=False).returncode:  # noqa: S603
        raise BuildFailed("sam build failed: see above")
    folder = _finish(all_functions, python)
    for function in all_functions:
        _try_out(function, artifact.BUILD / function.name, python)
    sys.stdout.write(
        f"One build for {', '.join(function.name for function in all_functions)}: "
        f"{artifact.size(folder) / 1e6:.1f} MB, {artifact.zipped_size(folder) / 1e6:.1f} MB zipped.\n"
    )


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.epilog = "What is unchanged comes from .aws-sam; delete that folder to build everything anew."


def main(_arguments: argparse.Namespace) -> int:
    try:
        build()
    except BuildFailed as error:
        say(str(error))
        return 1
    return 0


def _candidates(runtime: str) -> Iterator[Path]:
    """Where that Python may be. A pyenv shim on PATH is there and fails where pyenv's configuration doesn't name it."""
    home = Path.home()
    version = runtime.removeprefix("python")
    for folder in os.get_exec_path():
        if found := shutil.which(runtime, path=folder):
            yield Path(found)
    for installed in (home / ".pyenv/versions", home / ".local/share/uv/python"):
        yield from (path / "bin" / runtime for path in sorted(installed.glob(f"*{version}*"), reverse=True))
    if (local := Path("/usr/local/bin") / runtime).exists():
        yield local
    yield Path(sys.executable).with_name(runtime)


def _runtime(all_functions: list[Function]) -> str:
    runtimes = {function.runtime for function in all_functions}
    if len(runtimes) != 1:
        raise BuildFailed(f"one build for all functions needs one Runtime, and the template has {sorted(runtimes)}")
    return runtimes.pop()


def _finish(all_functions: list[Function], python: Path) -> Path:
    """Makes one of the folders small and compiles it; the others are copies of it."""
    first, *others = [artifact.BUILD / function.name for function in all_functions]
    if len({artifact.fingerprint(folder) for folder in (first, *others)}) > 1:
        raise BuildFailed("the functions were built apart: they need the same CodeUri and the same Metadata")
    started = time.monotonic()
    before = artifact.size(first)
    slim(first)
    compile_all(first, python=python, runtime=all_functions[0].runtime)
    after = artifact.size(first)
    say(f"{before / 1e6:.1f} MB made {after / 1e6:.1f} MB, compiled ({time.monotonic() - started:.0f} s)")
    _check(first)
    for folder in others:
        shutil.rmtree(folder)
        shutil.copytree(first, folder)
    return first


def _check(folder: Path) -> None:
    if found := artifact.strays(folder):
        raise BuildFailed(f"this should not be in the artefact: {', '.join(found)}")
    if found := artifact.differences(folder):
        raise BuildFailed(f"in the artefact these are not as in the checkout: {', '.join(found)}")
    if (zipped := artifact.zipped_size(folder)) > artifact.MOST_ZIPPED:
        raise BuildFailed(f"the artefact has {zipped:,} bytes zipped, and {artifact.MOST_ZIPPED:,} are the most")


def _try_out(function: Function, folder: Path, python: Path) -> None:
    if not artifact.runs_here(function):
        say(f"{function.name} was not tried out: it is built for Linux on {function.architecture}, and this is neither")
        return
    started = time.monotonic()
    if error := artifact.import_error(function, folder, python=python):
        raise BuildFailed(f"{function.handler} does not start:\n{error}")
    sys.stdout.write(f"{function.handler} starts by itself ({time.monotonic() - started:.2f} s).\n")
