"""Whether the account's sandboxes are enough for what the stack may start at once."""

from __future__ import annotations

from typing import Any

from infra.deployed import FUNCTIONS
from infra.doctor.event_source import LANES, mapping_of, most_senders
from infra.doctor.finding import Finding, fail, ok, warn
from infra.doctor.subject import Subject

_ABOUT = "concurrency"
_API_NEEDS = 10
"""Sandboxes: as many requests at the same moment are no rush yet."""


async def check_concurrency(subject: Subject) -> list[Finding]:
    """Lambda's limit is for all that runs in the account and region, and begins with 10 in new accounts."""
    ids = {name: subject.stack.id_of(name) for name in FUNCTIONS.values()}
    async with subject.aws.client("lambda") as functions:
        limit = (await functions.get_account_settings())["AccountLimit"]
        mappings = {name: subject.stack.id_of(mapping_of(name)) for name in LANES.values()}
        started = {
            FUNCTIONS[name]: most_senders(await functions.get_event_source_mapping(UUID=mapping)) or 0
            for name, mapping in mappings.items()
        }
        reserved = {name: await _reserved(functions, id_) for name, id_ in ids.items()}
    return [
        *(_switched_off(name, ids[name]) for name, own in reserved.items() if own == 0),
        _shared(limit, {FUNCTIONS["api"]: _API_NEEDS, **started}, reserved),
        *_own(reserved[FUNCTIONS["sender"]], started[FUNCTIONS["sender"]]),
    ]


async def _reserved(functions: Any, name: str) -> int | None:
    """None where the function takes from what is everybody's."""
    answer = await functions.get_function_concurrency(FunctionName=name)
    own: int | None = answer.get("ReservedConcurrentExecutions")
    return own


def _switched_off(about: str, name: str) -> Finding:
    advice = f"when that is over: aws lambda delete-function-concurrency --function-name {name}"
    return fail(about, "its reserved concurrency is 0: it is switched off", advice)


def _shared(limit: dict[str, Any], wanted: dict[str, int], reserved: dict[str, int | None]) -> Finding:
    free, whole = limit["UnreservedConcurrentExecutions"], limit["ConcurrentExecutions"]
    needed = sum(most for name, most in wanted.items() if reserved[name] is None)
    found = f"{free} of the account's {whole} are free for all, and this stack may want {needed}"
    if free >= needed:
        return ok(_ABOUT, found)
    return warn(
        _ABOUT,
        f"{found}: requests will be refused",
        "ask AWS for more (Service Quotas, Lambda), or lower SenderConcurrency or BulkConcurrency",
    )


def _own(own: int | None, senders: int) -> list[Finding]:
    if not own or own >= senders:
        return []
    advice = "raise SenderReservedConcurrency to SenderConcurrency at least"
    return [warn("sender's concurrency", f"{own} are reserved for it, and {senders} may be started", advice)]
