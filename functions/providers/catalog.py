"""The providers there are, and what each needs to be told. Their modules are imported only where a route names them."""

from __future__ import annotations

from collections.abc import Mapping

from functions.domain.frozen import frozen


@frozen(kw_only=True)
class Entry:
    """A provider's module has its name."""

    secret: str | None
    """Whose secret it uses; None where the functions' own role at AWS is enough."""
    requires: frozenset[str] = frozenset()
    """What each of its places in a route has to name: sender, template, signature, entity."""
    takes: frozenset[str] = frozenset()
    """What a route may name besides."""
    takes_our_id: bool = False
    """A message's id there is our reference: nothing need be kept to tell of its approval."""


def _entry(secret: str | None, requires: str = "", takes: str = "", *, takes_our_id: bool = False) -> Entry:
    return Entry(
        secret=secret,
        requires=frozenset(requires.split()),
        takes=frozenset(takes.split()),
        takes_our_id=takes_our_id,
    )


PROVIDERS: Mapping[str, Entry] = {
    "aliyun": _entry("aliyun", "template signature"),
    "aliyun_batch": _entry("aliyun", "template signature"),
    "aws_sms": _entry(None, takes="sender template entity"),
    "infobip": _entry("infobip", "sender", "template entity", takes_our_id=True),
    "messagebird": _entry("messagebird", "sender"),
    "plivo": _entry("plivo", "sender", "template entity"),
    "sinch": _entry("sinch", "sender"),
    "sinch_batch": _entry("sinch", "sender"),
    "sns": _entry(None, takes="sender template entity"),
    "telnyx": _entry("telnyx", "sender"),
    "tencent": _entry("tencent", "template", "sender signature"),
    "twilio": _entry("twilio", "sender"),
    "vonage": _entry("vonage", "sender", "template entity"),
    "vonage_messages": _entry("vonage", "sender", "template entity"),
    "webhook": _entry("webhook", takes="sender template signature entity"),
    "yunpian": _entry("yunpian"),
    "yunpian_multi": _entry("yunpian"),
}

TAKE_OUR_ID = frozenset(name for name, entry in PROVIDERS.items() if entry.takes_our_id)
