"""boto3 and requests, one code after the other: stored with its expiry, then sent."""

from __future__ import annotations

import secrets
import time
from collections.abc import Sequence

import boto3
import requests

from tests.benchmarks.batch.place import Place, Work

_LIFETIME = 600
_TIMEOUT = 30
"""Seconds."""


def open_work(place: Place) -> Work:
    dynamodb, http = boto3.client("dynamodb"), requests.Session()

    def send(mobile: str) -> None:
        code = f"{secrets.randbelow(10**6):06d}"
        expires = int(time.time()) + _LIFETIME  # noqa: TID251 - as its author would
        item = {"pk": {"S": mobile}, "code": {"S": code}, "ttl": {"N": str(expires)}}
        dynamodb.put_item(TableName=place.table, Item=item)
        form = {"apikey": place.apikey, "mobile": mobile, "text": f"【Salvo】您的验证码是{code}。"}
        http.post(f"{place.gateway}/v2/sms/single_send.json", data=form, timeout=_TIMEOUT).raise_for_status()

    def send_all(mobiles: Sequence[str]) -> None:
        for mobile in mobiles:
            send(mobile)

    return send_all
