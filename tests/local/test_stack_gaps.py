from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from infra.local.stack_gaps import write_deployable

PARENT = """
Resources:
  Function:
    Type: AWS::Serverless::Function
    Properties: {CodeUri: Function}
  Below:
    Type: AWS::Serverless::Application
    Properties: {Location: below/template.yaml}
"""
ALARMS = """
Resources:
  OfOne:
    Type: AWS::CloudWatch::Alarm
    Properties: {MetricName: Errors, Threshold: 1}
  OfTwo:
    Type: AWS::CloudWatch::Alarm
    Properties:
      AlarmDescription: the share of errors
      ThresholdMetricId: share
      Metrics:
        - {Id: share, Expression: errors / calls}
        - Id: errors
          MetricStat:
            Metric: {Namespace: AWS/Lambda, MetricName: Errors, Dimensions: [{Name: FunctionName, Value: !Ref Api}]}
            Period: 60
            Stat: Sum
"""
SECRETS = """
Resources:
  Secret:
    Type: AWS::SecretsManager::Secret
  Table:
    Type: AWS::DynamoDB::Table
    Properties: {TableName: !Ref Name}
Outputs:
  Secret: {Value: !Ref Secret}
  Both: {Value: !Join [",", [!Ref Secret, !Ref Table]]}
"""
ROLES = """
Resources:
  Writer:
    Type: AWS::IAM::Role
    Properties:
      Policies:
        - PolicyDocument:
            Statement:
              - {Effect: Allow, Action: ["dynamodb:PutItem", "dynamodb:PartiQLInsert"], Resource: table}
              - !If [Traced, {Effect: Allow, Action: ["xray:PutTraceSegments"], Resource: "*"}, !Ref "AWS::NoValue"]
  Reader:
    Type: AWS::IAM::Role
    Properties:
      Policies: [{PolicyDocument: {Statement: [{Effect: Allow, Action: ["dynamodb:GetItem"], Resource: table}]}}]
"""


@pytest.fixture
def out(tmp_path: Path) -> Path:
    folder = tmp_path / "out"
    folder.mkdir()
    return folder


def deployable(tmp_path: Path, out: Path, text: str) -> dict[str, Any]:
    template = tmp_path / "template.yaml"
    template.write_text(text)
    found: dict[str, Any] = json.loads(write_deployable(template, out).read_text())
    return found


def test_the_code_stays_where_it_was_built_and_nested_templates_come_along(tmp_path: Path, out: Path) -> None:
    (tmp_path / "below").mkdir()
    (tmp_path / "below" / "template.yaml").write_text(SECRETS)

    resources = deployable(tmp_path, out, PARENT)["Resources"]

    assert resources["Function"]["Properties"]["CodeUri"] == str(tmp_path / "Function")
    location = Path(resources["Below"]["Properties"]["Location"])
    assert location.is_relative_to(out)
    assert "Secret" in json.loads(location.read_text())["Resources"]


def test_an_alarm_on_several_metrics_becomes_one_on_the_first(tmp_path: Path, out: Path) -> None:
    resources = deployable(tmp_path, out, ALARMS)["Resources"]

    assert resources["OfOne"]["Properties"] == {"MetricName": "Errors", "Threshold": 1}
    assert resources["OfTwo"]["Properties"] == {
        "AlarmDescription": "the share of errors",
        "Threshold": 0,
        "Namespace": "AWS/Lambda",
        "MetricName": "Errors",
        "Dimensions": [{"Name": "FunctionName", "Value": {"Ref": "Api"}}],
        "Period": 60,
        "Statistic": "Sum",
    }


def test_a_reference_to_a_secret_is_its_arn(tmp_path: Path, out: Path) -> None:
    template = deployable(tmp_path, out, SECRETS)

    arn = {"Fn::GetAtt": ["Secret", "Id"]}
    assert template["Outputs"]["Secret"]["Value"] == arn
    assert template["Outputs"]["Both"]["Value"] == {"Fn::Join": [",", [arn, {"Ref": "Table"}]]}
    assert template["Resources"]["Table"]["Properties"] == {"TableName": {"Ref": "Name"}}


def test_only_who_may_run_a_statement_may_run_statements(tmp_path: Path, out: Path) -> None:
    resources = deployable(tmp_path, out, ROLES)["Resources"]

    allowed = {
        role: "dynamodb:BatchExecuteStatement" in json.dumps(resources[role]["Properties"])
        for role in ("Writer", "Reader")
    }
    assert allowed == {"Writer": True, "Reader": False}
