"""The simulated fleet: no code gets lost, no limit is passed, more is never slower, and sums that were done by hand."""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import replace
from functools import partial
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from functions.queues.sqs import BULK_DELIVERIES, MOST_DELIVERIES, Failed, SqsRedelivery
from functions.usecases.lanes import AHEAD, STEP
from infra.scale.accounts import open_accounts
from infra.scale.choosing import good_batch_size, good_concurrency, least_concurrency, most_concurrency
from infra.scale.costs import costs
from infra.scale.lambda_scaling import BETWEEN_POLLERS, FIRST_POLLERS
from infra.scale.limits import limits
from infra.scale.model import Fleet, Latency, as_salvo_send_does
from infra.scale.outcome import quantile
from infra.scale.simulation import simulate
from infra.scale.sqs import wait_of

STEADY = Latency(p50=0.3, p99=0.3)
PLAIN = Fleet(codes=1_000, rates=(math.inf,), latency=STEADY, logins=0.0, cold_start=0.0, table_units=math.inf)
"""Nothing holds up its codes but the gateway and the work."""


@st.composite
def fleets(draw: st.DrawFn) -> Fleet:
    p50 = draw(st.floats(0.01, 3.0))
    return Fleet(
        codes=draw(st.integers(1, 3_000)),
        rates=tuple(draw(st.lists(st.floats(1.0, 2_000.0), min_size=1, max_size=3))),
        latency=Latency(p50=p50, p99=p50 * draw(st.floats(1.0, 5.0))),
        fails=draw(st.floats(0.0, 0.9)),
        arriving=draw(st.sampled_from([10.0, 500.0, math.inf])),
        unfinished=draw(st.sampled_from([1_000.0, 2_000.0, math.inf])),
        logins=draw(st.floats(0.0, 20.0)),
        concurrency=draw(st.integers(1, 50)),
        batch_size=draw(st.integers(1, 1_500)),
        window=draw(st.sampled_from([0.0, 1.0])),
        in_flight=draw(st.sampled_from([25, 100, 1_000])),
        fresh_for=draw(st.sampled_from([30.0, 600.0])),
        most_deliveries=draw(st.integers(1, 12)),
        table_units=draw(st.sampled_from([100.0, 4_000.0])),
        account_concurrency=draw(st.integers(1, 1_000)),
        seed=draw(st.integers(0, 100)),
    )


@settings(deadline=None, max_examples=60)
@given(fleets())
def test_every_code_ends_once_as_sent_as_too_late_or_as_a_dead_letter(fleet: Fleet) -> None:
    run = simulate(fleet)

    assert run.counts.posted == fleet.codes
    assert run.counts.finished == fleet.codes
    assert run.busy[-1][1] == 0


@settings(deadline=None, max_examples=60)
@given(fleets())
def test_no_more_run_at_once_than_the_stack_and_the_account_allow(fleet: Fleet) -> None:
    run = simulate(fleet)

    assert run.peak <= fleet.concurrency
    assert run.peak <= max(1, fleet.account_concurrency)


@settings(deadline=None, max_examples=60)
@given(fleets())
def test_no_more_is_sent_than_the_rates_allow(fleet: Fleet) -> None:
    run = simulate(fleet)

    at_once = len(fleet.rates)  # the first place of each schedule is free
    assert run.counts.sent <= run.seconds * fleet.bulk_rate + at_once + 1e-6


@settings(deadline=None)
@given(st.lists(st.floats(0.0, 100.0), min_size=2, max_size=100), st.floats(1.0, 500.0), st.floats(0.0, 0.5))
def test_an_accounts_places_are_never_closer_than_its_rate(asked: list[float], rate: float, share: float) -> None:
    (account,) = open_accounts(replace(PLAIN, rates=(rate,), logins=rate * share))

    places = sorted(place for now in sorted(asked) if (place := account.place(now, now + 50.0)) is not None)

    assert all(later - earlier > 1 / rate - 1e-6 for earlier, later in pairwise(places))


@settings(deadline=None, max_examples=40)
@given(st.integers(1, 4_000), st.floats(20.0, 2_000.0), st.floats(1.0, 10.0), st.integers(1, 20))
def test_a_greater_rate_is_never_slower(codes: int, rate: float, times: float, concurrency: int) -> None:
    slow = replace(PLAIN, codes=codes, rates=(rate,), concurrency=concurrency)
    assume(concurrency < most_concurrency(slow))  # where codes come back, when they do is drawn

    assert simulate(replace(slow, rates=(rate * times,))).seconds <= simulate(slow).seconds + 1e-6


@settings(deadline=None, max_examples=40)
@given(st.integers(1, 4_000), st.integers(1, 20), st.integers(0, 20))
def test_more_at_once_are_never_slower(codes: int, concurrency: int, more: int) -> None:
    few = replace(PLAIN, codes=codes, concurrency=concurrency)

    assert simulate(replace(few, concurrency=concurrency + more)).seconds <= simulate(few).seconds + 1e-6


def test_the_same_fleet_comes_out_the_same() -> None:
    fleet = Fleet(codes=3_000, fails=0.2, seed=7)

    assert simulate(fleet) == simulate(fleet)


def test_one_batch_takes_its_work_its_ways_and_one_answer() -> None:
    fleet = replace(PLAIN, codes=100, memory=1_769)

    assert simulate(fleet).seconds == pytest.approx(0.1 + 0.01 + 100 * 0.002 + 0.03 + 0.3)


def test_less_memory_makes_the_work_that_much_longer() -> None:
    fleet = replace(PLAIN, codes=100, memory=1_769 // 2)

    assert simulate(fleet).seconds == pytest.approx(0.1 + 2 * (0.01 + 100 * 0.002) + 0.03 + 0.3, rel=0.01)


def test_without_a_rate_batches_go_in_rounds() -> None:
    fleet = replace(PLAIN, codes=2_000, concurrency=4)

    assert simulate(fleet).seconds == pytest.approx(5 * fleet.batch_seconds)


def test_an_account_that_is_kept_busy_takes_codes_divided_by_its_rate() -> None:
    fleet = replace(PLAIN, codes=9_000, rates=(100.0,), concurrency=5)

    seconds = simulate(fleet).seconds

    assert 8_999 / 90 < seconds < 8_999 / 90 + fleet.batch_seconds


def test_two_accounts_send_twice_as_fast() -> None:
    one = replace(PLAIN, codes=9_000, rates=(100.0,), concurrency=10)

    both = simulate(replace(one, rates=(100.0, 100.0)))

    assert both.seconds == pytest.approx(simulate(one).seconds / 2, rel=0.1)


def test_too_few_at_once_leave_a_rate_unused() -> None:
    fleet = replace(PLAIN, codes=20_000, rates=(1_000.0,), concurrency=2)

    run = simulate(fleet)

    assert run.rate == pytest.approx(2 * 100 / fleet.batch_seconds, rel=0.05)
    assert limits(run)[0].name == "concurrency for the rate"


def test_what_a_rate_cannot_send_in_time_is_not_sent() -> None:
    fleet = replace(PLAIN, codes=20_000, rates=(10.0,), concurrency=2, fresh_for=600.0)

    run = simulate(fleet)

    assert run.counts.sent == pytest.approx(600 * 9, rel=0.05)
    assert run.counts.stale == fleet.codes - run.counts.sent
    assert limits(run)[0].name == "freshness"


def test_who_posts_as_salvo_send_does_loses_none_of_them() -> None:
    fleet = replace(PLAIN, codes=20_000, rates=(10.0,), concurrency=2, fresh_for=600.0)

    run = simulate(replace(fleet, unfinished=as_salvo_send_does(fleet)))

    assert run.counts.sent == fleet.codes


def test_codes_that_wait_too_long_for_their_place_come_back_and_are_sent_all_the_same() -> None:
    fleet = replace(PLAIN, codes=3_000, rates=(20.0,), concurrency=20)

    run = simulate(fleet)

    assert run.counts.refused_places > 0
    assert run.counts.came_back == run.counts.refused_places
    assert run.counts.sent == fleet.codes


def test_what_no_gateway_ever_takes_is_a_dead_letter_after_all_its_deliveries() -> None:
    run = simulate(replace(PLAIN, codes=200, fails=1.0, most_deliveries=3))

    assert run.counts.dead == 200
    assert run.counts.most_delivered == 4  # the fourth is the move to the dead letters


def test_lambda_begins_with_five_batches_and_adds_five_a_second() -> None:
    run = simulate(replace(PLAIN, codes=20_000, concurrency=50))

    begun = [when for when, busy in run.busy if when < 1.0 and busy]
    assert Counter(begun)[0.0] == FIRST_POLLERS
    assert max(busy for when, busy in run.busy if when < 2.0) <= FIRST_POLLERS + 2.0 / BETWEEN_POLLERS


def test_a_table_takes_no_more_than_its_units_in_any_second() -> None:
    run = simulate(replace(PLAIN, codes=20_000, concurrency=10, table_units=1_000.0))

    assert run.seconds < 1_800  # then it takes twice as many
    assert run.busiest_write_second <= 1_000 + 2.1 * 25


def test_what_the_table_throttles_comes_back_after_the_queues_own_time_out() -> None:
    run = simulate(replace(PLAIN, codes=20_000, concurrency=50, table_units=1_000.0))

    assert run.counts.throttled > 0
    assert run.counts.sent == 20_000
    assert run.seconds > PLAIN.visibility


def test_codes_are_held_back_by_the_bound_of_those_under_way() -> None:
    ten_waves = replace(PLAIN, codes=1_000, batch_size=1_000, in_flight=100, memory=1_769, cpu=0.001)

    assert simulate(ten_waves).seconds > 10 * 0.3
    assert simulate(replace(ten_waves, in_flight=1_000)).seconds < 10 * 0.3


@pytest.mark.parametrize("share", [0.01, 0.05, 0.08])
def test_logins_within_their_tenth_hardly_notice_a_campaign(share: float) -> None:
    run = simulate(Fleet(codes=50_000, rates=(100.0,), logins=100 * share))

    assert quantile(run.logins.seconds, 0.99) < 1.1 * quantile(run.logins.seconds_alone, 0.99)


def test_logins_beyond_their_tenth_go_before_the_campaign() -> None:
    run = simulate(Fleet(codes=50_000, rates=(100.0,), logins=30.0))

    assert quantile(run.logins.seconds, 0.99) < quantile(run.logins.seconds_alone, 0.99) + AHEAD + 0.05
    assert run.rate == pytest.approx(70.0, rel=0.05)


@pytest.mark.parametrize("rate", [10.0, 100.0, 1_000.0])
@pytest.mark.parametrize("latency", [Latency(p50=0.1, p99=0.5), Latency(p50=2.0, p99=6.0)])
def test_the_concurrency_that_is_recommended_uses_the_rate_and_has_none_come_back(
    rate: float, latency: Latency
) -> None:
    fleet = Fleet(codes=max(3_000, int(rate * 120)), rates=(rate,), latency=latency, logins=0.0, table_units=40_000.0)

    run = simulate(replace(fleet, concurrency=good_concurrency(fleet)))

    assert run.rate > 0.85 * fleet.bulk_rate  # the first batches and the last answers are in it
    assert run.counts.came_back == 0


def test_a_slow_account_is_given_smaller_batches() -> None:
    slow = Fleet(rates=(3.0,))

    assert good_batch_size(slow) < slow.batch_size
    assert most_concurrency(replace(slow, batch_size=good_batch_size(slow))) >= 2


def test_the_formula_is_as_the_page_has_it() -> None:
    fleet = Fleet(rates=(100.0,), latency=STEADY, memory=1_769)

    assert fleet.batch_seconds == pytest.approx(0.1 + 0.01 + 0.2 + 0.03 + STEP + 0.3)
    assert least_concurrency(fleet) == pytest.approx(1 + 90 * fleet.batch_seconds / 100)
    assert most_concurrency(fleet) == pytest.approx(90 * 50.5 / 100)


class _Visibility:
    """SQS, of which only how long a message stays unseen is asked."""

    def __init__(self) -> None:
        self.seconds: list[int] = []

    async def change_message_visibility_batch(self, *, QueueUrl: str, Entries: list[dict[str, Any]]) -> dict[str, Any]:  # noqa: N803
        self.seconds += [entry["VisibilityTimeout"] for entry in Entries]
        return {}


@pytest.mark.parametrize("most", [MOST_DELIVERIES, BULK_DELIVERIES])
@pytest.mark.parametrize("fresh", [0, 120, 3_600, 43_200])
async def test_a_failed_send_comes_back_when_the_real_queue_brings_it_back(fresh: int, most: int) -> None:
    sqs = _Visibility()
    tried = [(delivered, again_in) for delivered in range(1, most + 1) for again_in in (0, 30, 5_000)]

    for drawn in (b"\0", b"\xff"):
        redelivery = SqsRedelivery(sqs, "", lambda _, drawn=drawn: drawn, most)
        await redelivery.soon([Failed("handle", delivered, fresh, again_in) for delivered, again_in in tried])

    waits = zip(tried, sqs.seconds[: len(tried)], sqs.seconds[len(tried) :], strict=True)
    for (delivered, again_in), longest, shorter in waits:
        wait = partial(wait_of, delivered, fresh, most_deliveries=most, again_in=again_in)
        assert wait(0.0) == pytest.approx(longest, abs=1)
        assert wait(1.0) <= shorter + 1


def test_a_campaign_costs_what_its_quantities_cost() -> None:
    run = simulate(replace(PLAIN, codes=10_000, memory=1_024))

    usd = {line.name: line.usd for line in costs(run, sms_price=0.01)}

    assert usd["SMS"] == pytest.approx(100.0)
    assert usd["DynamoDB, writes"] == pytest.approx((2.1 * 10_000 + 2 * 3 * 100 + 10) * 0.625e-6)
    assert usd["Lambda, time"] == pytest.approx((run.counts.billed + 10 * 1.5) * 0.0000166667)


def test_codes_that_come_back_cost_more() -> None:
    fleet = replace(PLAIN, codes=3_000, rates=(20.0,))
    calm, hurried = simulate(replace(fleet, concurrency=2)), simulate(replace(fleet, concurrency=20))

    assert sum(line.usd for line in costs(hurried)) > 1.5 * sum(line.usd for line in costs(calm))
