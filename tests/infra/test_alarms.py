"""The alarms of infra/monitoring.yaml: what each says, when it goes off, and that silence never is an alarm."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

import pytest
from botocore.session import get_session
from moto import mock_aws

from functions.telemetry import METRICS, NAMESPACE
from infra.environments import ROOT
from infra.template import read
from tests.metric_math import NEVER, MetricMath

MONITORING = read(ROOT / "infra" / "monitoring.yaml")
ALARMS = {
    name: each["Properties"]
    for name, each in MONITORING["Resources"].items()
    if each["Type"] == "AWS::CloudWatch::Alarm"
}
RUNBOOKS = {
    "QueueAgeAlarm": "queue-age",
    "BulkQueueAgeAlarm": "bulk-queue-age",
    "DeadLettersAlarm": "dead-letters",
    "ErrorsAlarm": "errors",
    "FunctionErrorsAlarm": "function-errors",
    "LatencyAlarm": "latency",
    "ProviderFailuresAlarm": "provider-failures",
    "ProviderDownAlarm": "provider-down",
    "ConversionDropAlarm": "conversion-drop",
    "ThrottlesAlarm": "throttles",
    "GuardDenialsAlarm": "guard-denials",
    "BudgetAlarm": "budget",
    "ConversionClosedAlarm": "conversion-closed",
    "SprayingAlarm": "spraying",
}
AWS_METRICS = {
    "AWS/SQS": {"ApproximateAgeOfOldestMessage", "ApproximateNumberOfMessagesVisible"},
    "AWS/ApiGateway": {"5xx", "Count", "Latency"},
    "AWS/Lambda": {"Errors", "Throttles"},
}
_COMPARISONS = {
    "GreaterThanThreshold": float.__gt__,
    "GreaterThanOrEqualToThreshold": float.__ge__,
    "LessThanThreshold": float.__lt__,
}

each_alarm = pytest.mark.parametrize("alarm", ALARMS)

Values = Mapping[str, float | None]


def sends(*, sent: float | None, rejected: float | None, failed: float | None, unknown: float | None) -> Values:
    return {"sent": sent, "rejected": rejected, "failed": failed, "unknown": unknown}


def starts(*, denied: float | None, challenged: float | None, sent: float | None) -> Values:
    return {"denied": denied, "challenged": challenged, "sent": sent}


def functions(*, api: float | None, sender: float | None, receipts: float | None, bulk: float | None = NEVER) -> Values:
    return {"api": api, "sender": sender, "bulk": bulk, "receipts": receipts}


def test_there_is_an_alarm_for_each_runbook_and_a_runbook_for_each_alarm() -> None:
    operations = (ROOT / "docs" / "operations.md").read_text(encoding="utf-8")
    headings = {heading.replace(" ", "-") for heading in re.findall(r"^### Runbook: (.+)$", operations, re.MULTILINE)}

    assert set(ALARMS) == set(RUNBOOKS)
    assert set(RUNBOOKS.values()) <= headings


@each_alarm
def test_an_alarm_says_what_is_wrong_and_where_to_read_on(alarm: str) -> None:
    sentence, _, runbook = ALARMS[alarm]["AlarmDescription"].rpartition(" ")

    assert runbook == f"docs/operations.md#runbook-{RUNBOOKS[alarm]}"
    assert sentence.endswith(".")
    assert ALARMS[alarm]["AlarmName"] == {"Fn::Sub": f"${{Stack}}-{RUNBOOKS[alarm]}"}


@each_alarm
def test_an_alarm_tells_when_it_begins_and_when_it_is_over(alarm: str) -> None:
    assert ALARMS[alarm]["AlarmActions"] == ALARMS[alarm]["OKActions"] == [{"Ref": "Alarms"}]
    assert ALARMS[alarm]["TreatMissingData"] == "notBreaching"


@each_alarm
def test_an_alarm_watches_metrics_that_there_are(alarm: str) -> None:
    known = {**AWS_METRICS, NAMESPACE: METRICS}

    for metric in _metrics(ALARMS[alarm]):
        assert metric["MetricName"] in known[metric["Namespace"]]
        assert [dimension["Name"] for dimension in metric["Dimensions"]] == [_dimension_of(metric["Namespace"])]


@pytest.mark.parametrize(
    ("alarm", "value", "goes_off"),
    [
        ("QueueAgeAlarm", 60, False),
        ("QueueAgeAlarm", 61, True),
        ("BulkQueueAgeAlarm", 1800, False),
        ("BulkQueueAgeAlarm", 1801, True),
        ("DeadLettersAlarm", 0, False),
        ("DeadLettersAlarm", 1, True),
    ],
)
def test_a_queues_number_is_an_alarm_above_its_threshold(alarm: str, value: float, *, goes_off: bool) -> None:
    properties = ALARMS[alarm]

    assert properties["Statistic"] == "Maximum"
    assert _breaches(properties, value) is goes_off


@pytest.mark.parametrize(("opened", "goes_off"), [(0, False), (1, True), (3, True)])
def test_one_provider_that_is_found_to_be_down_is_an_alarm(opened: int, *, goes_off: bool) -> None:
    properties = ALARMS["ProviderDownAlarm"]

    assert (properties["MetricName"], properties["Statistic"]) == ("CircuitOpened", "Sum")
    assert _breaches(properties, opened) is goes_off


@pytest.mark.parametrize(("percent", "goes_off"), [(50, False), (79.5, False), (80, True), (100, True)])
def test_a_budget_of_which_four_fifths_are_spent_is_an_alarm(percent: float, *, goes_off: bool) -> None:
    properties = ALARMS["BudgetAlarm"]

    assert (properties["MetricName"], properties["Statistic"]) == ("BudgetPercent", "Maximum")
    assert _breaches(properties, percent) is goes_off


@pytest.mark.parametrize(
    ("alarm", "metric"), [("ConversionClosedAlarm", "ConversionClosed"), ("SprayingAlarm", "Spraying")]
)
def test_what_the_guard_notices_is_an_alarm_the_first_time(alarm: str, metric: str) -> None:
    properties = ALARMS[alarm]

    assert (properties["MetricName"], properties["Statistic"]) == (metric, "Sum")
    assert (_breaches(properties, 0), _breaches(properties, 1)) == (False, True)


@pytest.mark.parametrize("fills_the_void", [True, False])
@pytest.mark.parametrize(
    ("alarm", "values", "goes_off"),
    [
        ("ErrorsAlarm", {"errors": 3, "requests": 299}, True),
        ("ErrorsAlarm", {"errors": 3, "requests": 300}, False),
        ("ErrorsAlarm", {"errors": 2, "requests": 2}, False),
        ("ErrorsAlarm", {"errors": 3, "requests": 3}, True),
        ("LatencyAlarm", {"latency": 5001, "requests": 100}, True),
        ("LatencyAlarm", {"latency": 5000, "requests": 100}, False),
        ("LatencyAlarm", {"latency": 9000, "requests": 99}, False),
        ("FunctionErrorsAlarm", functions(api=0, sender=0, receipts=0), False),
        ("FunctionErrorsAlarm", functions(api=1, sender=0, receipts=0), True),
        ("FunctionErrorsAlarm", functions(api=NEVER, sender=1, receipts=NEVER), True),
        ("FunctionErrorsAlarm", functions(api=NEVER, sender=NEVER, receipts=NEVER, bulk=1), True),
        ("ThrottlesAlarm", functions(api=0, sender=0, receipts=0, bulk=1), True),
        ("ThrottlesAlarm", functions(api=0, sender=NEVER, receipts=NEVER), False),
        ("ThrottlesAlarm", functions(api=0, sender=0, receipts=1), True),
        ("ProviderFailuresAlarm", sends(sent=8, rejected=0, failed=2, unknown=0), False),
        ("ProviderFailuresAlarm", sends(sent=7, rejected=0, failed=2, unknown=1), True),
        ("ProviderFailuresAlarm", sends(sent=0, rejected=0, failed=9, unknown=0), False),
        ("ProviderFailuresAlarm", sends(sent=NEVER, rejected=NEVER, failed=10, unknown=NEVER), True),
        ("ProviderFailuresAlarm", sends(sent=10, rejected=10, failed=NEVER, unknown=NEVER), False),
        ("ProviderFailuresAlarm", sends(sent=10, rejected=0, failed=NEVER, unknown=5), True),
        ("ConversionDropAlarm", {"sent": 50, "approved": 14}, True),
        ("ConversionDropAlarm", {"sent": 50, "approved": 15}, False),
        ("ConversionDropAlarm", {"sent": 49, "approved": 0}, False),
        ("ConversionDropAlarm", {"sent": 50, "approved": NEVER}, True),
        ("GuardDenialsAlarm", starts(denied=15, challenged=0, sent=35), False),
        ("GuardDenialsAlarm", starts(denied=15, challenged=1, sent=34), True),
        ("GuardDenialsAlarm", starts(denied=49, challenged=0, sent=0), False),
        ("GuardDenialsAlarm", starts(denied=50, challenged=NEVER, sent=NEVER), True),
        ("GuardDenialsAlarm", starts(denied=NEVER, challenged=NEVER, sent=1000), False),
    ],
)
def test_a_share_is_an_alarm_where_there_is_enough_to_judge(
    alarm: str, values: Values, *, goes_off: bool, fills_the_void: bool
) -> None:
    assert _goes_off(ALARMS[alarm], values, fills_the_void=fills_the_void) is goes_off


@pytest.mark.parametrize("fills_the_void", [True, False])
@pytest.mark.parametrize("alarm", [alarm for alarm in ALARMS if "Metrics" in ALARMS[alarm]])
def test_silence_is_no_alarm(alarm: str, *, fills_the_void: bool) -> None:
    silence = {entry["Id"]: NEVER for entry in ALARMS[alarm]["Metrics"] if "MetricStat" in entry}

    assert _goes_off(ALARMS[alarm], silence, fills_the_void=fills_the_void) is False


@each_alarm
def test_cloudwatch_takes_the_alarm(alarm: str) -> None:
    with mock_aws():
        cloudwatch = get_session().create_client("cloudwatch", region_name="us-east-1")

        # moto's CloudFormation knows no alarms; its CloudWatch does, and botocore what CloudWatch's API looks like.
        cloudwatch.put_metric_alarm(**_resolved(ALARMS[alarm]))

        (made,) = cloudwatch.describe_alarms()["MetricAlarms"]
    assert made["AlarmName"] == f"salvo-{RUNBOOKS[alarm]}"
    assert len(made["AlarmDescription"]) <= 1024


@each_alarm
def test_metric_math_gives_one_result_of_metrics_with_one_period(alarm: str) -> None:
    entries = ALARMS[alarm].get("Metrics", [])

    results = [entry for entry in entries if entry.get("ReturnData", True)]
    periods = {entry["MetricStat"]["Period"] for entry in entries if "MetricStat" in entry}
    assert (len(results), len(periods)) == ((1, 1) if entries else (0, 0))


def _goes_off(alarm: Mapping[str, Any], values: Values, *, fills_the_void: bool) -> bool:
    known = dict(values)
    result = None
    for entry in _resolved(alarm)["Metrics"]:
        if "Expression" in entry:
            known[entry["Id"]] = MetricMath(known, fills_the_void=fills_the_void).evaluate(entry["Expression"])
        if entry.get("ReturnData", True):
            result = known[entry["Id"]]
    return result is not None and _breaches(alarm, result)


def _breaches(alarm: Mapping[str, Any], value: float) -> bool:
    threshold = float(_resolved(alarm)["Threshold"])
    return bool(_COMPARISONS[alarm["ComparisonOperator"]](float(value), threshold))


def _metrics(alarm: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    if "Metrics" not in alarm:
        yield alarm
    for entry in alarm.get("Metrics", ()):
        if "MetricStat" in entry:
            yield entry["MetricStat"]["Metric"]


def _dimension_of(namespace: str) -> str:
    return {"AWS/SQS": "QueueName", "AWS/ApiGateway": "ApiId", "AWS/Lambda": "FunctionName", NAMESPACE: "stack"}[
        namespace
    ]


def _resolved(node: Any) -> Any:
    """With the parameters' defaults, and names for what has none."""
    match node:
        case {"Ref": str(name)}:
            return _parameter(name)
        case {"Fn::Sub": str(text)}:
            return re.sub(r"\$\{(\w+)\}", lambda found: str(_parameter(found.group(1))), text)
        case dict():
            return {key: _resolved(value) for key, value in node.items()}
        case list():
            return [_resolved(value) for value in node]
        case _:
            return node


def _parameter(name: str) -> Any:
    if name == "Stack":
        return "salvo"
    if name == "Alarms":
        return "arn:aws:sns:us-east-1:123456789012:alarms"
    return MONITORING["Parameters"][name].get("Default", f"the-{name}")
