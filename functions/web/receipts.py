"""Receipts: what providers push about messages that they took, and the answer that each wants to hear."""

from __future__ import annotations

import hmac
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Protocol

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route, Router

from functions.domain.delivery import Receipt
from functions.domain.errors import NotFound
from functions.domain.sensitive import Sensitive
from functions.usecases.ports import Clock, Journal
from functions.usecases.receive import RecordReceipt
from functions.web.boundary import Boundary
from functions.web.problems import BodyTooLarge

LARGEST = 256 * 1024
"""Bytes of a push; a hundred receipts are some 20 kB."""


class ReceiptReader(Protocol):
    """One provider's push."""

    @property
    def acknowledgement(self) -> bytes:
        """The body that stops the provider from pushing again."""

    def read(self, body: bytes, now: int) -> tuple[Receipt, ...]:
        """Raises InvalidRequest."""


@dataclass(frozen=True, slots=True)
class ReceiptSource:
    reader: ReceiptReader
    token: Callable[[], Awaitable[Sensitive]]
    """The unguessable part of the provider's URL: for those that sign nothing it is all that there is to check."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Receipts:
    sources: Mapping[str, ReceiptSource]
    record: RecordReceipt
    clock: Clock

    async def receive(self, request: Request) -> Response:
        source = await self._source(request.path_params["provider"], request.path_params["token"])
        body = await request.body()
        if len(body) > LARGEST:
            raise BodyTooLarge(f"a push has at most {LARGEST} bytes")
        for receipt in source.reader.read(body, self.clock()):
            await self.record(receipt)
        return Response(source.reader.acknowledgement, media_type="text/plain")

    async def _source(self, provider: str, token: str) -> ReceiptSource:
        source = self.sources.get(provider)
        if source is None or not await _is_token(source, token):
            raise NotFound("there is nothing here")
        return source


async def _is_token(source: ReceiptSource, presented: str) -> bool:
    expected = await source.token()
    return hmac.compare_digest(expected.reveal().encode(), presented.encode())


def create_receipts_app(receipts: Receipts, journal: Journal) -> Boundary:
    route = Route("/v1/receipts/{provider}/{token}", receipts.receive, methods=["POST"])
    return Boundary(Router([route], redirect_slashes=False), journal=journal)
