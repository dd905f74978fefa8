"""A deployed stack, with all that its nested stacks hold, as CloudFormation tells it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from typing import Any

from botocore.exceptions import ClientError

from infra.aws import Aws

NAME = "salvo"
"""The stack's name where no other is given, as in samconfig.toml."""
ALIAS = "live"
"""Of each function: events invoke the version that it points at."""
FUNCTIONS = {
    "api": "ApiFunction",
    "sender": "SenderFunction",
    "bulk-sender": "BulkSenderFunction",
    "receipts": "ReceiptsFunction",
}
"""Short names, for the command line and for a line's head, and the template's."""

_NESTED = "AWS::CloudFormation::Stack"


class NotDeployed(Exception):
    """There is no such stack, or not this part of it. The message says what to do about it."""


@dataclass(frozen=True, slots=True)
class Resource:
    kind: str
    """Such as AWS::SQS::Queue."""
    id: str
    """What AWS calls it: a name, a URL or an ARN, by its kind."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Deployed:
    name: str
    status: str
    parameters: Mapping[str, str]
    outputs: Mapping[str, str]
    resources: Mapping[str, Resource]
    """By the name in the template, those of the nested stacks among them."""

    def id_of(self, name: str) -> str:
        """Raises NotDeployed."""
        if name not in self.resources:
            raise self._lacks(name)
        return self.resources[name].id

    def output(self, name: str) -> str:
        """Raises NotDeployed."""
        if name not in self.outputs:
            raise self._lacks(f"output {name}")
        return self.outputs[name]

    def parameter(self, name: str) -> str:
        """Raises NotDeployed."""
        if name not in self.parameters:
            raise self._lacks(f"parameter {name}")
        return self.parameters[name]

    def _lacks(self, what: str) -> NotDeployed:
        """It is of another version, or half deployed: where a deployment is of no use, ./salvo deploy says so."""
        return NotDeployed(
            f"stack {self.name} ({self.status}) has no {what}: `./salvo deploy` renews it, or says what is in the way"
        )


async def find(aws: Aws, name: str) -> Deployed:
    """Raises NotDeployed, and AWS's errors."""
    async with aws.client("cloudformation") as cloudformation:
        try:
            (stack,) = (await cloudformation.describe_stacks(StackName=name))["Stacks"]
        except ClientError as error:
            if "does not exist" not in error.response["Error"].get("Message", ""):
                raise
            raise NotDeployed(f"there is no stack {name} in {aws.region}: `./salvo deploy` makes it") from None
        return Deployed(
            name=name,
            status=stack["StackStatus"],
            parameters={each["ParameterKey"]: each["ParameterValue"] for each in stack.get("Parameters", ())},
            outputs={each["OutputKey"]: each["OutputValue"] for each in stack.get("Outputs", ())},
            resources={key: resource async for key, resource in _resources(cloudformation, name)},
        )


async def _resources(cloudformation: Any, stack: str) -> AsyncIterator[tuple[str, Resource]]:
    nested = []
    async for page in cloudformation.get_paginator("list_stack_resources").paginate(StackName=stack):
        for each in page["StackResourceSummaries"]:
            resource = Resource(each["ResourceType"], each.get("PhysicalResourceId", ""))
            if resource.kind == _NESTED and resource.id:
                nested.append(resource.id)
            yield each["LogicalResourceId"], resource
    for child in nested:
        async for found in _resources(cloudformation, child):
            yield found
