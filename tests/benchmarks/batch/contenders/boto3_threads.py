"""boto3 and requests in 32 threads, with a connection for each: stored with its expiry, then sent."""

from __future__ import annotations

import secrets
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

import boto3
import requests
from botocore.config import Config
from requests.adapters import HTTPAdapter

from tests.benchmarks.batch.place import Place, Work

THREADS = 32
_LIFETIME = 600
_TIMEOUT = 30
"""Seconds."""


def open_work(place: Place, threads: int = THREADS) -> Work:
    dynamodb = boto3.client("dynamodb", config=Config(max_pool_connections=threads))
    http = requests.Session()
    http.mount("http://", HTTPAdapter(pool_maxsize=threads))

    def send(mobile: str) -> None:
        code = f"{secrets.randbelow(10**6):06d}"
        expires = int(time.time()) + _LIFETIME  # noqa: TID251 - as its author would
        item = {"pk": {"S": mobile}, "code": {"S": code}, "ttl": {"N": str(expires)}}
        dynamodb.put_item(TableName=place.table, Item=item)
        form = {"apikey": place.apikey, "mobile": mobile, "text": f"【Salvo】您的验证码是{code}。"}
        http.post(f"{place.gateway}/v2/sms/single_send.json", data=form, timeout=_TIMEOUT).raise_for_status()

    def send_all(mobiles: Sequence[str]) -> None:
        with ThreadPoolExecutor(threads) as pool:
            for _ in pool.map(send, mobiles):
                pass

    return send_all
