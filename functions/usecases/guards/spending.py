"""What the codes of a day may cost: a service's, and all services' together.

A message costs what the file says of its country. What a provider says of a single one comes after it was sent, from
some of them only and in their own currencies: it is in the log, and changes no account.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from functions.domain.guard.attempt import Attempt
from functions.domain.guard.budget import ALL_SERVICES, Account
from functions.domain.guard.decision import Finding, Mode, Rule, Said
from functions.domain.verification import DAY
from functions.usecases.guard_ports import Accounts
from functions.usecases.ports import Journal


@dataclass(slots=True)
class _Purse:
    """What this sandbox has of an account."""

    left: int = 0
    """Less than nothing where messages went out that only an enforced rule would have stopped."""
    used: int = 0
    """Of the account, by all sandboxes, when this one asked last. It only ever grows."""
    wanted: int = 0
    """By all who wait for the next portion."""
    lock: asyncio.Lock = field(default_factory=asyncio.Lock)
    """Held by whoever takes it, for all of them."""


@dataclass(slots=True)
class Spending:
    """One sandbox's. Its money is gone with it."""

    accounts: Accounts
    price: Callable[[str], int | None]
    """Of a message, by region. What has none is not counted."""
    budget: int | None
    """Of all services together."""
    journal: Journal
    _purses: dict[Account, _Purse] = field(default_factory=dict)

    async def look(self, attempt: Attempt) -> Sequence[Finding]:
        price = self.price(attempt.region)
        return [] if price is None else await self._pay_all(attempt, price)

    async def give_back(self, attempt: Attempt) -> None:
        """To this sandbox, for its next message: the table hears nothing of it."""
        price = self.price(attempt.region)
        if price is not None:
            self._return(self._accounts_of(attempt), price)

    async def _pay_all(self, attempt: Attempt, price: int) -> list[Finding]:
        findings, paid = list[Finding](), list[Account]()
        try:
            for account in self._accounts_of(attempt):
                findings.append(await self._pay(account, price, attempt))
                if findings[-1].decides:
                    self._return(paid, price)
                    break
                paid.append(account)
        except BaseException:
            self._return(paid, price)
            raise
        return findings

    def _accounts_of(self, attempt: Attempt) -> list[Account]:
        budgets = (
            (Rule.BUDGET_SERVICE, attempt.service, attempt.policy.budget),
            (Rule.BUDGET_TOTAL, ALL_SERVICES, self.budget),
        )
        return [
            Account(
                rule=rule,
                name=name,
                day=attempt.at // DAY,
                budget=budget,
                home=attempt.policy.is_home(attempt.region),
            )
            for rule, name, budget in budgets
            if budget is not None and attempt.policy.mode(rule) is not Mode.OFF
        ]

    async def _pay(self, account: Account, price: int, attempt: Attempt) -> Finding:
        purse, mode = self._purse(account), attempt.policy.mode(account.rule)
        if purse.left < price:
            await self._wait_for_more(account, purse, price)
        passes = purse.left >= price
        if passes or mode is not Mode.ENFORCE:
            purse.left -= price
        return Finding(
            rule=account.rule,
            said=Said.PASS if passes else Said.DENY,
            mode=mode,
            key=account.name,
            count=purse.used - purse.left,
            limit=account.limit,
            retry_after=None if passes else DAY - attempt.at % DAY,
        )

    def _purse(self, account: Account) -> _Purse:
        if account not in self._purses:
            self._purses = {known: purse for known, purse in self._purses.items() if known.day >= account.day}
            self._purses[account] = _Purse()
        return self._purses[account]

    async def _wait_for_more(self, account: Account, purse: _Purse, price: int) -> None:
        purse.wanted += price
        try:
            async with purse.lock:
                await self._fill(account, purse, price)
        finally:
            purse.wanted -= price

    async def _fill(self, account: Account, purse: _Purse, price: int) -> None:
        """Until there is enough, or the account has no more. Who loses a race for the last of it tries for the rest."""
        while (missing := price - purse.left) > 0:
            portion = account.portion(wanted=purse.wanted, used=purse.used)
            if portion < missing:
                return
            lease = await self.accounts.take(account, portion)
            purse.used = lease.used
            if lease.taken:
                purse.left += portion
                self._tell(account, before=lease.used - portion, after=lease.used)

    def _tell(self, account: Account, *, before: int, after: int) -> None:
        """Of all sandboxes the one whose portion it was tells, so it is told once."""
        self.journal("spent", service=account.name, percent=100 * after / account.budget)
        for percent in account.crossed(before=before, after=after):
            self.journal("budget", service=account.name, percent=percent, used=after, budget=account.budget)

    def _return(self, accounts: Sequence[Account], price: int) -> None:
        for account in accounts:
            if account in self._purses:
                self._purses[account].left += price
