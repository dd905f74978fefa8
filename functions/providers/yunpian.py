"""Yunpian (云片), SMS API v2: one send a call, and the status reports that it pushes."""

from __future__ import annotations

from functions.providers.account import Account
from functions.providers.gateway import FROM_ABROAD
from functions.providers.transport import Timeouts
from functions.providers.yunpian_api import open_single
from functions.providers.yunpian_receipts import YunpianReceipts
from functions.usecases.ports import Provider

NAME = "yunpian"

RECEIPTS = YunpianReceipts(NAME)


async def open_provider(account: Account, timeouts: Timeouts = FROM_ABROAD) -> Provider:
    return open_single(NAME, account, timeouts)
