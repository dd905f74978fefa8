"""The real template on this machine: sam deploy of what ./salvo build made, into an embedded AWS that runs functions.

Here template.yaml is what wires the system together: its routes, its queue's mapping, its environment variables, and
its roles, which the functions are held to.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import json
import tempfile
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import aiohttp

from infra import artifact, sam
from infra.interpreters import stack_python
from infra.local import consoles
from infra.local.accounts import Accounts, for_the_functions, new_accounts
from infra.local.embedded_aws import EmbeddedAws, aws_client, aws_environment
from infra.local.gateway import GatewayProcess
from infra.local.http_front import forwarded, proxied, serve
from infra.local.ports import bindable
from infra.local.processes import start_module
from infra.local.stack_gaps import Resource, close_gaps, resources_of, write_deployable

NAME = "salvo-local"
BUILT = artifact.BUILD / "template.yaml"

_HOST = "127.0.0.1"
_DEPLOY_SECONDS = 180.0
_FIRST_ANSWER = aiohttp.ClientTimeout(total=60)
"""The function's archive is unpacked and imported for it."""
_LINES_TOLD = 20


class DeployFailed(Exception):
    """The message has the lines in which sam says why."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Stack:
    """What was deployed."""

    name: str
    endpoint: str
    """Of the embedded AWS."""
    outputs: Mapping[str, str]
    resources: Mapping[str, Resource]
    """By logical name, those of nested stacks such as Storage.Table."""

    @property
    def api_host(self) -> str:
        """The name that the API goes by at the embedded AWS's address."""
        return f"{self.resources['Api'].name}.execute-api.{self.endpoint.removeprefix('http://')}"


@dataclass(frozen=True, slots=True, kw_only=True)
class StackSystem:
    """A stack, and what is around it."""

    stack: Stack
    gateway: GatewayProcess
    url: str
    """Of the API, the receipts and the phones' inbox."""

    async def redeploy(self, parameters: Mapping[str, str] | None = None, *, built: Path = BUILT) -> Stack:
        """Over what there is, with other code or parameters. Raises DeployFailed."""
        return await deploy(
            self.stack.endpoint,
            {**_parameters(self.url), **(parameters or {})},
            self.gateway.environment(),
            built=built,
        )


@contextlib.asynccontextmanager
async def start_stack(*, port: int, latency: float, fail: float, api_key: str) -> AsyncIterator[StackSystem]:
    """The deployed stack with gateway and phones, until the block is left.

    Raises OSError where the port is taken, DeployFailed, EmbeddedAwsFailed and EnvironmentUnavailable.
    """
    port = bindable(port)
    interpreter = await asyncio.to_thread(stack_python)
    # With AUTH on, each function may do what its role says, and we who have these keys may do everything.
    settings = {"AUTH": "true", "AWS_ACCESS_KEY_ID": "local", "AWS_SECRET_ACCESS_KEY": "local"}
    accounts = new_accounts()
    async with (
        EmbeddedAws.start(python=interpreter, settings=settings) as aws,
        GatewayProcess.start(accounts, latency=latency, fail=fail) as gateway,
    ):
        stack = await deploy(aws.endpoint, _parameters(f"http://{_HOST}:{port}"), gateway.environment())
        await _fill_secrets(stack, api_key=api_key, accounts=accounts)
        await consoles.fill_in(gateway, accounts, f"http://{_HOST}:{port}")
        around = [proxied("/inbox.json", gateway.url), forwarded(aws.endpoint, host=stack.api_host)]
        async with serve({}, port=port, mounted=around) as url:
            await _warm(url)
            yield StackSystem(stack=stack, gateway=gateway, url=url)


async def deploy(
    endpoint: str,
    parameters: Mapping[str, str],
    variables: Mapping[str, str],
    *,
    built: Path = BUILT,
    name: str = NAME,
) -> Stack:
    """Deploys what is built, over what there is by that name. Raises DeployFailed and EnvironmentUnavailable.

    `variables` of the functions' environment are those that lead them to this machine.
    """
    with tempfile.TemporaryDirectory(prefix="salvo-deploy-") as folder:
        template = write_deployable(built, Path(folder), variables)
        await _sam_deploy(endpoint, template, parameters, name)
    resources = await resources_of(endpoint, name)
    await close_gaps(endpoint, resources)
    async with aws_client("cloudformation", endpoint) as cloudformation:
        [described] = (await cloudformation.describe_stacks(StackName=name))["Stacks"]
    outputs = {output["OutputKey"]: output["OutputValue"] for output in described["Outputs"]}
    return Stack(name=name, endpoint=endpoint, outputs=outputs, resources=resources)


async def _sam_deploy(endpoint: str, template: Path, parameters: Mapping[str, str], name: str) -> None:
    interpreter = await asyncio.to_thread(sam.tool, "python")
    folder = template.parent
    said = folder / "sam.log"
    arguments = ["--stack-name", name, "--template-file", str(template), "--resolve-s3", "--no-confirm-changeset"]
    arguments += ["--no-fail-on-empty-changeset", "--capabilities", "CAPABILITY_IAM", "CAPABILITY_AUTO_EXPAND"]
    arguments += ["--parameter-overrides", *(f"{key}={value}" for key, value in parameters.items())]
    with said.open("wb") as log:
        child = await start_module(
            "samcli",
            "deploy",
            *arguments,
            env=_sam_environment(endpoint, folder),
            python=str(interpreter),
            cwd=folder,
            stdout=log,
            stderr=log,
        )
    try:
        async with asyncio.timeout(_DEPLOY_SECONDS):
            code = await child.process.wait()
    except TimeoutError:
        raise DeployFailed(f"sam deploy took longer than {_DEPLOY_SECONDS:.0f} s") from None
    finally:
        await child.kill()
    if code != 0:
        raise DeployFailed(f"sam deploy failed: {_why(said.read_text(encoding='utf-8', errors='replace'))}")


def _why(said: str) -> str:
    """From the first resource that failed on, else the last line."""
    lines = [line.rstrip() for line in said.splitlines() if line.strip()]
    first = next((number for number, line in enumerate(lines) if "_FAILED " in line), -1)
    return "\n".join(lines[first:][:_LINES_TOLD])


def _sam_environment(endpoint: str, folder: Path) -> dict[str, str]:
    return {
        "PATH": "/usr/local/bin:/usr/bin:/bin",
        "HOME": str(folder),
        "TMPDIR": str(folder),
        "LANG": "C.UTF-8",
        **aws_environment(endpoint),
        "SAM_CLI_TELEMETRY": "0",
        "SAM_CLI_POLL_DELAY": "0.2",
    }


def _parameters(url: str) -> dict[str, str]:
    # The template asks for https; the simulated vendors know that nothing on this machine has a certificate.
    return {"ReceiptsUrl": url.replace("http://", "https://", 1)}


async def _fill_secrets(stack: Stack, *, api_key: str, accounts: Accounts) -> None:
    """What is the owner's to do: to say who may call, and what the providers know us by."""
    callers = {hashlib.sha256(api_key.encode()).hexdigest(): {"name": "local"}}
    async with aws_client("secretsmanager", stack.endpoint) as client:
        name = stack.outputs["CallersSecretName"]
        await client.put_secret_value(SecretId=name, SecretString=json.dumps(callers))
        for provider, held in for_the_functions(accounts).items():
            await client.create_secret(Name=f"{stack.name}-provider-{provider}", SecretString=json.dumps(held))


async def _warm(url: str) -> None:
    """Has the API's function started before the first caller comes. Raises DeployFailed where it does not answer."""
    async with aiohttp.ClientSession(timeout=_FIRST_ANSWER) as http, http.get(f"{url}/v1/health") as answer:
        if not answer.ok:
            raise DeployFailed(f"the deployed API does not answer: {answer.status} {await answer.text()}")
