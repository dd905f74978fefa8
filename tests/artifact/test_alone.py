"""The artefact needs nothing but itself, the standard library and AWS's runtime client, which Lambda has too."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from infra.artifact import BUILD
from infra.local.emulator import EmulatedEnvironment
from infra.local.execution_environment import FunctionError
from tests.emulated import API, RECEIPTS, SENDER, emulated, python

DRIVERS = Path(__file__).parent / "drivers"
RUNTIME_CLIENT = ("awslambdaric", "runtime_client", "simplejson", "snapshot_restore_py")
"""With what it needs itself."""


@pytest.mark.parametrize(
    ("name", "module"),
    [
        (API, "functions.handlers.api"),
        (SENDER, "functions.handlers.sender"),
        (RECEIPTS, "functions.handlers.receipts"),
    ],
)
async def test_nothing_is_imported_from_anywhere_else(environment: dict[str, str], name: str, module: str) -> None:
    beside = {"PYTHONPATH": os.pathsep.join(map(str, (BUILD / name, DRIVERS))), "IMPORTED": module}

    async with emulated(name, {**environment, **beside}, handler="imported.handler") as function:
        files = await function.invoke({})

    artefact = [file for file in files if file.startswith(f"{BUILD / name}/")]
    others = set(files) - set(artefact) - {str(DRIVERS / "imported.py")}
    assert f"{BUILD / name}/functions/domain/code.py" in artefact
    assert [file for file in others if not is_of_the_runtime(file)] == []


def is_of_the_runtime(file: str) -> bool:
    environment = python().parents[1]
    if file.startswith(str(environment)):
        return file.partition("/site-packages/")[2].startswith(RUNTIME_CLIENT)
    return file.startswith(standard_library()) and "/site-packages/" not in file


def standard_library() -> str:
    """Of the functions' Python, whose environment says where it is."""
    lines = (python().parents[1] / "pyvenv.cfg").read_text(encoding="utf-8").splitlines()
    settings = dict(line.split(" = ", 1) for line in lines)
    return str(Path(settings["home"]).parent / "lib")


async def test_what_the_artefact_lacks_is_not_found_elsewhere() -> None:
    """Such as a library that only the checkout's own environment has: else the test above could not fail."""
    async with await EmulatedEnvironment.start(
        "imported.handler", {"IMPORTED": "rich"}, folder=DRIVERS, python=python(), timeout=15, name="alone"
    ) as function:
        with pytest.raises(FunctionError, match="No module named 'rich'"):
            await function.invoke({})
