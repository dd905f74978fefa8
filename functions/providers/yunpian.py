"""Yunpian (云片), SMS API v2: one send a call, and the status reports that it pushes."""

from __future__ import annotations

from functions.providers.account import Account
from functions.providers.gateway import FROM_ABROAD, Gateway
from functions.providers.transport import Timeouts
from functions.providers.yunpian_api import YunpianSecret, open_single
from functions.providers.yunpian_receipts import YunpianReceipts

NAME = "yunpian"

RECEIPTS = YunpianReceipts(NAME)


async def open_provider(account: Account, timeouts: Timeouts = FROM_ABROAD) -> Gateway[YunpianSecret]:
    return open_single(NAME, account, timeouts)
