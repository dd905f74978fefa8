"""What a day's codes may cost. Sandboxes take money out of an account in portions, and spend those by themselves.

What was taken counts as spent, so an account is never overdrawn, whoever dies with a portion in hand.
"""

from __future__ import annotations

from functions.domain.frozen import frozen
from functions.domain.guard.decision import Rule

PORTIONS = 200
"""Of a budget: as many writes a day, and no sandbox lets more than one of them go unused."""
HOME_ALONE = 80
"""Percent of a budget after which only home countries get any more of it."""
TOLD = (50, 80)
"""Percent of a budget that the operator hears of."""
ALL_SERVICES = "*"


@frozen(kw_only=True)
class Account:
    """Amounts are millionths of the currency."""

    rule: Rule
    name: str
    """The service, or ALL_SERVICES."""
    day: int
    """Since 1970. Tomorrow's is another account, and today's money is worth nothing in it."""
    budget: int
    home: bool
    """Whether the number is of a home country."""

    @property
    def limit(self) -> int:
        return self.budget if self.home else self.budget * HOME_ALONE // 100

    def portion(self, *, wanted: int, used: int) -> int:
        """How much to take for as much as is wanted at once. Towards the end it is what there is, 0 or less too."""
        return min(max(self.budget // PORTIONS, wanted), self.limit - used)

    def crossed(self, *, before: int, after: int) -> list[int]:
        """Which of TOLD lie between."""
        return [percent for percent in TOLD if before * 100 < percent * self.budget <= after * 100]
