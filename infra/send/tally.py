"""What a file amounts to: messages and SMS by service and country, and messages by provider."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TypeAlias

from functions.domain.message import compose
from functions.domain.routing import Route
from functions.domain.segments import count_segments
from functions.domain.sensitive import Sensitive
from infra.send.item import Message

Place: TypeAlias = tuple[str, str]
"""A service and a region."""

_REMEMBERED = 4_096
"""Texts. They differ by service, country and what a line sets, so most files have a few."""


@dataclass(slots=True)
class Tally:
    bad: int = 0
    """Lines."""
    messages: Counter[Place] = field(default_factory=Counter)
    segments: Counter[Place] = field(default_factory=Counter)
    """SMS to pay for: a long text is several."""
    _routes: Counter[Route] = field(default_factory=Counter)
    _counted: dict[tuple[str | None, ...], int] = field(default_factory=dict)

    def add(self, message: Message) -> None:
        place = (message.service.name, message.to.region)
        self.messages[place] += 1
        self.segments[place] += self._segments_of(message)
        self._routes[message.route] += 1

    @property
    def total(self) -> int:
        return self.messages.total()

    @property
    def services(self) -> list[str]:
        return sorted({service for service, _ in self.messages})

    def of_service(self, name: str) -> dict[str, int]:
        """Messages by region."""
        return {region: count for (service, region), count in self.messages.items() if service == name}

    @property
    def by_provider(self) -> Mapping[str, float]:
        """Messages that each is asked first for: on average, where a route draws by weights."""
        found: dict[str, float] = {}
        for route, count in self._routes.items():
            for provider, share in _shares(route).items():
                found[provider] = found.get(provider, 0.0) + count * share
        return found

    def _segments_of(self, message: Message) -> int:
        key = (message.service.name, message.to.region, message.locale, message.domain, message.app_hash)
        if key not in self._counted:
            if len(self._counted) >= _REMEMBERED:
                self._counted.clear()
            self._counted[key] = count_segments(_sample(message)).count
        return self._counted[key]


def _sample(message: Message) -> str:
    """Its text, with a code of the service's length."""
    code = Sensitive("0" * message.service.code_length)
    return compose(
        code,
        service=message.service,
        number=message.to,
        locale=message.locale,
        domain=message.domain,
        app_hash=message.app_hash,
    ).reveal()


def _shares(route: Route) -> dict[str, float]:
    first, *_ = route.providers
    if any(via.weight is None for via in route.providers):
        return {first.provider: 1.0}
    weights = {via.provider: via.weight or 0.0 for via in route.providers}
    return {provider: weight / sum(weights.values()) for provider, weight in weights.items()}
