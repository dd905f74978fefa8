"""The vendors that there are, by the names that routes call them by."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from infra.local.vendors.aliyun import Aliyun
from infra.local.vendors.aws_sms import AwsSms
from infra.local.vendors.infobip import Infobip
from infra.local.vendors.messagebird import MessageBird
from infra.local.vendors.plivo import Plivo
from infra.local.vendors.sinch import Sinch
from infra.local.vendors.sns import Sns
from infra.local.vendors.telnyx import Telnyx
from infra.local.vendors.tencent import Tencent
from infra.local.vendors.twilio import Twilio
from infra.local.vendors.vendor import Account, Vendor
from infra.local.vendors.vonage import Vonage
from infra.local.vendors.vonage_messages import VonageMessages
from infra.local.vendors.webhook import Webhook
from infra.local.vendors.yunpian import Yunpian

_VENDORS: Mapping[str, Callable[[Account], Vendor]] = {
    "aliyun": Aliyun,
    "aliyun_batch": Aliyun,
    "aws_sms": AwsSms,
    "infobip": Infobip,
    "messagebird": MessageBird,
    "plivo": Plivo,
    "sinch": Sinch,
    "sinch_batch": Sinch,
    "sns": Sns,
    "telnyx": Telnyx,
    "tencent": Tencent,
    "twilio": Twilio,
    "vonage": Vonage,
    "vonage_messages": VonageMessages,
    "webhook": Webhook,
    "yunpian": Yunpian,
    "yunpian_multi": Yunpian,
}
_ACCOUNTS: Mapping[str, str | None] = {
    "aliyun_batch": "aliyun",
    "aws_sms": None,
    "sinch_batch": "sinch",
    "sns": None,
    "vonage_messages": "vonage",
    "yunpian_multi": "yunpian",
}
"""Whose account counts there. All others have their own; None: it takes no key of ours."""


def open_vendors(accounts: Mapping[str, Account]) -> dict[str, Vendor]:
    """Those at which there is an account."""
    found: dict[str, Vendor] = {}
    for name, kind in _VENDORS.items():
        owner = _ACCOUNTS.get(name, name)
        account = {} if owner is None else accounts.get(owner)
        if account is not None:
            found[name] = kind(account)
    return found
