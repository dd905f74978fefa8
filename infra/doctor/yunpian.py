"""Yunpian's dry run: asks for the account's data, which takes the API key and sends nothing.

Source: `user/get.json` in Yunpian's API documentation and its official SDK (PyPI `yunpian-python-sdk` 1.0.0).
"""

from __future__ import annotations

from collections.abc import Mapping

import aiohttp
import msgspec

from infra.doctor.finding import Finding, fail, ok, warn

NAME = "yunpian"

_BASE_URL = "https://sms.yunpian.com"
_ABOUT = f"{NAME} account"
_HEADERS = {"Accept": "application/json;charset=utf-8"}
_NO_ADDRESS = "functions have no fixed address: take the list of addresses off the account"
_OUTSIDE_CHINA = 'outside China services.toml needs [providers.yunpian] url = "https://us.yunpian.com"'
_REFUSALS = {
    -1: (
        "refuses the API key (-1)",
        f"./salvo credentials yunpian; {_OUTSIDE_CHINA}",
    ),
    -3: ("refuses this machine's address (-3)", _NO_ADDRESS),
}


class _Account(msgspec.Struct):
    """Names, numbers and addresses in the answer stay unread."""

    code: int = 0
    """Only refusals have one."""
    balance: float | None = None
    """Messages or money that are left, by the kind of account."""
    alarm_balance: float | None = None
    """Where the account's owner wants to be warned."""
    ip_whitelist: str | None = None


async def ask_for_account(http: aiohttp.ClientSession, url: str | None, secret: Mapping[str, str]) -> Finding:
    """`url` is what services.toml names."""
    url, form = url or _BASE_URL, {"apikey": secret["apikey"]}
    try:
        async with http.post(f"{url}/v2/user/get.json", data=form, headers=_HEADERS, allow_redirects=False) as answer:
            body = await answer.read()
    except (aiohttp.ClientError, TimeoutError) as error:
        return fail(_ABOUT, f"{url} does not answer ({type(error).__name__})", _OUTSIDE_CHINA)
    try:
        return _judge(msgspec.json.decode(body, type=_Account, strict=False))
    except ValueError:
        return fail(_ABOUT, f"{url} answers {answer.status}, and not as Yunpian does", _OUTSIDE_CHINA)


def _judge(account: _Account) -> Finding:
    if account.code:
        found, advice = _REFUSALS.get(account.code, (f"refuses ({account.code})", "look that code up at Yunpian's"))
        return fail(_ABOUT, found, advice)
    if account.ip_whitelist:
        return warn(_ABOUT, "takes the key from listed addresses only", _NO_ADDRESS)
    if account.balance is None:
        return warn(_ABOUT, "takes the key, and tells no balance", "look at Yunpian's console")
    if account.balance <= 0:
        return fail(_ABOUT, "takes the key, and nothing is left on the account", "top it up")
    if account.balance < (account.alarm_balance or 0):
        return warn(_ABOUT, f"{account.balance:g} left, below the account's own alarm", "top it up")
    return ok(_ABOUT, f"takes the key; {account.balance:g} left")
