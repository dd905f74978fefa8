"""What the embedded AWS's CloudFormation leaves out of our templates, made up for from the templates themselves.

Before a deployment:
- an alarm on several metrics becomes one on the first of them: metric math is refused
- a secret's !Ref becomes its ARN, which it is on AWS, and which roles name
- who may run one kind of PartiQL statement may run all: their permissions are not known

After it:
- the API gets the routes of its OpenAPI document, and tables their time to live: both are passed over
- a queue's mapping gets its concurrency as a number: a parameter's is a text, on which the poller fails
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from infra.local.embedded_aws import aws_client
from infra.template import read

_NESTED = "AWS::CloudFormation::Stack"
_INVOKED = re.compile(r"/functions/\$\{(\w+)(?:\.Arn)?\}/invocations")
"""The end of an integration's address: the logical name of a function, or of its alias."""
_ANY_METHOD = "x-amazon-apigateway-any-method"
_INTEGRATION = "x-amazon-apigateway-integration"


@dataclass(frozen=True, slots=True)
class Resource:
    """As the template has it, and the name that it goes by in AWS."""

    kind: str
    name: str
    properties: Mapping[str, Any]


def write_deployable(template: Path, folder: Path, variables: Mapping[str, str] | None = None) -> Path:
    """Writes the built template and those nested in it into the folder, as far as this CloudFormation understands them.

    The code stays where it was built. `variables` are of the functions' environment: such as the template names, and
    leaves without a value on AWS.
    """
    document = _with_arns_of_secrets(read(template))
    if variables:
        document["Globals"]["Function"]["Environment"]["Variables"] |= variables
    for name, resource in document["Resources"].items():
        _adapt(resource["Type"], resource.get("Properties", {}), template.parent, folder / name)
    written = folder / "template.json"
    written.write_text(json.dumps(document), encoding="utf-8")
    return written


def _adapt(kind: str, properties: dict[str, Any], built: Path, folder: Path) -> None:
    match kind:
        case "AWS::Serverless::Function":
            properties["CodeUri"] = str(built / properties["CodeUri"])
        case "AWS::Serverless::Application":
            folder.mkdir()
            properties["Location"] = str(write_deployable(built / properties["Location"], folder))
        case "AWS::CloudWatch::Alarm":
            _put_on_the_first_metric(properties)
        case "AWS::IAM::Role":
            for policy in properties.get("Policies", []):
                _allow_statements(policy["PolicyDocument"]["Statement"])


def _with_arns_of_secrets(document: dict[str, Any]) -> Any:
    secrets = {name for name, found in document["Resources"].items() if found["Type"] == "AWS::SecretsManager::Secret"}

    def rewritten(value: Any) -> Any:
        if isinstance(value, list):
            return [rewritten(below) for below in value]
        if not isinstance(value, dict):
            return value
        if value.keys() == {"Ref"} and value["Ref"] in secrets:
            return {"Fn::GetAtt": [value["Ref"], "Id"]}
        return {key: rewritten(below) for key, below in value.items()}

    return rewritten(document)


def _allow_statements(policy: list[dict[str, Any]]) -> None:
    actions = [action for statement in policy for action in statement.get("Action", [])]
    if any(action.startswith("dynamodb:PartiQL") for action in actions):
        policy.append({"Effect": "Allow", "Action": ["dynamodb:BatchExecuteStatement"], "Resource": "*"})


def _put_on_the_first_metric(alarm: dict[str, Any]) -> None:
    alarm.pop("ThresholdMetricId", None)
    metrics = alarm.pop("Metrics", [])
    if of := next((metric["MetricStat"] for metric in metrics if "MetricStat" in metric), None):
        alarm |= {
            "Threshold": alarm.get("Threshold", 0),
            **of["Metric"],
            "Period": of["Period"],
            "Statistic": of["Stat"],
        }


async def resources_of(endpoint: str, stack: str) -> dict[str, Resource]:
    """Those of nested stacks too, such as Storage.Table."""
    async with aws_client("cloudformation", endpoint) as cloudformation:
        return await _resources(cloudformation, stack, "")


async def _resources(cloudformation: Any, stack: str, prefix: str) -> dict[str, Resource]:
    described = (await cloudformation.describe_stack_resources(StackName=stack))["StackResources"]
    names = {resource["LogicalResourceId"]: resource["PhysicalResourceId"] for resource in described}
    answer = await cloudformation.get_template(StackName=stack, TemplateStage="Processed")
    body = answer["TemplateBody"]  # JSON comes parsed, YAML as it is
    template = yaml.safe_load(body) if isinstance(body, str) else body
    found: dict[str, Resource] = {}
    for logical, resource in template["Resources"].items():
        if logical not in names:
            continue  # its condition is false
        found[prefix + logical] = Resource(resource["Type"], names[logical], resource.get("Properties", {}))
        if resource["Type"] == _NESTED:
            found |= await _resources(cloudformation, names[logical], f"{prefix}{logical}.")
    return found


async def close_gaps(endpoint: str, resources: Mapping[str, Resource]) -> None:
    """Can be done again after each deployment."""
    for path, resource in resources.items():
        match resource.kind:
            case "AWS::ApiGatewayV2::Api":
                await _route(endpoint, resource, dict(_routes(path, resource, resources)))
            case "AWS::DynamoDB::Table":
                await _set_time_to_live(endpoint, resource)
            case "AWS::Lambda::EventSourceMapping":
                await _set_concurrency(endpoint, resource)


async def _set_time_to_live(endpoint: str, table: Resource) -> None:
    if specified := table.properties.get("TimeToLiveSpecification"):
        async with aws_client("dynamodb", endpoint) as dynamodb:
            await dynamodb.update_time_to_live(TableName=table.name, TimeToLiveSpecification=specified)


async def _set_concurrency(endpoint: str, mapping: Resource) -> None:
    async with aws_client("lambda", endpoint) as functions:
        found = await functions.get_event_source_mapping(UUID=mapping.name)
        if most := found.get("ScalingConfig", {}).get("MaximumConcurrency"):
            await functions.update_event_source_mapping(
                UUID=mapping.name, ScalingConfig={"MaximumConcurrency": int(most)}
            )


def _routes(path: str, api: Resource, resources: Mapping[str, Resource]) -> Iterator[tuple[str, str]]:
    """Each route's key, such as GET /v1/health, and where it goes: a function's name, or its alias's ARN."""
    stack = path.rpartition(".")[0]
    for address, methods in api.properties["Body"]["paths"].items():
        for method, operation in methods.items():
            if _INTEGRATION not in operation:
                continue
            invoked = _INVOKED.search(operation[_INTEGRATION]["uri"]["Fn::Sub"])
            if invoked is None:
                raise ValueError(f"{method} {address} goes to no function of the template")
            verb = "ANY" if method == _ANY_METHOD else method.upper()
            key = address if address == "$default" else f"{verb} {address}"
            yield key, resources[f"{stack}.{invoked[1]}" if stack else invoked[1]].name


async def _route(endpoint: str, api: Resource, wanted: Mapping[str, str]) -> None:
    async with aws_client("apigatewayv2", endpoint) as gateway:
        for route in (await gateway.get_routes(ApiId=api.name))["Items"]:
            await gateway.delete_route(ApiId=api.name, RouteId=route["RouteId"])
        for key, function in wanted.items():
            integration = await gateway.create_integration(
                ApiId=api.name, IntegrationType="AWS_PROXY", IntegrationUri=function, PayloadFormatVersion="2.0"
            )
            await gateway.create_route(
                ApiId=api.name, RouteKey=key, Target=f"integrations/{integration['IntegrationId']}"
            )
