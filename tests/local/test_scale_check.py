"""What ./salvo scale --check runs for real: the bulk sender in processes of its own. How fast it is, no test says."""

from __future__ import annotations

from infra.scale.check import Scenario, measure


async def test_a_scenario_is_run_to_its_end_within_its_concurrency() -> None:
    measured = await measure(Scenario(name="small", codes=150, concurrency=2, rate=100.0, latency=0.1))

    assert measured.invocations >= 2
    assert 1 <= measured.peak <= 2
    assert measured.came_back == 0
    assert measured.seconds > 149 / 100  # no faster than the account may
