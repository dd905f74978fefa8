"""What hands the queues' messages to their senders."""

from __future__ import annotations

from typing import Any

from infra.deployed import ALIAS, FUNCTIONS
from infra.doctor.finding import Finding, fail, ok
from infra.doctor.subject import Subject

LANES = {"event source": "sender", "bulk event source": "bulk-sender"}
"""What each is called, and the function that it invokes."""


def mapping_of(function: str) -> str:
    """The name in the template of what invokes this function."""
    return f"{FUNCTIONS[function]}Queued"


async def check_event_source(subject: Subject) -> list[Finding]:
    mappings = {about: subject.stack.id_of(mapping_of(function)) for about, function in LANES.items()}
    async with subject.aws.client("lambda") as functions:
        return [
            _examine(about, await functions.get_event_source_mapping(UUID=mapping))
            for about, mapping in mappings.items()
        ]


def _examine(about: str, mapping: dict[str, Any]) -> Finding:
    wrong = list(_faults(mapping))
    if wrong:
        # A deployment does not put back what was changed by hand, as the runbooks have it done.
        again = f"aws lambda update-event-source-mapping --uuid {mapping['UUID']} --enabled"
        return fail(about, "; ".join(wrong), "./salvo deploy" if _is_on(mapping) else again)
    most = most_senders(mapping)
    return ok(about, f"{mapping['State']}, at most {most} senders at once, failures given back one by one")


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
