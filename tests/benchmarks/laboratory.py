"""What is measured and what it stands on: the built functions and bare ones beside them, in AWS's own runtime."""

from __future__ import annotations

import contextlib
import secrets
import shutil
import subprocess
import tempfile
from collections.abc import AsyncIterator, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from infra import artifact, template
from infra.interpreters import lambda_python
from infra.local.embedded_aws import EmbeddedAws, Resources, create_resources
from infra.local.emulator import EmulatedEnvironment
from infra.local.gateway import GatewayProcess

API, SENDER, RECEIPTS = "ApiFunction", "SenderFunction", "ReceiptsFunction"

_BARE = Path(__file__).with_name("bare")
_VISIBILITY_TIMEOUT = 90


class NothingBuilt(Exception):
    """The message says what to do."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Laboratory:
    folder: Path
    """The artefact and, compiled like it, the bare functions."""
    python: Path
    resources: Resources
    gateway: GatewayProcess

    @classmethod
    @contextlib.asynccontextmanager
    async def open(cls, *, latency: float = 0.0) -> AsyncIterator[Laboratory]:
        """Raises NothingBuilt or EnvironmentUnavailable. `latency` is the gateway's, in seconds."""
        python = lambda_python()
        with _specimens(python) as folder:
            async with EmbeddedAws.start() as aws:
                resources = await create_resources(
                    aws.endpoint, visibility_timeout=_VISIBILITY_TIMEOUT, prefix=f"bench-{secrets.token_hex(4)}"
                )
                async with GatewayProcess.start(resources.accounts, latency=latency) as gateway:
                    yield cls(folder=folder, python=python, resources=resources, gateway=gateway)

    def environment(self) -> dict[str, str]:
        return {**self.resources.environment(), **self.gateway.environment()}

    async def bare(self, name: str, **more: str) -> EmulatedEnvironment:
        return await self._start(f"{name}.handler", name, 512, more)

    async def ours(self, name: str, *, memory: int | None = None, **more: str) -> EmulatedEnvironment:
        (function,) = (each for each in template.functions(template.read()) if each.name == name)
        return await self._start(function.handler, name, memory or 512, more)

    async def _start(self, handler: str, name: str, memory: int, more: Mapping[str, str]) -> EmulatedEnvironment:
        environment = {**self.environment(), **more}
        return await EmulatedEnvironment.start(
            handler, environment, folder=self.folder, python=self.python, timeout=60, name=name, memory=memory
        )


@contextlib.contextmanager
def _specimens(python: Path) -> Iterator[Path]:
    built = artifact.BUILD / API
    if not built.is_dir():
        raise NothingBuilt("there is nothing to measure: ./salvo build makes it")
    with tempfile.TemporaryDirectory(prefix="salvo-bench-") as place:
        folder = Path(place) / "task"
        shutil.copytree(built, folder)
        for path in _BARE.glob("*.py"):
            shutil.copy(path, folder)
        compiling = [str(python), "-I", "-m", "compileall", "-q", "-l", "--invalidation-mode", "unchecked-hash"]
        subprocess.run([*compiling, str(folder)], stdin=subprocess.DEVNULL, check=True)
        yield folder
