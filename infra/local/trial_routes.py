"""A services.toml to try providers out with: one route, by these, in this order."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

from functions.providers.catalog import PROVIDERS

_WORDS = {"sender": "Salvo", "template": "SMS_100001", "signature": "Salvo", "entity": "1201159146595300000"}
"""What routes have to name. The simulated vendors take any that look like theirs."""
_CONFIGURATION_SET = "salvo"


def write_services(file: Path, providers: Sequence[str]) -> None:
    lines = ["[default]", "[[default.routes]]", f"providers = [ {', '.join(map(_via, providers))} ]"]
    if "aws_sms" in providers:
        lines += ["[providers.aws_sms]", f"configuration_set = {json.dumps(_CONFIGURATION_SET)}"]
    file.write_text("\n".join(lines) + "\n", encoding="utf-8")


def _via(provider: str) -> str:
    entry = PROVIDERS[provider]
    # Chinese messages carry one wherever there is a place for it.
    named = sorted(entry.requires | (entry.takes & {"signature"}))
    settings = {"name": provider} | {name: _WORDS[name] for name in named}
    return f"{{ {', '.join(f'{name} = {json.dumps(value)}' for name, value in settings.items())} }}"
