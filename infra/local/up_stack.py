"""./salvo up --stack: what ./salvo build made, deployed on this machine by the real template, until Ctrl-C or TERM."""

from __future__ import annotations

import argparse
import asyncio
import signal
import subprocess
import sys

from infra import artifact
from infra.environments import ROOT, say
from infra.local.embedded_aws import EmbeddedAwsFailed
from infra.local.ports import bindable
from infra.local.ready import LOCAL_KEY, announce
from infra.local.stack import BUILT, DeployFailed, StackSystem, start_stack
from infra.template import TEMPLATE, functions, nested, read


def main(arguments: argparse.Namespace) -> int:
    if arguments.services:
        say("--services does not go with --stack: the functions that were built have functions/services.toml in them")
        return 1
    try:
        arguments.port = bindable(arguments.port)
    except OSError as error:
        say(f"could not start on port {arguments.port}: {error.strerror or error}")
        return 1
    if not is_built() and not _build():
        return 1
    try:
        return asyncio.run(_serve(arguments))  # noqa: TID251 - this is no function
    except (DeployFailed, EmbeddedAwsFailed) as error:
        say(str(error))
        return 1


def is_built() -> bool:
    """Whether what is built is what stands in the checkout, code and templates."""
    template = read()
    folders = [artifact.BUILD / function.name for function in functions(template)]
    if not BUILT.exists() or any(not folder.is_dir() or artifact.differences(folder) for folder in folders):
        return False
    built_at = BUILT.stat().st_mtime
    return all(path.stat().st_mtime <= built_at for path in (TEMPLATE, *nested(template)))


def _build() -> bool:
    """./salvo build, which says itself what failed. Standard output is kept for our own line."""
    command = [sys.executable, "-m", "infra.command", "build"]
    return subprocess.run(command, cwd=ROOT, stdin=subprocess.DEVNULL, stdout=sys.stderr, check=False).returncode == 0  # noqa: S603


async def _serve(arguments: argparse.Namespace) -> int:
    """A signal ends it wherever it is, in the middle of the deployment too; what was started is stopped on the way."""
    serving = asyncio.create_task(_run(arguments))
    for number in (signal.SIGINT, signal.SIGTERM):
        # Once only: a second one would break off the stopping.
        asyncio.get_running_loop().add_signal_handler(number, lambda: serving.cancelling() or serving.cancel())
    try:
        await serving
    except asyncio.CancelledError:
        say("stopped")
    return 0


async def _run(arguments: argparse.Namespace) -> None:
    say("deploying template.yaml on this machine (about 10 s)")
    async with start_stack(
        port=arguments.port, latency=arguments.latency, fail=arguments.fail, api_key=LOCAL_KEY
    ) as system:
        _announce(system)
        await asyncio.Event().wait()


def _announce(system: StackSystem) -> None:
    stack = system.stack
    announce(
        url=system.url,
        simulator=system.gateway.url,
        aws_endpoint=stack.endpoint,
        table=stack.outputs["TableName"],
        queue_url=stack.outputs["QueueUrl"],
        bulk_queue_url=stack.outputs["BulkQueueUrl"],
        stack=stack.name,
    )
