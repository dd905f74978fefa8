"""The functions: which version is live, on which Python, and how long their logs stay."""

from __future__ import annotations

from datetime import UTC, date, datetime
from typing import Any

from infra.deployed import ALIAS, FUNCTIONS
from infra.doctor.finding import Finding, fail, ok, warn
from infra.doctor.subject import Subject
from infra.rollback import live_version, versions_of

ENDS = {"python3.12": date(2028, 10, 31), "python3.13": date(2029, 6, 30), "python3.14": date(2029, 6, 30)}
"""From when on AWS gives a runtime no more security fixes, as endoflife.date had it in November 2026."""
_WARN_DAYS = 180
"""As long before, AWS begins to warn by mail."""


async def check_functions(subject: Subject) -> list[Finding]:
    async with subject.aws.client("lambda") as functions:
        return [
            finding
            for name in FUNCTIONS.values()
            for finding in await _check(functions, subject, name, subject.stack.id_of(name))
        ]


async def check_logs(subject: Subject) -> list[Finding]:
    async with subject.aws.client("logs") as logs:
        return [
            await _retention(logs, subject.stack.id_of(name.replace("Function", "Logs"))) for name in FUNCTIONS.values()
        ]


async def _check(functions: Any, subject: Subject, about: str, name: str) -> list[Finding]:
    live = await live_version(functions, name)
    if live is None:
        return [fail(about, f"has no alias {ALIAS}, which events invoke", "./salvo deploy")]
    newest = max(await versions_of(functions, name))
    version = await functions.get_function_configuration(FunctionName=name, Qualifier=ALIAS)
    today = datetime.fromtimestamp(subject.now(), UTC).date()
    return [
        _version(about, live, newest, version),
        _runtime(about, version["Runtime"], today),
        *_led_away(about, version),
    ]


def _version(about: str, live: int, newest: int, version: dict[str, Any]) -> Finding:
    if version.get("State", "Active") != "Active":
        return fail(about, f"version {live} is {version['State']}", f"{version.get('StateReason', '')}: ./salvo deploy")
    snap = version.get("SnapStart", {})
    if snap.get("ApplyOn") == "PublishedVersions" and snap.get("OptimizationStatus") != "On":
        return warn(
            about, f"version {live} is live, and has no snapshot to start from", "deploy again, or without SnapStart"
        )
    if live < newest:
        return warn(
            about, f"version {live} is live, {newest} is the newest: rolled back", "./salvo deploy, once it is mended"
        )
    return ok(about, f"version {live} is live and the newest")


def _runtime(about: str, runtime: str, today: date) -> Finding:
    about = f"{about}'s Python"
    ends = ENDS.get(runtime)
    if ends is None:
        return warn(about, f"{runtime}, which this checkout does not know", "look at AWS's table of Lambda runtimes")
    if today >= ends:
        return fail(
            about, f"{runtime} has had no security fixes since {ends}", "raise Runtime in template.yaml, and deploy"
        )
    if (ends - today).days <= _WARN_DAYS:
        return warn(about, f"{runtime} is supported until {ends}", "raise Runtime in template.yaml, and deploy")
    return ok(about, f"{runtime}, supported until {ends}")


def _led_away(about: str, version: dict[str, Any]) -> list[Finding]:
    """By the variable for simulators, which the template leaves empty: they get keys, codes and numbers."""
    url = version.get("Environment", {}).get("Variables", {}).get("PROVIDERS_URL")
    if not url:
        return []
    return [
        fail(about, f"sends every message to {url}, and none to its provider", "take PROVIDERS_URL away, and deploy")
    ]


async def _retention(logs: Any, group: str) -> Finding:
    found = await logs.describe_log_groups(logGroupNamePrefix=group)
    days = next((each.get("retentionInDays") for each in found["logGroups"] if each["logGroupName"] == group), 0)
    if days == 0:
        return fail("logs", f"there is no log group {group}", "./salvo deploy")
    if days is None:
        advice = f"aws logs put-retention-policy --log-group-name {group} --retention-in-days 30"
        return warn("logs", f"{group} keeps its lines for ever", advice)
    return ok("logs", f"{group} keeps its lines for {days} days")
