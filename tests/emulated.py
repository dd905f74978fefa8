"""The built functions in AWS's own runtime. Where something for that is missing, the test is skipped and says what."""

from __future__ import annotations

import contextlib
import functools
from collections.abc import AsyncIterator, Mapping
from pathlib import Path

import pytest

from infra import template
from infra.artifact import BUILD, differences, runs_here
from infra.environments import EnvironmentUnavailable
from infra.interpreters import lambda_python
from infra.local.emulator import EmulatedEnvironment, emulator_program

INIT_SECONDS = 10

API, SENDER, RECEIPTS = "ApiFunction", "SenderFunction", "ReceiptsFunction"


@functools.cache
def python() -> Path:
    """The functions' own, with AWS's runtime client."""
    try:
        emulator_program()
        return lambda_python()
    except EnvironmentUnavailable as missing:
        pytest.skip(str(missing).partition("\n")[0])


@functools.cache
def built(name: str) -> template.Function:
    """The template's function, whose artefact is there to be run."""
    (function,) = (function for function in template.functions(template.read()) if function.name == name)
    if not (BUILD / name).is_dir():
        pytest.skip("nothing is built: ./salvo build does it")
    if not runs_here(function):
        pytest.skip(f"it is built for Linux on {function.architecture}")
    if differences(BUILD / name):
        pytest.skip("what is built is not what is in functions/: ./salvo build builds it anew")
    return function


@contextlib.asynccontextmanager
async def emulated(
    name: str, environment: Mapping[str, str], *, limit: int | None = None, handler: str | None = None
) -> AsyncIterator[EmulatedEnvironment]:
    """The artefact as the template has it, but for its time-out (`limit`, in seconds) or another handler.

    Else it has the template's time-out and what Lambda gives to INIT, which the emulator counts in: a sender that has
    lost its first seconds to INIT would rightly begin nothing.
    """
    function = built(name)
    started = await EmulatedEnvironment.start(
        handler or function.handler,
        {"AWS_EXECUTION_ENV": f"AWS_Lambda_{function.runtime}", **environment},
        folder=BUILD / name,
        python=python(),
        timeout=limit or function.timeout + INIT_SECONDS,
        name=name,
    )
    async with started:
        yield started
