"""A deployed stack as a campaign's target."""

from __future__ import annotations

import asyncio

from infra.aws import AWS_ERRORS, Aws, AwsUnavailable, explain
from infra.deployed import Deployed, NotDeployed, find
from infra.send.problems import Unusable
from infra.send.target import Target


def target_of(name: str, region: str | None) -> Target:
    """Raises Unusable."""
    try:
        return as_target(asyncio.run(find(Aws.of_the_shell(region), name)))  # noqa: TID251 - this is no function
    except (NotDeployed, AwsUnavailable) as error:
        raise Unusable(str(error)) from None
    except AWS_ERRORS as error:
        raise Unusable(explain(error)) from None


def as_target(stack: Deployed) -> Target:
    """Raises Unusable and NotDeployed."""
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
