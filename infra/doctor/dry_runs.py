"""Vendors' calls that take the credentials, send nothing, and tell whether the account would take a message.

Each is a GET; what its good answer says is read by a small function. Sources, as looked up in November 2026: the
vendors' documentation (Twilio "Account resource", Vonage "Get your current account balance", Telnyx "Get user balance
details", Sinch "List batches", MessageBird "Balance") and, for Infobip and Plivo, what their public clients call.
"""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from urllib.parse import quote

import aiohttp
import msgspec

from infra.doctor.finding import Finding, fail, ok, warn

_REFUSALS = frozenset({401, 403})
_OK = 200
_ADDRESS = (
    "is the url in services.toml under [providers.{}] right, if there is one? Else look at the vendor's status page"
)

Entries = Mapping[str, str]
"""Of a secret of the right shape, with the defaults of those that are not there."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DryRun:
    base: str
    """The vendor's address where services.toml names no other, with entries of the secret in braces; so is the path."""
    path: str
    authorization: Callable[[Entries], str]
    read: Callable[[str, bytes], Finding]
    """What a good answer says, from whom it is about and its body. Raises ValueError where it is no such answer."""


async def run(http: aiohttp.ClientSession, provider: str, secret: Entries, *, url: str | None) -> Finding:
    """`url` is what services.toml names. Nothing of the secret is in the finding."""
    call, about = DRY_RUNS[provider], f"{provider} account"
    base = url or call.base.format_map(secret)
    path = call.path.format_map({entry: quote(text, safe="") for entry, text in secret.items()})
    headers = {"Authorization": call.authorization(secret), "Accept": "application/json"}
    try:
        async with http.get(f"{base}{path}", headers=headers, allow_redirects=False) as answer:
            status, body = answer.status, await answer.read()
    except (aiohttp.ClientError, ValueError, TimeoutError) as error:
        return fail(about, f"{base} does not answer ({type(error).__name__})", _ADDRESS.format(provider))
    return _judge(about, provider, base, status, body)


def _judge(about: str, provider: str, base: str, status: int, body: bytes) -> Finding:
    if status in _REFUSALS:
        return fail(about, f"refuses the credentials ({status})", f"./salvo credentials {provider}")
    try:
        if status == _OK:
            return DRY_RUNS[provider].read(about, body)
    except ValueError:
        pass  # as good as another status: not what this vendor says
    return fail(about, f"{base} answers {status}, and not as it should", _ADDRESS.format(provider))


def _basic(user: str, password: str) -> Callable[[Entries], str]:
    return lambda secret: "Basic " + b64encode(f"{secret[user]}:{secret[password]}".encode()).decode()


def _key(scheme: str, entry: str) -> Callable[[Entries], str]:
    return lambda secret: f"{scheme} {secret[entry]}"


def _money(about: str, amount: float, unit: str, *, prepaid: bool) -> Finding:
    """Of an account that is paid afterwards, a balance at nothing says nothing."""
    found = f"takes the credentials; {amount:g} {unit} left".replace("  ", " ")
    if amount > 0:
        return ok(about, found)
    return fail(about, found, "top it up") if prepaid else warn(about, found, "top it up, unless you pay afterwards")


class _Twilio(msgspec.Struct):
    status: str
    type: str = ""


def _twilio(about: str, body: bytes) -> Finding:
    account = msgspec.json.decode(body, type=_Twilio)
    if account.status != "active":
        return fail(about, "takes the credentials, and is not active", "look at Twilio's console")
    if account.type == "Trial":
        return warn(about, "is a trial: it sends to verified numbers only", "upgrade it in Twilio's console")
    return ok(about, "takes the credentials, and is active")


class _Vonage(msgspec.Struct):
    value: float
    """Euros, whatever the account is paid in."""


def _vonage(about: str, body: bytes) -> Finding:
    return _money(about, msgspec.json.decode(body, type=_Vonage).value, "EUR", prepaid=False)


class _Infobip(msgspec.Struct):
    balance: float
    currency: str = ""


def _infobip(about: str, body: bytes) -> Finding:
    account = msgspec.json.decode(body, type=_Infobip)
    return _money(about, account.balance, account.currency, prepaid=False)


class _TelnyxBalance(msgspec.Struct):
    available_credit: float
    """What may still be spent: of accounts that are paid afterwards, up to their limit."""
    currency: str = ""


class _Telnyx(msgspec.Struct):
    data: _TelnyxBalance


def _telnyx(about: str, body: bytes) -> Finding:
    account = msgspec.json.decode(body, type=_Telnyx, strict=False).data
    return _money(about, account.available_credit, account.currency, prepaid=True)


class _Plivo(msgspec.Struct):
    cash_credits: float
    """US dollars."""
    billing_mode: str = "prepaid"


def _plivo(about: str, body: bytes) -> Finding:
    account = msgspec.json.decode(body, type=_Plivo, strict=False)
    return _money(about, account.cash_credits, "USD", prepaid=account.billing_mode == "prepaid")


class _Sinch(msgspec.Struct):
    count: int


def _sinch(about: str, body: bytes) -> Finding:
    msgspec.json.decode(body, type=_Sinch)
    return ok(about, "takes the credentials; it tells no balance")


class _MessageBird(msgspec.Struct):
    amount: float
    type: str = ""
    """Credits, or a currency."""
    payment: str = "prepaid"


def _messagebird(about: str, body: bytes) -> Finding:
    account = msgspec.json.decode(body, type=_MessageBird)
    return _money(about, account.amount, account.type, prepaid=account.payment == "prepaid")


DRY_RUNS: Mapping[str, DryRun] = {
    "infobip": DryRun(
        base="{base_url}", path="/account/1/balance", authorization=_key("App", "api_key"), read=_infobip
    ),
    "messagebird": DryRun(
        base="https://rest.messagebird.com",
        path="/balance",
        authorization=_key("AccessKey", "access_key"),
        read=_messagebird,
    ),
    "plivo": DryRun(
        base="https://api.plivo.com",
        path="/v1/Account/{auth_id}/",
        authorization=_basic("auth_id", "auth_token"),
        read=_plivo,
    ),
    "sinch": DryRun(
        base="https://{region}.sms.api.sinch.com",
        path="/xms/v1/{service_plan_id}/batches?page_size=1",
        authorization=_key("Bearer", "api_token"),
        read=_sinch,
    ),
    "telnyx": DryRun(
        base="https://api.telnyx.com", path="/v2/balance", authorization=_key("Bearer", "api_key"), read=_telnyx
    ),
    "twilio": DryRun(
        base="https://api.twilio.com",
        path="/2010-04-01/Accounts/{account_sid}.json",
        authorization=_basic("account_sid", "auth_token"),
        read=_twilio,
    ),
    "vonage": DryRun(
        base="https://rest.nexmo.com",
        path="/account/get-balance",
        authorization=_basic("api_key", "api_secret"),
        read=_vonage,
    ),
}
