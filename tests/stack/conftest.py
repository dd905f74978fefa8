from __future__ import annotations

from pathlib import Path

import pytest

from infra.environments import EnvironmentUnavailable
from infra.interpreters import stack_python
from infra.local import stack


@pytest.fixture(scope="session")
def deployable() -> Path:
    """The built template, where it can be deployed on this machine."""
    if not stack.BUILT.exists():
        pytest.skip("nothing is built: ./salvo build does it")
    try:
        stack_python()
    except EnvironmentUnavailable as error:
        pytest.skip(str(error))
    return stack.BUILT
