"""What is done by hand in the vendors' consoles: where they push what comes with no address of its own."""

from __future__ import annotations

from infra.local.accounts import Accounts, token_for_all
from infra.local.gateway import GatewayProcess

_SET_THERE = ("aliyun", "aliyun_batch", "tencent", "vonage")
"""Aliyun and Tencent know no other way. Vonage takes an address with a message, and ours may be too long for it."""


async def fill_in(gateway: GatewayProcess, accounts: Accounts, receipts_url: str) -> None:
    for provider in _SET_THERE:
        address = f"{receipts_url}/v1/receipts/{provider}/{token_for_all(accounts, provider)}"
        await gateway.change(provider=provider, receipts_url=address)
