"""What the simulated vendors are asked over HTTP, and what is remembered of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from aiohttp import web

from infra.local.clock import now
from infra.local.vendors.vendor import Answer, Call, Code, Refused, Submission, Vendor


@dataclass(slots=True, kw_only=True)
class Asked:
    """A message that a vendor was asked to send. Keys and texts are not kept."""

    provider: str
    request: int
    """Its ordinal number: messages that came together have one."""
    received_at: float
    to: str = ""
    """Empty where the request made no sense."""
    reference: str | None = None
    sender: str | None = None
    valid_for: float | None = None
    outcome: str = "pending"
    """Then accepted, refused, dropped, dropped_after_accept, rubbish or status; or approved, where the customer told
    that a message's code came to use."""
    code: Code | None = None
    message_id: str | None = None


@dataclass(frozen=True, slots=True)
class Request:
    """A send, with one message or several."""

    provider: str
    vendor: Vendor
    call: Call
    taken: Sequence[Submission] | Refused
    asked: Sequence[Asked]

    def end(self, outcome: str, code: Code | None = None) -> None:
        for asked in self.asked:
            asked.outcome, asked.code = outcome, code

    def refuse(self, refusal: Refused) -> web.Response:
        self.end("refused", refusal.code)
        return as_response(self.vendor.refused(self.call, refusal))


async def as_call(request: web.Request, provider: str) -> Call:
    full_path, _, query = request.raw_path.partition("?")
    return Call(
        method=request.method,
        host=request.host,
        full_path=full_path,
        path=full_path.removeprefix(f"/{provider}"),
        query=query,
        headers=request.headers,
        body=await request.read(),
        at=now(),
    )


def noted(provider: str, request: int, received_at: float, submission: Submission) -> Asked:
    return Asked(
        provider=provider,
        request=request,
        received_at=received_at,
        to=submission.to,
        reference=submission.reference,
        sender=submission.sender,
        valid_for=submission.valid_for,
    )


def as_response(answer: Answer) -> web.Response:
    return web.Response(
        body=answer.body, status=answer.status, content_type=answer.media_type, headers=dict(answer.headers)
    )
