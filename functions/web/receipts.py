"""Receipts: what providers push about messages that they took, and the answer that each wants to hear."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route, Router

from functions.domain.delivery import Receipt
from functions.domain.errors import NotFound
from functions.domain.part import part
from functions.domain.receipt_token import SHORTEST_SECRET, read_token
from functions.domain.sensitive import Sensitive
from functions.usecases.ports import Clock, Journal, KeysUnavailable, Push, ReceiptReader
from functions.usecases.receive import RecordReceipt
from functions.web.boundary import Boundary
from functions.web.problems import BodyTooLarge

LARGEST = 256 * 1024
"""Bytes of a push; a hundred receipts are some 20 kB."""


@part
class ReceiptSource:
    reader: ReceiptReader
    secret: Callable[[], Awaitable[Mapping[str, Any]]]
    """The provider's. Raises KeysUnavailable."""


@part
class Receipts:
    sources: Mapping[str, ReceiptSource]
    record: RecordReceipt
    receipts_url: str
    """The public address, which signatures are made over: what the request says of its host anybody can write."""
    clock: Clock

    async def receive(self, request: Request) -> Response:
        name = request.path_params["provider"]
        source = self.sources.get(name)
        if source is None:
            raise NotFound("there is nothing here")
        secret = await source.secret()
        reference = read_token(_receipt_token(name, secret), name, request.path_params["token"])
        push = await self._push(request, reference)
        for receipt in source.reader.read(push, secret, self.clock()):
            await self.record(_of_this_address(receipt, reference))
        told = source.reader.acknowledgement
        return Response(told.body, media_type=told.media_type)

    async def _push(self, request: Request, reference: str | None) -> Push:
        body = await request.body()
        if len(body) > LARGEST:
            raise BodyTooLarge(f"a push has at most {LARGEST} bytes")
        query = request.url.query
        return Push(
            method=request.method,
            url=f"{self.receipts_url}{request.url.path}{'?' if query else ''}{query}",
            query=dict(request.query_params),
            headers=dict(request.headers),
            body=body,
            reference=reference,
        )


def _receipt_token(provider: str, secret: Mapping[str, Any]) -> Sensitive:
    token = secret.get("receipt_token")
    if not isinstance(token, str) or len(token) < SHORTEST_SECRET:
        raise KeysUnavailable(f"{provider}: its secret has no receipt_token that is long enough")
    return Sensitive(token)


def _of_this_address(receipt: Receipt, reference: str | None) -> Receipt:
    """One message's address vouches for no other message."""
    if reference is not None and receipt.reference != reference:
        raise NotFound("there is nothing here")
    return receipt


def create_receipts_app(receipts: Receipts, journal: Journal) -> Boundary:
    # GET is for the providers that report so.
    route = Route("/v1/receipts/{provider}/{token}", receipts.receive, methods=["POST", "GET"])
    return Boundary(Router([route], redirect_slashes=False), journal=journal)
