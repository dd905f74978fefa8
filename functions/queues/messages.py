"""The queue's messages, in and out. Callers put sends:

    {"v": 1, "to": "+4915112345678", "service": "default", "locale": "de", "key": "…", "batch": "…",
     "send_by": 1800000000, "domain": "example.com", "app_hash": "…", "metadata": {}, "verification": "vfy_…",
     "ip": "192.0.2.7", "trusted": true, "challenge": "…", "place": 0, "announced": "vfy_…"}

Only `to` is required. `place` and `announced` are our own: a batch's items have them. We put two kinds more, for later:

    {"v": 1, "kind": "confirm", "to": "…", "service": "…", "request": "…", "verification": "vfy_…", "send": 1,
     "tried": "twilio", "locale": "de", "domain": "…", "app_hash": "…"}
    {"v": 1, "kind": "feedback", "provider": "twilio", "message_id": "…"}

None holds a code: the sender derives it.
"""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated, Literal

import msgspec

from functions.domain.batch import MOST_ITEMS
from functions.domain.errors import Refused
from functions.domain.guard.attempt import parse_address
from functions.domain.identity import parse_id
from functions.domain.message import parse_app_hash, parse_domain, parse_locale
from functions.domain.metadata import parse_metadata
from functions.domain.sensitive import Sensitive
from functions.usecases.ports import ConfirmJob, FeedbackJob, Job, SendJob

_Name = Annotated[str, msgspec.Meta(min_length=1, max_length=64)]
_Key = Annotated[str, msgspec.Meta(min_length=1, max_length=255)]
_Number = Annotated[str, msgspec.Meta(max_length=20)]


class _Send(msgspec.Struct, forbid_unknown_fields=True, omit_defaults=True):
    to: _Number
    v: Literal[1] = 1
    service: _Name = "default"
    locale: str | None = None
    key: _Key | None = None
    batch: _Name | None = None
    send_by: int | None = None
    domain: str | None = None
    app_hash: str | None = None
    verification: str | None = None
    place: Annotated[int, msgspec.Meta(ge=0, lt=MOST_ITEMS)] | None = None
    announced: str | None = None
    ip: Annotated[str, msgspec.Meta(max_length=45)] | None = None
    trusted: bool = False
    challenge: Annotated[str, msgspec.Meta(max_length=8192)] | None = None
    metadata: dict[str, str] = {}


class _Confirm(msgspec.Struct, forbid_unknown_fields=True, omit_defaults=True):
    kind: Literal["confirm"]
    to: _Number
    service: _Name
    request: _Key
    verification: str
    send: int
    tried: _Name
    v: Literal[1] = 1
    locale: str | None = None
    domain: str | None = None
    app_hash: str | None = None


class _Feedback(msgspec.Struct, forbid_unknown_fields=True):
    kind: Literal["feedback"]
    provider: _Name
    message_id: _Key
    v: Literal[1] = 1


class _Kind(msgspec.Struct):
    kind: Literal["send", "confirm", "feedback"] = "send"


def decode_job(body: str) -> Job | None:
    """None where the body is no message of ours. Whether its number exists is the sender's to find out."""
    try:
        match msgspec.json.decode(body, type=_Kind).kind:
            case "confirm":
                return _to_confirm(msgspec.json.decode(body, type=_Confirm))
            case "feedback":
                feedback = msgspec.json.decode(body, type=_Feedback)
                return FeedbackJob(provider=feedback.provider, message_id=feedback.message_id)
            case _:
                return _to_send(msgspec.json.decode(body, type=_Send))
    except (msgspec.DecodeError, RecursionError, UnicodeEncodeError, Refused):
        return None


def encode_job(job: Job) -> str:
    return msgspec.json.encode({"v": 1, **msgspec.to_builtins(_from_job(job))}).decode()


def _from_job(job: Job) -> _Send | _Confirm | _Feedback:
    match job:
        case ConfirmJob():
            return _Confirm(kind="confirm", **asdict(job))
        case FeedbackJob():
            return _Feedback(kind="feedback", **asdict(job))
        case _:
            return _from_send(job)


def _to_send(found: _Send) -> SendJob:
    return SendJob(
        to=found.to,
        service=found.service,
        key=found.key,
        locale=found.locale and parse_locale(found.locale),
        batch=found.batch,
        send_by=found.send_by,
        domain=found.domain and parse_domain(found.domain),
        app_hash=found.app_hash and parse_app_hash(found.app_hash),
        verification=found.verification and str(parse_id(found.verification)),
        place=found.place,
        announced=found.announced and str(parse_id(found.announced)),
        ip=None if found.ip is None else parse_address(found.ip),
        trusted=found.trusted,
        challenge=None if found.challenge is None else Sensitive(found.challenge),
        metadata=parse_metadata(found.metadata),
    )


def _from_send(job: SendJob) -> _Send:
    return _Send(
        to=job.to,
        service=job.service,
        locale=job.locale,
        key=job.key,
        batch=job.batch,
        send_by=job.send_by,
        domain=job.domain,
        app_hash=job.app_hash,
        verification=job.verification,
        place=job.place,
        announced=job.announced,
        ip=None if job.ip is None else str(job.ip),
        trusted=job.trusted,
        challenge=None if job.challenge is None else job.challenge.reveal(),
        metadata=dict(job.metadata),
    )


def _to_confirm(found: _Confirm) -> ConfirmJob:
    described = msgspec.structs.asdict(found)
    del described["kind"], described["v"]
    described |= {
        "verification": str(parse_id(found.verification)),
        "locale": found.locale and parse_locale(found.locale),
        "domain": found.domain and parse_domain(found.domain),
        "app_hash": found.app_hash and parse_app_hash(found.app_hash),
    }
    return ConfirmJob(**described)
