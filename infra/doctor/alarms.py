"""The alarms: all there, heard by somebody, and silent."""

from __future__ import annotations

from typing import Any

from infra.doctor.finding import Finding, fail, ok, warn
from infra.doctor.subject import Subject
from infra.environments import ROOT
from infra.template import read

_KIND = "AWS::CloudWatch::Alarm"
_MONITORING = ROOT / "infra" / "monitoring.yaml"


async def check_alarms(subject: Subject) -> list[Finding]:
    deployed = {name: each.id for name, each in subject.stack.resources.items() if each.kind == _KIND}
    async with subject.aws.client("cloudwatch") as cloudwatch:
        pages = cloudwatch.get_paginator("describe_alarms").paginate(AlarmNames=list(deployed.values()))
        present = (
            {alarm["AlarmName"]: alarm async for page in pages for alarm in page["MetricAlarms"]} if deployed else {}
        )
    missing = sorted(name for name in wanted() if deployed.get(name) not in present)
    findings = [fail("alarms", f"not there: {', '.join(missing)}", "./salvo deploy")] if missing else []
    findings += [finding for name, id_ in deployed.items() if id_ in present for finding in _faults(name, present[id_])]
    return findings or [ok("alarms", f"{len(present)}, all quiet")]


async def check_listeners(subject: Subject) -> list[Finding]:
    """Somebody has to hear of an alarm, and an address is not written to before it has agreed."""
    topic = subject.stack.id_of("Alarms")
    advice = f"./salvo deploy --stack-name {subject.stack.name} --alarm-email ADDRESS"
    async with subject.aws.client("sns") as sns:
        pages = sns.get_paginator("list_subscriptions_by_topic").paginate(TopicArn=topic)
        subscribed = [each["SubscriptionArn"] async for page in pages for each in page["Subscriptions"]]
    waiting = sum(not arn.startswith("arn:") for arn in subscribed)
    if not subscribed:
        return [warn("who hears of alarms", "nobody", advice)]
    if waiting:
        found = f"{waiting} of {len(subscribed)} have not agreed yet"
        return [warn("who hears of alarms", found, "open the mail from AWS Notifications and confirm the subscription")]
    return [ok("who hears of alarms", f"{len(subscribed)} confirmed")]


def wanted() -> list[str]:
    """The alarms of this checkout's template."""
    return [name for name, resource in read(_MONITORING)["Resources"].items() if resource["Type"] == _KIND]


def _faults(name: str, alarm: dict[str, Any]) -> list[Finding]:
    faults = []
    if alarm["StateValue"] == "ALARM":
        faults.append(fail(name, "is in ALARM", alarm.get("AlarmDescription", "")))
    if not alarm.get("ActionsEnabled", True) or not alarm.get("AlarmActions"):
        faults.append(
            fail(name, "tells nobody", f"aws cloudwatch enable-alarm-actions --alarm-names {alarm['AlarmName']}")
        )
    return faults
