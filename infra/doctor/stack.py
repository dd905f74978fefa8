"""The stack itself, and whether gateways are told where to report."""

from __future__ import annotations

import aiohttp

from infra.doctor.finding import Finding, fail, ok, warn
from infra.doctor.subject import Subject

_GOOD = frozenset({"CREATE_COMPLETE", "UPDATE_COMPLETE", "IMPORT_COMPLETE"})


async def check_status(subject: Subject) -> list[Finding]:
    status = subject.stack.status
    if status in _GOOD:
        return [ok("stack", status)]
    if status == "UPDATE_ROLLBACK_COMPLETE":
        return [
            warn("stack", f"{status}: the last deployment failed, the one before runs", "look at the stack's events")
        ]
    if status.endswith("_IN_PROGRESS"):
        return [warn("stack", f"{status}: what follows may be half of two versions", "wait, then look again")]
    return [fail("stack", status, "look at the stack's events, then deploy again")]


async def check_receipts(subject: Subject) -> list[Finding]:
    """Whether the address that gateways report to is the API's own, or one that leads to it."""
    url = subject.stack.parameters.get("ReceiptsUrl", "").rstrip("/")
    if not url:
        advice = f"./salvo deploy --stack-name {subject.stack.name} --parameter ReceiptsUrl={subject.api}"
        return [warn("receipts", "no gateway is asked what became of a message", advice)]
    if url == subject.stack.outputs.get("ApiUrl"):
        return [ok("receipts", "gateways report to the API's own address")]
    advice = "point that name at the API (custom domain), or correct the parameter ReceiptsUrl"
    try:
        async with subject.http.get(f"{url}/v1/health", allow_redirects=False) as answer:
            if answer.status == 200:  # noqa: PLR2004 - HTTP's OK
                return [ok("receipts", f"gateways report to {url}, where a Salvo answers")]
            return [fail("receipts", f"{url}/v1/health answers {answer.status}: receipts are lost there", advice)]
    except (aiohttp.ClientError, TimeoutError) as error:
        return [fail("receipts", f"{url} does not answer ({type(error).__name__}): receipts are lost", advice)]
