"""Aliyun (阿里云), short messages, `SendSms` of 2017-05-25: a template with the code in it, and its status reports.

The template has one variable, `code`. Templates for China know no other country's numbers and the other way round: give
each a route of its own. Numbers abroad may need another address, dysmsapi.ap-southeast-1.aliyuncs.com for one.

Reports come to one address for all, which is set in the console and ends with the account's token. Aliyun takes no
validity, and tells no price.
"""

from __future__ import annotations

from functions.providers.account import Account
from functions.providers.aliyun_api import AliyunSecret, open_single
from functions.providers.aliyun_receipts import AliyunReceipts
from functions.providers.gateway import FROM_ABROAD, Gateway
from functions.providers.transport import Timeouts

NAME = "aliyun"

RECEIPTS = AliyunReceipts(NAME)


async def open_provider(account: Account, timeouts: Timeouts = FROM_ABROAD) -> Gateway[AliyunSecret]:
    return open_single(NAME, account, timeouts)
