"""What ./salvo build left in .aws-sam: it starts by itself, it is small, and nothing of the checkout came along."""

from __future__ import annotations

import pytest

from infra import artifact
from infra.sam import find_interpreter
from infra.template import Function, functions, read

FUNCTIONS = functions(read())
FOLDERS = [artifact.BUILD / function.name for function in FUNCTIONS]

pytestmark = pytest.mark.skipif(
    not all(folder.is_dir() for folder in FOLDERS), reason="nothing is built: ./salvo build does it"
)


@pytest.mark.parametrize("function", FUNCTIONS, ids=lambda function: function.name)
def test_each_function_starts_from_what_was_built_alone(function: Function) -> None:
    if not artifact.runs_here(function):
        pytest.skip(f"it is built for Linux on {function.architecture}")
    python = find_interpreter(function.runtime)

    assert artifact.import_error(function, artifact.BUILD / function.name, python=python) == ""


def test_the_functions_are_one_build() -> None:
    assert len({artifact.fingerprint(folder) for folder in FOLDERS}) == 1


def test_nothing_of_the_checkout_came_along() -> None:
    assert artifact.strays(FOLDERS[0]) == []


def test_it_is_quick_to_fetch_at_a_cold_start() -> None:
    assert artifact.zipped_size(FOLDERS[0]) <= artifact.MOST_ZIPPED


def test_every_module_is_compiled_and_no_source_is_missing() -> None:
    compiled = {path.name.split(".")[0] for path in (FOLDERS[0] / "functions").rglob("__pycache__/*.pyc")}

    assert {path.stem for path in (FOLDERS[0] / "functions").rglob("*.py")} == compiled
