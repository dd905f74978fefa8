"""The campaign, event by event: posts, batches from the queue, 25 codes at a time through table and account, ends.

What is one processor's in an invocation comes one after the other, what waits for others runs beside it. A code is an
event of its own nowhere but in its account's schedule, so a million take seconds. The same fleet comes out the same.
"""

from __future__ import annotations

import heapq
import math
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from itertools import count
from random import Random  # noqa: TID251 - draws of a simulation, which must come out alike each time
from typing import Any

from infra.scale import lambda_scaling
from infra.scale.accounts import Account, open_accounts
from infra.scale.model import POST, TOGETHER, Fleet
from infra.scale.outcome import Counts, Logins, Run
from infra.scale.sqs import Message, Queue, wait_of
from infra.scale.table import FAILED_UNITS, MIXED, PROGRESS_UNITS, SEND_UNITS, Table


@dataclass(slots=True)
class _Invocation:
    began: float
    deadline: float
    """When its time is over."""
    ready: deque[tuple[float, Sequence[Message]]]
    """Codes that go together, and when the processor is done with them."""
    under_way: int = 0
    """Groups that are begun and not done."""
    end: float = 0.0
    sent: int = 0
    back: list[tuple[Message, float]] = field(default_factory=list)
    """With the seconds after the end until they are seen again."""


def simulate(fleet: Fleet) -> Run:
    return _Simulation(fleet).run()


class _Simulation:
    def __init__(self, fleet: Fleet) -> None:
        self._fleet = fleet
        self._random = Random(fleet.seed)  # noqa: S311 - no secret
        self._accounts = open_accounts(fleet)
        self._weights = [1.0] * len(fleet.rates) if math.inf in fleet.rates else list(fleet.rates)
        self._table = Table(fleet.table_units, fleet.table_tries)
        self._queue = Queue()
        self._counts = Counts()
        self._events: list[tuple[float, int, Callable[..., None], Any]] = []
        self._serial = count()
        self._busy: list[tuple[float, int]] = [(0.0, 0)]
        self._most_pollers = lambda_scaling.most_pollers(fleet.usable_concurrency)
        self._pollers = self._idle = lambda_scaling.first_pollers(fleet.usable_concurrency)
        self._sandboxes = self._peak = 0
        self._gathering = self._growing = self._posting = False
        self._wakes_at = math.inf

    def run(self) -> Run:
        self._post(0.0)
        while self._events:
            now, _, happen, argument = heapq.heappop(self._events)
            happen(now, argument)
        for account in self._accounts:
            account.logins.until(self._counts.last_end)
        each = [account.logins for account in self._accounts]
        self._counts.place_writes = sum(account.writes for account in self._accounts)
        return Run(
            fleet=self._fleet,
            counts=self._counts,
            busy=self._busy,
            logins=Logins(
                seconds=sorted(one for logins in each for one in logins.seconds),
                seconds_alone=sorted(one for logins in each for one in logins.seconds_alone),
                refused=sum(logins.refused for logins in each),
            ),
            write_units=self._table.written + self._counts.progress_writes * PROGRESS_UNITS + self._counts.place_writes,
            busiest_write_second=self._table.busiest_second,
            peak=self._peak,
        )

    def _at(self, when: float, happen: Callable[..., None], argument: Any = None) -> None:
        heapq.heappush(self._events, (when, next(self._serial), happen, argument))

    def _post(self, now: float, _: Any = None) -> None:
        """One call after the other, as fast as they come and as the bound allows."""
        self._posting = False
        counts, fleet = self._counts, self._fleet
        while counts.posted < fleet.codes:
            some = min(POST, fleet.codes - counts.posted)
            if counts.posted - counts.finished + some > max(fleet.unfinished, POST):
                break  # the end of an invocation comes back here
            counts.posted += some
            self._queue.put(now, some)
            if fleet.arriving != math.inf:
                self._posting = True
                self._at(now + some / fleet.arriving, self._post)
                break
        self._dispatch(now)

    def _dispatch(self, now: float) -> None:
        """Gives the idle pollers what there is: full batches at once, a last part of one when its window is over."""
        fleet = self._fleet
        while self._idle and (there := self._queue.visible(now)):
            if there < fleet.batch_size and fleet.window:
                self._gather(now)
                break
            self._idle -= 1
            self._invoke(now)
        if self._queue.visible(now) >= fleet.batch_size:
            self._grow(now)
        back = self._queue.next_visible
        if back is not None and back < self._wakes_at:
            self._wakes_at = back
            self._at(back, self._wake)

    def _wake(self, now: float, _: Any) -> None:
        self._wakes_at = math.inf
        self._dispatch(now)

    def _gather(self, now: float) -> None:
        """One poller waits for more. The others would only share what there is."""
        if not self._gathering:
            self._gathering = True
            self._idle -= 1
            self._at(now + self._fleet.window, self._close)

    def _close(self, now: float, _: Any) -> None:
        self._gathering = False
        if self._queue.visible(now):
            self._invoke(now)
        else:
            self._idle += 1
        self._dispatch(now)

    def _grow(self, now: float) -> None:
        if not self._growing and self._pollers < self._most_pollers:
            self._growing = True
            self._at(now + lambda_scaling.BETWEEN_POLLERS, self._add_poller)

    def _add_poller(self, now: float, _: Any) -> None:
        self._growing = False
        self._pollers += 1
        self._idle += 1
        self._dispatch(now)

    def _invoke(self, now: float) -> None:
        fleet, counts = self._fleet, self._counts
        messages = self._fresh(now, self._queue.take(now, fleet.batch_size))
        counts.most_handed_out = max(counts.most_handed_out, self._queue.handed_out)
        counts.invocations += 1
        busy = self._note_busy(now, 1)
        cold = fleet.cold_start if busy > self._sandboxes else 0.0
        self._sandboxes = max(self._sandboxes, busy)
        counts.cold_starts += bool(cold)
        began = now + fleet.filling + cold
        groups = [messages[start : start + TOGETHER] for start in range(0, len(messages), TOGETHER)]
        invocation = _Invocation(
            began=began - cold, deadline=began + fleet.timeout, ready=self._ready(began, groups), end=began
        )
        for _ in range(max(1, fleet.in_flight // TOGETHER)):
            self._begin_group(began, invocation)
        if not groups:
            self._at(began + fleet.batch_cpu / fleet.processor, self._end, invocation)

    def _ready(self, began: float, groups: Sequence[Sequence[Message]]) -> deque[tuple[float, Sequence[Message]]]:
        ready, done = deque[tuple[float, Sequence[Message]]](), began + self._fleet.batch_cpu / self._fleet.processor
        for group in groups:
            done += len(group) * self._fleet.cpu / self._fleet.processor
            ready.append((done, group))
        return ready

    def _fresh(self, now: float, messages: Sequence[Message]) -> Sequence[Message]:
        """Those of the messages that are sent at all."""
        fleet, counts = self._fleet, self._counts
        counts.deliveries += len(messages)
        fresh = []
        for message in messages:
            counts.most_delivered = max(counts.most_delivered, message.delivered)
            age = now - message.queued_at
            counts.oldest = max(counts.oldest, age)
            if message.delivered > fleet.most_deliveries:
                counts.dead += 1
            elif age > fleet.fresh_for:
                counts.stale += 1
            else:
                fresh.append(message)
        self._queue.delete(len(messages) - len(fresh))
        return fresh

    def _begin_group(self, now: float, invocation: _Invocation) -> None:
        if invocation.ready:
            invocation.under_way += 1
            ready, group = invocation.ready.popleft()
            self._at(max(ready, now), self._send, (invocation, group))

    def _send(self, now: float, argument: tuple[_Invocation, Sequence[Message]]) -> None:
        """A group's claims in the table, its places at the accounts, its answers."""
        invocation, group = argument
        fleet, ends = self._fleet, now
        latest = invocation.deadline - fleet.timeout + fleet.patience
        written = self._table.write(now, SEND_UNITS * len(group)) if now <= latest else None
        if now > latest:
            invocation.back += [(message, 0.0) for message in group]
        elif written is None:
            self._counts.throttled += len(group)
            invocation.back += [(message, fleet.visibility) for message in group]
        else:
            for account in self._accounts:
                account.begin_group()
            ends = max(self._answer(written + fleet.round_trips, latest, invocation, message) for message in group)
        invocation.end = max(invocation.end, ends)
        self._at(ends, self._done, invocation)

    def _answer(self, now: float, latest: float, invocation: _Invocation, message: Message) -> float:
        """When the code's gateway has answered, or nobody waits any more."""
        fleet, random = self._fleet, self._random
        account = self._account()
        place = account.place(now, latest)
        if place is None:
            self._counts.refused_places += 1
            self._again(now, invocation, message, again_in=account.free_in(now))
            return now
        answered = place + min(random.lognormvariate(fleet.latency.mu, fleet.latency.sigma), fleet.provider_timeout)
        if fleet.fails and random.random() < fleet.fails:
            self._again(answered, invocation, message)
        else:
            invocation.sent += 1
        return answered

    def _account(self) -> Account:
        if len(self._accounts) == 1:
            return self._accounts[0]
        return self._random.choices(self._accounts, self._weights)[0]

    def _again(self, now: float, invocation: _Invocation, message: Message, *, again_in: float = 0.0) -> None:
        left = max(0.0, self._fleet.fresh_for - (now - message.queued_at))
        drawn, most = self._random.random(), self._fleet.most_deliveries
        wait = wait_of(message.delivered, left, drawn, most_deliveries=most, again_in=again_in)
        invocation.back.append((message, wait))
        self._table.written += FAILED_UNITS - SEND_UNITS  # what was counted is given back

    def _done(self, now: float, invocation: _Invocation) -> None:
        invocation.under_way -= 1
        self._begin_group(now, invocation)
        if not invocation.under_way:
            self._end(now, invocation)

    def _end(self, now: float, invocation: _Invocation) -> None:
        counts = self._counts
        for message, wait in invocation.back:
            self._queue.give_back(message, now + wait)
        self._queue.delete(invocation.sent)
        counts.sent += invocation.sent
        counts.progress_writes += MIXED if invocation.sent else 0
        counts.billed += now - invocation.began - self._fleet.filling
        counts.last_end = now
        self._idle += 1
        self._note_busy(now, -1)
        if self._posting:
            self._dispatch(now)
        else:
            self._post(now)

    def _note_busy(self, now: float, change: int) -> int:
        busy = self._busy[-1][1] + change
        self._busy.append((now, busy))
        self._peak = max(self._peak, busy)
        return busy
