"""./salvo check: everything that can be known without running the tests."""

from __future__ import annotations

import argparse
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from infra import sam
from infra.environments import ROOT
from infra.template import TEMPLATE, nested, read


@dataclass(frozen=True, slots=True)
class Step:
    name: str
    command: Sequence[str]


def steps() -> list[Step]:
    tools = Path(sys.executable).parent
    templates = [TEMPLATE, *nested(read())]
    # The one script without an ending is named, or nobody would look at it.
    return [
        Step("format", [f"{tools}/ruff", "format", "--check", ".", "salvo"]),
        Step("style", [f"{tools}/ruff", "check", ".", "salvo"]),
        Step("types", [f"{tools}/mypy"]),
        Step("types of salvo", [f"{tools}/mypy", "--scripts-are-modules", "salvo"]),
        Step("import rules", [f"{tools}/lint-imports"]),
        Step("templates", [str(sam.tool("cfn-lint")), *map(str, templates)]),
        Step("sam validate", [str(sam.tool("sam")), "validate", "--lint"]),
    ]


def run(all_steps: Sequence[Step]) -> int:
    """Runs every step, whatever the ones before it said. The exit code: 1 where any failed."""
    return 1 if [step for step in all_steps if not _passes(step)] else 0


def add_arguments(_parser: argparse.ArgumentParser) -> None:
    """There are none: what is checked is the same for everybody."""


def main(_arguments: argparse.Namespace) -> int:
    return run(steps())


def _passes(step: Step) -> bool:
    """Says how the step went. What it printed is shown where it failed only."""
    started = time.monotonic()
    finished = subprocess.run(  # noqa: S603
        step.command,
        cwd=ROOT,
        env=sam.environment(),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    passed = finished.returncode == 0
    seconds = time.monotonic() - started
    sys.stdout.write(f"{step.name:<16}{seconds:5.1f} s  {'ok' if passed else 'FAILED'}\n")
    if not passed:
        sys.stdout.write(finished.stdout)
    sys.stdout.flush()
    return passed
