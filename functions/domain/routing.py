"""Which providers a message may go by, and in which order.

A service's routes are looked through in the order of its file, and the first that fits the number's region and the
message's locale decides. Its providers are tried one after the other: as they stand, or, where they have weights, in an
order drawn by them. The draw hangs on the request alone, so a repeat of it draws the same.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Sequence

from functions.domain.frozen import frozen


@frozen(kw_only=True)
class Via:
    """One provider of a route, with what it needs to know of this route."""

    provider: str
    weight: float | None = None
    """Its share of first tries against its neighbours'. None: they are tried as they stand."""
    sender: str | None = None
    template: str | None = None
    signature: str | None = None
    entity: str | None = None


@frozen(kw_only=True)
class Route:
    providers: tuple[Via, ...]
    countries: frozenset[str] = frozenset()
    """Regions such as DE; none means every one."""
    locales: frozenset[str] = frozenset()
    """Languages or full tags, in lower case, such as de or zh-hant; none means every one."""

    def fits(self, region: str, locales: Sequence[str]) -> bool:
        in_country = not self.countries or region in self.countries
        return in_country and (not self.locales or not self.locales.isdisjoint(locales))


def choose(routes: Sequence[Route], *, region: str, locales: Sequence[str], seed: str) -> tuple[Via, ...]:
    """The providers for a message, in the order in which to try them; none where no route fits.

    `locales` is the message's, from its full tag down to its language.
    """
    fitting = next((route for route in routes if route.fits(region, locales)), None)
    if fitting is None:
        return ()
    if any(via.weight is None for via in fitting.providers):
        return fitting.providers
    return tuple(sorted(fitting.providers, key=lambda via: _lot(via, seed)))


def beginning_with(plan: Sequence[Via], provider: str | None) -> tuple[Via, ...]:
    """The plan from this provider on, with those before it last; as it stands where the provider is not in it."""
    place = next((place for place, via in enumerate(plan) if via.provider == provider), 0)
    return (*plan[place:], *plan[:place])


def _lot(via: Via, seed: str) -> float:
    """Sorted by these, each provider comes first as often as its weight says (Efraimidis and Spirakis, 2006)."""
    drawn = hashlib.sha256(f"{seed} {via.provider}".encode()).digest()
    uniform = (int.from_bytes(drawn[:6]) + 1) / (2**48 + 1)
    return -math.log(uniform) / (via.weight or 1)
