"""Whose API a campaign goes through: a deployed stack's, or the local system's."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

from infra.aws import Aws
from infra.deployed import Deployed, find
from infra.local.ready import LOCAL_KEY
from infra.send.problems import Unusable

_CONCURRENCY = 5
"""Bulk senders at once, where no stack says otherwise: the template's default."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    url: str
    key: str | None
    """None where it has to be asked for."""
    concurrency: int
    """Of the bulk sender."""


def local(port: int) -> Target:
    return Target(url=f"http://127.0.0.1:{port}", key=LOCAL_KEY, concurrency=_CONCURRENCY)


def of_stack(name: str, region: str | None) -> Target:
    """Raises Unusable, NotDeployed, AwsUnavailable and AWS's errors."""
    stack = asyncio.run(find(Aws.of_the_shell(region), name))  # noqa: TID251 - this is no function
    return _of(stack)


def _of(stack: Deployed) -> Target:
    if stack.parameters.get("Authorizer") == "iam":
        raise Unusable(
            f"stack {stack.name} lets in by IAM, and this command has a key or a token to show: "
            "send from your own code, with a signature for each request"
        )
    return Target(
        url=stack.output("ApiUrl").rstrip("/"),
        key=None,
        concurrency=int(stack.parameter("BulkConcurrency")),
    )
