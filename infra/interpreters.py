"""The Pythons of the environments beside ours: each holds what can't live with our pins, or must not see them."""

from __future__ import annotations

import contextlib
from pathlib import Path

from infra import artifact, sam
from infra.environments import ROOT, EnvironmentUnavailable, ensure

_AWS = ROOT / "requirements-aws.txt"


def aws_python() -> Path:
    """Runs the embedded AWS. Raises EnvironmentUnavailable."""
    return ensure(ROOT / ".venv-aws", _AWS)


def stack_python() -> Path:
    """Runs the embedded AWS and the functions in it, and so is of their version. Raises EnvironmentUnavailable."""
    return ensure(ROOT / ".venv-stack", ROOT / "requirements-stack.txt", _AWS, interpreter=sam.runtime_python())


def lambda_python() -> Path:
    """The functions' own, with AWS's runtime client and nothing else. Raises EnvironmentUnavailable."""
    return ensure(ROOT / ".venv-lambda", ROOT / "requirements-lambda.txt", interpreter=sam.runtime_python())


def make_all() -> None:
    """Before the tests: none of them should have to wait for a download. Raises EnvironmentUnavailable."""
    aws_python()
    sam.tool("sam")
    if artifact.BUILD.is_dir():
        with contextlib.suppress(EnvironmentUnavailable):  # the tests that are skipped then say what is missing
            lambda_python()
            stack_python()
