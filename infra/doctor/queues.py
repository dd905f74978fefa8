"""The queues of single sends and of batches, and their dead letters."""

from __future__ import annotations

import json
from typing import Any

from infra.deployed import FUNCTIONS
from infra.doctor.finding import Finding, fail, ok
from infra.doctor.subject import Subject

_TIMES = 6
"""How many of the sender's time-outs a batch stays hidden, as AWS asks for."""
_LANES = {"queue": ("Queue", "sender"), "bulk queue": ("BulkQueue", "bulk-sender")}
"""What each is called, its name in the template, and who takes from it."""
_RUNBOOK = "docs/operations.md#runbook-dead-letters"


async def check_queues(subject: Subject) -> list[Finding]:
    findings = []
    async with subject.aws.client("lambda") as functions, subject.aws.client("sqs") as sqs:
        dead = await _attributes(sqs, subject.stack.id_of("DeadLetterQueue"))
        for about, (name, function) in _LANES.items():
            sender = subject.stack.id_of(FUNCTIONS[function])
            timeout = (await functions.get_function_configuration(FunctionName=sender))["Timeout"]
            queue = await _attributes(sqs, subject.stack.id_of(name))
            findings += [_visibility(about, queue, timeout), _redrive(about, queue, dead), _waiting(about, queue)]
    return [*findings, _dead_letters(dead)]


async def _attributes(sqs: Any, url: str) -> dict[str, str]:
    attributes: dict[str, str] = (await sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["All"]))["Attributes"]
    return attributes


def _visibility(about: str, queue: dict[str, str], timeout: int) -> Finding:
    visibility = int(queue["VisibilityTimeout"])
    found = f"hides a batch for {visibility} s, its sender may take {timeout} s"
    if visibility >= _TIMES * timeout:
        return ok(about, found)
    return fail(about, f"{found}: batches are handed out twice", f"at least {_TIMES * timeout} s: ./salvo deploy")


def _redrive(about: str, queue: dict[str, str], dead: dict[str, str]) -> Finding:
    redrive = json.loads(queue.get("RedrivePolicy", "{}"))
    if redrive.get("deadLetterTargetArn") == dead["QueueArn"]:
        return ok(f"{about}'s dead letters", f"after {redrive['maxReceiveCount']} tries")
    return fail(f"{about}'s dead letters", "nothing is put aside: what can't be sent is lost", "./salvo deploy")


def _waiting(about: str, queue: dict[str, str]) -> Finding:
    return ok(f"waiting in the {about}", queue["ApproximateNumberOfMessages"])


def _dead_letters(dead: dict[str, str]) -> Finding:
    count = int(dead["ApproximateNumberOfMessages"])
    if count == 0:
        return ok("dead letters", "none")
    return fail("dead letters", f"{count} messages that nobody could send", _RUNBOOK)
