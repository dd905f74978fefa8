"""AWS's own ways to send SMS: no credentials to try, but a sandbox to be out of, and a month's spend to stay below.

Asked by the operator's own rights: what the functions may do is in their roles.
"""

from __future__ import annotations

from infra.aws import Aws
from infra.doctor.finding import Finding, ok, warn

_SANDBOX = "the account is in the sandbox: only verified numbers get anything"
_OF_TEXTS = "TEXT_MESSAGE_MONTHLY_SPEND_LIMIT"


async def ask_end_user_messaging(aws: Aws) -> Finding:
    """Raises AWS's errors."""
    about = "aws_sms account"
    async with aws.client("pinpoint-sms-voice-v2") as client:
        attributes = (await client.describe_account_attributes())["AccountAttributes"]
        limits = (await client.describe_spend_limits())["SpendLimits"]
    if {"Name": "ACCOUNT_TIER", "Value": "SANDBOX"} in attributes:
        return warn(about, _SANDBOX, "ask for production access in the console of AWS End User Messaging SMS")
    dollars = next((limit["EnforcedLimit"] for limit in limits if limit["Name"] == _OF_TEXTS), None)
    return ok(about, f"in production in {aws.region}{_spend(dollars)}")


async def ask_sns(aws: Aws) -> Finding:
    """Raises AWS's errors."""
    about = "sns account"
    async with aws.client("sns") as client:
        sandbox = (await client.get_sms_sandbox_account_status())["IsInSandbox"]
        attributes = (await client.get_sms_attributes(attributes=["MonthlySpendLimit"]))["attributes"]
    if sandbox:
        return warn(about, _SANDBOX, "ask to leave it in the console of Amazon SNS, under text messaging")
    return ok(about, f"in production in {aws.region}{_spend(attributes.get('MonthlySpendLimit'))}")


def _spend(dollars: object) -> str:
    return "" if dollars is None else f", at most ${dollars} a month"
