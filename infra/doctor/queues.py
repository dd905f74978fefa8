"""The queue of sends and its dead letters."""

from __future__ import annotations

import json
from typing import Any

from infra.deployed import FUNCTIONS
from infra.doctor.finding import Finding, fail, ok
from infra.doctor.subject import Subject

_TIMES = 6
"""How many of the sender's time-outs a batch stays hidden, as AWS asks for."""
_RUNBOOK = "docs/operations.md#runbook-dead-letters"


async def check_queues(subject: Subject) -> list[Finding]:
    sender = subject.stack.id_of(FUNCTIONS["sender"])
    async with subject.aws.client("lambda") as functions, subject.aws.client("sqs") as sqs:
        timeout = (await functions.get_function_configuration(FunctionName=sender))["Timeout"]
        queue = await _attributes(sqs, subject.stack.id_of("Queue"))
        dead = await _attributes(sqs, subject.stack.id_of("DeadLetterQueue"))
    return [_visibility(queue, timeout), _redrive(queue, dead), _waiting(queue), _dead_letters(dead)]


async def _attributes(sqs: Any, url: str) -> dict[str, str]:
    attributes: dict[str, str] = (await sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["All"]))["Attributes"]
    return attributes


def _visibility(queue: dict[str, str], timeout: int) -> Finding:
    visibility = int(queue["VisibilityTimeout"])
    found = f"hides a batch for {visibility} s, the sender may take {timeout} s"
    if visibility >= _TIMES * timeout:
        return ok("queue", found)
    return fail("queue", f"{found}: batches are handed out twice", f"at least {_TIMES * timeout} s: ./salvo deploy")


def _redrive(queue: dict[str, str], dead: dict[str, str]) -> Finding:
    redrive = json.loads(queue.get("RedrivePolicy", "{}"))
    if redrive.get("deadLetterTargetArn") == dead["QueueArn"]:
        return ok("queue's dead letters", f"after {redrive['maxReceiveCount']} tries")
    return fail("queue's dead letters", "nothing is put aside: what can't be sent is lost", "./salvo deploy")


def _waiting(queue: dict[str, str]) -> Finding:
    return ok("waiting messages", queue["ApproximateNumberOfMessages"])


def _dead_letters(dead: dict[str, str]) -> Finding:
    count = int(dead["ApproximateNumberOfMessages"])
    if count == 0:
        return ok("dead letters", "none")
    return fail("dead letters", f"{count} messages that nobody could send", _RUNBOOK)
