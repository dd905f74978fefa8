"""Accounts at the simulated vendors: what they know us by, made anew for each run."""

from __future__ import annotations

import base64
import secrets
from collections.abc import Mapping

from functions.domain.receipt_token import account_token
from functions.domain.sensitive import Sensitive
from functions.providers.catalog import PROVIDERS
from infra.local.vendors.telnyx import new_private_key

Accounts = Mapping[str, Mapping[str, str]]
"""By the name of the provider, as its secret has them."""

_OF_THE_VENDOR = frozenset({"private_key"})
"""What no customer is told."""


def new_accounts() -> Accounts:
    telnyx_private, telnyx_public = new_private_key()
    both_ways = _standard_secret()
    return {
        "aliyun": _account(access_key_id=f"LTAI{_hex(8)}", access_key_secret=_hex(15)),
        "infobip": _account(api_key=f"{_hex(16)}-{_hex(4)}", base_url="https://salvo.api.infobip.com"),
        "messagebird": _account(access_key=_hex(12), signing_key=_hex(16)),
        "plivo": _account(auth_id=f"MA{secrets.token_hex(9).upper()}", auth_token=_hex(20)),
        "sinch": _account(service_plan_id=_hex(16), api_token=_hex(16), webhook_secret=_hex(16)),
        "telnyx": _account(api_key=f"KEY{_hex(16)}", public_key=telnyx_public, private_key=telnyx_private),
        "tencent": _account(secret_id=f"AKID{_hex(16)}", secret_key=_hex(16), sdk_app_id="1400000000"),
        "twilio": _account(account_sid=f"AC{_hex(16)}", auth_token=_hex(16)),
        "vonage": _account(api_key=_hex(4), api_secret=_hex(8), signature_secret=_hex(16), signature_method="sha256"),
        "webhook": _account(url="https://sms.example.com/send", signing_secret=both_ways, receipts_secret=both_ways),
        "yunpian": _account(apikey=_hex(16)),
    }


def for_the_functions(accounts: Accounts) -> Accounts:
    """What the providers' secrets hold."""
    return {
        name: {entry: value for entry, value in account.items() if entry not in _OF_THE_VENDOR}
        for name, account in accounts.items()
    }


def token_for_all(accounts: Accounts, provider: str) -> str:
    """The end of the address for the receipts of all messages by this provider."""
    return account_token(Sensitive(accounts[PROVIDERS[provider].secret or ""]["receipt_token"]), provider)


def _account(**entries: str) -> dict[str, str]:
    return {**entries, "receipt_token": secrets.token_urlsafe(32)}


def _hex(size: int) -> str:
    return secrets.token_hex(size)


def _standard_secret() -> str:
    return f"whsec_{base64.b64encode(secrets.token_bytes(24)).decode()}"
