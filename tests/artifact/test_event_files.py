"""The events that everybody tries the functions with: they are what AWS would send for this template."""

from __future__ import annotations

import base64
import hashlib
from typing import Any

import pytest

from functions.queues.messages import decode_job
from functions.usecases.ports import SendJob
from infra import template
from tests import event_files

HTTP = [
    "http_start",
    "http_batch",
    "http_batch_status",
    "http_check",
    "http_status",
    "http_cancel",
    "http_challenge",
    "http_public_keys",
    "http_health",
    "http_receipt",
    "http_receipt_by_get",
]
SQS = ["sqs_one", "sqs_batch"]


def routes() -> set[str]:
    """Of the template, such as "GET /v1/health"."""
    resources = template.read()["Resources"].values()
    events = [event for found in resources for event in found.get("Properties", {}).get("Events", {}).values()]
    requests = [event["Properties"] for event in events if event["Type"] == "HttpApi"]
    return {f"{request['Method']} {request['Path']}" for request in requests}


def body_of(event: dict[str, Any]) -> bytes:
    body = event.get("body", "").encode()
    return base64.b64decode(body, validate=True) if event["isBase64Encoded"] else body


def test_there_is_a_file_for_each_route_of_the_template() -> None:
    assert {event_files.read(name)["routeKey"] for name in HTTP} == routes()


@pytest.mark.parametrize("name", HTTP)
def test_a_request_says_the_same_thing_everywhere(name: str) -> None:
    event = event_files.read(name)
    context = event["requestContext"]

    method, _, path = event["routeKey"].partition(" ")

    assert path.format(**event.get("pathParameters", {})) == event["rawPath"] == context["http"]["path"]
    assert (context["http"]["method"], context["routeKey"]) == (method, event["routeKey"])
    assert int(event["headers"].get("content-length", 0)) == len(body_of(event))


@pytest.mark.parametrize("name", SQS)
def test_a_message_has_the_digest_of_its_body(name: str) -> None:
    records = event_files.read(name)["Records"]

    digests = [hashlib.md5(record["body"].encode(), usedforsecurity=False).hexdigest() for record in records]

    assert [record["md5OfBody"] for record in records] == digests


def test_one_message_of_the_batch_is_poison() -> None:
    jobs = [decode_job(record["body"]) for record in event_files.read("sqs_batch")["Records"]]

    assert [job is None for job in jobs] == [False, False, True, False]


def test_no_two_messages_have_an_id_or_a_number_in_common() -> None:
    records = [record for name in SQS for record in event_files.read(name)["Records"]]
    numbers = [job.to for record in records if isinstance(job := decode_job(record["body"]), SendJob)]

    assert len({record["messageId"] for record in records}) == len(records)
    assert len(set(numbers)) == len(numbers)
