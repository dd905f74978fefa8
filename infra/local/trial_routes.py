"""A services.toml to try providers out with: a route a service, by these, in this order."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

from functions.providers.catalog import PROVIDERS

_WORDS = {"sender": "Salvo", "template": "SMS_100001", "signature": "Salvo", "entity": "1201159146595300000"}
"""What routes have to name. The simulated vendors take any that look like theirs."""


def write_services(file: Path, routes: Mapping[str, Sequence[str]]) -> None:
    """`routes` names each service's providers."""
    lines = [line for service, providers in routes.items() for line in _service(service, providers)]
    file.write_text("\n".join(lines) + "\n", encoding="utf-8")


def settings_of(provider: str) -> dict[str, str]:
    """What a route by it has to name, or may as well: Chinese messages carry a signature wherever it has a place."""
    entry = PROVIDERS[provider]
    return {name: _WORDS[name] for name in sorted(entry.requires | (entry.takes & {"signature"}))}


def _service(name: str, providers: Sequence[str]) -> list[str]:
    return [f"[[{name}.routes]]", f"providers = [ {', '.join(map(_via, providers))} ]"]


def _via(provider: str) -> str:
    settings = {"name": provider, **settings_of(provider)}
    return f"{{ {', '.join(f'{name} = {json.dumps(value)}' for name, value in settings.items())} }}"
