"""template.yaml as AWS's own transform makes CloudFormation of it: what events invoke, when a version is published."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Mapping
from typing import Any

import pytest

from infra import sam
from infra.environments import ROOT, EnvironmentUnavailable
from infra.template import functions, read

MAIN = read()
FUNCTIONS = [function.name for function in functions(MAIN)]
OF_VERSIONS = {"LogLevel", "Tracing", "SnapStart", "SendByAws", "Authorizer", "ReceiptsUrl", "KmsKeyArn"}
"""Parameters that are in functions' configurations, and so need a new version when they change."""
LONGEST_KEY = "arn:aws-us-gov:kms:us-gov-west-1:123456789012:key/mrk-1234abcd12ab34cd56ef1234567890ab"

_TRANSFORM = """
import json, sys
from samtranslator.translator.transform import transform

class NoManagedPolicies:
    def load(self):
        return {}

json.dump(transform(json.load(sys.stdin), {}, NoManagedPolicies()), sys.stdout)
"""

each_function = pytest.mark.parametrize("function", FUNCTIONS)

Resources = dict[str, dict[str, Any]]


@pytest.fixture(scope="module")
def resources() -> Resources:
    return transformed(MAIN)


def transformed(template: Mapping[str, Any]) -> Resources:
    """What AWS makes of the template once sam deploy has uploaded code and nested templates."""
    uploaded = json.loads(json.dumps(template))
    uploaded["Globals"]["Function"]["CodeUri"] = "s3://bucket/code"
    for resource in uploaded["Resources"].values():
        if resource["Type"] == "AWS::Serverless::Application":
            resource["Properties"]["Location"] = "https://bucket.s3.amazonaws.com/nested"
    try:
        python = sam.tool("python")
    except EnvironmentUnavailable as missing:
        pytest.skip(str(missing).partition("\n")[0])
    finished = subprocess.run(
        [python, "-c", _TRANSFORM],
        input=json.dumps(uploaded),
        env=sam.environment(),
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    found: Resources = json.loads(finished.stdout)["Resources"]
    return found


def test_every_event_invokes_the_alias(resources: Resources) -> None:
    invoked = [
        resource["Properties"]["FunctionName"]
        for resource in resources.values()
        if resource["Type"] in {"AWS::Lambda::Permission", "AWS::Lambda::EventSourceMapping"}
    ]
    integrations = [
        method["x-amazon-apigateway-integration"]["uri"]["Fn::Sub"].partition("/functions/")[2]
        for path in resources["Api"]["Properties"]["Body"]["paths"].values()
        for method in path.values()
    ]

    assert {json.dumps(name) for name in invoked} == {f'{{"Ref": "{name}Aliaslive"}}' for name in FUNCTIONS}
    assert set(integrations) == {
        "${ApiFunctionAliaslive}/invocations",
        "${ReceiptsFunctionAliaslive}/invocations",
    }


@each_function
def test_the_alias_is_live_and_points_to_the_version_that_was_published_last(
    resources: Resources, function: str
) -> None:
    alias = resources[f"{function}Aliaslive"]["Properties"]

    version, attribute = alias["FunctionVersion"]["Fn::GetAtt"]
    assert (alias["Name"], attribute) == ("live", "Version")
    assert resources[version]["Type"] == "AWS::Lambda::Version"


@each_function
def test_a_version_stays_when_another_takes_its_place(resources: Resources, function: str) -> None:
    version = resources[_version_of(resources, function)]

    assert (version["DeletionPolicy"], version["UpdateReplacePolicy"]) == ("Retain", "Retain")


@each_function
def test_a_changed_property_publishes_a_version(resources: Resources, function: str) -> None:
    changed = json.loads(json.dumps(MAIN))
    changed["Resources"][function]["Properties"]["Timeout"] = 11

    assert _version_of(transformed(changed), function) != _version_of(resources, function)


@each_function
def test_a_changed_parameter_publishes_a_version(resources: Resources, function: str) -> None:
    # SAM's version does not change with it; its description does, and then CloudFormation replaces it. Lambda publishes
    # where the function itself has changed, which its own description sees to.
    version = resources[_version_of(resources, function)]["Properties"]["Description"]
    used = _parameters_in({**MAIN["Globals"]["Function"], **MAIN["Resources"][function]["Properties"]})

    assert _parameters_in(version) == OF_VERSIONS
    assert resources[function]["Properties"]["Description"] == version
    # Reserved concurrency is the function's and no version's. A version with nothing new would fail the deployment.
    assert used - OF_VERSIONS <= {
        *("ApiConcurrency", "SenderReservedConcurrency", "SenderConcurrency", "BulkConcurrency"),
    }


def test_the_longest_parameters_fit_into_a_description() -> None:
    parameters = MAIN["Parameters"]
    longest = {"KmsKeyArn": len(LONGEST_KEY)} | {
        name: parameters[name].get("MaxLength") or max(map(len, parameters[name]["AllowedValues"]))
        for name in OF_VERSIONS - {"KmsKeyArn"}
    }

    assert sum(longest.values()) + len(" ") * (len(longest) - 1) <= 256  # Lambda's limit


def _version_of(resources: Resources, function: str) -> str:
    """Its logical name: with another one, CloudFormation publishes a version."""
    return str(resources[f"{function}Aliaslive"]["Properties"]["FunctionVersion"]["Fn::GetAtt"][0])


def _parameters_in(part: Any) -> set[str]:
    text = json.dumps(part)
    return {name for name in MAIN["Parameters"] if f'{{"Ref": "{name}"}}' in text or f"${{{name}}}" in text}
