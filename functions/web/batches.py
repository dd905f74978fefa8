"""Batches on the wire: items read one by one, and told of one by one."""

from __future__ import annotations

import logging
from typing import Any

import msgspec

from functions.domain.caller import Caller
from functions.domain.errors import Refused
from functions.usecases.start_batch import BatchStarted, Item, Queued
from functions.usecases.start_item import BatchItem
from functions.usecases.views import VerificationView
from functions.web.bodies import ItemBody, decode, read_asked
from functions.web.problems import Forbidden, Internal, as_problem, told_of_item

_log = logging.getLogger(__name__)


def read_item(raw: msgspec.Raw, service: str, caller: Caller) -> Item:
    """`service` is the batch's, for items that name none."""
    try:
        return _item(decode(raw, ItemBody), service, caller)
    except Refused as refusal:
        return refusal


def _item(found: ItemBody, service: str, caller: Caller) -> BatchItem:
    named = found.service or service
    if not caller.is_for(named):
        raise Forbidden("this key is not for this service")
    return BatchItem(**read_asked(found), service=named, key=found.key)


def shown_batch(started: BatchStarted) -> dict[str, Any]:
    results = [{"index": index, **_shown(result)} for index, result in enumerate(started.results)]
    waits = {} if started.batch is None else {"batch": started.batch, "accepted": started.accepted}
    return {**waits, "results": results}


def _shown(result: VerificationView | Queued | Exception) -> dict[str, Any]:
    match result:
        case VerificationView():
            times = {"expires_at": result.expires_at, "resend_at": result.resend_at}
            return {"id": result.id, "status": result.status, **times}
        case Queued():
            return {"id": result.id, "status": "queued"}
        case _:
            return {"error": _error(result)}


def _error(error: Exception) -> dict[str, str | int]:
    problem = as_problem(error)
    if isinstance(problem, Internal):
        _log.error("unexpected", exc_info=error)
    return told_of_item(problem)
