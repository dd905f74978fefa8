"""The queue's message, in and out:

    {"v": 1, "to": "+4915112345678", "service": "default", "locale": "de", "key": "…", "batch": "…",
     "send_by": 1800000000, "domain": "example.com", "app_hash": "…", "metadata": {}, "verification": "vfy_…"}

Only `to` is required. It holds no code: the sender derives it.
"""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec

from functions.domain.errors import Refused
from functions.domain.identity import parse_id
from functions.domain.message import parse_app_hash, parse_domain, parse_locale
from functions.domain.metadata import parse_metadata
from functions.usecases.ports import SendJob

_Name = Annotated[str, msgspec.Meta(min_length=1, max_length=64)]
_Key = Annotated[str, msgspec.Meta(min_length=1, max_length=255)]


class _Body(msgspec.Struct, forbid_unknown_fields=True, omit_defaults=True):
    to: Annotated[str, msgspec.Meta(max_length=20)]
    v: Literal[1] = 1
    service: _Name = "default"
    locale: str | None = None
    key: _Key | None = None
    batch: _Name | None = None
    send_by: int | None = None
    domain: str | None = None
    app_hash: str | None = None
    verification: str | None = None
    metadata: dict[str, str] = {}


def decode_job(body: str) -> SendJob | None:
    """None where the body is no message of ours. Whether its number exists is the sender's to find out."""
    try:
        found = msgspec.json.decode(body, type=_Body)
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
            metadata=parse_metadata(found.metadata),
        )
    except (msgspec.DecodeError, UnicodeEncodeError, Refused):
        return None


def encode_job(job: SendJob) -> str:
    body = _Body(
        to=job.to,
        service=job.service,
        locale=job.locale,
        key=job.key,
        batch=job.batch,
        send_by=job.send_by,
        domain=job.domain,
        app_hash=job.app_hash,
        verification=job.verification,
        metadata=dict(job.metadata),
    )
    return msgspec.json.encode({"v": 1, **msgspec.to_builtins(body)}).decode()
