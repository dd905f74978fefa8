"""The on-call's dashboard, and the topic that alarms are told to, as a simulated CloudFormation makes them."""

from __future__ import annotations

import itertools
import json
import re
from collections.abc import Iterator
from typing import Any

import pytest
from botocore.session import get_session
from moto import mock_aws

from functions.telemetry import METRICS, NAMESPACE
from infra.environments import ROOT
from infra.template import read

MONITORING = read(ROOT / "infra" / "monitoring.yaml")
ALARMS = [name for name, each in MONITORING["Resources"].items() if each["Type"] == "AWS::CloudWatch::Alarm"]
COLUMNS = 24
QUESTIONS = [
    "Do codes go out?",
    "Do people get in?",
    "Is anything stuck?",
    "Is the API well?",
    "Is somebody draining us?",
    "What does the guard do?",
]
KNOWN = {
    NAMESPACE: METRICS,
    "AWS/SQS": {
        "ApproximateAgeOfOldestMessage",
        "ApproximateNumberOfMessagesNotVisible",
        "ApproximateNumberOfMessagesVisible",
    },
    "AWS/ApiGateway": {"Count", "4xx", "5xx", "Latency"},
    "AWS/Lambda": {"ConcurrentExecutions", "Duration", "Errors", "Throttles"},
    "AWS/DynamoDB": {
        "ConsumedReadCapacityUnits",
        "ConsumedWriteCapacityUnits",
        "ReadThrottleEvents",
        "WriteThrottleEvents",
    },
}
GIVEN = {
    "Stack": "salvo",
    "ApiId": "api1",
    "ApiFunction": "salvo-api",
    "SenderFunction": "salvo-sender",
    "BulkSenderFunction": "salvo-bulk-sender",
    "ReceiptsFunction": "salvo-receipts",
    "Queue": "salvo-queue",
    "BulkQueue": "salvo-bulk-queue",
    "DeadLetterQueue": "salvo-dead-letters",
    "Table": "salvo-table",
}
DIMENSIONS = {
    NAMESPACE: {("stack", "salvo")},
    "AWS/SQS": {("QueueName", f"salvo-{queue}") for queue in ("queue", "bulk-queue", "dead-letters")},
    "AWS/ApiGateway": {("ApiId", "api1")},
    "AWS/Lambda": {("FunctionName", f"salvo-{function}") for function in ("api", "sender", "bulk-sender", "receipts")},
    "AWS/DynamoDB": {("TableName", "salvo-table")},
}

Widget = dict[str, Any]


@pytest.fixture(scope="module")
def dashboard() -> dict[str, Any]:
    """As it comes out of the template."""
    with mock_aws():
        deploy(GIVEN)
        cloudwatch = _client("cloudwatch")
        (made,) = cloudwatch.list_dashboards()["DashboardEntries"]
        assert made["DashboardName"] == "salvo-us-east-1"
        body: dict[str, Any] = json.loads(
            cloudwatch.get_dashboard(DashboardName=made["DashboardName"])["DashboardBody"]
        )
    return body


@pytest.fixture(scope="module")
def widgets(dashboard: dict[str, Any]) -> list[Widget]:
    found: list[Widget] = dashboard["widgets"]
    return found


def deploy(parameters: dict[str, str]) -> dict[str, str]:
    """The stack's outputs. moto knows no alarms: something else stands in for them whose !Ref is its name."""
    template = json.loads(json.dumps(MONITORING))
    for name in ALARMS:
        template["Resources"][name] = {"Type": "AWS::Logs::LogGroup", "Properties": {"LogGroupName": name}}
    cloudformation = _client("cloudformation")
    given = [{"ParameterKey": name, "ParameterValue": value} for name, value in parameters.items()]
    cloudformation.create_stack(StackName="salvo", TemplateBody=json.dumps(template), Parameters=given)
    (stack,) = cloudformation.describe_stacks(StackName="salvo")["Stacks"]
    assert stack["StackStatus"] == "CREATE_COMPLETE"
    return {output["OutputKey"]: output["OutputValue"] for output in stack["Outputs"]}


def test_each_row_asks_a_question_of_the_on_call(widgets: list[Widget]) -> None:
    headers = [widget for widget in widgets if widget["type"] == "text"]

    assert [header["properties"]["markdown"] for header in headers] == [
        f"## {number}. {question}" for number, question in enumerate(QUESTIONS, 1)
    ]
    assert {(header["x"], header["width"], header["height"]) for header in headers} == {(0, COLUMNS, 1)}


def test_all_alarms_stand_on_top(widgets: list[Widget]) -> None:
    top = min(widgets, key=lambda widget: int(widget["y"]))

    assert top["type"] == "alarm"
    prefix = "arn:aws:cloudwatch:us-east-1:123456789012:alarm:"
    assert top["properties"]["alarms"] == [prefix + name for name in ALARMS]


def test_no_widget_covers_another_and_none_leaves_a_hole(widgets: list[Widget]) -> None:
    taken = [cell for widget in widgets for cell in _cells(widget)]

    assert len(taken) == len(set(taken))
    assert len(taken) == COLUMNS * (1 + max(y for _, y in taken))
    assert {x for x, _ in taken} == set(range(COLUMNS))


def test_every_metric_that_is_shown_there_is(widgets: list[Widget]) -> None:
    shown = list(_metrics(widgets))

    assert len(shown) > 40
    assert [metric for metric in shown if metric[1] not in KNOWN[metric[0]]] == []
    assert [metric for metric in shown if tuple(metric[2:4]) not in DIMENSIONS[metric[0]]] == []


def test_every_metric_of_ours_is_shown(widgets: list[Widget]) -> None:
    assert {metric[1] for metric in _metrics(widgets) if metric[0] == NAMESPACE} == METRICS


def test_what_has_no_list_of_names_is_found_by_its_metrics(widgets: list[Widget]) -> None:
    """Providers, rules, services, countries."""
    found = [
        match.groups()
        for text in _expressions(widgets)
        if (
            match := re.fullmatch(
                r"""SEARCH\('\{Salvo,stack,(\w+)\} MetricName="(\w+)" stack="salvo"', '(\w+)', \d+\)""", text
            )
        )
    ]

    assert found == [
        *(("provider", name, "Sum") for name in ("Sent", "SendFailed", "SendUnknown")),
        *(("rule", name, "Sum") for name in ("Denied", "Challenged")),
        ("service", "BudgetPercent", "Maximum"),
        *(("region", name, "Sum") for name in ("Sent", "Approved")),
    ]


def test_every_graph_has_a_title_and_its_region(widgets: list[Widget]) -> None:
    graphs = [widget["properties"] for widget in widgets if widget["type"] == "metric"]

    assert {graph["region"] for graph in graphs} == {"us-east-1"}
    assert [graph for graph in graphs if not graph["title"]] == []


def test_graphs_keep_the_periods_that_their_titles_speak_of(dashboard: dict[str, Any]) -> None:
    assert dashboard["periodOverride"] == "inherit"


def test_alarms_are_told_by_email_where_an_address_is_given() -> None:
    subscription = MONITORING["Resources"]["AlarmsByEmail"]

    assert subscription["Condition"] == "HasEmail"
    assert subscription["Properties"] == {
        "TopicArn": {"Ref": "Alarms"},
        "Protocol": "email",
        "Endpoint": {"Ref": "AlarmEmail"},
    }


def test_the_topic_is_encrypted_with_a_key_of_ones_own_or_not_at_all() -> None:
    key = "arn:aws:kms:us-east-1:123456789012:key/1234"
    with mock_aws():
        outputs = deploy({**GIVEN, "KmsKeyArn": key})
        answer = _client("sns").get_topic_attributes(TopicArn=outputs["AlarmTopicArn"])

    assert answer["Attributes"]["KmsMasterKeyId"] == key


def _client(service: str) -> Any:
    return get_session().create_client(service, region_name="us-east-1")


def _cells(widget: Widget) -> Iterator[tuple[int, int]]:
    columns = range(widget["x"], widget["x"] + widget["width"])
    yield from itertools.product(columns, range(widget["y"], widget["y"] + widget["height"]))


def _entries(widgets: list[Widget]) -> Iterator[list[Any]]:
    for widget in widgets:
        if widget["type"] == "metric":
            yield from widget["properties"]["metrics"]


def _metrics(widgets: list[Widget]) -> Iterator[list[str]]:
    """Namespace, name, and the dimension's name and value."""
    for entry in _entries(widgets):
        if isinstance(entry[0], str):
            yield entry[:4]


def _expressions(widgets: list[Widget]) -> Iterator[str]:
    for entry in _entries(widgets):
        if isinstance(entry[0], dict):
            yield entry[0]["expression"]
