"""The real template deployed by the real sam into the embedded AWS, with functions in it that do nothing.

What a deployment, a rollback and an examination are about is around the functions: so nothing has to be built first.
"""

from __future__ import annotations

import contextlib
import functools
import json
import shutil
import subprocess
from collections.abc import AsyncIterator, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from infra import sam
from infra.aws import Aws
from infra.environments import ROOT, EnvironmentUnavailable
from infra.interpreters import stack_python
from infra.local.embedded_aws import REGION, EmbeddedAws, aws_client, aws_environment
from infra.local.stack_gaps import close_gaps, resources_of, write_deployable
from infra.template import TEMPLATE, read

STACK = "tests"


@dataclass(slots=True)
class StubStack:
    """A cloud to deploy to. `run` is what ./salvo deploy calls instead of sam in the checkout."""

    endpoint: str
    folder: Path
    commands: list[Sequence[str]] = field(default_factory=list)
    """What sam was asked for."""

    @property
    def aws(self) -> Aws:
        return Aws(REGION, functools.partial(aws_client, endpoint=self.endpoint))

    @property
    def environment(self) -> dict[str, str]:
        """For a ./salvo of its own."""
        return {"PATH": "/usr/bin:/bin", "HOME": str(self.folder), **aws_environment(self.endpoint)}

    def write_code(self, text: str) -> None:
        """Other text is other code."""
        shutil.rmtree(self.folder, ignore_errors=True)
        built, deployable = self.folder / "built", self.folder / "deployable"
        (built / "code").mkdir(parents=True)
        deployable.mkdir()
        (built / "code" / "stub.py").write_text(f"def handler(event, context):\n    return {text!r}\n")
        shutil.copytree(ROOT / "infra", built / "infra", ignore=lambda _, names: [n for n in names if ".yaml" not in n])
        (built / "template.yaml").write_text(json.dumps(_with_stubs(read(TEMPLATE))))
        write_deployable(built / "template.yaml", deployable)

    def run(self, arguments: Sequence[str]) -> int:
        self.commands.append(arguments)
        template = self.folder / "deployable" / "template.json"
        where = ["--template-file", str(template), "--config-file", str(ROOT / "samconfig.toml")]
        finished = subprocess.run(
            [sam.tool("sam"), *arguments, *where],
            env={**self.environment, "SAM_CLI_TELEMETRY": "0", "SAM_CLI_POLL_DELAY": "0.2"},
            cwd=self.folder,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
        )
        return finished.returncode

    async def close_gaps(self) -> None:
        await close_gaps(self.endpoint, await resources_of(self.endpoint, STACK))


@contextlib.asynccontextmanager
async def embedded(folder: Path, *, ports: Iterable[int] | None = None) -> AsyncIterator[StubStack]:
    """Skips the test where this machine can't run it."""
    try:
        interpreter = stack_python()
        sam.tool("sam")
    except EnvironmentUnavailable as error:
        pytest.skip(str(error).splitlines()[0])
    async with EmbeddedAws.start(python=interpreter, ports=ports) as running:
        stub = StubStack(running.endpoint, folder / "stub")
        stub.write_code("first")
        yield stub


def _with_stubs(template: dict[str, Any]) -> dict[str, Any]:
    for resource in template["Resources"].values():
        if resource["Type"] == "AWS::Serverless::Function":
            resource["Properties"] |= {"CodeUri": "code", "Handler": "stub.handler"}
    return template
