"""The table: forgets, is encrypted, is backed up or not."""

from __future__ import annotations

from typing import Any

from infra.doctor.finding import Finding, fail, ok
from infra.doctor.subject import Subject

_TTL = "ttl"
"""The attribute in which records say when they may go."""


async def check_table(subject: Subject) -> list[Finding]:
    name = subject.stack.output("TableName")
    async with subject.aws.client("dynamodb") as dynamodb:
        table = (await dynamodb.describe_table(TableName=name))["Table"]
        ttl = (await dynamodb.describe_time_to_live(TableName=name))["TimeToLiveDescription"]
        backups = (await dynamodb.describe_continuous_backups(TableName=name))["ContinuousBackupsDescription"]
    return [_ttl(name, ttl), _encryption(table), _backups(backups)]


def _ttl(table: str, ttl: dict[str, Any]) -> Finding:
    status, attribute = ttl.get("TimeToLiveStatus", "DISABLED"), ttl.get("AttributeName")
    if status in {"ENABLED", "ENABLING"} and attribute == _TTL:
        return ok("table's TTL", f"{status} on {attribute}")
    found = f"{status} on {attribute}" if attribute else status
    specification = f"Enabled=true,AttributeName={_TTL}"
    advice = f"aws dynamodb update-time-to-live --table-name {table} --time-to-live-specification {specification}"
    return fail("table's TTL", f"{found}: records stay for ever", advice)


def _encryption(table: dict[str, Any]) -> Finding:
    """DynamoDB encrypts every table; the question is by whose key, and whether that key can be used."""
    encryption = table.get("SSEDescription", {})
    status = encryption.get("Status", "ENABLED")
    if status not in {"ENABLED", "UPDATING"} or encryption.get("InaccessibleEncryptionDateTime"):
        return fail(
            "table's encryption", f"{status}: the key can't be used", "enable the KMS key, and look at its policy"
        )
    return ok("table's encryption", encryption.get("KMSMasterKeyArn", "by a key of AWS's own"))


def _backups(backups: dict[str, Any]) -> Finding:
    status = backups.get("PointInTimeRecoveryDescription", {}).get("PointInTimeRecoveryStatus", "DISABLED")
    if status == "ENABLED":
        return ok("table's backups", "point in time recovery is on")
    return ok("table's backups", "none, which is the default: a code lives ten minutes")
