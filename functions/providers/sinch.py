"""Sinch, SMS REST API (XMS v1): one message a batch, and its recipient's delivery reports."""

from __future__ import annotations

from functions.providers.account import Account
from functions.providers.gateway import USUAL, Gateway
from functions.providers.sinch_api import SinchSecret, open_single
from functions.providers.sinch_receipts import SinchReceipts
from functions.providers.transport import Timeouts

NAME = "sinch"

RECEIPTS = SinchReceipts(NAME)


async def open_provider(account: Account, timeouts: Timeouts = USUAL) -> Gateway[SinchSecret]:
    return open_single(NAME, account, timeouts)
