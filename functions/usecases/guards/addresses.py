"""How many starts and guesses come from an end user's address, and from its network. Who names none is not asked."""

from __future__ import annotations

from collections.abc import Sequence

from functions.domain.guard.attempt import Address, Attempt, Pseudonym
from functions.domain.guard.counting import Cap, Step
from functions.domain.guard.decision import Finding, Mode, Rule
from functions.domain.guard.network import source_of
from functions.domain.guard.policy import Policy
from functions.domain.part import part
from functions.domain.verification import DAY
from functions.usecases.guards.counting import Counting

HOUR = 3_600
MINUTE = 60


@part
class Addresses:
    """All three limits in one write, on the network's item of the day."""

    counting: Counting

    async def look(self, attempt: Attempt) -> Sequence[Finding]:
        step = _step(attempt)
        return [] if step is None else await self.counting.look(attempt, step)

    def recall(self, attempt: Attempt) -> Sequence[Finding]:
        return self.counting.recall_any(attempt, _step)

    async def give_back(self, attempt: Attempt) -> None:
        step = _step(attempt)
        if step is not None:
            await self.counting.give_back(attempt, step)

    async def wait(self, ip: Address, policy: Policy, pseudonym: Pseudonym, at: int) -> int | None:
        """By the minute of the clock: so many at its end and so many in the next are the most at once."""
        most, minute = policy.checks_minute, at // MINUTE
        if most is None or policy.mode(Rule.IP) is not Mode.ENFORCE:
            return None
        source, ends = source_of(ip), (minute + 1) * MINUTE
        step = Step(
            item=f"i#{pseudonym('line', f'{source.network} {source.line}')}#{minute}",
            counters=("checks",),
            caps=(Cap(rule=Rule.IP, mode=Mode.ENFORCE, counter="checks", most=most, ends=ends),),
            forget_at=ends + MINUTE,
        )
        tally = await self.counting.counters.count(step)
        return None if tally.counted else ends - at


def _step(attempt: Attempt) -> Step | None:
    if attempt.ip is None:
        return None
    source, policy, at = source_of(attempt.ip), attempt.policy, attempt.at
    hour, day = f"{at % DAY // HOUR:02d}", at // DAY
    by_hour, by_day, of_network = f"h{source.line}{hour}", f"d{source.line}", f"p{hour}"
    end_of_hour, end_of_day = (at // HOUR + 1) * HOUR, (day + 1) * DAY
    wanted = [
        (Rule.IP, by_hour, policy.ip_hour, end_of_hour),
        (Rule.IP, by_day, policy.ip_day, end_of_day),
        (Rule.IP_PREFIX, of_network, policy.ip_prefix_hour, end_of_hour),
    ]
    caps = tuple(
        Cap(rule=rule, mode=policy.mode(rule), counter=counter, most=most, ends=ends)
        for rule, counter, most, ends in wanted
        if most is not None and policy.mode(rule) is not Mode.OFF
    )
    if not caps:
        return None
    return Step(
        item=f"i#{attempt.pseudonym('network', source.network)}#{day}",
        counters=(by_hour, by_day, of_network),
        caps=caps,
        forget_at=end_of_day + HOUR,
        at_nought=(by_hour, by_day),
    )
