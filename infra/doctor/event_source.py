"""What hands the queue's messages to the sender."""

from __future__ import annotations

from typing import Any

from infra.deployed import ALIAS
from infra.doctor.finding import Finding, fail, ok
from infra.doctor.subject import Subject

_ABOUT = "event source"


async def check_event_source(subject: Subject) -> list[Finding]:
    mapping = subject.stack.id_of("SenderFunctionQueued")
    async with subject.aws.client("lambda") as functions:
        found = await functions.get_event_source_mapping(UUID=mapping)
    wrong = list(_faults(found))
    if wrong:
        # A deployment does not put back what was changed by hand, as the runbooks have it done.
        again = f"aws lambda update-event-source-mapping --uuid {mapping} --enabled"
        return [fail(_ABOUT, "; ".join(wrong), "./salvo deploy" if _is_on(found) else again)]
    return [
        ok(_ABOUT, f"{found['State']}, at most {most_senders(found)} senders at once, failures given back one by one")
    ]


def most_senders(mapping: dict[str, Any]) -> int | None:
    """How many may run at once; None where that is not limited."""
    most: int | None = mapping.get("ScalingConfig", {}).get("MaximumConcurrency")
    return most


def _is_on(mapping: dict[str, Any]) -> bool:
    return mapping["State"] in {"Enabled", "Enabling", "Updating"}


def _faults(mapping: dict[str, Any]) -> list[str]:
    faults = []
    if not _is_on(mapping):
        faults.append(f"is {mapping['State']}: nothing of the queue is sent")
    if "ReportBatchItemFailures" not in mapping.get("FunctionResponseTypes", ()):
        faults.append("one failure sends a whole batch again")
    if most_senders(mapping) is None:
        faults.append("the number of senders is not limited")
    if not mapping["FunctionArn"].endswith(f":{ALIAS}"):
        faults.append(f"invokes no alias {ALIAS}, so that a rollback does not reach it")
    return faults
